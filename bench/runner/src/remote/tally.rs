//! What became of the requests of a mixed load.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vecdb_client::ClientError;

use super::mixed::Kind;
use crate::latency::Latencies;

/// How a server says that it has too much to do.
const REFUSED: &str = "resource_exhausted";

/// One request that has ended.
pub(super) struct Done {
    kind: Kind,
    since_due: Duration,
    since_sent: Duration,
    error: Option<ClientError>,
}

impl Done {
    /// Ends now.
    pub(super) fn new(kind: Kind, due: Instant, sent: Instant, error: Option<ClientError>) -> Self {
        Self {
            kind,
            since_due: due.elapsed(),
            since_sent: sent.elapsed(),
            error,
        }
    }
}

/// All requests, by kind.
#[derive(Default)]
pub(super) struct Tally {
    search: Ends,
    upsert: Ends,
    delete: Ends,
}

/// Those of one kind.
#[derive(Default)]
struct Ends {
    since_due: Latencies,
    since_sent: Latencies,
    refused_after: Latencies,
    accepted: u64,
    refused: u64,
    /// Refused without a word on when to come again.
    refused_for_good: u64,
    /// Every other failure, by the kind of error with the first message.
    failed: BTreeMap<String, (u64, String)>,
}

impl Tally {
    pub(super) fn add(&mut self, done: Done) {
        let ends = match done.kind {
            Kind::Search => &mut self.search,
            Kind::Upsert => &mut self.upsert,
            Kind::Delete => &mut self.delete,
        };
        match done.error {
            None => {
                ends.accepted += 1;
                ends.since_due.push(done.since_due);
                ends.since_sent.push(done.since_sent);
            }
            Some(error) if error.kind() == REFUSED => {
                ends.refused += 1;
                ends.refused_for_good += u64::from(error.retry_after().is_none());
                ends.refused_after.push(done.since_sent);
            }
            Some(error) => {
                let kind = error.kind().to_owned();
                let first = || (0, error.message().to_owned());
                ends.failed.entry(kind).or_insert_with(first).0 += 1;
            }
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        self.search.append(other.search);
        self.upsert.append(other.upsert);
        self.delete.append(other.delete);
    }

    pub(super) fn summary(self) -> Value {
        json!({
            "search": self.search.summary(),
            "upsert": self.upsert.summary(),
            "delete": self.delete.summary(),
        })
    }
}

impl Ends {
    fn append(&mut self, other: Self) {
        self.since_due.append(other.since_due);
        self.since_sent.append(other.since_sent);
        self.refused_after.append(other.refused_after);
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.refused_for_good += other.refused_for_good;
        for (kind, (count, message)) in other.failed {
            self.failed.entry(kind).or_insert((0, message)).0 += count;
        }
    }

    fn summary(self) -> Value {
        json!({
            "accepted": self.accepted,
            "refused": self.refused,
            "refused_without_retry_after": self.refused_for_good,
            "failed": self.failed,
            "since_due": self.since_due.summary(),
            "since_sent": self.since_sent.summary(),
            "refused_since_sent": self.refused_after.summary(),
        })
    }
}
