//! Into which parts does a row go? The two nearest centroids, so that the graphs of neighbouring parts have rows in common.

use vecdb_vector::{ElementType, Metric, Query, RowId, Scorer, VectorRows};

use super::{CHUNK_ROWS, FileVectors, Plan};
use crate::diskann::codes::code_metric;
use crate::kmeans::{self, KMeansParams, read_row};
use crate::random::Random;
use crate::{BuildOptions, IndexError};

/// Rows that the parts are learned from, for each part, and at most.
const ROWS_PER_PART: usize = 512;
const ROWS_MAX: usize = 16_384;
/// Attempts with more and more parts until the largest is small enough.
const ATTEMPTS: u32 = 8;

/// The two parts of every row, the nearer one (its home) first.
pub(super) struct Assignment {
    pub(super) parts: u32,
    of_row: Vec<[u16; 2]>,
}

impl Assignment {
    /// Chooses parts of no more than the plan's rows.
    pub(super) fn choose(
        metric: Metric,
        vectors: &FileVectors,
        plan: &Plan,
        seed: u64,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        let mut parts = plan.parts;
        for _ in 0..ATTEMPTS {
            let assignment = Self::into(parts, metric, vectors, seed, options)?;
            let sizes = (0..parts).map(|part| assignment.members(part).count());
            if sizes.max().unwrap_or(0) as u64 <= plan.part_rows_max {
                return Ok(assignment);
            }
            parts += parts.div_ceil(4);
        }
        // Rows that are all alike cannot be parted.
        Err(IndexError::MemoryLimit {
            limit: plan.memory_bytes,
            needed: plan.bytes_of_part(u64::from(vectors.rows())),
        })
    }

    /// As [`Self::choose`] chose them.
    pub(super) fn into(
        parts: u32,
        metric: Metric,
        vectors: &FileVectors,
        seed: u64,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        let metric = code_metric(metric);
        let dim = vectors.dim();
        let most = ROWS_MAX
            .max(2 * parts as usize)
            .min(ROWS_PER_PART * parts as usize);
        let sample = sample(metric, vectors, most, seed)?;
        let clustering = KMeansParams {
            size_ratio_max: Some(1.5),
            spherical: metric == Metric::Cosine,
            seed,
            ..KMeansParams::new(parts as usize)
        };
        let quiet = BuildOptions {
            progress: &crate::Silent,
            ..*options
        };
        let centroids = kmeans::train(dim, sample, &clustering, &quiet)?.centroids;
        let centroids = VectorRows::from_f32(dim, centroids.values())?;
        let mut of_row = vec![[0u16; 2]; vectors.rows() as usize];
        let each = vectors.row_bytes();
        options.for_each_chunk(
            &mut of_row,
            CHUNK_ROWS as usize,
            || (Vec::new(), vec![0.0; dim], vec![0.0; parts as usize]),
            |(bytes, values, distances), first, out| {
                bytes.resize(out.len() * each, 0);
                vectors.read(first as u32, bytes)?;
                let count = out.len() as u32;
                let rows = VectorRows::new(vectors.element(), dim, each, count, bytes)?;
                let mut query = None;
                for (row, out) in out.iter_mut().enumerate() {
                    read_row(metric, rows, RowId(row as u32), values);
                    let query: &mut Query = match &mut query {
                        Some(query) => query,
                        none => none.insert(Query::new(Metric::L2, ElementType::F32, dim, values)?),
                    };
                    query.set(values)?;
                    let scorer = Scorer::new(options.kernels, query, centroids);
                    scorer.score_range(RowId(0), distances);
                    *out = nearest_two(distances);
                }
                Ok(())
            },
        )?;
        Ok(Self { parts, of_row })
    }

    /// The rows of a part, ascending.
    pub(super) fn members(&self, part: u32) -> impl Iterator<Item = u32> {
        let rows = self.of_row.iter().enumerate();
        rows.filter(move |(_, parts)| parts.iter().any(|&of| u32::from(of) == part))
            .map(|(row, _)| row as u32)
    }

    /// The nearer part of a row, and the other.
    pub(super) fn of(&self, row: u32) -> [u32; 2] {
        self.of_row
            .get(row as usize)
            .map_or([0; 2], |parts| parts.map(u32::from))
    }
}

fn nearest_two(distances: &[f32]) -> [u16; 2] {
    let (mut first, mut second) = ((f32::INFINITY, 0), (f32::INFINITY, 0));
    for (part, &distance) in distances.iter().enumerate() {
        if distance < first.0 {
            (first, second) = ((distance, part as u16), first);
        } else if distance < second.0 || second.0 == f32::INFINITY {
            second = (distance, part as u16);
        }
    }
    [first.1, second.1]
}

/// Rows drawn without repetition, as numbers to learn from.
pub(super) fn sample(
    metric: Metric,
    vectors: &FileVectors,
    most: usize,
    seed: u64,
) -> Result<Vec<f32>, IndexError> {
    let drawn = Random::new(seed).distinct(most, vectors.rows() as usize);
    let rows: Vec<u32> = drawn.into_iter().map(|row| row as u32).collect();
    // One by one: they lie far apart.
    let bytes = vectors.gather(&rows, 1)?;
    let (dim, each) = (vectors.dim(), vectors.row_bytes());
    let rows = VectorRows::new(vectors.element(), dim, each, rows.len() as u32, &bytes)?;
    let mut values = vec![0.0; rows.len() as usize * dim];
    for (row, values) in values.chunks_exact_mut(dim).enumerate() {
        read_row(metric, rows, RowId(row as u32), values);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_nearest_parts_differ() {
        assert_eq!(nearest_two(&[3.0, 1.0, 2.0]), [1, 2]);
        assert_eq!(nearest_two(&[1.0, 1.0, 1.0]), [0, 1]);
        assert_eq!(nearest_two(&[5.0]), [0, 0]);
    }
}
