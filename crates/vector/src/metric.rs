//! How nearness is measured, and how rank values, distances and scores relate.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{ElementType, VectorError};

/// A measure of distance between two vectors.
///
/// Three numbers per hit, all convertible here:
/// - *rank value*: what kernels compute and searches compare; smaller is nearer;
/// - *distance*: what is reported; smaller is nearer (only L2 differs: the root is taken);
/// - *score*: larger is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Euclidean distance. Rank value: the square.
    #[serde(alias = "euclidean")]
    L2,
    /// `1 - cos`, within 0..=2.
    #[serde(alias = "cos")]
    Cosine,
    /// `-dot`: the larger the inner product, the nearer.
    #[serde(alias = "ip", alias = "inner_product")]
    Dot,
    /// Sum of absolute differences.
    #[serde(alias = "manhattan")]
    L1,
    /// Number of differing bits.
    Hamming,
    /// `1 - |a and b| / |a or b|` over bits; 0 when both are empty.
    Jaccard,
}

impl Metric {
    /// Every metric, in the order of the documentation.
    pub const ALL: [Metric; 6] = [
        Metric::L2,
        Metric::Cosine,
        Metric::Dot,
        Metric::L1,
        Metric::Hamming,
        Metric::Jaccard,
    ];

    /// The name used in files, flags and messages.
    pub fn name(self) -> &'static str {
        match self {
            Metric::L2 => "l2",
            Metric::Cosine => "cosine",
            Metric::Dot => "dot",
            Metric::L1 => "l1",
            Metric::Hamming => "hamming",
            Metric::Jaccard => "jaccard",
        }
    }

    /// Rank value to reported distance.
    pub fn distance(self, rank: f32) -> f32 {
        match self {
            Metric::L2 => rank.max(0.0).sqrt(),
            _ => rank,
        }
    }

    /// Reported distance to rank value, the inverse of [`Metric::distance`].
    pub fn rank(self, distance: f32) -> f32 {
        match self {
            // A negative bound admits nothing; squaring would make it admit something.
            Metric::L2 if distance < 0.0 => distance,
            Metric::L2 => distance * distance,
            _ => distance,
        }
    }

    /// Reported distance to score (larger is better): cosine `1 - d`, dot `-d`, Jaccard `1 - d`,
    /// the others `1 / (1 + d)`.
    pub fn score(self, distance: f32) -> f32 {
        match self {
            Metric::Cosine | Metric::Jaccard => 1.0 - distance,
            Metric::Dot => -distance,
            Metric::L2 | Metric::L1 | Metric::Hamming => 1.0 / (1.0 + distance),
        }
    }

    /// Score to reported distance, the inverse of [`Metric::score`]. A score of 0 or less under
    /// L2, L1 and Hamming is reached by no distance below infinity.
    pub fn distance_of_score(self, score: f32) -> f32 {
        match self {
            Metric::Cosine | Metric::Jaccard => 1.0 - score,
            Metric::Dot => -score,
            Metric::L2 | Metric::L1 | Metric::Hamming if score <= 0.0 => f32::INFINITY,
            Metric::L2 | Metric::L1 | Metric::Hamming => 1.0 / score - 1.0,
        }
    }

    /// Whether the metric is defined on vectors of this element type.
    pub fn supports(self, element: ElementType) -> bool {
        let on_bits = matches!(self, Metric::Hamming | Metric::Jaccard);
        on_bits == (element == ElementType::Bits)
    }

    /// Whether scoring reads one inverse norm per row ([`inverse_norm`](crate::inverse_norm)).
    pub fn needs_norms(self) -> bool {
        self == Metric::Cosine
    }

    pub(crate) fn elements(self) -> &'static str {
        match self {
            Metric::Hamming | Metric::Jaccard => "bits",
            _ => "f32, f16, i8 and u8",
        }
    }

    pub(crate) fn check(self, element: ElementType) -> Result<(), VectorError> {
        if self.supports(element) {
            Ok(())
        } else {
            Err(VectorError::Unsupported {
                metric: self,
                element,
            })
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Metric {
    type Err = VectorError;

    fn from_str(name: &str) -> Result<Self, VectorError> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "l2" | "euclidean" => Metric::L2,
            "cosine" | "cos" => Metric::Cosine,
            "dot" | "ip" | "inner_product" => Metric::Dot,
            "l1" | "manhattan" => Metric::L1,
            "hamming" => Metric::Hamming,
            "jaccard" => Metric::Jaccard,
            _ => {
                return Err(VectorError::UnknownName {
                    what: "metric",
                    name: name.to_owned(),
                    expected: Metric::ALL.map(Metric::name).join(", "),
                });
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_round_trip() {
        for metric in Metric::ALL {
            assert_eq!(metric.to_string().parse::<Metric>().unwrap(), metric);
        }
        assert_eq!("Euclidean".parse::<Metric>().unwrap(), Metric::L2);
        assert_eq!("ip".parse::<Metric>().unwrap(), Metric::Dot);
        let error = "l3".parse::<Metric>().unwrap_err().to_string();
        assert!(
            error.contains("'l3'") && error.contains("jaccard"),
            "{error}"
        );
    }

    #[test]
    fn rank_distance_and_score_are_inverses() {
        for metric in Metric::ALL {
            for distance in [0.0f32, 0.25, 0.5, 1.0] {
                let back = metric.distance(metric.rank(distance));
                assert!((back - distance).abs() < 1e-6, "{metric} {distance} {back}");
                let back = metric.distance_of_score(metric.score(distance));
                assert!((back - distance).abs() < 1e-6, "{metric} {distance} {back}");
            }
        }
        assert_eq!(Metric::L2.distance(9.0), 3.0);
        assert_eq!(Metric::Dot.score(-4.0), 4.0);
        assert_eq!(Metric::L2.distance_of_score(0.0), f32::INFINITY);
        assert!(Metric::L2.rank(-1.0) < 0.0);
    }

    #[test]
    fn bits_are_for_set_metrics_only() {
        assert!(Metric::Hamming.supports(ElementType::Bits));
        assert!(!Metric::Hamming.supports(ElementType::F32));
        assert!(!Metric::L2.supports(ElementType::Bits));
        assert!(Metric::L1.supports(ElementType::U8));
    }
}
