//! The errors of this crate: each names the value that was wrong and what would be right.

use crate::{ElementType, Metric};

/// What can be wrong with a vector, a layout or a name.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VectorError {
    /// A vector of another length than the field has.
    #[error("vector has {got} dimensions, expected {expected}")]
    DimensionMismatch {
        /// Dimensions of the field.
        expected: usize,
        /// Dimensions given.
        got: usize,
    },
    /// NaN or an infinity.
    #[error("value {value} at position {position} is not a finite number")]
    NotFinite {
        /// Index in the vector, from 0.
        position: usize,
        /// The value.
        value: f32,
    },
    /// Cosine has no direction for a vector of zeros.
    #[error(
        "a vector of zeros has no direction: the cosine metric needs at least one non-zero value"
    )]
    ZeroVector,
    /// A number that the element type cannot hold.
    #[error("value {value} at position {position} does not fit {element}: expected {}", .element.range())]
    OutOfRange {
        /// Index in the vector, from 0.
        position: usize,
        /// The value.
        value: f32,
        /// The element type.
        element: ElementType,
    },
    /// A metric that is not defined on this element type.
    #[error("metric {metric} does not work on {element} vectors; it works on {}", .metric.elements())]
    Unsupported {
        /// The metric.
        metric: Metric,
        /// The element type.
        element: ElementType,
    },
    /// Sizes that do not fit together.
    #[error("bad layout: {0}")]
    BadLayout(String),
    /// A word that is no metric, element type or instruction set.
    #[error("unknown {what} '{name}'; expected one of {expected}")]
    UnknownName {
        /// What was looked for, such as "metric".
        what: &'static str,
        /// The word given.
        name: String,
        /// The words that are right, separated by commas.
        expected: String,
    },
}
