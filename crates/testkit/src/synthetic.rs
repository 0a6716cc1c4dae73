//! Made-up vectors for tests: clusters of Gaussian points, the same for the same seed.

use crate::random::SeededRandom;

/// Points around random centres. Real embeddings lie in clusters; uniform noise would make every
/// index look worse than it is.
#[derive(Clone, Copy, Debug)]
pub struct ClusteredGaussian {
    /// Vectors to draw.
    pub rows: u32,
    /// Elements of a vector.
    pub dim: usize,
    /// Centres, drawn from the standard normal distribution.
    pub clusters: usize,
    /// Standard deviation around a centre; 0.3 gives clear clusters, 1 hardly any.
    pub spread: f32,
    /// Same seed, same vectors.
    pub seed: u64,
}

impl ClusteredGaussian {
    /// The vectors, row after row.
    pub fn generate(&self) -> Vec<f32> {
        let mut random = SeededRandom::new(self.seed);
        let clusters = self.clusters.max(1);
        let centres: Vec<f32> = (0..clusters * self.dim)
            .map(|_| random.gaussian())
            .collect();
        let mut values = Vec::with_capacity(self.rows as usize * self.dim);
        for _ in 0..self.rows {
            let first = random.below(clusters as u64) as usize * self.dim;
            for centre in &centres[first..first + self.dim] {
                values.push(centre + self.spread * random.gaussian());
            }
        }
        values
    }

    /// Base vectors and, from the same clusters, `queries` further vectors that are not among them.
    pub fn with_queries(&self, queries: u32) -> (Vec<f32>, Vec<f32>) {
        let all = Self {
            rows: self.rows + queries,
            ..*self
        };
        let mut base = all.generate();
        let of_queries = base.split_off(self.rows as usize * self.dim);
        (base, of_queries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_vectors() {
        let made = ClusteredGaussian {
            rows: 50,
            dim: 7,
            clusters: 4,
            spread: 0.3,
            seed: 11,
        };
        assert_eq!(made.generate(), made.generate());
        assert_ne!(
            made.generate(),
            ClusteredGaussian { seed: 12, ..made }.generate()
        );
        let (base, queries) = made.with_queries(5);
        assert_eq!((base.len(), queries.len()), (350, 35));
    }

    #[test]
    fn gaussian_has_mean_0_and_deviation_1() {
        let mut random = SeededRandom::new(5);
        let values: Vec<f64> = (0..20_000).map(|_| f64::from(random.gaussian())).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 0.03, "mean {mean}");
        assert!((variance - 1.0).abs() < 0.05, "variance {variance}");
    }
}
