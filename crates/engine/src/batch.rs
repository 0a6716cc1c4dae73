//! `WriteBatch`: the canonical bytes of one write, the only thing the log holds.
//!
//! Everything that could differ between two replays is resolved before encoding: ids, the ids that a filter
//! selects, the full row of a metadata update. Applying the same bytes to the same state gives the same state.
//!
//! ```text
//! version u8 | collection u32 | time u64 (microseconds since 1970) | operations varint | operation*
//! upsert: 1 u8 | id bytes | vector fields varint | (name str | kind u8 = 0 dense | element bytes)* | metadata bytes
//! delete: 2 u8 | id bytes
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use vecdb_filter::{Metadata, decode_metadata, encode_metadata};
use vecdb_storage::bytes::{Reader, Writer};

use crate::error::{Error, ErrorKind, Result};
use crate::point::PointId;
use crate::schema::DEFAULT_FIELD;

const VERSION: u8 = 1;
const UPSERT: u8 = 1;
const DELETE: u8 = 2;
const DENSE: u8 = 0;

/// A point as it is stored: the vector in its element type.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: PointId,
    pub(crate) vector: Vec<u8>,
    pub(crate) metadata: Arc<Metadata>,
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Upsert(Row),
    Delete(PointId),
}

impl Operation {
    pub(crate) fn id(&self) -> &PointId {
        match self {
            Operation::Upsert(row) => &row.id,
            Operation::Delete(id) => id,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct WriteBatch {
    pub(crate) collection: u32,
    pub(crate) time_us: u64,
    pub(crate) operations: Vec<Operation>,
}

impl WriteBatch {
    /// Of several operations on one id the last wins; the others are dropped.
    pub(crate) fn new(collection: u32, time_us: u64, mut operations: Vec<Operation>) -> Self {
        let mut last = HashMap::with_capacity(operations.len());
        for (at, operation) in operations.iter().enumerate() {
            last.insert(operation.id().clone(), at);
        }
        if last.len() < operations.len() {
            let mut at = 0;
            operations.retain(|operation| {
                let keep = last.get(operation.id()) == Some(&at);
                at += 1;
                keep
            });
        }
        Self {
            collection,
            time_us,
            operations,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let vectors: usize = self
            .operations
            .iter()
            .map(|op| {
                if let Operation::Upsert(r) = op {
                    r.vector.len()
                } else {
                    0
                }
            })
            .sum();
        let mut out = Writer::append_to(Vec::with_capacity(
            vectors + 64 * self.operations.len() + 32,
        ));
        out.u8(VERSION);
        out.u32(self.collection);
        out.u64(self.time_us);
        out.varint(self.operations.len() as u64);
        let mut metadata = Vec::new();
        for operation in &self.operations {
            match operation {
                Operation::Upsert(row) => {
                    out.u8(UPSERT);
                    row.id.write(&mut out);
                    out.varint(1);
                    out.str(DEFAULT_FIELD);
                    out.u8(DENSE);
                    out.sized_bytes(&row.vector);
                    metadata.clear();
                    encode_metadata(&row.metadata, &mut metadata);
                    out.sized_bytes(&metadata);
                }
                Operation::Delete(id) => {
                    out.u8(DELETE);
                    id.write(&mut out);
                }
            }
        }
        out.into_vec()
    }

    /// The collection a batch belongs to, without decoding the rest.
    pub(crate) fn collection_of(bytes: &[u8]) -> Result<u32> {
        Ok(Self::head(bytes)?.0)
    }

    /// The collection a batch belongs to and its time, without decoding the rest.
    pub(crate) fn head(bytes: &[u8]) -> Result<(u32, u64)> {
        let mut input = Reader::new(bytes);
        Self::read_version(&mut input)?;
        Ok((input.u32()?, input.u64()?))
    }

    fn read_version(input: &mut Reader<'_>) -> Result<()> {
        match input.u8()? {
            VERSION => Ok(()),
            other => Err(Error::new(
                ErrorKind::Unsupported,
                format!("log entry of version {other}; this program reads version {VERSION}"),
            )),
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut input = Reader::new(bytes);
        Self::read_version(&mut input)?;
        let (collection, time_us, count) = (input.u32()?, input.u64()?, input.varint()?);
        // An operation takes at least two bytes: a larger count cannot be true, and is not allocated for.
        let mut operations = Vec::with_capacity((count as usize).min(bytes.len() / 2));
        for _ in 0..count {
            operations.push(Self::decode_operation(&mut input)?);
        }
        input.finish()?;
        Ok(Self {
            collection,
            time_us,
            operations,
        })
    }

    fn decode_operation(input: &mut Reader<'_>) -> Result<Operation> {
        let kind = input.u8()?;
        let id_bytes = input.sized_bytes()?;
        let id = PointId::decode(id_bytes)
            .ok_or_else(|| damaged(format!("an id of bytes {id_bytes:02x?}")))?;
        match kind {
            DELETE => Ok(Operation::Delete(id)),
            UPSERT => {
                let fields = input.varint()?;
                let (name, field_kind) = (input.str()?.to_owned(), input.u8()?);
                if fields != 1 || name != DEFAULT_FIELD || field_kind != DENSE {
                    return Err(damaged(format!(
                        "{fields} vector fields, the first {name:?} of kind {field_kind}"
                    )));
                }
                let vector = input.sized_bytes()?.to_vec();
                let metadata = Arc::new(decode_metadata(input.sized_bytes()?)?);
                Ok(Operation::Upsert(Row {
                    id,
                    vector,
                    metadata,
                }))
            }
            other => Err(damaged(format!("an operation of kind {other}"))),
        }
    }
}

fn damaged(what: String) -> Error {
    Error::new(ErrorKind::Corrupt, format!("log entry holds {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u64, byte: u8) -> Operation {
        let metadata =
            Metadata::from([("n".to_owned(), vecdb_filter::Value::Int(i64::from(byte)))]);
        Operation::Upsert(Row {
            id: id.into(),
            vector: vec![byte; 8],
            metadata: Arc::new(metadata),
        })
    }

    #[test]
    fn the_last_operation_on_an_id_wins() {
        let batch = WriteBatch::new(
            1,
            0,
            vec![row(1, 1), row(2, 2), row(1, 3), Operation::Delete(2.into())],
        );
        assert_eq!(batch.operations.len(), 2);
        assert!(matches!(&batch.operations[0], Operation::Upsert(row) if row.vector == [3; 8]));
        assert!(matches!(
            &batch.operations[1],
            Operation::Delete(PointId::U64(2))
        ));
    }

    #[test]
    fn bytes_round_trip_and_damage_is_an_error() {
        let batch = WriteBatch::new(
            7,
            42,
            vec![row(1, 1), Operation::Delete("x".into()), row(9, 9)],
        );
        let bytes = batch.encode();
        assert_eq!(WriteBatch::collection_of(&bytes).unwrap(), 7);
        let back = WriteBatch::decode(&bytes).unwrap();
        assert_eq!(back.encode(), bytes);
        assert_eq!(
            (back.collection, back.time_us, back.operations.len()),
            (7, 42, 3)
        );
        for cut in 0..bytes.len() {
            assert!(WriteBatch::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            let _ = WriteBatch::decode(&damaged); // must return, whatever it returns
        }
    }
}
