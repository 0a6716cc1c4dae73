//! The order of values, the same for the row-by-row oracle and for the indexes.
//!
//! Values of different classes (number, date-time, text, truth, point) have no order: neither equal nor less. Points
//! have one for the sake of their index only.

use super::Value;
use std::cmp::Ordering;

/// The order of two scalars of one class; none for other classes, null, arrays and NaN.
pub(crate) fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Float(b)) => compare_int_float(*a, *b),
        (Value::Float(a), Value::Int(b)) => compare_int_float(*b, *a).map(Ordering::reverse),
        (Value::DateTime(a), Value::DateTime(b)) => Some(a.cmp(b)),
        (Value::String(a), Value::String(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Value::Geo(a), Value::Geo(b)) => Some(a.key().cmp(&b.key())),
        _ => None,
    }
}

/// Exact order of an integer and a float: neither side is rounded. None for NaN.
pub(crate) fn compare_int_float(int: i64, float: f64) -> Option<Ordering> {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    if float.is_nan() {
        None
    } else if float >= TWO_63 {
        Some(Ordering::Less)
    } else if float < -TWO_63 {
        Some(Ordering::Greater)
    } else {
        // In range, so the whole part converts without loss; then the fraction decides.
        let whole = float.trunc();
        let fraction_order = whole.partial_cmp(&float)?;
        Some(int.cmp(&(whole as i64)).then(fraction_order))
    }
}

/// The float equal to an integer, if there is one.
pub(crate) fn exact_float(int: i64) -> Option<f64> {
    let float = int as f64;
    (compare_int_float(int, float) == Some(Ordering::Equal)).then_some(float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Ordering::{Equal, Greater, Less};

    #[test]
    fn integers_and_floats_compare_exactly() {
        let two_53 = 1i64 << 53;
        let cases = [
            (1, 1.0, Equal),
            (1, 1.5, Less),
            (2, 1.5, Greater),
            (-1, -1.5, Greater),
            (-2, -1.5, Less),
            (0, -0.0, Equal),
            (0, -0.5, Greater),
            (0, 5e-324, Less),
            (two_53 + 1, two_53 as f64, Greater),
            (two_53 + 1, (two_53 + 2) as f64, Less),
            (i64::MAX, 9_223_372_036_854_775_808.0, Less),
            (i64::MIN, -9_223_372_036_854_775_808.0, Equal),
            (i64::MIN, f64::NEG_INFINITY, Greater),
            (i64::MAX, f64::INFINITY, Less),
        ];
        for (int, float, expected) in cases {
            assert_eq!(
                compare_int_float(int, float),
                Some(expected),
                "{int} against {float}"
            );
            assert_eq!(
                compare(&Value::Float(float), &Value::Int(int)),
                Some(expected.reverse())
            );
        }
        assert_eq!(compare_int_float(0, f64::NAN), None);
        assert_eq!(exact_float(two_53 + 1), None);
        assert_eq!(exact_float(two_53 + 2), Some(9_007_199_254_740_994.0));
        assert_eq!(exact_float(i64::MAX), None);
    }

    #[test]
    fn classes_do_not_mix() {
        assert_eq!(compare(&Value::Int(0), &Value::DateTime(0)), None);
        assert_eq!(compare(&Value::from("1"), &Value::Int(1)), None);
        assert_eq!(compare(&Value::Bool(true), &Value::Int(1)), None);
        assert_eq!(compare(&Value::Null, &Value::Null), None);
    }
}
