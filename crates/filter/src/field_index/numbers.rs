//! Sorted numbers: the index of integers, floats, date-times and points on the earth.
//!
//! All (value, row) pairs in ascending order, first the values as u64 keys that sort as the values do,
//! then the rows as u32. A comparison is one binary search on the mapped keys; its rows lie together.
//! `-0.0` is stored as `0.0`.

use super::collector::{RowCollector, append_rows};
use super::field_bytes::{FieldBytes, partition_point};
use super::prefixes::Prefixes;
use crate::error::FilterError;
use crate::geo::{GeoArea, GeoPoint, cover};
use crate::schema::FieldKind;
use crate::value::Value;
use crate::value::compare::compare;
use std::cmp::Ordering;
use vecdb_vector::RowId;

const KEY_BYTES: u64 = 8;
const ROW_BYTES: u64 = 4;
const SIGN: u64 = 1 << 63;

/// Where the sorted pairs lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NumberRun {
    pub(super) kind: FieldKind,
    /// Offset of the first key in the section; the rows follow the last key.
    pub(super) at: u64,
    pub(super) entries: u64,
    pub(super) distinct: u64,
    /// Sets of rows that make ranges cheap, where there are any: then no row has two entries.
    pub(super) prefixes: Option<Prefixes>,
}

/// The key of a number or moment; none for other values and NaN.
pub(super) fn key_of(value: &Value) -> Option<(FieldKind, u64)> {
    match value {
        Value::Int(int) => Some((FieldKind::Int, *int as u64 ^ SIGN)),
        Value::DateTime(micros) => Some((FieldKind::DateTime, *micros as u64 ^ SIGN)),
        Value::Geo(point) => Some((FieldKind::Geo, point.key())),
        Value::Float(float) if !float.is_nan() => {
            // Adding zero turns -0.0 into 0.0.
            let bits = (float + 0.0).to_bits();
            let flipped = if bits & SIGN == 0 { SIGN } else { u64::MAX };
            Some((FieldKind::Float, bits ^ flipped))
        }
        _ => None,
    }
}

/// The value of a key; none for keys that no value has.
fn value_of(kind: FieldKind, key: u64) -> Option<Value> {
    Some(match kind {
        FieldKind::Float => {
            let flipped = if key & SIGN == 0 { u64::MAX } else { SIGN };
            Value::Float(f64::from_bits(key ^ flipped))
        }
        FieldKind::DateTime => Value::DateTime((key ^ SIGN) as i64),
        FieldKind::Geo => Value::Geo(GeoPoint::of_key(key)?),
        _ => Value::Int((key ^ SIGN) as i64),
    })
}

impl NumberRun {
    /// The entries equal to a literal of the same class as `first..last`: those before are less,
    /// those from `last` on greater. None if the literal has no order with the values.
    pub(super) fn equal_range(
        &self,
        bytes: &FieldBytes,
        literal: &Value,
    ) -> Result<Option<(u64, u64)>, FilterError> {
        let probe = match self.kind {
            FieldKind::Geo => GeoPoint::from_steps(0, 0).map(Value::Geo),
            kind => value_of(kind, SIGN),
        };
        if probe.and_then(|probe| compare(&probe, literal)).is_none() {
            return Ok(None);
        }
        let order = |index| {
            compare(&self.value(bytes, index)?, literal)
                .ok_or_else(|| bytes.corrupt(self.at, format!("key {index} is not a number")))
        };
        let first = partition_point(self.entries, |i| Ok(order(i)? == Ordering::Less))?;
        let last = partition_point(self.entries - first, |i| {
            Ok(order(first + i)? != Ordering::Greater)
        })?;
        Ok(Some((first, first + last)))
    }

    /// Adds the rows of the entries `first..last`.
    pub(super) fn collect(
        &self,
        bytes: &FieldBytes,
        first: u64,
        last: u64,
        collector: &mut RowCollector,
    ) -> Result<(), FilterError> {
        let rows_at = bytes.offset(self.at, self.entries, KEY_BYTES)?;
        let len = last.saturating_sub(first);
        match self.prefixes {
            Some(prefixes) if Prefixes::cost(self.entries, collector.rows(), first, last) < len => {
                prefixes.collect(bytes, self.entries, rows_at, (first, last), collector)
            }
            _ => {
                let offset = bytes.offset(rows_at, first, ROW_BYTES)?;
                collector.add_bytes(bytes, offset, len)
            }
        }
    }

    /// Compares what makes ranges cheap with the pairs.
    pub(super) fn verify(&self, bytes: &FieldBytes, rows: u32) -> Result<(), FilterError> {
        let rows_at = bytes.offset(self.at, self.entries, KEY_BYTES)?;
        match self.prefixes {
            Some(prefixes) => prefixes.verify(bytes, self.entries, rows_at, rows),
            None => Ok(()),
        }
    }

    /// The entries at one end of `first..last` (not empty) that have the same value.
    pub(super) fn same_value(
        &self,
        bytes: &FieldBytes,
        first: u64,
        last: u64,
        from_end: bool,
    ) -> Result<(u64, u64), FilterError> {
        let (mut start, mut end) = if from_end {
            (last - 1, last)
        } else {
            (first, first + 1)
        };
        let key = self.key(bytes, start)?;
        if from_end {
            while start > first && self.key(bytes, start - 1)? == key {
                start -= 1;
            }
        } else {
            while end < last && self.key(bytes, end)? == key {
                end += 1;
            }
        }
        Ok((start, end))
    }

    /// Appends the rows of the entries `first..last` of a segment of `rows` rows.
    pub(super) fn append_rows(
        &self,
        bytes: &FieldBytes,
        rows: u32,
        first: u64,
        last: u64,
        out: &mut Vec<RowId>,
    ) -> Result<(), FilterError> {
        let rows_at = bytes.offset(self.at, self.entries, KEY_BYTES)?;
        let offset = bytes.offset(rows_at, first, ROW_BYTES)?;
        append_rows(bytes, offset, last.saturating_sub(first), rows, out)
    }

    /// Calls back with the number of rows and the index of the first entry of each value, in order.
    pub(super) fn for_each_value(
        &self,
        bytes: &FieldBytes,
        mut found: impl FnMut(u32, u64),
    ) -> Result<(), FilterError> {
        let keys = bytes.slice(self.at, bytes.offset(0, self.entries, KEY_BYTES)?)?;
        let mut first = 0;
        for same in keys.as_chunks::<8>().0.chunk_by(|a, b| a == b) {
            // Each row has a value at most once, so the count fits.
            found(u32::try_from(same.len()).unwrap_or(u32::MAX), first);
            first += same.len() as u64;
        }
        Ok(())
    }

    /// The value of an entry.
    pub(super) fn value(&self, bytes: &FieldBytes, index: u64) -> Result<Value, FilterError> {
        value_of(self.kind, self.key(bytes, index)?)
            .ok_or_else(|| bytes.corrupt(self.at, format!("key {index} is no {}", self.kind)))
    }

    /// Entries that may lie in an area, as ranges `first..last`.
    fn geo_ranges(
        &self,
        bytes: &FieldBytes,
        area: &GeoArea,
    ) -> Result<Vec<(u64, u64)>, FilterError> {
        if self.kind != FieldKind::Geo {
            return Ok(Vec::new());
        }
        let mut from = 0;
        let mut ranges = Vec::new();
        for (low, high) in cover(area) {
            let rest = self.entries - from;
            let first = from + partition_point(rest, |i| Ok(self.key(bytes, from + i)? < low))?;
            let rest = self.entries - first;
            let last = first + partition_point(rest, |i| Ok(self.key(bytes, first + i)? <= high))?;
            from = last;
            if first < last {
                ranges.push((first, last));
            }
        }
        Ok(ranges)
    }

    /// No more entries lie in the area.
    pub(super) fn geo_count_max(
        &self,
        bytes: &FieldBytes,
        area: &GeoArea,
    ) -> Result<u64, FilterError> {
        let ranges = self.geo_ranges(bytes, area)?;
        Ok(ranges.iter().map(|(first, last)| last - first).sum())
    }

    /// Adds the rows of the points in an area.
    pub(super) fn collect_geo(
        &self,
        bytes: &FieldBytes,
        area: &GeoArea,
        collector: &mut RowCollector,
    ) -> Result<(), FilterError> {
        let rows_at = bytes.offset(self.at, self.entries, KEY_BYTES)?;
        for (first, last) in self.geo_ranges(bytes, area)? {
            let keys_from = bytes.offset(self.at, first, KEY_BYTES)?;
            let keys = bytes.slice(keys_from, bytes.offset(0, last - first, KEY_BYTES)?)?;
            for (key, index) in keys.as_chunks().0.iter().zip(first..) {
                let key = u64::from_le_bytes(*key);
                let point = GeoPoint::of_key(key).ok_or_else(|| {
                    bytes.corrupt(keys_from, format!("{key:#x} is no point on the earth"))
                })?;
                if area.contains(point) {
                    let row_at = bytes.offset(rows_at, index, ROW_BYTES)?;
                    collector.add_bytes(bytes, row_at, 1)?;
                }
            }
        }
        Ok(())
    }

    fn key(&self, bytes: &FieldBytes, index: u64) -> Result<u64, FilterError> {
        bytes.u64_at(bytes.offset(self.at, index, KEY_BYTES)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_values() {
        let floats = [
            f64::NEG_INFINITY,
            f64::MIN,
            -1.5,
            -5e-324,
            0.0,
            5e-324,
            1.0,
            f64::MAX,
            f64::INFINITY,
        ];
        let ints = [i64::MIN, -1, 0, 1, i64::MAX];
        let values = |kind: FieldKind| -> Vec<Value> {
            match kind {
                FieldKind::Float => floats.map(Value::Float).to_vec(),
                FieldKind::Int => ints.map(Value::Int).to_vec(),
                _ => ints.map(Value::DateTime).to_vec(),
            }
        };
        for kind in [FieldKind::Float, FieldKind::Int, FieldKind::DateTime] {
            let values = values(kind);
            let keys: Vec<u64> = values
                .iter()
                .map(|value| key_of(value).filter(|key| key.0 == kind).unwrap().1)
                .collect();
            assert!(keys.is_sorted_by(|a, b| a < b), "{kind}");
            for (key, value) in keys.iter().zip(&values) {
                assert_eq!(value_of(kind, *key).as_ref(), Some(value));
            }
        }
        assert_eq!(key_of(&Value::Float(-0.0)), key_of(&Value::Float(0.0)));
        assert_eq!(key_of(&Value::Float(f64::NAN)), None);
        assert_eq!(key_of(&Value::from("1")), None);
    }
}
