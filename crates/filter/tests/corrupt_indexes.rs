//! Damaged index bytes: an error that names field and place, never a panic, never a wrong row number.

mod generate;

use generate::{
    KIND, Random, Shape, evaluate, random_filter, random_metadata, write, write_and_open,
};
use std::path::Path;
use vecdb_filter::{
    Evaluation, FieldIndexBuilder, FieldIndexes, Filter, FilterError, Metadata, MetadataSchema,
    Value,
};
use vecdb_storage::{Disk, MemoryDisk, SectionFile, SectionWriter};
use vecdb_vector::RowId;

fn points(seed: u64, rows: usize, arrays: bool) -> (Shape, Vec<Metadata>) {
    let mut random = Random(seed);
    let shape = Shape {
        rows,
        distinct: 8,
        arrays,
        gaps: 3,
    };
    let points = (0..rows)
        .map(|_| random_metadata(&mut random, &shape))
        .collect();
    (shape, points)
}

/// Bytes that were changed and checksummed again: only the readers' own checks stand in the way.
#[test]
fn changed_bytes_under_good_checksums_do_no_harm() {
    let noticed = changed_bytes_do_no_harm(points(11, 400, true), 600);
    assert_eq!(noticed, 0, "nothing is derived of so few rows");
}

/// The same where ranges of numbers have sets of rows.
#[test]
fn changed_bytes_of_sets_of_rows_do_no_harm() {
    let noticed = changed_bytes_do_no_harm(points(13, 4_000, false), 100);
    assert!(noticed > 10, "{noticed}");
}

/// How often the indexes were found to contradict themselves.
fn changed_bytes_do_no_harm((shape, points): (Shape, Vec<Metadata>), seeds: u64) -> u32 {
    let rows = points.len() as u32;
    let disk = MemoryDisk::default();
    write(&disk, Path::new("good"), &points);
    let good = SectionFile::open(&disk, Path::new("good"), KIND, 1, None).unwrap();
    let sections: Vec<(String, Vec<u8>)> = good
        .names()
        .map(|name| {
            let bytes = good.section(name).unwrap().bytes_verified().unwrap();
            (name.to_owned(), bytes.to_vec())
        })
        .collect();
    let mut random = Random(12);
    let filters: Vec<Filter> = (0..60)
        .map(|_| random_filter(&mut random, &shape, 1))
        .collect();
    let (mut refused, mut passed, mut noticed) = (0, 0, 0);
    for seed in 0..seeds {
        let mut random = Random(seed);
        let target = random.below(sections.len());
        let disk = MemoryDisk::default();
        let mut writer = SectionWriter::create(&disk, Path::new("bad"), KIND, 1).unwrap();
        for (i, (name, bytes)) in sections.iter().enumerate() {
            let mut bytes = bytes.clone();
            if i == target {
                for _ in 0..=random.below(3) {
                    let at = random.below(bytes.len());
                    match random.below(3) {
                        0 => bytes.truncate(at),
                        1 => bytes.iter_mut().skip(at).take(8).for_each(|b| *b = 0xff),
                        _ => bytes.iter_mut().skip(at).take(1).for_each(|b| *b ^= 0x41),
                    }
                }
            }
            writer.add(name, &bytes).unwrap();
        }
        writer.finish().unwrap();
        let file = SectionFile::open(&disk, Path::new("bad"), KIND, 1, None).unwrap();
        let indexes = match FieldIndexes::open(&file, rows) {
            Ok(indexes) => indexes,
            Err(error) => {
                let error = error.to_string();
                assert!(
                    error.contains("(directory)") || error.contains("has no section"),
                    "seed {seed}: {error}"
                );
                refused += 1;
                continue;
            }
        };
        for filter in &filters {
            let estimate = indexes.estimate(filter);
            assert!(estimate.min <= estimate.max, "seed {seed}");
            match evaluate(&indexes, &points, filter) {
                Ok(Evaluation { mask, .. }) => {
                    assert!(mask.iter().all(|row| row.0 < rows), "seed {seed}");
                    passed += 1;
                }
                Err(FilterError::Corrupt { field, .. }) => {
                    // A wrong directory sends its readers to wrong places of any section.
                    let section = &sections[target].0;
                    assert!(
                        *section == format!("field:{field}") || section == "fields",
                        "seed {seed}: {field} is blamed for {section}"
                    );
                    refused += 1;
                }
                Err(other) => panic!("seed {seed}: {other}"),
            }
        }
        match indexes.verify() {
            Ok(()) => {}
            Err(FilterError::Corrupt { .. }) => noticed += 1,
            Err(other) => panic!("seed {seed}: {other}"),
        }
        let names: Vec<String> = indexes.fields().map(|info| info.name).collect();
        for name in names {
            let _ = indexes.values(&name, 10);
        }
    }
    assert!(refused > 100 && passed > 100, "{refused} {passed}");
    noticed
}

/// A flipped bit on disk is found by its checksum before the first use of its block.
#[test]
fn flipped_bits_are_errors() {
    let (_, points) = points(21, 5_000, true);
    let disk = MemoryDisk::default();
    let path = Path::new("segment");
    write(&disk, path, &points);
    let file = SectionFile::open(&disk, path, KIND, 1, None).unwrap();
    let at = file.section("field:int").unwrap().file_offset() as usize;
    let mut bytes = file_bytes(&disk, path);
    let middle = at + 20_000;
    bytes[middle] ^= 1;
    let damaged = MemoryDisk::default();
    damaged.replace(path, &bytes).unwrap();
    let file = SectionFile::open(&damaged, path, KIND, 1, None).unwrap();
    let indexes = FieldIndexes::open(&file, points.len() as u32).unwrap();
    let error = evaluate(&indexes, &points, &Filter::gt("int", 0)).unwrap_err();
    assert!(matches!(error, FilterError::Storage(_)), "{error}");
    assert!(error.to_string().contains("field:int"), "{error}");
    // Nothing is known of its counts; other fields are as they were.
    let unknown = indexes.estimate(&Filter::gt("int", 0));
    assert_eq!((unknown.min, unknown.max), (0, 5_000));
    assert!(evaluate(&indexes, &points, &Filter::eq("flag", true)).is_ok());
}

#[test]
fn wrong_number_of_rows_and_missing_directory() {
    let (_, points) = points(31, 50, true);
    let disk = MemoryDisk::default();
    write(&disk, Path::new("segment"), &points);
    let file = SectionFile::open(&disk, Path::new("segment"), KIND, 1, None).unwrap();
    let error = FieldIndexes::open(&file, 51).unwrap_err().to_string();
    assert!(error.contains("of 50 rows, the segment has 51"), "{error}");
    SectionWriter::create(&disk, Path::new("empty"), KIND, 1)
        .unwrap()
        .finish()
        .unwrap();
    let file = SectionFile::open(&disk, Path::new("empty"), KIND, 1, None).unwrap();
    let error = FieldIndexes::open(&file, 50).unwrap_err().to_string();
    assert!(error.contains("fields"), "{error}");
}

#[test]
fn the_builder_refuses_what_cannot_be_indexed() {
    let point = |value| Metadata::from([("x".to_owned(), value)]);
    let mut builder = FieldIndexBuilder::new(3, &MetadataSchema::new());
    builder.add(RowId(1), &point(Value::Int(1))).unwrap();
    for (row, metadata, expected) in [
        (1, point(Value::Int(1)), "rows 2 to 3 are left"),
        (3, point(Value::Int(1)), "3 cannot be indexed next"),
        (2, point(Value::Float(f64::NAN)), "x: NaN"),
        (
            2,
            Metadata::from([("$x".to_owned(), Value::Null)]),
            "begin with $",
        ),
        (
            2,
            Metadata::from([("x".repeat(241), Value::Null)]),
            "at most 240",
        ),
    ] {
        let error = builder.add(RowId(row), &metadata).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    // A name of the greatest length has a section of its own.
    let long = "x".repeat(240);
    let points = vec![Metadata::from([(long.clone(), Value::Int(5))]); 2];
    let indexes = write_and_open(&points);
    assert_eq!(
        evaluate(&indexes, &points, &Filter::eq(long, 5))
            .unwrap()
            .mask
            .count(),
        2
    );
}

fn file_bytes(disk: &MemoryDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path).unwrap();
    let mut bytes = vec![0; file.len() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}
