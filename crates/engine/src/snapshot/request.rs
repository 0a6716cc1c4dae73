//! What a restore is asked for and what it gives.

use std::fmt;

use serde::{Deserialize, Serialize};
use vecdb_filter::parse_date_time;

use crate::archive::shown;
use crate::database::CollectionSummary;
use crate::error::{Error, Result};

/// What is to be made of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreRequest {
    /// Only this collection.
    pub collection: Option<String>,
    /// The collection's name afterwards.
    pub restore_as: Option<String>,
    /// How far to go on from the snapshot along the archived log; `None` leaves it as it is.
    pub until: Option<RestorePoint>,
    /// The folder or the URL of the archive; `None` is the database's own.
    pub archive: Option<String>,
}

/// A point of the archived log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestorePoint {
    /// After the write of this sequence number: its position in the log.
    Sequence(u64),
    /// With all that was acknowledged by then and nothing later: microseconds since 1970-01-01T00:00:00 UTC.
    Time(i64),
    /// The end of the archive.
    Latest,
}

/// What a restore made.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Restored {
    /// The collections, under their new names.
    pub collections: Vec<CollectionSummary>,
    /// The sequence number that the log was followed to, if it was.
    pub sequence: Option<u64>,
    /// When the last write up to there was made, if there was one since the snapshot: microseconds since
    /// 1970-01-01T00:00:00 UTC.
    pub time: Option<i64>,
}

impl RestoreRequest {
    /// A request for one collection of a snapshot.
    pub fn of(collection: impl Into<String>) -> Self {
        Self {
            collection: Some(collection.into()),
            ..Self::default()
        }
    }

    /// Under this name.
    #[must_use]
    pub fn under(mut self, name: impl Into<String>) -> Self {
        self.restore_as = Some(name.into());
        self
    }

    /// Up to this point.
    #[must_use]
    pub fn until(mut self, point: RestorePoint) -> Self {
        self.until = Some(point);
        self
    }
}

impl RestorePoint {
    /// The point of a time: an RFC 3339 date-time such as `2026-11-30T12:00:00Z`, or a date, which means its midnight in
    /// UTC.
    pub fn at(text: &str) -> Result<Self> {
        match parse_date_time(text) {
            Ok(micros) if micros >= 0 => Ok(Self::Time(micros)),
            Ok(_) => Err(Error::invalid(format!("{text} is before 1970"))),
            Err(what) => Err(Error::invalid(what)),
        }
    }

    /// The point that optional parts of a request name, at most one of which may be there.
    pub fn of_parts(
        sequence: Option<u64>,
        time: Option<i64>,
        latest: bool,
    ) -> Result<Option<Self>> {
        match (sequence, time, latest) {
            (None, None, false) => Ok(None),
            (Some(sequence), None, false) => Ok(Some(Self::Sequence(sequence))),
            (None, Some(time), false) if time >= 0 => Ok(Some(Self::Time(time))),
            (None, Some(_), false) => Err(Error::invalid("to_time is before 1970")),
            (None, None, true) => Ok(Some(Self::Latest)),
            _ => Err(Error::invalid(
                "a restore goes to one point: give one of to_sequence, to_time and to_latest",
            )),
        }
    }
}

impl fmt::Display for RestorePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sequence(number) => write!(f, "sequence number {number}"),
            Self::Time(time) => f.write_str(&shown(u64::try_from(*time).unwrap_or(0))),
            Self::Latest => f.write_str("the end of the archive"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn points_are_named_in_one_way_each() {
        let time = RestorePoint::at("1970-01-02T01:00:00+01:00").unwrap();
        assert_eq!(time, RestorePoint::Time(86_400_000_000));
        assert_eq!(time.to_string(), "1970-01-02T00:00:00Z");
        for text in ["", "yesterday", "1969-12-31", "2026-13-01"] {
            let error = RestorePoint::at(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{text}");
        }
        let of = RestorePoint::of_parts;
        assert_eq!(of(None, None, false).unwrap(), None);
        assert_eq!(
            of(Some(5), None, false).unwrap(),
            Some(RestorePoint::Sequence(5))
        );
        assert_eq!(
            of(None, Some(5), false).unwrap(),
            Some(RestorePoint::Time(5))
        );
        assert_eq!(of(None, None, true).unwrap(), Some(RestorePoint::Latest));
        assert!(of(Some(1), Some(1), false).is_err() && of(Some(1), None, true).is_err());
        assert!(of(None, Some(-1), false).is_err());
    }
}
