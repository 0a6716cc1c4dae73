//! Compact binary form of metadata, for the log and for segments.
//!
//! `count`, then per field in ascending order of names: name, value. Counts and lengths are LEB128
//! varints, texts a length and UTF-8 bytes, as in [`vecdb_storage::bytes`]. A value is a tag byte and its payload:
//! 0 null, 1 false, 2 true, 3 integer (zigzag varint), 4 float (8 bytes little endian),
//! 5 date-time (zigzag varint), 6 text, 7 array (count, then values that are no arrays), 8 point on the earth (latitude,
//! longitude in steps of 10^-7 degrees, each a zigzag varint).

use super::{Metadata, Value, datetime};
use crate::error::FilterError;
use crate::geo::GeoPoint;
use std::cmp::Ordering;
use vecdb_storage::bytes::{BytesError, Reader, Writer};

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INT: u8 = 3;
const FLOAT: u8 = 4;
const DATE_TIME: u8 = 5;
const STRING: u8 = 6;
const ARRAY: u8 = 7;
const GEO: u8 = 8;

/// Appends the binary form of `metadata` to `out`.
pub fn encode_metadata(metadata: &Metadata, out: &mut Vec<u8>) {
    let mut writer = Writer::append_to(std::mem::take(out));
    writer.varint(metadata.len() as u64);
    for (name, value) in metadata {
        put_value(value, writer.str(name));
    }
    *out = writer.into_vec();
}

/// Reads what [`encode_metadata`] wrote; all of `bytes` must belong to it.
///
/// # Errors
/// [`FilterError::CorruptMetadata`] with the offset in `bytes`.
pub fn decode_metadata(bytes: &[u8]) -> Result<Metadata, FilterError> {
    decode(bytes).map_err(|BytesError { offset, what }| FilterError::CorruptMetadata {
        offset: offset as u64,
        what,
    })
}

/// One field of what [`encode_metadata`] wrote, without the others; none if it is not there.
///
/// # Errors
/// As [`decode_metadata`], as far as the bytes were read.
pub fn decode_field(bytes: &[u8], wanted: &str) -> Result<Option<Value>, FilterError> {
    let corrupt = |BytesError { offset, what }| FilterError::CorruptMetadata {
        offset: offset as u64,
        what,
    };
    let mut reader = Reader::new(bytes);
    for _ in 0..reader.count(2).map_err(corrupt)? {
        match reader.str().map_err(corrupt)?.cmp(wanted) {
            Ordering::Less => skip_value(&mut reader, false).map_err(corrupt)?,
            Ordering::Equal => return take_value(&mut reader, false).map(Some).map_err(corrupt),
            Ordering::Greater => break,
        }
    }
    Ok(None)
}

fn decode(bytes: &[u8]) -> Result<Metadata, BytesError> {
    let mut reader = Reader::new(bytes);
    let mut metadata = Metadata::new();
    // A field takes at least the length of its name and the tag of its value.
    for _ in 0..reader.count(2)? {
        let name = reader.str()?;
        if let Some((last, _)) = metadata.last_key_value()
            && last.as_str() >= name
        {
            return Err(reader.error("field names are not in ascending order"));
        }
        let value = take_value(&mut reader, false)?;
        metadata.insert(name.to_owned(), value);
    }
    reader.finish()?;
    Ok(metadata)
}

fn put_value(value: &Value, writer: &mut Writer) {
    match value {
        Value::Null => writer.u8(NULL),
        Value::Bool(false) => writer.u8(FALSE),
        Value::Bool(true) => writer.u8(TRUE),
        Value::Int(int) => writer.u8(INT).varint(zigzag(*int)),
        Value::Float(float) => writer.u8(FLOAT).f64(*float),
        Value::DateTime(micros) => writer.u8(DATE_TIME).varint(zigzag(*micros)),
        Value::String(text) => writer.u8(STRING).str(text),
        Value::Geo(point) => {
            let (latitude, longitude) = point.steps();
            let latitude = zigzag(latitude.into());
            writer
                .u8(GEO)
                .varint(latitude)
                .varint(zigzag(longitude.into()))
        }
        Value::Array(items) => {
            writer.u8(ARRAY).varint(items.len() as u64);
            items.iter().for_each(|item| put_value(item, writer));
            writer
        }
    };
}

fn take_value(reader: &mut Reader<'_>, in_array: bool) -> Result<Value, BytesError> {
    Ok(match reader.u8()? {
        NULL => Value::Null,
        FALSE => Value::Bool(false),
        TRUE => Value::Bool(true),
        INT => Value::Int(unzigzag(reader.varint()?)),
        FLOAT => match reader.f64()? {
            float if float.is_finite() => Value::Float(float),
            float => return Err(reader.error(format!("{float} where a finite number belongs"))),
        },
        DATE_TIME => match unzigzag(reader.varint()?) {
            micros if datetime::in_range(micros) => Value::DateTime(micros),
            micros => return Err(reader.error(format!("date-time {micros} is out of range"))),
        },
        STRING => Value::String(reader.str()?.to_owned()),
        GEO => {
            let steps = [unzigzag(reader.varint()?), unzigzag(reader.varint()?)];
            let point = match steps.map(i32::try_from) {
                [Ok(latitude), Ok(longitude)] => GeoPoint::from_steps(latitude, longitude),
                _ => None,
            };
            match point {
                Some(point) => Value::Geo(point),
                None => return Err(reader.error(format!("{steps:?} is no point on the earth"))),
            }
        }
        ARRAY if !in_array => {
            let count = reader.count(1)?;
            // Bounded by the bytes left, but a value takes more memory than a byte.
            let mut items = Vec::with_capacity(count.min(64));
            for _ in 0..count {
                items.push(take_value(reader, true)?);
            }
            Value::Array(items)
        }
        ARRAY => return Err(reader.error("an array inside an array")),
        tag => return Err(reader.error(format!("unknown value tag {tag}"))),
    })
}

/// Passes over a value that [`take_value`] would read.
fn skip_value(reader: &mut Reader<'_>, in_array: bool) -> Result<(), BytesError> {
    match reader.u8()? {
        NULL | FALSE | TRUE => {}
        INT | DATE_TIME => {
            reader.varint()?;
        }
        GEO => {
            reader.varint()?;
            reader.varint()?;
        }
        FLOAT => {
            reader.f64()?;
        }
        STRING => {
            reader.str()?;
        }
        ARRAY if !in_array => {
            for _ in 0..reader.count(1)? {
                skip_value(reader, true)?;
            }
        }
        ARRAY => return Err(reader.error("an array inside an array")),
        tag => return Err(reader.error(format!("unknown value tag {tag}"))),
    }
    Ok(())
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Metadata {
        Metadata::from([
            ("a".to_owned(), Value::Null),
            ("b".to_owned(), Value::Bool(true)),
            ("c".to_owned(), Value::Int(i64::MIN)),
            ("d".to_owned(), Value::Float(-0.0)),
            ("e".to_owned(), Value::DateTime(-1)),
            ("f".to_owned(), Value::from("\u{e9}t\u{e9}")),
            (
                "f2".to_owned(),
                Value::Geo(GeoPoint::new(-52.5, 13.4).unwrap()),
            ),
            (
                "g".to_owned(),
                Value::Array(vec![Value::Null, Value::from("x"), Value::Int(i64::MAX)]),
            ),
        ])
    }

    #[test]
    fn round_trip() {
        for metadata in [Metadata::new(), sample()] {
            let mut bytes = Vec::new();
            encode_metadata(&metadata, &mut bytes);
            assert_eq!(decode_metadata(&bytes).unwrap(), metadata);
            for name in ["", "a", "b", "d", "e2", "f", "f2", "g", "z"] {
                let field = decode_field(&bytes, name).unwrap();
                assert_eq!(field.as_ref(), metadata.get(name), "{name}");
            }
        }
    }

    /// Every truncation is an error; a changed byte is an error or gives metadata like any other.
    #[test]
    fn damaged_bytes_do_no_harm() {
        let mut bytes = Vec::new();
        encode_metadata(&sample(), &mut bytes);
        for len in 0..bytes.len() {
            assert!(decode_metadata(&bytes[..len]).is_err(), "cut at {len}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                if let Ok(metadata) = decode_metadata(&damaged) {
                    let mut again = Vec::new();
                    encode_metadata(&metadata, &mut again);
                    assert_eq!(
                        decode_metadata(&again).unwrap(),
                        metadata,
                        "byte {at} bit {bit}"
                    );
                }
            }
        }
        bytes.push(0);
        let error = decode_metadata(&bytes).unwrap_err().to_string();
        assert!(error.contains("too many"), "{error}");
    }

    #[test]
    fn huge_counts_do_not_allocate() {
        let error = decode_metadata(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
        assert!(error.unwrap_err().to_string().contains("a count of"));
    }
}
