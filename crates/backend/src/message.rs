//! The types of this crate from and to messages; see `vecdb_protocol::convert` for those of the engine.

use std::time::Duration;

use vecdb_engine::{Error, ErrorKind, Result};
use vecdb_protocol::{convert, v1};

use crate::backend::{Selection, Status};

impl TryFrom<v1::DeleteRequest> for Selection {
    type Error = Error;

    fn try_from(message: v1::DeleteRequest) -> Result<Self> {
        match (message.ids.is_empty(), message.filter) {
            (false, None) => Ok(Selection::Ids(convert::ids(message.ids)?)),
            (true, Some(filter)) => Ok(Selection::Filter(filter.try_into()?)),
            (true, None) => Err(Error::new(
                ErrorKind::InvalidArgument,
                "the request does not say which points to delete: give ids or a filter",
            )),
            (false, Some(_)) => Err(Error::new(
                ErrorKind::InvalidArgument,
                "the request gives both ids and a filter: give one of the two",
            )),
        }
    }
}

impl From<v1::GetStatusResponse> for Status {
    fn from(message: v1::GetStatusResponse) -> Self {
        Status {
            version: message.version,
            uptime: Duration::from_secs(message.uptime_seconds),
            collections: message.collections,
            points: message.points,
            memory_bytes: message.memory_bytes,
            memory_bytes_max: (message.memory_bytes_max > 0).then_some(message.memory_bytes_max),
            recovery: message.recovery.unwrap_or_default().into(),
            archive: message.archive.map(Into::into),
            merges_paused: message.merges_paused,
        }
    }
}

impl From<Status> for v1::GetStatusResponse {
    fn from(status: Status) -> Self {
        v1::GetStatusResponse {
            version: status.version,
            uptime_seconds: status.uptime.as_secs(),
            collections: status.collections,
            points: status.points,
            memory_bytes: status.memory_bytes,
            memory_bytes_max: status.memory_bytes_max.unwrap_or_default(),
            recovery: Some(status.recovery.into()),
            archive: status.archive.map(Into::into),
            merges_paused: status.merges_paused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delete_is_by_ids_or_by_filter() {
        let ids = vec![v1::PointId::from(vecdb_engine::PointId::from(1))];
        let filter = v1::Filter {
            json: "{}".to_owned(),
        };
        let delete = |ids, filter| {
            Selection::try_from(v1::DeleteRequest {
                collection: "c".to_owned(),
                ids,
                filter,
            })
        };
        let by_ids = delete(ids.clone(), None).unwrap();
        assert_eq!(by_ids, Selection::Ids(vec![1.into()]));
        let by_filter = delete(vec![], Some(filter.clone())).unwrap();
        assert_eq!(by_filter, Selection::Filter(vecdb_engine::Filter::All));
        for bad in [delete(ids, Some(filter)), delete(vec![], None)] {
            let error = bad.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains("ids"), "{error}");
        }
    }

    #[test]
    fn status_round_trips() {
        let status = Status {
            version: "1".to_owned(),
            uptime: Duration::from_secs(5),
            collections: 2,
            points: 3,
            memory_bytes: 4,
            memory_bytes_max: Some(5),
            recovery: vecdb_engine::Recovery {
                replayed: 6,
                ..Default::default()
            },
            archive: Some(vecdb_engine::ArchiveStatus {
                location: "/archive".to_owned(),
                position: 7,
                time: 8,
                waiting_bytes: 9,
                failures: 10,
                last_error: Some("full".to_owned()),
            }),
            merges_paused: true,
        };
        let back = Status::from(v1::GetStatusResponse::from(status.clone()));
        assert_eq!(back, status);
    }
}
