//! One order of all scalars, for sorting by a field and for telling which values are the same.

use super::Value;
use super::compare::compare;
use crate::schema::FieldKind;
use std::cmp::Ordering;

/// A scalar that sorts and compares with every other: false, true, then numbers, date-times, texts and points on the earth.
///
/// Integers and floats are one number line: `Int(1)` and `Float(1.0)` are equal here.
#[derive(Clone, Debug)]
pub struct SortValue(Value);

impl SortValue {
    /// None for null, arrays and NaN, which have no place in the order.
    pub fn new(value: Value) -> Option<SortValue> {
        compare(&value, &value).map(|_| SortValue(value))
    }

    /// What a point sorts by that has this value in the field: its smallest element, or its largest where the order
    /// descends. None where there is no value, null or nothing but nulls.
    pub fn of(value: Option<&Value>, descending: bool) -> Option<SortValue> {
        let elements = value?.elements().iter().cloned();
        let values = elements.filter_map(SortValue::new);
        if descending {
            values.max()
        } else {
            values.min()
        }
    }

    /// The different elements of a value, ascending; nulls are none.
    pub fn all_of(value: &Value) -> Vec<SortValue> {
        let elements = value.elements().iter().cloned();
        let mut values: Vec<SortValue> = elements.filter_map(SortValue::new).collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    /// The value.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// The value.
    pub fn into_value(self) -> Value {
        self.0
    }

    /// The place of its class in the order.
    pub(crate) fn class(&self) -> u8 {
        self.0.kind().map_or(u8::MAX, class_of)
    }
}

/// The place of the class of a kind; integers and floats are one class.
pub(crate) fn class_of(kind: FieldKind) -> u8 {
    match kind {
        FieldKind::Bool => 0,
        FieldKind::Int | FieldKind::Float => 1,
        FieldKind::DateTime => 2,
        FieldKind::String | FieldKind::Text | FieldKind::Uuid => 3,
        FieldKind::Geo => 4,
    }
}

impl Ord for SortValue {
    fn cmp(&self, other: &Self) -> Ordering {
        // Of one class there is always an order: values without one are not made.
        compare(&self.0, &other.0).unwrap_or_else(|| self.class().cmp(&other.class()))
    }
}

impl PartialOrd for SortValue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for SortValue {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for SortValue {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_all_classes_have_one_order() {
        let ascending = [
            Value::Bool(false),
            Value::Bool(true),
            Value::Int(-1),
            Value::Float(-0.5),
            Value::Int(1 << 53),
            Value::DateTime(-5),
            Value::from(""),
            Value::from("a"),
        ];
        let values: Vec<SortValue> = ascending
            .iter()
            .map(|value| SortValue::new(value.clone()).unwrap())
            .collect();
        assert!(values.is_sorted_by(|a, b| a < b));
        assert_eq!(
            SortValue::new(Value::Int(1)),
            SortValue::new(Value::Float(1.0))
        );
        for none in [
            Value::Null,
            Value::Array(vec![Value::Int(1)]),
            Value::Float(f64::NAN),
        ] {
            assert!(SortValue::new(none).is_none());
        }
    }

    #[test]
    fn arrays_sort_by_their_ends() {
        let value = Value::Array(vec![Value::Int(3), Value::Null, Value::Int(-1)]);
        let of = |descending| SortValue::of(Some(&value), descending).map(SortValue::into_value);
        assert_eq!(of(false), Some(Value::Int(-1)));
        assert_eq!(of(true), Some(Value::Int(3)));
        for none in [
            Value::Null,
            Value::Array(vec![]),
            Value::Array(vec![Value::Null]),
        ] {
            assert_eq!(SortValue::of(Some(&none), false), None);
            assert!(SortValue::all_of(&none).is_empty());
        }
        assert_eq!(SortValue::of(None, true), None);
        let twice = Value::Array(vec![Value::Float(2.0), Value::Int(2), Value::Int(1)]);
        assert_eq!(SortValue::all_of(&twice).len(), 2);
    }
}
