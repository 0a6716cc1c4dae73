//! Made-up vectors for tests: clusters of Gaussian points, the same for the same seed.

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

/// A small random source (SplitMix64; Steele, Lea, Flood 2014). Not for secrets.
#[derive(Clone, Debug)]
pub struct SeededRandom {
    state: u64,
}

impl SeededRandom {
    /// Same seed, same numbers.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to below `bound` (0 for bound 0); the bias is below bound / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number of the standard normal distribution (Box and Muller 1958).
    pub fn gaussian(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        (radius * (std::f64::consts::TAU * self.unit()).cos()) as f32
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
