//! Properties of the field indexes on random metadata and random filters: evaluation equals the
//! row-by-row oracle, the estimate's bounds hold, and counts are exact where they are said to be.

mod generate;

use generate::{
    Shape, evaluate, random_filter, random_metadata, write_and_open, write_and_open_fields,
    write_and_open_schema,
};
use vecdb_filter::{FieldKind, Filter, Metadata, MetadataSchema, Value};
use vecdb_vector::RowId;

use generate::Random;

/// Compares one filter with the oracle on all rows.
fn check(
    indexes: &vecdb_filter::FieldIndexes,
    points: &[Metadata],
    filter: &Filter,
    context: &str,
) -> u32 {
    let evaluation = evaluate(indexes, points, filter).unwrap();
    let mask = evaluation.mask;
    assert_eq!(mask.rows() as usize, points.len());
    for (row, point) in points.iter().enumerate() {
        assert_eq!(
            mask.contains(RowId(row as u32)),
            filter.matches(point),
            "{context}: row {row} {point:?} filter {filter:?}"
        );
    }
    // What is known without reading a row holds wherever the filter does.
    match indexes.known_of(filter) {
        None => assert_eq!(evaluation.rows_read, 0, "{context}: {filter:?}"),
        Some(known) => {
            let told = evaluate(indexes, points, &known).unwrap();
            assert_eq!(told.rows_read, 0, "{context}: {known:?} of {filter:?}");
            assert!(
                mask.and_not(&told.mask).is_none(),
                "{context}: {known:?} of {filter:?}"
            );
        }
    }
    let estimate = indexes.estimate(filter);
    assert!(
        (estimate.min..=estimate.max).contains(&mask.count())
            && (estimate.min..=estimate.max).contains(&estimate.likely),
        "{context}: {} rows, {estimate:?}, filter {filter:?}",
        mask.count()
    );
    mask.count()
}

#[test]
fn evaluation_equals_the_oracle() {
    let mut cases = 0;
    let mut found = 0;
    for seed in 0..60 {
        let mut random = Random(seed);
        let shape = Shape::random(&mut random);
        let points: Vec<Metadata> = (0..shape.rows)
            .map(|_| random_metadata(&mut random, &shape))
            .collect();
        let indexes = write_and_open(&points);
        for case in 0..100 {
            let filter = random_filter(&mut random, &shape, 3);
            let context = format!("seed {seed} case {case}");
            let count = check(&indexes, &points, &filter, &context);
            found += usize::from(count > 0 && (count as usize) < points.len());
            cases += 1;
        }
    }
    // Filters that match all or nothing test little.
    assert!(
        found * 4 > cases,
        "{found} of {cases} filters were selective"
    );
}

/// Whichever indexes are added to those of a segment or dropped, filters match the same rows.
#[test]
fn added_and_dropped_indexes_equal_the_oracle() {
    for seed in 0..20 {
        let mut random = Random(1_000 + seed);
        let shape = Shape::random(&mut random);
        let points: Vec<Metadata> = (0..shape.rows)
            .map(|_| random_metadata(&mut random, &shape))
            .collect();
        let written = write_and_open(&points);
        let more = write_and_open_fields(&points, &["hidden"]);
        assert!(more.unindexed().next().is_none(), "only what was asked for");
        let dropped = ["int", "words", "text"];
        let all = written.combine(Some(&more), |_| false);
        let some = written.combine(Some(&more), |field| dropped.contains(&field));
        assert_eq!(all.unindexed().count(), 0);
        let there = |field: &&str| points.iter().any(|point| point.contains_key(*field));
        let unindexed: Vec<&str> = ["int", "text", "words"].into_iter().filter(there).collect();
        assert_eq!(some.unindexed().collect::<Vec<_>>(), unindexed);
        assert_eq!(
            all.fields().len(),
            some.fields().len() + unindexed.len(),
            "no other field is lost"
        );
        for case in 0..50 {
            let filter = random_filter(&mut random, &shape, 2);
            for indexes in [&all, &some] {
                check(
                    indexes,
                    &points,
                    &filter,
                    &format!("seed {seed} case {case}"),
                );
            }
            let none_read = evaluate(&all, &points, &filter).unwrap().unindexed;
            assert!(none_read.is_empty() && all.unindexed_of(&filter).is_empty());
            let read = evaluate(&some, &points, &filter).unwrap().unindexed;
            assert!(read.is_subset(&some.unindexed_of(&filter)), "{filter}");
        }
    }
}

#[test]
fn estimates_are_exact_for_scalar_fields() {
    let mut random = Random(7);
    let shape = Shape {
        rows: 3_000,
        arrays: false,
        ..Shape::random(&mut random)
    };
    let points: Vec<Metadata> = (0..shape.rows)
        .map(|_| random_metadata(&mut random, &shape))
        .collect();
    let indexes = write_and_open(&points);
    for case in 0..2_000 {
        let filter = random_filter(&mut random, &shape, 0);
        // Of these no counts are kept.
        let shown = filter.to_string();
        let uncounted = [
            "words",
            "hidden",
            "$text",
            "$phrase",
            "$contains",
            "$geoWithin",
        ];
        if uncounted.iter().any(|name| shown.contains(name)) {
            continue;
        }
        let count = check(&indexes, &points, &filter, &format!("case {case}"));
        let estimate = indexes.estimate(&filter);
        assert!(
            estimate.is_exact(),
            "{estimate:?} for {count} rows: {filter:?}"
        );
    }
}

/// A segment written while the field was integer answers float literals, and one merged after the
/// field was widened holds both, with no integer rounded.
#[test]
fn widened_integers_stay_exact() {
    let two_53 = 1i64 << 53;
    let ints: Vec<i64> = [-two_53, two_53, i64::MIN, i64::MAX, 0, 5]
        .iter()
        .flat_map(|&middle| (-3..=3).map(move |d| middle.saturating_add(d)))
        .collect();
    let mut literals: Vec<Value> = ints.iter().copied().map(Value::Int).collect();
    for &int in &ints {
        for offset in [-0.5, 0.0, 0.5, 1.0] {
            literals.push(Value::Float(int as f64 + offset));
        }
    }
    literals.extend([f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -0.0].map(Value::Float));
    let point = |value| Metadata::from([("n".to_owned(), value)]);
    let old: Vec<Metadata> = ints.iter().map(|&int| point(Value::Int(int))).collect();
    let floats = [
        0.5,
        -0.0,
        9.007_199_254_740_992e15,
        -9.223_372_036_854_776e18,
        1e300,
    ];
    let mut schema = MetadataSchema::new();
    let merged: Vec<Metadata> = old
        .iter()
        .cloned()
        .chain(floats.map(|float| point(Value::Float(float))))
        .map(|point| schema.observe(&point).unwrap())
        .collect();
    for points in [old, merged] {
        let indexes = write_and_open(&points);
        for literal in &literals {
            let field = "n".to_owned();
            let value = literal.clone();
            for filter in [
                Filter::Eq(field.clone(), value.clone()),
                Filter::Ne(field.clone(), value.clone()),
                Filter::Gt(field.clone(), value.clone()),
                Filter::Gte(field.clone(), value.clone()),
                Filter::Lt(field.clone(), value.clone()),
                Filter::Lte(field.clone(), value.clone()),
                Filter::In(field, vec![value, Value::Int(two_53 + 1)]),
            ] {
                check(&indexes, &points, &filter, "widened");
            }
        }
    }
    assert_eq!(schema.field("n").unwrap().kind, Some(FieldKind::Float));
}

/// More rows than one chunk of a mask, dense and sparse postings, wide ranges by complement.
#[test]
fn many_rows() {
    let points: Vec<Metadata> = (0..150_000i64)
        .map(|row| {
            let mut point = Metadata::from([
                ("n".to_owned(), Value::Int(row * 7_919 % 150_000)),
                ("parity".to_owned(), Value::Bool(row % 2 == 0)),
                (
                    "section".to_owned(),
                    Value::from(["games", "net", "doc"][(row % 3) as usize]),
                ),
                ("name".to_owned(), Value::from(format!("package-{row:06}"))),
            ]);
            if row % 1_000 == 7 {
                point.insert(
                    "tags".to_owned(),
                    vec![format!("t{}", row % 40), "rare".to_owned()].into(),
                );
            }
            point
        })
        .collect();
    let indexes = write_and_open(&points);
    let cases = [
        (Filter::gt("n", 10), 149_989),
        (Filter::lt("n", 10), 10),
        (
            Filter::gte("n", 75_000).and(Filter::eq("section", "net")),
            25_000,
        ),
        (Filter::eq("parity", true), 75_000),
        (Filter::ne("section", "doc"), 100_000),
        (Filter::gte("name", "package-149990"), 10),
        (Filter::lt("name", "package-149990"), 149_990),
        (Filter::eq("tags", "rare"), 150),
        (!Filter::exists("tags", true), 149_850),
        (
            Filter::eq("n", 5).or(Filter::eq("name", "package-000000")),
            2,
        ),
    ];
    for (filter, expected) in cases {
        assert_eq!(
            check(&indexes, &points, &filter, "many rows"),
            expected,
            "{filter}"
        );
    }
}

/// Ranges bounded from one side and from both, of fields that all rows have, few have, that have two kinds of
/// numbers, and of arrays, where two bounds may be met by two elements.
#[test]
fn ranges_of_numbers() {
    let mut random = Random(11);
    for rows in [1_000usize, 1_024, 5_001, 70_000] {
        let points: Vec<Metadata> = (0..rows)
            .map(|row| {
                let number = random.below(500) as i64;
                let mut point = Metadata::from([
                    ("all".to_owned(), Value::Int(number)),
                    (
                        "float".to_owned(),
                        Value::Float(random.below(rows) as f64 / 7.0),
                    ),
                ]);
                if row % 5 == 0 {
                    point.insert("some".to_owned(), Value::Int(row as i64));
                }
                if row % 100 == 0 {
                    point.insert("few".to_owned(), Value::Int(number));
                }
                let mixed = match row % 3 {
                    0 => Value::Float(number as f64 + 0.5),
                    1 => Value::Int(number),
                    _ => Value::Null,
                };
                point.insert("mixed".to_owned(), mixed);
                point.insert("pair".to_owned(), vec![number, 600 - number].into());
                point
            })
            .collect();
        let indexes = write_and_open(&points);
        indexes.verify().unwrap();
        let cases = if rows > 10_000 { 20 } else { 60 };
        for case in 0..cases {
            for field in ["all", "float", "some", "few", "mixed", "pair", "none"] {
                let most = match field {
                    "float" => rows as i64 / 7,
                    "some" => rows as i64,
                    _ => 500,
                };
                let [low, high] = [0; 2].map(|_| random.below(most as usize + 20) as i64 - 10);
                let filter = match case % 4 {
                    0 => Filter::gt(field, low),
                    1 => Filter::gte(field, low).and(Filter::lt(field, high)),
                    2 => Filter::lte(field, high).and(Filter::gt(field, low as f64 + 0.5)),
                    _ => Filter::gte(field, low.min(high))
                        .and(Filter::lte(field, low.max(high)))
                        .and(Filter::gte("all", 100).and(Filter::lt("all", 400))),
                };
                check(&indexes, &points, &filter, &format!("{rows} rows"));
            }
        }
        let one_sided = [Filter::gte("all", i64::MIN), Filter::lt("all", i64::MIN)];
        let found = one_sided.map(|filter| check(&indexes, &points, &filter, "ends"));
        assert_eq!(found, [rows as u32, 0]);
        let narrow = Filter::gte("all", 240).and(Filter::lt("all", 250));
        assert!(
            indexes.estimate(&narrow).is_exact(),
            "{:?}",
            indexes.estimate(&narrow)
        );
    }
}

/// Facets and field information against counting.
#[test]
fn values_and_fields_equal_counting() {
    for seed in 100..120 {
        let mut random = Random(seed);
        let shape = Shape::random(&mut random);
        let points: Vec<Metadata> = (0..shape.rows)
            .map(|_| random_metadata(&mut random, &shape))
            .collect();
        let indexes = write_and_open(&points);
        for info in indexes.fields() {
            let having: Vec<&Value> = points.iter().filter_map(|p| p.get(&info.name)).collect();
            assert_eq!(info.present as usize, having.len(), "seed {seed} {info:?}");
            let all = indexes.values(&info.name, usize::MAX).unwrap();
            assert_eq!(info.distinct as usize, all.len(), "seed {seed} {info:?}");
            if info.name == "words" {
                assert!(all.iter().all(|(word, _)| *word != Value::from("Chess")));
                continue;
            }
            assert!(all.is_sorted_by_key(|(_, count)| std::cmp::Reverse(*count)));
            let pairs: u64 = all.iter().map(|(_, count)| u64::from(*count)).sum();
            assert_eq!(info.entries, pairs, "seed {seed} {info:?}");
            for (value, count) in &all {
                let holders = having
                    .iter()
                    .filter(|held| held.elements().contains(value))
                    .count();
                assert_eq!(*count as usize, holders, "seed {seed} {value:?}");
            }
            let some = indexes.values(&info.name, 3).unwrap();
            assert_eq!(some, all[..all.len().min(3)], "seed {seed}");
            assert!(indexes.values(&info.name, 0).unwrap().is_empty());
        }
        assert!(indexes.values("no such field", 5).unwrap().is_empty());
    }
}

/// A field with a stemmer finds all forms of a word, by its index as by its texts; without stems in the index they are read.
#[test]
fn stems_equal_the_oracle() {
    let schema: MetadataSchema = serde_json::from_value(serde_json::json!({"fields": {
        "body": {"kind": "text", "array": false, "declared": true, "stemmer": "english"},
    }}))
    .unwrap();
    let texts = [
        "A chess engine",
        "Engines, running fast",
        "he runs; she ran",
        "engraved",
        "ENGINE",
        "?",
        "run",
    ];
    let points: Vec<Metadata> = (0..300)
        .map(|row| match row % 8 {
            7 => Metadata::new(),
            at => Metadata::from([("body".to_owned(), Value::from(texts[at]))]),
        })
        .collect();
    let stemmed = write_and_open_schema(&points, &schema);
    let unstemmed = write_and_open_schema(
        &points,
        &serde_json::from_value(serde_json::json!({"fields": {
            "body": {"kind": "text", "array": false, "declared": true},
        }}))
        .unwrap(),
    );
    for (filter, matching) in [
        (Filter::text("body", "engines"), vec![0, 1, 4]),
        (Filter::text("body", "Engine running"), vec![1]),
        (Filter::text("body", "runs"), vec![1, 2, 6]),
        (Filter::text("body", "engin*"), vec![0, 1, 4]),
        (Filter::text("body", "runni*"), vec![1]),
        (Filter::phrase("body", "engines running"), vec![1]),
        (Filter::phrase("body", "engine running"), vec![]),
        (Filter::phrase("body", "run"), vec![6]),
    ] {
        let filter = filter.unwrap().check(&schema).unwrap();
        let rows = (0..300).filter(|row| matching.contains(&(row % 8))).count();
        for indexes in [&stemmed, &unstemmed] {
            assert_eq!(
                check(indexes, &points, &filter, "stems") as usize,
                rows,
                "{filter}"
            );
        }
        let negated = !filter.clone();
        check(&stemmed, &points, &negated, "stems");
        // Asked for as they are, words are found as they are.
        let as_it_is = Filter::text("body", "engines").unwrap();
        assert_eq!(check(&stemmed, &points, &as_it_is, "words"), 38);
    }
    assert_eq!(
        evaluate(
            &stemmed,
            &points,
            &Filter::text("body", "runs")
                .unwrap()
                .check(&schema)
                .unwrap()
        )
        .unwrap()
        .rows_read,
        0
    );
    let words = stemmed.values("body", usize::MAX).unwrap();
    assert_eq!(
        words,
        unstemmed.values("body", usize::MAX).unwrap(),
        "stems are no values"
    );
}
