//! Row-by-row evaluation: the oracle for the indexes, and the way rows without index are filtered.

use super::{Bound, Filter};
use crate::value::{Metadata, Value, compare::compare};
use std::cmp::Ordering;

impl Filter {
    /// Whether a point with this metadata is meant.
    pub fn matches(&self, metadata: &Metadata) -> bool {
        match self {
            Filter::All => true,
            Filter::And(parts) => parts.iter().all(|part| part.matches(metadata)),
            Filter::Or(parts) => parts.iter().any(|part| part.matches(metadata)),
            Filter::Not(part) => !part.matches(metadata),
            condition => {
                let field = condition.field().unwrap_or_default();
                condition.holds_for(metadata.get(field))
            }
        }
    }

    /// The conditions on fields that it is made of, in order.
    pub fn conditions(&self) -> Vec<&Filter> {
        match self {
            Filter::All => Vec::new(),
            Filter::And(parts) | Filter::Or(parts) => {
                parts.iter().flat_map(Filter::conditions).collect()
            }
            Filter::Not(part) => part.conditions(),
            condition => vec![condition],
        }
    }

    /// How many values it compares with.
    pub fn literals(&self) -> usize {
        let conditions = self
            .conditions()
            .into_iter()
            .map(|condition| match condition {
                Filter::In(_, values) | Filter::Nin(_, values) => values.len(),
                _ => 1,
            });
        conditions.sum()
    }

    /// The field of a condition; none for what joins conditions.
    pub(crate) fn field(&self) -> Option<&str> {
        match self {
            Filter::All | Filter::And(_) | Filter::Or(_) | Filter::Not(_) => None,
            Filter::Eq(field, _)
            | Filter::Ne(field, _)
            | Filter::Gt(field, _)
            | Filter::Gte(field, _)
            | Filter::Lt(field, _)
            | Filter::Lte(field, _)
            | Filter::In(field, _)
            | Filter::Nin(field, _)
            | Filter::StartsWith(field, _)
            | Filter::Contains(field, _)
            | Filter::Text(field, _)
            | Filter::Phrase(field, _)
            | Filter::GeoWithin(field, _)
            | Filter::Exists(field, _) => Some(field),
        }
    }

    /// Whether a condition holds for its field's value, none where the field is missing. What joins conditions holds
    /// for nothing.
    pub(crate) fn holds_for(&self, value: Option<&Value>) -> bool {
        let elements = value.map_or(&[][..], Value::elements);
        let ordered = |literal: &Value, bound: Bound| {
            elements.iter().any(|element| bound.holds(element, literal))
        };
        let has_text = |test: &dyn Fn(&str) -> bool| {
            elements.iter().any(|element| match element {
                Value::String(text) => test(text),
                _ => false,
            })
        };
        match self {
            Filter::All | Filter::And(_) | Filter::Or(_) | Filter::Not(_) => false,
            Filter::Eq(_, literal) => equals(value, literal),
            Filter::Ne(_, literal) => !equals(value, literal),
            Filter::Gt(_, literal) => ordered(literal, Bound::Gt),
            Filter::Gte(_, literal) => ordered(literal, Bound::Gte),
            Filter::Lt(_, literal) => ordered(literal, Bound::Lt),
            Filter::Lte(_, literal) => ordered(literal, Bound::Lte),
            Filter::In(_, literals) => equals_any(value, literals),
            Filter::Nin(_, literals) => !equals_any(value, literals),
            Filter::StartsWith(..)
            | Filter::Contains(..)
            | Filter::Text(..)
            | Filter::Phrase(..) => has_text(&|text| self.holds_for_text(text)),
            Filter::GeoWithin(_, area) => elements.iter().any(|element| match element {
                Value::Geo(point) => area.contains(*point),
                _ => false,
            }),
            Filter::Exists(_, exists) => value.is_some() == *exists,
        }
    }

    /// Whether a condition on texts holds for this one.
    pub(crate) fn holds_for_text(&self, text: &str) -> bool {
        match self {
            Filter::StartsWith(_, prefix) => text.starts_with(prefix),
            Filter::Contains(_, part) => text.contains(part),
            Filter::Text(_, query) => query.all_in(text),
            Filter::Phrase(_, query) => query.phrase_in(text),
            _ => false,
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
