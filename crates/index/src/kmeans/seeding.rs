//! Where the centroids start.

use vecdb_vector::{Centroids, Nearest};

use super::{KMeansParams, Seeding, assign};
use crate::random::Random;
use crate::{BuildOptions, IndexError};

/// Up to so many clusters k-means++ picks one after the other; also the limit of [`Seeding::Auto`].
const ONE_BY_ONE: usize = 64;
/// Vectors per cluster that k-means++ looks at.
const LOOKED_AT: usize = 64;
/// Rounds of k-means||, each of which draws about as many candidates as half the clusters.
const ROUNDS: usize = 5;

/// The numbers of the first centroids.
pub(super) fn seed(
    dim: usize,
    vectors: &[f32],
    params: &KMeansParams,
    random: &mut Random,
    options: &BuildOptions<'_>,
) -> Result<Vec<f32>, IndexError> {
    let clusters = params.clusters;
    let count = vectors.len() / dim;
    let plus_plus = match params.seeding {
        Seeding::Random => false,
        Seeding::PlusPlus => true,
        Seeding::Auto => clusters <= ONE_BY_ONE,
    };
    if !plus_plus {
        return Ok(pick(dim, vectors, random.distinct(clusters, count)));
    }
    let looked_at = random.distinct((clusters * LOOKED_AT).max(1024), count);
    let vectors = pick(dim, vectors, looked_at);
    if clusters <= ONE_BY_ONE {
        let weights = vec![1.0; vectors.len() / dim];
        return Ok(one_by_one(dim, &vectors, &weights, clusters, random));
    }
    scalable(dim, &vectors, clusters, random, options)
}

fn pick(dim: usize, vectors: &[f32], rows: impl IntoIterator<Item = usize>) -> Vec<f32> {
    let vector = |row: usize| &vectors[row * dim..(row + 1) * dim];
    rows.into_iter().flat_map(vector).copied().collect()
}

/// k-means++: each next centroid is drawn with a chance proportional to weight and squared distance.
fn one_by_one(
    dim: usize,
    vectors: &[f32],
    weights: &[f64],
    clusters: usize,
    random: &mut Random,
) -> Vec<f32> {
    let count = weights.len();
    let mut picked = Vec::with_capacity(clusters * dim);
    let mut distances = vec![f64::INFINITY; count];
    let mut next = draw(weights, random);
    for _ in 0..clusters {
        let centroid = &vectors[next * dim..(next + 1) * dim];
        picked.extend_from_slice(centroid);
        let measured = distances.iter_mut().zip(vectors.chunks_exact(dim));
        for (distance, vector) in measured {
            *distance = distance.min(f64::from(square_between(vector, centroid)));
        }
        let chances: Vec<f64> = distances.iter().zip(weights).map(|(d, w)| d * w).collect();
        next = draw(&chances, random);
    }
    picked
}

fn square_between(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<16>();
    let (b, b_rest) = b.as_chunks::<16>();
    let mut sums = [0.0f32; 16];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += (a - b) * (a - b);
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b));
    sums.iter().sum::<f32>() + rest.sum::<f32>()
}

/// A number drawn by the chances; any, where all are zero.
fn draw(chances: &[f64], random: &mut Random) -> usize {
    let total: f64 = chances.iter().sum();
    let mut left = random.unit() * total;
    if total > 0.0 && total.is_finite() {
        for (i, chance) in chances.iter().enumerate() {
            left -= chance;
            if left < 0.0 {
                return i;
            }
        }
    }
    random.below(chances.len() as u64) as usize
}

/// k-means||: a few rounds draw about 2.5 times as many candidates as clusters, all vectors of a round at once; k-means++
/// picks the clusters among the candidates, weighted by the vectors nearest to each.
fn scalable(
    dim: usize,
    vectors: &[f32],
    clusters: usize,
    random: &mut Random,
    options: &BuildOptions<'_>,
) -> Result<Vec<f32>, IndexError> {
    let count = vectors.len() / dim;
    let mut candidates = pick(dim, vectors, [random.below(count as u64) as usize]);
    let mut distances = vec![f32::INFINITY; count];
    let mut nearest: Vec<Nearest> = Vec::new();
    let mut fresh = candidates.clone();
    for _ in 0..ROUNDS {
        if fresh.is_empty() {
            break;
        }
        let centroids = Centroids::new(options.kernels, dim, fresh);
        assign(&centroids, vectors, &mut nearest, options)?;
        for (distance, nearest) in distances.iter_mut().zip(&nearest) {
            *distance = distance.min(nearest.distance);
        }
        let total: f64 = distances.iter().map(|d| f64::from(*d)).sum();
        let share = clusters as f64 / 2.0 / total.max(f64::MIN_POSITIVE);
        let drawn = (0..count).filter(|&v| random.unit() < share * f64::from(distances[v]));
        fresh = pick(dim, vectors, drawn.collect::<Vec<_>>());
        candidates.extend_from_slice(&fresh);
    }
    let found = candidates.len() / dim;
    if found < clusters {
        // Few different vectors: k-means itself has to part what can be parted.
        candidates.extend(pick(dim, vectors, random.distinct(clusters - found, count)));
        return Ok(candidates);
    }
    let centroids = Centroids::new(options.kernels, dim, candidates);
    assign(&centroids, vectors, &mut nearest, options)?;
    let mut weights = vec![0.0; found];
    for nearest in &nearest {
        weights[nearest.centroid as usize] += 1.0;
    }
    Ok(one_by_one(
        dim,
        centroids.values(),
        &weights,
        clusters,
        random,
    ))
}
