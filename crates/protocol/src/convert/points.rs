//! Points, their ids, and what is read of them.

use vecdb_engine::{Error, Point, PointId, Record, Result};

use super::{invalid, metadata, metadata_message, required};
use crate::v1;
use crate::v1::point_id::Kind;

/// The points of a write; an error says which of them is at fault.
pub fn points(messages: Vec<v1::Point>) -> Result<Vec<Point>> {
    let messages = messages.into_iter().enumerate();
    messages
        .map(|(at, message)| {
            Point::try_from(message).map_err(|error| error.context(format_args!("point {at}")))
        })
        .collect()
}

/// Ids; an error says which of them is at fault.
pub fn ids(messages: Vec<v1::PointId>) -> Result<Vec<PointId>> {
    let messages = messages.into_iter().enumerate();
    messages
        .map(|(at, message)| {
            PointId::try_from(message).map_err(|error| error.context(format_args!("id {at}")))
        })
        .collect()
}

impl TryFrom<v1::PointId> for PointId {
    type Error = Error;

    fn try_from(message: v1::PointId) -> Result<Self> {
        match message.kind {
            Some(Kind::Number(number)) => Ok(PointId::U64(number)),
            Some(Kind::Text(text)) => PointId::from_text(&text),
            None => Err(invalid("the id is neither a number nor a text")),
        }
    }
}

impl From<PointId> for v1::PointId {
    fn from(id: PointId) -> Self {
        let kind = match id {
            PointId::U64(number) => Kind::Number(number),
            PointId::Uuid(uuid) => Kind::Text(uuid.to_string()),
            PointId::String(text) => Kind::Text(text),
        };
        v1::PointId { kind: Some(kind) }
    }
}

impl TryFrom<v1::Point> for Point {
    type Error = Error;

    fn try_from(message: v1::Point) -> Result<Self> {
        Ok(Point {
            id: required(message.id, "the id")?.try_into()?,
            vector: message.vector,
            metadata: metadata(message.metadata)?,
        })
    }
}

impl From<Point> for v1::Point {
    fn from(point: Point) -> Self {
        v1::Point {
            id: Some(point.id.into()),
            vector: point.vector,
            metadata: metadata_message(point.metadata),
        }
    }
}

/// A message does not tell metadata without fields from none: `None` here. No vector is empty.
impl TryFrom<v1::Record> for Record {
    type Error = Error;

    fn try_from(message: v1::Record) -> Result<Self> {
        Ok(Record {
            id: required(message.id, "the id")?.try_into()?,
            vector: (!message.vector.is_empty()).then_some(message.vector),
            metadata: (!message.metadata.is_empty())
                .then(|| metadata(message.metadata))
                .transpose()?,
        })
    }
}

impl From<Record> for v1::Record {
    fn from(record: Record) -> Self {
        v1::Record {
            id: Some(record.id.into()),
            vector: record.vector.unwrap_or_default(),
            metadata: metadata_message(record.metadata.unwrap_or_default()),
        }
    }
}

/// The answer to a get: what was found of `ids`, and which of them were not.
pub fn get_response(ids: Vec<PointId>, found: Vec<Option<Record>>) -> v1::GetResponse {
    let mut response = v1::GetResponse::default();
    for (id, record) in ids.into_iter().zip(found) {
        match record {
            Some(record) => response.points.push(record.into()),
            None => response.missing.push(id.into()),
        }
    }
    response
}

/// What a get found, in the order of the `ids` it was asked for.
pub fn records(ids: &[PointId], response: v1::GetResponse) -> Result<Vec<Option<Record>>> {
    let found = response.points.into_iter().map(Record::try_from);
    let mut found = found.collect::<Result<Vec<_>>>()?.into_iter().peekable();
    let in_order: Vec<_> = ids
        .iter()
        .map(|id| found.next_if(|record| record.id == *id))
        .collect();
    match found.next() {
        None => Ok(in_order),
        Some(stranger) => Err(invalid(format!(
            "the answer has a point {:?} out of the order of the ids",
            stranger.id.to_string()
        ))),
    }
}
