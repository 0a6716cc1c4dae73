//! The level draw: which layers a row is on.
//!
//! A row is on layer `l` with probability `m^-l`, the paper's draw with `mL = 1/ln(m)`. Here it is a pure function of
//! the seed and the row number, in integers: the same on every machine, whatever the order or the threads of insertion.

use vecdb_vector::RowId;

use crate::random::mix;

/// The highest layer possible; 16 layers suffice for 2^31 rows at any useful `m`.
pub(crate) const LEVEL_MAX: u8 = 15;

/// The top layer of `row`.
pub(super) fn draw(seed: u64, row: RowId, m: u32) -> u8 {
    let mut left = mix(seed ^ mix(u64::from(row.0)));
    let mut level = 0;
    // `left` is uniform over 2^64; being below 2^64 / m happens with probability 1/m, and what is left is uniform again.
    let part = u64::MAX / u64::from(m.max(2));
    while left < part && level < LEVEL_MAX {
        left = mix(left ^ u64::from(level));
        level += 1;
    }
    level
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layer_has_one_in_m_of_the_layer_below() {
        for m in [4u32, 16] {
            let rows = 200_000u32;
            let mut above = [0u32; 17];
            for row in 0..rows {
                for layer in 0..=draw(7, RowId(row), m) {
                    above[usize::from(layer)] += 1;
                }
            }
            for (layer, &got) in above.iter().enumerate().take(3) {
                let expected = f64::from(rows) / f64::from(m).powi(layer as i32);
                let got = f64::from(got);
                let slack = 5.0 * expected.sqrt();
                assert!((got - expected).abs() < slack, "m {m} layer {layer}: {got}");
            }
        }
        assert_eq!(draw(1, RowId(5), 16), draw(1, RowId(5), 16));
    }
}
