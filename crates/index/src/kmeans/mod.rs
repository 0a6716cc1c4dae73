//! k-means: what inverted lists and product quantizers learn from.
//!
//! Lloyd's iteration (1982) with assignment by blocked products ([`Centroids`]), in as many threads as asked for: sums
//! are taken in a fixed order, so that the same seed and vectors give the same centroids, byte for byte, whatever the
//! threads.
//!
//! - `seeding`: where do the centroids start?
//! - `update`: the means of the clusters, and what becomes of empty ones.
//! - [`sample`]: rows of a field as the numbers to learn from.

mod sample;
mod seeding;
#[cfg(test)]
mod tests;
mod update;

pub use sample::sample;
pub(crate) use sample::{normalise, read_row};

use vecdb_vector::{Centroids, Nearest};

use crate::random::Random;
use crate::{BuildOptions, IndexError};
use update::Update;

/// Vectors assigned per step of a thread.
const BLOCK: usize = 1024;
/// The last iterations of mini-batch training go over all vectors.
const FULL_ITERATIONS: u32 = 2;

/// Where the centroids start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Seeding {
    /// k-means++ (Arthur and Vassilvitskii, SODA 2007); for many clusters its scalable form, k-means|| (Bahmani and others,
    /// VLDB 2012). Worth its cost for few clusters.
    PlusPlus,
    /// Different vectors at random.
    Random,
    /// The first up to 64 clusters, the second beyond.
    #[default]
    Auto,
}

/// How to cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct KMeansParams {
    /// How many clusters; at least 1 and at most as many as vectors.
    pub clusters: usize,
    /// Iterations at most. Default 25.
    pub iterations: u32,
    /// Stop once an iteration lowers the objective by less than this share. 0: never. Default 0.001.
    pub tolerance: f64,
    /// See [`Seeding`].
    pub seeding: Seeding,
    /// Centroids are directions: kept at unit length (for cosine; the vectors should be of unit length). Default: no.
    pub spherical: bool,
    /// Mini-batch training (Sculley, WWW 2010): all iterations but the last two look at so many vectors, drawn anew each
    /// time. Default: all of them.
    pub batch: Option<usize>,
    /// Balanced clustering: clusters of more than this many times the mean size are parted again and again, at the expense
    /// of the smallest ones, which are given up. Default: never.
    pub size_ratio_max: Option<f64>,
    /// Same seed and vectors, same centroids.
    pub seed: u64,
}

impl KMeansParams {
    /// The defaults for so many clusters.
    pub fn new(clusters: usize) -> Self {
        Self {
            clusters,
            iterations: 25,
            tolerance: 1e-3,
            seeding: Seeding::Auto,
            spherical: false,
            batch: None,
            size_ratio_max: None,
            seed: 42,
        }
    }
}

/// Centroids that were learned, and how that went.
#[derive(Debug)]
pub struct KMeans {
    /// The centroids.
    pub centroids: Centroids,
    /// How it went.
    pub report: KMeansReport,
}

/// How a training went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KMeansReport {
    /// Vectors learned from.
    pub vectors: usize,
    /// Mean squared distance of a vector to its centroid as each iteration found it, before it moved the centroids (of a
    /// mini-batch: over the batch).
    pub objectives: Vec<f64>,
    /// Whether it stopped because the objective hardly fell any more.
    pub converged: bool,
    /// How often an empty cluster was given half of a large one.
    pub repaired: usize,
}

/// Clusters `vectors`, `dim` numbers each.
///
/// # Errors
/// Fewer vectors than clusters, no cluster, a number that is not finite, cancellation.
///
/// # Panics
/// When `vectors` is no whole number of vectors.
pub fn train(
    dim: usize,
    mut vectors: Vec<f32>,
    params: &KMeansParams,
    options: &BuildOptions<'_>,
) -> Result<KMeans, IndexError> {
    assert!(
        dim > 0 && vectors.len().is_multiple_of(dim),
        "whole vectors"
    );
    check(dim, &vectors, params)?;
    // Squared distances by products lose digits where the mean is large beside the spread.
    let mean = if params.spherical {
        vec![0.0; dim]
    } else {
        mean_of(dim, &vectors)
    };
    shift(&mut vectors, &mean, -1.0);
    let mut random = Random::new(params.seed);
    let start = seeding::seed(dim, &vectors, params, &mut random, options)?;
    let mut training = Training {
        dim,
        params,
        options,
        random,
        update: Update::new(dim, params),
        report: KMeansReport {
            vectors: vectors.len() / dim,
            ..KMeansReport::default()
        },
    };
    let mut centroids = training.run(&vectors, start)?;
    shift(&mut centroids, &mean, 1.0);
    Ok(KMeans {
        centroids: Centroids::new(options.kernels, dim, centroids),
        report: training.report,
    })
}

fn check(dim: usize, vectors: &[f32], params: &KMeansParams) -> Result<(), IndexError> {
    if params.clusters == 0 {
        return Err(IndexError::OutOfRange {
            name: "clusters",
            value: 0,
            expected: "at least 1",
        });
    }
    if vectors.len() / dim < params.clusters {
        return Err(IndexError::TooFewRows {
            what: "one cluster per row at most: the clustering",
            needed: params.clusters as u64,
            rows: (vectors.len() / dim) as u64,
        });
    }
    match vectors.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(vecdb_vector::VectorError::NotFinite {
            position: at % dim,
            value: vectors[at],
        }
        .into()),
        None => Ok(()),
    }
}

fn mean_of(dim: usize, vectors: &[f32]) -> Vec<f32> {
    let mut sums = vec![0.0f64; dim];
    for vector in vectors.chunks_exact(dim) {
        for (sum, &value) in sums.iter_mut().zip(vector) {
            *sum += f64::from(value);
        }
    }
    let count = (vectors.len() / dim).max(1) as f64;
    sums.iter().map(|sum| (sum / count) as f32).collect()
}

fn shift(vectors: &mut [f32], by: &[f32], sign: f32) {
    for vector in vectors.chunks_exact_mut(by.len()) {
        for (value, by) in vector.iter_mut().zip(by) {
            *value += sign * by;
        }
    }
}

struct Training<'a> {
    dim: usize,
    params: &'a KMeansParams,
    options: &'a BuildOptions<'a>,
    random: Random,
    update: Update,
    report: KMeansReport,
}

impl Training<'_> {
    fn run(&mut self, vectors: &[f32], mut values: Vec<f32>) -> Result<Vec<f32>, IndexError> {
        let count = vectors.len() / self.dim;
        let batch = self.params.batch.filter(|&batch| batch < count);
        let mut nearest = Vec::new();
        for iteration in 0..self.params.iterations {
            let full = batch.is_none() || iteration + FULL_ITERATIONS >= self.params.iterations;
            let drawn;
            let seen = match batch {
                Some(batch) if !full => {
                    drawn = self.draw(vectors, batch.max(self.params.clusters));
                    &drawn
                }
                _ => vectors,
            };
            let centroids = Centroids::new(self.options.kernels, self.dim, values);
            assign(&centroids, seen, &mut nearest, self.options)?;
            let objective = mean_distance(&nearest);
            values = centroids.into_values();
            self.report.repaired += self.update.step(
                &mut values,
                seen,
                &nearest,
                (full, iteration + FULL_ITERATIONS >= self.params.iterations),
                &mut self.random,
                self.options,
            )?;
            let before = self.report.objectives.last().copied();
            self.report.objectives.push(objective);
            self.options
                .progress
                .advance(u64::from(iteration + 1), u64::from(self.params.iterations));
            if full && batch.is_none() && self.is_enough(before, objective) {
                self.report.converged = true;
                break;
            }
        }
        Ok(values)
    }

    fn is_enough(&self, before: Option<f64>, objective: f64) -> bool {
        let Some(before) = before else {
            return objective == 0.0;
        };
        // A balanced clustering trades its objective for equal sizes: it does not fall to a minimum.
        self.params.size_ratio_max.is_none()
            && before - objective <= self.params.tolerance * before
            && self.params.tolerance > 0.0
    }

    fn draw(&mut self, vectors: &[f32], batch: usize) -> Vec<f32> {
        let drawn = self.random.distinct(batch, vectors.len() / self.dim);
        let vector = |row: usize| &vectors[row * self.dim..(row + 1) * self.dim];
        drawn.into_iter().flat_map(vector).copied().collect()
    }
}

/// The nearest centroid of each of `vectors`.
///
/// # Errors
/// Cancellation.
pub fn assign(
    centroids: &Centroids,
    vectors: &[f32],
    nearest: &mut Vec<Nearest>,
    options: &BuildOptions<'_>,
) -> Result<(), IndexError> {
    let dim = centroids.dim();
    let none = Nearest {
        centroid: 0,
        distance: 0.0,
    };
    nearest.clear();
    nearest.resize(vectors.len() / dim, none);
    options.for_each_chunk(
        nearest,
        BLOCK,
        || (),
        |(), first, out| {
            centroids.nearest(&vectors[first * dim..(first + out.len()) * dim], out);
            Ok(())
        },
    )
}

fn mean_distance(nearest: &[Nearest]) -> f64 {
    let sum: f64 = nearest.iter().map(|n| f64::from(n.distance)).sum();
    sum / nearest.len().max(1) as f64
}
