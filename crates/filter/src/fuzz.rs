//! Entry points for fuzzers and property tests: any input, no panic, and what must hold besides.

use crate::expression::Filter;
use crate::schema::MetadataSchema;
use crate::value::{Metadata, decode_metadata, encode_metadata};

/// Reads any text as a filter. Returns whether it was one.
///
/// # Panics
/// If a filter changes when it is written and read again, or if its evaluation breaks a law of logic:
/// these are the failures to find.
pub fn filter_text(text: &str) -> bool {
    let Ok(filter) = Filter::parse_str(text) else {
        return false;
    };
    match Filter::parse(&filter.to_json()) {
        Ok(again) => assert_eq!(again, filter, "the filter changed on the way through JSON"),
        Err(error) => panic!("the filter does not read back: {error}"),
    }
    let empty = Metadata::new();
    let negated = !filter.clone();
    assert_ne!(filter.matches(&empty), negated.matches(&empty));
    // A schema without fields knows no types: whatever parses passes, if not for the depth.
    assert!(filter.check(&MetadataSchema::new()).is_ok() || has_order_of_what_has_none(&filter));
    true
}

/// Reads any bytes as stored metadata. Returns whether they were.
///
/// # Panics
/// If metadata changes when it is written and read again.
pub fn metadata_bytes(bytes: &[u8]) -> bool {
    let Ok(metadata) = decode_metadata(bytes) else {
        return false;
    };
    let mut written = Vec::new();
    encode_metadata(&metadata, &mut written);
    match decode_metadata(&written) {
        Ok(again) => assert_eq!(again, metadata, "the metadata changed on the way"),
        Err(error) => panic!("the metadata does not read back: {error}"),
    }
    true
}

/// `$lt: true` and the like parse but never pass the check.
fn has_order_of_what_has_none(filter: &Filter) -> bool {
    use crate::value::Value::{Bool, Geo};
    match filter {
        Filter::Gt(_, Bool(_) | Geo(_))
        | Filter::Gte(_, Bool(_) | Geo(_))
        | Filter::Lt(_, Bool(_) | Geo(_))
        | Filter::Lte(_, Bool(_) | Geo(_)) => true,
        Filter::And(parts) | Filter::Or(parts) => parts.iter().any(has_order_of_what_has_none),
        Filter::Not(part) => has_order_of_what_has_none(part),
        _ => false,
    }
}
