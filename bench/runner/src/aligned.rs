//! Floats that start at a cache line.

use std::ops::Deref;

use crate::Outcome;

/// Bytes of a cache line.
const LINE_BYTES: usize = 64;

/// Floats whose first lies at a 64-byte boundary, as the rows of a sealed segment do; an allocation alone would make
/// every wide load straddle two lines.
pub(crate) struct AlignedFloats {
    values: Vec<f32>,
    start: usize,
}

impl AlignedFloats {
    /// Takes `len` floats from `source`.
    pub(crate) fn collect(len: usize, source: impl Iterator<Item = f32>) -> Outcome<Self> {
        let padding = LINE_BYTES / size_of::<f32>();
        let mut values: Vec<f32> = Vec::new();
        let wanted = len
            .checked_add(padding)
            .ok_or("more floats than memory has addresses")?;
        values
            .try_reserve_exact(wanted)
            .map_err(|error| format!("{len} floats: {error}"))?;
        let start = values.as_ptr().align_offset(LINE_BYTES).min(padding);
        values.resize(start, 0.0);
        values.extend(source.take(len));
        Ok(Self { values, start })
    }
}

impl Deref for AlignedFloats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_float_starts_a_line() {
        for len in [1usize, 17, 100_000] {
            let floats = AlignedFloats::collect(len, (0..).map(|i| i as f32)).unwrap();
            assert_eq!(floats.len(), len);
            assert_eq!(floats.as_ptr().align_offset(LINE_BYTES), 0);
            assert_eq!(floats.last(), Some(&((len - 1) as f32)));
        }
        assert!(AlignedFloats::collect(usize::MAX, std::iter::empty()).is_err());
    }
}
