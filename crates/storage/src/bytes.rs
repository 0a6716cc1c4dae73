//! Checked little-endian reading and writing of small structures.
//!
//! A [`Reader`] never panics and never allocates more than it was given: every length is compared
//! with what is left before it is used.

use std::path::Path;

use crate::StorageError;

/// A read that went past the end or met an impossible value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {what}")]
pub struct BytesError {
    /// Offset in the bytes given to the reader.
    pub offset: usize,
    /// What was wrong.
    pub what: String,
}

impl BytesError {
    /// The same error as damage of a file in which the bytes start at `base`.
    pub fn in_file(self, path: impl AsRef<Path>, base: u64) -> StorageError {
        StorageError::corrupt(path, base.saturating_add(self.offset as u64), self.what)
    }
}

/// Reads values in order from a byte slice.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

macro_rules! fixed_width {
    ($($name:ident -> $kind:ty),*) => {
        /// Little-endian numbers of fixed width.
        impl Reader<'_> {
            $(#[doc = concat!("Reads a little-endian `", stringify!($kind), "`.")]
            pub fn $name(&mut self) -> Result<$kind, BytesError> {
                let mut raw = [0u8; size_of::<$kind>()];
                let found = self.bytes(raw.len())?;
                raw.copy_from_slice(found);
                Ok(<$kind>::from_le_bytes(raw))
            })*
        }
        /// Little-endian numbers of fixed width.
        impl Writer {
            $(#[doc = concat!("Writes a little-endian `", stringify!($kind), "`.")]
            pub fn $name(&mut self, value: $kind) -> &mut Self {
                self.bytes(&value.to_le_bytes())
            })*
        }
    };
}
fixed_width!(u8 -> u8, u16 -> u16, u32 -> u32, u64 -> u64, i64 -> i64, f32 -> f32, f64 -> f64);

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Offset of the next byte to be read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// True at the end.
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// An error at the current offset, for values that parse but make no sense.
    pub fn error(&self, what: impl Into<String>) -> BytesError {
        BytesError {
            offset: self.at,
            what: what.into(),
        }
    }

    /// Error unless everything was read.
    pub fn finish(&self) -> Result<(), BytesError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(self.error(format!("{left} bytes too many"))),
        }
    }

    /// Reads `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], BytesError> {
        match self.bytes.get(self.at..).and_then(|b| b.get(..count)) {
            Some(found) => {
                self.at += count;
                Ok(found)
            }
            None => Err(self.error(format!("{count} bytes expected, {} left", self.remaining()))),
        }
    }

    /// Reads an LEB128 number: 7 bits a byte, low bits first, at most 10 bytes.
    pub fn varint(&mut self) -> Result<u64, BytesError> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        self.at = start;
        Err(self.error("a variable-length number over 64 bits"))
    }

    /// Reads a varint that counts things of at least `bytes_each` bytes, so that it can be trusted
    /// as a capacity: a count that cannot fit in what is left is an error.
    pub fn count(&mut self, bytes_each: usize) -> Result<usize, BytesError> {
        let start = self.at;
        let count = self.varint()?;
        let most = self.remaining() / bytes_each.max(1);
        match usize::try_from(count) {
            Ok(count) if count <= most => Ok(count),
            _ => {
                self.at = start;
                Err(self.error(format!("a count of {count} where at most {most} fit")))
            }
        }
    }

    /// Reads a varint length and as many bytes.
    pub fn sized_bytes(&mut self) -> Result<&'a [u8], BytesError> {
        let len = self.count(1)?;
        self.bytes(len)
    }

    /// Reads a varint length and as many bytes of UTF-8.
    pub fn str(&mut self) -> Result<&'a str, BytesError> {
        let bytes = self.sized_bytes()?;
        std::str::from_utf8(bytes).map_err(|error| BytesError {
            offset: self.at - bytes.len() + error.valid_up_to(),
            what: "text that is not UTF-8".into(),
        })
    }
}

/// Appends values to a byte vector; the mirror of [`Reader`].
#[derive(Debug, Clone, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Continues after the bytes given.
    pub fn append_to(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// Writes bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Writes an LEB128 number.
    pub fn varint(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
        self
    }

    /// Writes a varint length and the bytes.
    pub fn sized_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.varint(bytes.len() as u64).bytes(bytes)
    }

    /// Writes a varint length and the UTF-8 bytes.
    pub fn str(&mut self, text: &str) -> &mut Self {
        self.sized_bytes(text.as_bytes())
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True if nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes so far.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes.
    pub fn into_vec(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_was_written() {
        let mut w = Writer::new();
        w.u8(7).u16(300).u32(70_000).u64(1 << 40).i64(-5);
        w.f32(0.5).f64(-1e300).str("héllo").sized_bytes(&[1, 2]);
        let varints = [0, 1, 127, 128, 16_383, 16_384, u64::MAX - 1, u64::MAX];
        for v in varints {
            w.varint(v);
        }
        let bytes = w.into_vec();
        let mut r = Reader::new(&bytes);
        assert_eq!((r.u8(), r.u16()), (Ok(7), Ok(300)));
        assert_eq!(
            (r.u32(), r.u64(), r.i64()),
            (Ok(70_000), Ok(1 << 40), Ok(-5))
        );
        assert_eq!((r.f32(), r.f64()), (Ok(0.5), Ok(-1e300)));
        assert_eq!(r.str(), Ok("héllo"));
        assert_eq!(r.sized_bytes(), Ok(&[1u8, 2][..]));
        for v in varints {
            assert_eq!(r.varint(), Ok(v));
        }
        assert_eq!(r.finish(), Ok(()));
        assert!(r.u8().is_err());
    }

    #[test]
    fn bad_bytes_are_errors() {
        assert!(Reader::new(&[0xff; 10]).varint().is_err());
        assert!(Reader::new(&[0x80; 3]).varint().is_err());
        let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert!(Reader::new(&huge).sized_bytes().is_err());
        assert_eq!(Reader::new(&[2, 0xc3, 0x28]).str().unwrap_err().offset, 1);
        assert!(Reader::new(&[1, 2, 3]).u32().is_err());
        assert!(Reader::new(&[1]).finish().is_err());
    }
}
