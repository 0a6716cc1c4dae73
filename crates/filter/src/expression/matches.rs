//! Row-by-row evaluation: the oracle for the indexes, and the way rows without index are filtered.

use super::{Bound, Filter};
use crate::value::{Metadata, Value, compare::compare};
use std::cmp::Ordering;

impl Filter {
    /// Whether a point with this metadata is meant.
    pub fn matches(&self, metadata: &Metadata) -> bool {
        let ordered = |field: &String, literal: &Value, bound: Bound| {
            metadata.get(field).is_some_and(|value| {
                value
                    .elements()
                    .iter()
                    .any(|element| bound.holds(element, literal))
            })
        };
        match self {
            Filter::All => true,
            Filter::Eq(field, literal) => equals(metadata.get(field), literal),
            Filter::Ne(field, literal) => !equals(metadata.get(field), literal),
            Filter::Gt(field, literal) => ordered(field, literal, Bound::Gt),
            Filter::Gte(field, literal) => ordered(field, literal, Bound::Gte),
            Filter::Lt(field, literal) => ordered(field, literal, Bound::Lt),
            Filter::Lte(field, literal) => ordered(field, literal, Bound::Lte),
            Filter::In(field, literals) => equals_any(metadata.get(field), literals),
            Filter::Nin(field, literals) => !equals_any(metadata.get(field), literals),
            Filter::Exists(field, exists) => metadata.contains_key(field) == *exists,
            Filter::And(parts) => parts.iter().all(|part| part.matches(metadata)),
            Filter::Or(parts) => parts.iter().any(|part| part.matches(metadata)),
            Filter::Not(part) => !part.matches(metadata),
        }
    }
}

impl Bound {
    fn holds(self, element: &Value, literal: &Value) -> bool {
        if matches!(element, Value::Bool(_)) {
            return false;
        }
        let Some(order) = compare(element, literal) else {
            return false;
        };
        match self {
            Bound::Gt => order == Ordering::Greater,
            Bound::Gte => order != Ordering::Less,
            Bound::Lt => order == Ordering::Less,
            Bound::Lte => order != Ordering::Greater,
        }
    }
}

fn equals_any(value: Option<&Value>, literals: &[Value]) -> bool {
    literals.iter().any(|literal| equals(value, literal))
}

fn equals(value: Option<&Value>, literal: &Value) -> bool {
    match (value, literal) {
        (None, literal) => *literal == Value::Null,
        (Some(value), Value::Null) => value.elements().contains(&Value::Null),
        (Some(value), literal) => value
            .elements()
            .iter()
            .any(|element| compare(element, literal) == Some(Ordering::Equal)),
    }
}
