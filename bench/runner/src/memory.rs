//! A large array of rows in memory: how fast exact search reads it, and how fast it can be read at all.

use serde_json::json;
use vecdb_engine::{ElementType, Metric};
use vecdb_vector::{Kernels, Query, TopK, VectorRows, scan};

use crate::Outcome;
use crate::aligned::AlignedFloats;

/// Independent sums kept by [`read_sum`]: enough to hide the latency of additions, and a whole number of vector
/// registers of every width.
const SUMS: usize = 32;

/// Rows of pseudo-random floats in [-1, 1).
pub(crate) struct Memory {
    dim: usize,
    values: AlignedFloats,
}

impl Memory {
    pub(crate) fn fill(gib: f64, dim: usize, seed: u64) -> Outcome<Self> {
        let rows = gib * f64::from(1 << 30) / (dim as f64 * 4.0);
        if !(1.0..=f64::from(u32::MAX)).contains(&rows) {
            return Err(
                format!("{gib} GiB of rows of {dim} floats are no 1 to 2^32 - 1 rows").into(),
            );
        }
        let len = rows as usize * dim;
        let mut state = seed | 1;
        let random = std::iter::repeat_with(|| {
            // xorshift64 (Marsaglia 2003): the upper 24 bits are random enough to be incompressible.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        });
        Ok(Self {
            dim,
            values: AlignedFloats::collect(len, random)?,
        })
    }

    /// Bytes that one pass reads.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.values)
    }

    /// The `k` rows nearest to zero plus a little under L2, by exact scan on this thread.
    pub(crate) fn scan(&self, k: usize) -> Outcome {
        let rows = VectorRows::from_f32(self.dim, &self.values)?;
        let query = Query::new(
            Metric::L2,
            ElementType::F32,
            self.dim,
            &vec![0.01; self.dim],
        )?;
        let mut top = TopK::new(k);
        let distances = scan(Kernels::detect(), &query, rows, None, &mut top);
        let nearest = top
            .into_sorted_vec()
            .first()
            .map(|hit| (hit.row.0, hit.distance));
        Ok(json!({ "bytes": self.bytes(), "distance_computations": distances, "nearest": nearest }))
    }

    /// Reads everything once on this thread.
    pub(crate) fn read_sum(&self) -> Outcome {
        let pairs = self.values.len() / 2 * 2;
        let words: &[u64] = bytemuck::try_cast_slice(&self.values[..pairs])
            .map_err(|error| format!("the array cannot be read as 64-bit words: {error}"))?;
        Ok(json!({ "bytes": size_of_val(words), "sum": read_sum(words).to_string() }))
    }
}

/// The wrapping sum of all words.
fn read_sum(words: &[u64]) -> u64 {
    let (blocks, rest) = words.as_chunks::<SUMS>();
    let mut sums = [0u64; SUMS];
    for block in blocks {
        for (sum, word) in sums.iter_mut().zip(block) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter()
        .chain(rest)
        .fold(0, |sum, word| sum.wrapping_add(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_of_all_words() {
        let words: Vec<u64> = (0..SUMS as u64 * 3 + 5)
            .map(|i| i.wrapping_mul(u64::MAX / 7))
            .collect();
        let simple = words.iter().fold(0u64, |sum, word| sum.wrapping_add(*word));
        assert_eq!(read_sum(&words), simple);
    }

    #[test]
    fn both_passes_read_all_of_the_memory() {
        let memory = Memory::fill(0.001, 96, 7).unwrap();
        let rows = memory.values.len() / 96;
        assert_eq!(memory.scan(3).unwrap()["distance_computations"], rows);
        assert_eq!(
            memory.scan(3).unwrap()["bytes"],
            memory.read_sum().unwrap()["bytes"]
        );
        assert!(Memory::fill(0.0, 96, 7).is_err());
        assert!(Memory::fill(1.0, 0, 7).is_err());
    }
}
