//! The oracle: every metric on every element type in plain f64, one number after the other.
//!
//! Slow and obviously right. Kernels are tested against it, and the scorer falls back to it
//! where single precision overflows.

use half::f16;

use crate::{ElementType, Metric};

/// The rank value of two stored vectors of `dim` numbers (see [`Metric`]).
///
/// # Panics
/// When a row is shorter than `dim` numbers.
pub fn distance(metric: Metric, element: ElementType, dim: usize, a: &[u8], b: &[u8]) -> f64 {
    distance_of(metric, dim, (element, a), (element, b))
}

/// As [`distance`], of two vectors that may be stored differently.
pub(crate) fn distance_of(
    metric: Metric,
    dim: usize,
    a: (ElementType, &[u8]),
    b: (ElementType, &[u8]),
) -> f64 {
    let sum = |f: fn(f64, f64) -> f64| sum(dim, a, b, f);
    match metric {
        Metric::L2 => sum(|x, y| (x - y) * (x - y)),
        Metric::L1 => sum(|x, y| (x - y).abs()),
        Metric::Dot => -sum(|x, y| x * y),
        Metric::Cosine => {
            let norms = dot(a.0, dim, a.1, a.1).sqrt() * dot(b.0, dim, b.1, b.1).sqrt();
            if norms == 0.0 {
                1.0
            } else {
                (1.0 - sum(|x, y| x * y) / norms).clamp(0.0, 2.0)
            }
        }
        Metric::Hamming => sum(|x, y| f64::from(u8::from(x != y))),
        Metric::Jaccard => {
            let either = sum(|x, y| f64::from(u8::from(x != 0.0 || y != 0.0)));
            let both = sum(|x, y| f64::from(u8::from(x != 0.0 && y != 0.0)));
            if either == 0.0 {
                0.0
            } else {
                1.0 - both / either
            }
        }
    }
}

/// The inner product of two stored vectors.
pub(crate) fn dot(element: ElementType, dim: usize, a: &[u8], b: &[u8]) -> f64 {
    sum(dim, (element, a), (element, b), |x, y| x * y)
}

fn sum(
    dim: usize,
    a: (ElementType, &[u8]),
    b: (ElementType, &[u8]),
    f: fn(f64, f64) -> f64,
) -> f64 {
    (0..dim)
        .map(|i| f(value(a.0, a.1, i), value(b.0, b.1, i)))
        .sum()
}

/// Number `i` of a stored vector.
pub fn value(element: ElementType, row: &[u8], i: usize) -> f64 {
    match element {
        ElementType::F32 => {
            let b = &row[i * 4..i * 4 + 4];
            f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        }
        ElementType::F16 => f16::from_le_bytes([row[i * 2], row[i * 2 + 1]]).to_f64(),
        ElementType::I8 => f64::from(row[i] as i8),
        ElementType::U8 => f64::from(row[i]),
        ElementType::Bits => f64::from((row[i / 8] >> (i % 8)) & 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_cases_by_hand() {
        let u8s = |metric| distance(metric, ElementType::U8, 3, &[1, 2, 3], &[4, 0, 3]);
        assert_eq!(u8s(Metric::L2), 13.0);
        assert_eq!(u8s(Metric::L1), 5.0);
        assert_eq!(u8s(Metric::Dot), -13.0);
        let cosine = 1.0 - 13.0 / (14f64.sqrt() * 5.0);
        assert!((u8s(Metric::Cosine) - cosine).abs() < 1e-15);
        let bits = |metric, a, b| distance(metric, ElementType::Bits, 5, &[a], &[b]);
        assert_eq!(bits(Metric::Hamming, 0b10110, 0b00011), 3.0);
        assert_eq!(bits(Metric::Jaccard, 0b10110, 0b00011), 0.75);
        assert_eq!(bits(Metric::Jaccard, 0, 0), 0.0);
        assert_eq!(
            distance(Metric::Cosine, ElementType::I8, 1, &[0], &[1]),
            1.0
        );
    }
}
