//! Seeded randomness: the same seed, the same index.

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a number that looks like chance, the same for the same value.
pub(crate) fn mix(value: u64) -> u64 {
    let mut x = value.wrapping_add(STEP);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A stream of such numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        let bits = mix(self.state);
        self.state = self.state.wrapping_add(STEP);
        bits
    }

    /// From 0 to below `bound` (0 for bound 0).
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// From 0 to below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// `count` different numbers below `bound` (all of them where there are no more), ascending.
    pub(crate) fn distinct(&mut self, count: usize, bound: usize) -> Vec<usize> {
        if count >= bound {
            return (0..bound).collect();
        }
        // Floyd's algorithm (Bentley, CACM 30:9, 1987).
        let mut taken = std::collections::HashSet::with_capacity(count);
        for last in bound - count..bound {
            let drawn = self.below(last as u64 + 1) as usize;
            if !taken.insert(drawn) {
                taken.insert(last);
            }
        }
        let mut taken: Vec<usize> = taken.into_iter().collect();
        taken.sort_unstable();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_numbers_are_distinct_and_reach_everywhere() {
        let mut random = Random::new(3);
        let mut met = [0u32; 50];
        for _ in 0..2_000 {
            let drawn = random.distinct(10, 50);
            assert!(drawn.len() == 10 && drawn.windows(2).all(|pair| pair[0] < pair[1]));
            drawn.iter().for_each(|&number| met[number] += 1);
        }
        assert!(
            met.iter().all(|&times| (300..500).contains(&times)),
            "{met:?}"
        );
        assert_eq!(random.distinct(9, 4), [0, 1, 2, 3]);
        assert!(random.distinct(0, 4).is_empty());
    }
}
