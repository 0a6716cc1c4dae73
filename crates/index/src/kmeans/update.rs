//! The means of the clusters, and what becomes of empty ones.

use vecdb_vector::Nearest;

use super::KMeansParams;
use super::normalise;
use crate::random::Random;
use crate::{BuildOptions, IndexError};

/// How far the halves of a parted cluster are moved from its mean, in standard deviations of its vectors.
const APART: f64 = 0.125;
/// Centroids whose means a thread takes in one step.
const RUN: usize = 16;

/// What is remembered from one iteration to the next.
pub(super) struct Update {
    dim: usize,
    spherical: bool,
    size_ratio_max: Option<f64>,
    /// Vectors that each centroid has stood for, over all mini-batches.
    seen: Vec<u64>,
}

impl Update {
    pub(super) fn new(dim: usize, params: &KMeansParams) -> Self {
        Self {
            dim,
            spherical: params.spherical,
            size_ratio_max: params.size_ratio_max,
            seen: vec![0; params.clusters],
        }
    }

    /// Moves the centroids to the means of `vectors` (`full`), or towards them (a mini-batch); how many empty clusters
    /// were repaired. `last`: no iteration follows that could make use of a parted cluster.
    pub(super) fn step(
        &mut self,
        values: &mut [f32],
        vectors: &[f32],
        nearest: &[Nearest],
        (full, last): (bool, bool),
        random: &mut Random,
        options: &BuildOptions<'_>,
    ) -> Result<usize, IndexError> {
        let clusters = self.seen.len();
        let (starts, order) = by_cluster(clusters, nearest);
        let sizes: Vec<u64> = starts.windows(2).map(|s| (s[1] - s[0]) as u64).collect();
        if full {
            self.seen.copy_from_slice(&sizes);
        } else {
            self.seen
                .iter_mut()
                .zip(&sizes)
                .for_each(|(seen, size)| *seen += size);
        }
        let (dim, seen) = (self.dim, &self.seen);
        options.for_each_chunk(
            values,
            RUN * dim,
            || vec![0.0f64; dim],
            |sums, first, centroids| {
                for (i, centroid) in centroids.chunks_exact_mut(dim).enumerate() {
                    let cluster = first / dim + i;
                    let members = &order[starts[cluster]..starts[cluster + 1]];
                    if members.is_empty() {
                        continue;
                    }
                    sums.fill(0.0);
                    for &member in members {
                        let vector = &vectors[member as usize * dim..][..dim];
                        for (sum, &value) in sums.iter_mut().zip(vector) {
                            *sum += f64::from(value);
                        }
                    }
                    // Of all vectors seen so far these are this share (Sculley's learning rate, a batch at a time).
                    let size = members.len() as f64;
                    let share = size / seen[cluster] as f64;
                    for (value, sum) in centroid.iter_mut().zip(sums.iter()) {
                        *value += ((sum / size - f64::from(*value)) * share) as f32;
                    }
                }
                Ok(())
            },
        )?;
        let mut repaired = 0;
        if full {
            let mut parting = Parting {
                dim,
                values,
                spreads: spreads(dim, &sizes, nearest),
                sizes,
                random,
            };
            repaired = parting.fill_empty();
            if let (Some(most), false) = (self.size_ratio_max, last) {
                parting.part_large(most);
            }
        }
        if self.spherical {
            values.chunks_exact_mut(dim).for_each(normalise);
        }
        Ok(repaired)
    }
}

/// The vectors in the order of their clusters, and where each cluster starts.
fn by_cluster(clusters: usize, nearest: &[Nearest]) -> (Vec<usize>, Vec<u32>) {
    let mut starts = vec![0usize; clusters + 1];
    for n in nearest {
        starts[n.centroid as usize + 1] += 1;
    }
    for c in 0..clusters {
        starts[c + 1] += starts[c];
    }
    let mut next = starts.clone();
    let mut order = vec![0u32; nearest.len()];
    for (vector, n) in nearest.iter().enumerate() {
        let at = &mut next[n.centroid as usize];
        order[*at] = vector as u32;
        *at += 1;
    }
    (starts, order)
}

fn spreads(dim: usize, sizes: &[u64], nearest: &[Nearest]) -> Vec<f64> {
    let mut sums = vec![0.0f64; sizes.len()];
    for n in nearest {
        sums[n.centroid as usize] += f64::from(n.distance);
    }
    let spread = |(sum, &size): (f64, &u64)| (sum / (size.max(1) * dim as u64) as f64).sqrt();
    sums.into_iter().zip(sizes).map(spread).collect()
}

/// Clusters whose centroids are given away.
struct Parting<'a> {
    dim: usize,
    values: &'a mut [f32],
    sizes: Vec<u64>,
    /// Standard deviations of a number of a vector, by cluster.
    spreads: Vec<f64>,
    random: &'a mut Random,
}

impl Parting<'_> {
    /// Gives every empty cluster half of a large one, drawn with a chance proportional to its size; how many.
    fn fill_empty(&mut self) -> usize {
        let mut filled = 0;
        for empty in 0..self.sizes.len() {
            if self.sizes[empty] > 0 {
                continue;
            }
            // A cluster of one has nothing to give.
            let total: u64 = self.sizes.iter().map(|size| size.saturating_sub(1)).sum();
            let mut left = self.random.below(total);
            let donor = self.sizes.iter().position(|size| {
                let weight = size.saturating_sub(1);
                let found = left < weight;
                left = left.saturating_sub(weight);
                found
            });
            let Some(donor) = donor else { break };
            self.part(donor, empty);
            filled += 1;
        }
        filled
    }

    /// Parts clusters of more than `most` times the mean size, at the expense of those that will be missed least.
    fn part_large(&mut self, most: f64) {
        let mean = self.sizes.iter().sum::<u64>() as f64 / self.sizes.len() as f64;
        let mut by_size: Vec<usize> = (0..self.sizes.len()).collect();
        by_size.sort_by_key(|&cluster| self.sizes[cluster]);
        let mut smallest = by_size.iter();
        for &large in by_size.iter().rev() {
            let Some(&small) = smallest.next() else { break };
            let worth =
                self.sizes[large] as f64 > most * mean && (self.sizes[small] as f64) < mean / 2.0;
            if !worth {
                break;
            }
            self.part(large, small);
        }
    }

    /// Moves the centroid `to` beside `from`, in a random direction; each is thought to get half of the vectors.
    fn part(&mut self, from: usize, to: usize) {
        let distance = (APART * self.spreads[from]) as f32;
        for d in 0..self.dim {
            let apart = match self.random.bits() >> 63 {
                0 => distance,
                _ => -distance,
            };
            let value = self.values[from * self.dim + d];
            self.values[to * self.dim + d] = value + apart;
            self.values[from * self.dim + d] = value - apart;
        }
        self.sizes[to] = self.sizes[from] / 2;
        self.sizes[from] -= self.sizes[to];
        self.spreads[to] = self.spreads[from];
    }
}
