//! Durability, changes of metadata, and what a write did.

use vecdb_engine::{Durability, Error, MetadataUpdate, PointId, Result, WriteResult};

use super::{ids, invalid, metadata, required};
use crate::v1;
use crate::v1::durability::Level;

/// The durability that a message asks for; `None` is that of the collection.
pub fn durability(message: Option<v1::Durability>) -> Result<Option<Durability>> {
    let Some(v1::Durability { level, interval_ms }) = message else {
        return Ok(None);
    };
    let level = Level::try_from(level)
        .map_err(|_| invalid(format!("{level} is not a level of durability: use 0 to 3")))?;
    if level != Level::Interval && interval_ms != 0 {
        return Err(invalid(format!(
            "durability {} has no interval; interval_ms {interval_ms} belongs to INTERVAL",
            level.as_str_name()
        )));
    }
    Ok(match level {
        Level::Unspecified => None,
        Level::EveryWrite => Some(Durability::EveryWrite),
        Level::Interval if interval_ms == 0 => {
            return Err(invalid(
                "durability INTERVAL needs an interval_ms of 1 or more",
            ));
        }
        Level::Interval => Some(Durability::IntervalMs(interval_ms)),
        Level::None => Some(Durability::None),
    })
}

impl From<Durability> for v1::Durability {
    fn from(durability: Durability) -> Self {
        let (level, interval_ms) = match durability {
            Durability::EveryWrite => (Level::EveryWrite, 0),
            Durability::IntervalMs(ms) => (Level::Interval, ms),
            Durability::None => (Level::None, 0),
        };
        v1::Durability {
            level: level.into(),
            interval_ms,
        }
    }
}

/// Which points a change of metadata is about, and the change.
pub fn metadata_update(
    message: v1::UpdateMetadataRequest,
) -> Result<(Vec<PointId>, MetadataUpdate)> {
    let fields = metadata(message.metadata)?;
    let update = match message.replace {
        true => MetadataUpdate::Replace(fields),
        false => MetadataUpdate::Merge(fields),
    };
    Ok((ids(message.ids)?, update))
}

impl TryFrom<v1::WriteResult> for WriteResult {
    type Error = Error;

    fn try_from(message: v1::WriteResult) -> Result<Self> {
        Ok(WriteResult {
            position: message.position,
            inserted: message.inserted,
            updated: message.updated,
            deleted: message.deleted,
            durability: required(durability(message.durability)?, "the durability")?,
        })
    }
}

impl From<WriteResult> for v1::WriteResult {
    fn from(result: WriteResult) -> Self {
        v1::WriteResult {
            position: result.position,
            inserted: result.inserted,
            updated: result.updated,
            deleted: result.deleted,
            durability: Some(result.durability.into()),
        }
    }
}
