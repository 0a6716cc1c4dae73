//! The section of one field: every read is bounds-checked and its blocks verified before first use.

use crate::error::FilterError;
use vecdb_storage::{Blob, Section};

/// Reads a field's section; errors name the field.
#[derive(Debug)]
pub(super) struct FieldBytes {
    field: String,
    section: Section,
    blob: Blob,
}

impl FieldBytes {
    pub(super) fn new(field: &str, section: Section) -> Self {
        FieldBytes {
            field: field.to_owned(),
            blob: section.bytes_unverified(),
            section,
        }
    }

    /// Length of the section in bytes.
    pub(super) fn len(&self) -> u64 {
        self.blob.len() as u64
    }

    /// `len` bytes from `offset`.
    pub(super) fn slice(&self, offset: u64, len: u64) -> Result<&[u8], FilterError> {
        let range = usize::try_from(offset)
            .ok()
            .zip(usize::try_from(len).ok())
            .and_then(|(offset, len)| Some(offset..offset.checked_add(len)?))
            .filter(|range| range.end <= self.blob.len())
            .ok_or_else(|| {
                self.corrupt(
                    offset,
                    format!(
                        "{len} bytes are needed here, but the section ends at {}",
                        self.blob.len()
                    ),
                )
            })?;
        self.section.verify_range(range.clone())?;
        self.blob
            .get(range)
            .ok_or_else(|| self.corrupt(offset, "out of range"))
    }

    pub(super) fn u32_at(&self, offset: u64) -> Result<u32, FilterError> {
        self.array_at(offset).map(u32::from_le_bytes)
    }

    pub(super) fn u64_at(&self, offset: u64) -> Result<u64, FilterError> {
        self.array_at(offset).map(u64::from_le_bytes)
    }

    pub(super) fn array_at<const N: usize>(&self, offset: u64) -> Result<[u8; N], FilterError> {
        let slice = self.slice(offset, N as u64)?;
        <[u8; N]>::try_from(slice).map_err(|_| self.corrupt(offset, "out of range"))
    }

    /// `first + index * width`, where corrupt numbers may overflow.
    pub(super) fn offset(&self, first: u64, index: u64, width: u64) -> Result<u64, FilterError> {
        index
            .checked_mul(width)
            .and_then(|distance| first.checked_add(distance))
            .ok_or_else(|| self.corrupt(first, format!("entry {index} cannot exist")))
    }

    pub(super) fn corrupt(&self, offset: u64, what: impl Into<String>) -> FilterError {
        FilterError::Corrupt {
            field: self.field.clone(),
            offset,
            what: what.into(),
        }
    }
}

/// The first index in `0..len` for which `before` is false; `before` must be true up to some index
/// and false from there on.
pub(super) fn partition_point(
    len: u64,
    mut before: impl FnMut(u64) -> Result<bool, FilterError>,
) -> Result<u64, FilterError> {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}
