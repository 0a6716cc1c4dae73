//! Groups of hits.

use vecdb_engine::{Error, GroupBy, Hit, HitGroup, Result};

use super::required;
use super::search::saturated;
use crate::v1;

impl From<v1::GroupBy> for GroupBy {
    fn from(message: v1::GroupBy) -> Self {
        GroupBy {
            field: message.field,
            group_size: message.group_size as usize,
        }
    }
}

impl From<GroupBy> for v1::GroupBy {
    fn from(group_by: GroupBy) -> Self {
        v1::GroupBy {
            field: group_by.field,
            group_size: saturated(group_by.group_size),
        }
    }
}

impl TryFrom<v1::HitGroup> for HitGroup {
    type Error = Error;

    fn try_from(message: v1::HitGroup) -> Result<Self> {
        let results = message.results.into_iter();
        Ok(HitGroup {
            value: required(message.value, "the value of a group")?.try_into()?,
            hits: results.map(Hit::try_from).collect::<Result<_>>()?,
        })
    }
}

impl From<HitGroup> for v1::HitGroup {
    fn from(group: HitGroup) -> Self {
        v1::HitGroup {
            value: Some(group.value.into()),
            results: group.hits.into_iter().map(Into::into).collect(),
        }
    }
}
