//! [`QuantizerSpec`]: which codes, and how many bits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use vecdb_vector::{ElementType, Metric};

use crate::IndexError;

/// Which codes stand for vectors. As text, and so in JSON: `pq`, `pq16x4`, `opq16x8`, `sq4`, `sq8`, `rabitq`, `rabitq4`,
/// `binary`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum QuantizerSpec {
    /// Product quantization (Jégou, Douze and Schmid, PAMI 2011): `m` segments, each replaced by the nearest of `2^bits`
    /// centroids of its own.
    Pq {
        /// Segments, at most the dimension (which they need not divide). `None`: half the dimension.
        m: Option<u32>,
        /// Bits of a segment, 4 to 12. Codes of 4 are scanned fastest, by shuffles; then 8, by gathers.
        bits: u32,
        /// Whether a rotation is learned that lets the segments lose less (Ge, He, Ke and Sun, CVPR 2013).
        opq: bool,
    },
    /// Each number on a scale of its own, between the smallest and the largest that training met.
    Sq {
        /// Bits of a number: 4 or 8.
        bits: u32,
    },
    /// RaBitQ (Gao and Long, SIGMOD 2024; with more bits: Gao and others, SIGMOD 2025): a random rotation, then so many
    /// bits a number, with factors that make estimates unbiased and bound their error.
    Rabitq {
        /// Bits of a number, 1 to 8.
        bits: u32,
    },
    /// One bit a number: above or below the mean.
    Binary,
}

impl QuantizerSpec {
    /// Segments of four bits, half as many as dimensions.
    pub const PQ: Self = Self::Pq {
        m: None,
        bits: 4,
        opq: false,
    };

    /// Checks the ranges documented at the variants.
    pub fn validate(&self) -> Result<(), IndexError> {
        let check = |name, value: u32, fits: bool, expected| match fits {
            true => Ok(()),
            false => Err(IndexError::OutOfRange {
                name,
                value: u64::from(value),
                expected,
            }),
        };
        match *self {
            Self::Pq { m, bits, .. } => {
                let m = m.unwrap_or(1);
                check("m", m, (1..=65_535).contains(&m), "from 1 to 65,535")?;
                check("bits", bits, (4..=12).contains(&bits), "from 4 to 12")
            }
            Self::Sq { bits } => check("bits", bits, bits == 4 || bits == 8, "4 or 8"),
            Self::Rabitq { bits } => check("bits", bits, (1..=8).contains(&bits), "from 1 to 8"),
            Self::Binary => Ok(()),
        }
    }

    /// Checks that there are no more segments than dimensions.
    pub fn check_dim(&self, dim: usize) -> Result<(), IndexError> {
        match *self {
            Self::Pq { m: Some(m), .. } if m as usize > dim => Err(IndexError::OutOfRange {
                name: "m",
                value: u64::from(m),
                expected: "at most the number of dimensions",
            }),
            _ => Ok(()),
        }
    }

    /// Whether such rows can be coded: l2, cosine and dot over numbers.
    pub fn serves(&self, metric: Metric, element: ElementType) -> bool {
        metric.supports(element)
            && element != ElementType::Bits
            && matches!(metric, Metric::L2 | Metric::Cosine | Metric::Dot)
    }

    /// Segments of vectors of so many dimensions.
    pub(super) fn segments(&self, dim: usize) -> usize {
        match *self {
            Self::Pq { m, .. } => m.map_or(dim.div_ceil(2), |m| m as usize),
            _ => dim,
        }
    }
}

impl fmt::Display for QuantizerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::PQ => f.write_str("pq"),
            Self::Pq { m, bits, opq } => {
                f.write_str(if opq { "opq" } else { "pq" })?;
                if let Some(m) = m {
                    write!(f, "{m}")?;
                }
                write!(f, "x{bits}")
            }
            Self::Sq { bits } => write!(f, "sq{bits}"),
            Self::Rabitq { bits: 1 } => f.write_str("rabitq"),
            Self::Rabitq { bits } => write!(f, "rabitq{bits}"),
            Self::Binary => f.write_str("binary"),
        }
    }
}

impl FromStr for QuantizerSpec {
    type Err = IndexError;

    /// Reads the text form and validates it. Without `x`, a segment has eight bits where `m` is given, four where not.
    fn from_str(text: &str) -> Result<Self, IndexError> {
        let unknown = || IndexError::BadCode {
            text: text.to_owned(),
        };
        let number = |text: &str| match text.as_bytes() {
            [b'1'..=b'9', ..] => text.parse::<u32>().map_err(|_| unknown()),
            b"0" => Ok(0),
            _ => Err(unknown()),
        };
        let (opq, rest) = match text.strip_prefix('o') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let spec = if text == "binary" {
            Self::Binary
        } else if let Some(bits) = text.strip_prefix("sq") {
            Self::Sq {
                bits: number(bits)?,
            }
        } else if let Some(bits) = text.strip_prefix("rabitq") {
            Self::Rabitq {
                bits: if bits.is_empty() { 1 } else { number(bits)? },
            }
        } else if let Some(sizes) = rest.strip_prefix("pq") {
            let (m, bits) = match sizes.split_once('x') {
                Some((m, bits)) => (m, number(bits)?),
                None => (sizes, if sizes.is_empty() { 4 } else { 8 }),
            };
            let m = (!m.is_empty()).then(|| number(m)).transpose()?;
            Self::Pq { m, bits, opq }
        } else {
            return Err(unknown());
        };
        spec.validate()?;
        Ok(spec)
    }
}

impl TryFrom<String> for QuantizerSpec {
    type Error = IndexError;

    fn try_from(text: String) -> Result<Self, IndexError> {
        text.parse()
    }
}

impl From<QuantizerSpec> for String {
    fn from(spec: QuantizerSpec) -> Self {
        spec.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        for (text, spec) in [
            ("pq", QuantizerSpec::PQ),
            (
                "pq16x8",
                QuantizerSpec::Pq {
                    m: Some(16),
                    bits: 8,
                    opq: false,
                },
            ),
            (
                "opqx5",
                QuantizerSpec::Pq {
                    m: None,
                    bits: 5,
                    opq: true,
                },
            ),
            ("sq4", QuantizerSpec::Sq { bits: 4 }),
            ("rabitq", QuantizerSpec::Rabitq { bits: 1 }),
            ("rabitq7", QuantizerSpec::Rabitq { bits: 7 }),
            ("binary", QuantizerSpec::Binary),
        ] {
            assert_eq!(text.parse::<QuantizerSpec>().unwrap(), spec);
            assert_eq!(spec.to_string(), text);
        }
        assert_eq!(
            "pq16".parse::<QuantizerSpec>().unwrap().to_string(),
            "pq16x8"
        );
    }

    #[test]
    fn what_is_no_code_is_refused_with_a_reason() {
        for (text, named) in [
            ("pq0x4", "from 1 to 65,535"),
            ("pq8x3", "from 4 to 12"),
            ("pq8x13", "from 4 to 12"),
            ("sq5", "4 or 8"),
            ("rabitq9", "from 1 to 8"),
            ("rabitq0", "from 1 to 8"),
            ("pq8x", "`pq8x`"),
            ("pq-1", "`pq-1`"),
            ("pq01", "`pq01`"),
            ("obinary", "`obinary`"),
            ("", "``"),
            ("turbo", "`turbo`"),
        ] {
            let error = text.parse::<QuantizerSpec>().unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
        assert!(QuantizerSpec::PQ.check_dim(1).is_ok());
        let eight: QuantizerSpec = "pq8".parse().unwrap();
        assert!(eight.check_dim(8).is_ok() && eight.check_dim(7).is_err());
    }
}
