//! The fuzzers' entry points on generated input: 20,000 mutated filters and as many metadata encodings.

mod generate;

use generate::Random;
use vecdb_filter::{Metadata, Value, encode_metadata, fuzz};

const SEED: u64 = 0x5eed_0001;

/// Deletes, doubles, swaps in or overwrites a few parts.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>, pieces: &[&[u8]]) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let len = random.below(8).min(bytes.len() - at);
        match random.below(4) {
            0 => drop(bytes.drain(at..at + len)),
            1 => {
                let copy = bytes[at..at + len].to_vec();
                bytes.splice(at..at, copy);
            }
            2 => drop(bytes.splice(at..at + len, pieces[random.below(pieces.len())].to_vec())),
            _ if at < bytes.len() => bytes[at] = random.next() as u8,
            _ => bytes.push(random.next() as u8),
        }
    }
}

#[test]
fn mutated_filters_never_panic() {
    println!("seed {SEED:#x}");
    let starts = [
        r#"{"category": "electronics", "price": {"$lt": 100}, "$or": [{"a": 1}, {"b": null}]}"#,
        r#"{"a": {"$in": [1, 2.5, "x", true, null]}, "b": {"$nin": []}}"#,
        r#"{"$not": {"$and": [{"a": {"$not": {"$gte": -1e300}}}, {}]}}"#,
        r#"{"at": {"$gte": "2026-01-31T12:30:00Z", "$lte": "2026-02-01"}}"#,
        r#"{"x": {"$exists": true, "$ne": "\u00e9"}}"#,
    ];
    let pieces: Vec<&[u8]> = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "$or",
        "$and",
        "$not",
        "$in",
        "$eq",
        "{\"$not\":",
        "null",
        "true",
        "-0.0",
        "1e999",
        "9223372036854775808",
        "[{}]",
        "{}",
        "\\ud800",
        "é",
        "\"a\":",
    ]
    .map(str::as_bytes)
    .to_vec();
    let mut random = Random(SEED);
    let mut accepted = 0;
    for case in 0..20_000 {
        let mut bytes = starts[case % starts.len()].as_bytes().to_vec();
        mutate(&mut random, &mut bytes, &pieces);
        accepted += usize::from(fuzz::filter_text(&String::from_utf8_lossy(&bytes)));
    }
    // The mutations are neither all harmless nor all fatal, or they test nothing.
    assert!((500..15_000).contains(&accepted), "{accepted} accepted");
}

#[test]
fn mutated_metadata_never_panics() {
    println!("seed {SEED:#x}");
    let metadata = Metadata::from([
        ("a".to_owned(), Value::from(vec![1.5, -0.0])),
        ("b".to_owned(), Value::from("text")),
        ("c".to_owned(), Value::Int(-300)),
        ("d".to_owned(), Value::DateTime(1)),
        ("e".to_owned(), Value::Array(vec![Value::Null, true.into()])),
    ]);
    let mut start = Vec::new();
    encode_metadata(&metadata, &mut start);
    assert!(fuzz::metadata_bytes(&start));
    let mut random = Random(SEED);
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut bytes = start.clone();
        mutate(
            &mut random,
            &mut bytes,
            &[&[0], &[1], &[7, 255], &[255; 9], &[128; 3]],
        );
        accepted += usize::from(fuzz::metadata_bytes(&bytes));
    }
    assert!((100..15_000).contains(&accepted), "{accepted} accepted");
}
