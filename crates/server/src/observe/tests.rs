//! What the tests of this module share, and the tests that go through several parts of it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vecdb_engine::{Error, ErrorKind, Filter, SearchRequest};
use vecdb_storage::StorageError;

use super::*;
use crate::auth::{Authority, Credentials};
use crate::config::{Auth, Config};
use crate::gateway::{About, Access, Call, Face, Operation};

/// A call from somewhere.
pub(super) fn call(request_id: &str) -> Call {
    Call {
        face: Face::Grpc,
        request_id: request_id.to_owned(),
        credentials: Credentials {
            secret: Some("a-secret-that-was-shown".to_owned()),
        },
        certificate: None,
        peer: Some(Ipv4Addr::new(192, 0, 2, 7).into()),
        received: Instant::now(),
        deadline: None,
        waits_for_room: false,
        traceparent: None,
        about: About::default(),
    }
}

/// That call when it has ended.
pub(super) fn ended<'a>(
    call: &'a Call,
    operation: Operation,
    error: Option<&'a Error>,
) -> Ended<'a> {
    Ended {
        call,
        operation,
        collection: "docs",
        caller: None,
        error,
        queued: Duration::from_millis(2),
    }
}

#[test]
fn slow_calls_refusals_and_faults_are_logged_and_nothing_else() {
    let mut settings = Config::default();
    settings.log.slow_query_ms = 100;
    let recorder = Recorder::new(&settings, Arc::new(Metrics::new())).unwrap();
    let authority = Authority::new(&Auth::default()).unwrap();
    let logged = |operation, age: u64, known: bool, error: Option<Error>| {
        let mut call = call("r-9");
        call.received -= Duration::from_millis(age);
        let mut search = SearchRequest::new(vec![0.5]).limit(7);
        search.params.ef = Some(80);
        search.filter = Some(Filter::eq("colour", "red"));
        call.about.search(&search);
        let caller = authority
            .check(&call.credentials, None, Access::Admin, "")
            .unwrap();
        let mut ended = ended(&call, operation, error.as_ref());
        ended.caller = known.then_some(&caller);
        let text = logs::tests::logged_by(&settings.log, || recorder.record(&ended));
        assert!(!text.contains("a-secret"), "{text}");
        assert!(text.is_empty() || text.contains("r-9"), "{text}");
        text
    };
    assert_eq!(logged(Operation::Search, 0, true, None), "");
    let invalid = Error::new(ErrorKind::InvalidArgument, "wrong dimension");
    assert_eq!(logged(Operation::Search, 0, true, Some(invalid)), "");
    let slow = logged(Operation::Search, 500, true, None);
    assert!(
        slow.contains("slow call") && slow.contains("queued_ms=2.0"),
        "{slow}"
    );
    assert!(slow.contains("limit=7") && slow.contains("ef=80"), "{slow}");
    assert!(
        slow.contains("colour $eq ?") && !slow.contains("red"),
        "{slow}"
    );
    let act = logged(Operation::DropCollection, 500, true, None);
    assert!(
        act.contains("vecdb::audit") && act.contains("drop_collection") && !act.contains("slow")
    );
    let unknown = Error::new(ErrorKind::Unauthenticated, "not known");
    let refused = logged(Operation::Search, 0, false, Some(unknown));
    assert!(
        refused.contains("vecdb::audit") && refused.contains("unauthenticated"),
        "{refused}"
    );
    let full = std::io::ErrorKind::StorageFull.into();
    let full = Error::from(StorageError::io("write", "wal/7", full));
    assert_eq!(full.kind(), ErrorKind::ResourceExhausted);
    let fault = logged(Operation::Upsert, 0, true, Some(full));
    assert!(
        fault.contains("ERROR") && fault.contains("wal/7"),
        "{fault}"
    );
    let busy = Error::new(ErrorKind::ResourceExhausted, "the server is busy");
    assert_eq!(logged(Operation::Upsert, 0, true, Some(busy)), "");
    let corrupt = Error::new(ErrorKind::Corrupt, "seg-1.rows: checksum");
    let fault = logged(Operation::Search, 0, true, Some(corrupt));
    assert!(
        fault.contains("ERROR") && fault.contains("seg-1.rows"),
        "{fault}"
    );
}
