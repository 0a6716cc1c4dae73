//! Random metadata and filters, and indexes written to a disk in memory.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::Path;
use vecdb_filter::{
    Evaluation, FieldIndexBuilder, FieldIndexes, Filter, FilterError, GeoArea, GeoPoint, Metadata,
    MetadataSchema, Value, encode_metadata,
};
use vecdb_storage::{MemoryDisk, SectionFile, SectionWriter};
use vecdb_vector::RowId;

pub(crate) const KIND: [u8; 4] = *b"TEST";

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// How the metadata of one segment looks.
pub(crate) struct Shape {
    pub(crate) rows: usize,
    /// Different values per field, about.
    pub(crate) distinct: usize,
    pub(crate) arrays: bool,
    /// One in so many fields is missing or null.
    pub(crate) gaps: usize,
}

impl Shape {
    pub(crate) fn random(random: &mut Random) -> Shape {
        Shape {
            rows: [0, 1, 2, 40, 40, 300, 300, 1_200][random.below(8)],
            distinct: [1, 2, 8, 500][random.below(4)],
            arrays: !random.one_in(3),
            gaps: [1, 3, 1_000][random.below(3)].max(2),
        }
    }
}

const FIELDS: [&str; 9] = [
    "flag", "int", "float", "at", "text", "mixed", "place", "words", "hidden",
];

/// The words of `words` are indexed, and of `hidden` nothing is.
pub(crate) fn schema() -> MetadataSchema {
    serde_json::from_value(serde_json::json!({"fields": {
        "words": {"kind": "text", "declared": true},
        "hidden": {"unindexed": true},
    }}))
    .unwrap()
}

/// Texts of which words and beginnings are shared.
fn prose(random: &mut Random, distinct: usize) -> String {
    const WORDS: [&str; 7] = [
        "a",
        "chess",
        "Chess",
        "check",
        "engine",
        "free",
        "\u{e9}t\u{e9}",
    ];
    let words: Vec<&str> = (0..random.below(5))
        .map(|_| WORDS[random.below(distinct.min(WORDS.len()))])
        .collect();
    words.join([" ", ", ", "-"][random.below(3)])
}

fn place(random: &mut Random, distinct: usize) -> GeoPoint {
    let n = random.below(distinct) as f64;
    GeoPoint::new((n * 7.3) % 180.0 - 90.0, (n * 31.7) % 360.0 - 180.0).unwrap()
}

fn scalar(random: &mut Random, field: &str, distinct: usize) -> Value {
    let n = random.below(distinct) as i64;
    match field {
        "flag" => Value::Bool(n % 2 == 0),
        "int" => Value::Int(if n % 7 == 3 { i64::MAX - n } else { n - 4 }),
        "float" => match n {
            0 => Value::Float(-0.0),
            1 => Value::Float(1e300),
            n => Value::Float((n - 4) as f64 / 2.0),
        },
        "at" => Value::DateTime((n - 4) * 1_000_000),
        "text" => Value::from(format!("{:x}", n.wrapping_mul(0x9e37) % 4_099)),
        "place" => Value::Geo(place(random, distinct)),
        "words" => Value::from(prose(random, distinct)),
        _ => {
            let field = FIELDS[[0, 1, 2, 3, 4, 6][random.below(6)]];
            scalar(random, field, distinct)
        }
    }
}

pub(crate) fn random_metadata(random: &mut Random, shape: &Shape) -> Metadata {
    let mut metadata = Metadata::new();
    for (i, field) in FIELDS.into_iter().enumerate() {
        if random.one_in(shape.gaps) {
            if random.one_in(2) {
                metadata.insert(field.to_owned(), Value::Null);
            }
            continue;
        }
        let value = if shape.arrays && i % 2 == 1 {
            let len = random.below(5);
            Value::Array(
                (0..len)
                    .map(|_| match random.below(9) {
                        0 => Value::Null,
                        _ => scalar(random, field, shape.distinct),
                    })
                    .collect(),
            )
        } else {
            scalar(random, field, shape.distinct)
        };
        metadata.insert(field.to_owned(), value);
    }
    metadata
}

fn literal(random: &mut Random, field: &str, shape: &Shape) -> Value {
    match random.below(12) {
        0 => Value::Null,
        1 => scalar(random, FIELDS[5], shape.distinct),
        2 => Value::Float(random.below(20) as f64 / 4.0 - 3.0),
        _ => scalar(random, field, shape.distinct + 2),
    }
}

pub(crate) fn random_filter(random: &mut Random, shape: &Shape, depth: usize) -> Filter {
    if depth > 0 && random.one_in(2) {
        let parts = (0..random.below(4))
            .map(|_| random_filter(random, shape, depth - 1))
            .collect();
        return match random.below(3) {
            0 => Filter::And(parts),
            1 => Filter::Or(parts),
            _ => !random_filter(random, shape, depth - 1),
        };
    }
    let field = match random.below(20) {
        0 => "missing",
        n => FIELDS[n % FIELDS.len()],
    };
    let value = literal(random, field, shape);
    let values = |random: &mut Random| {
        (0..random.below(6))
            .map(|_| literal(random, field, shape))
            .collect()
    };
    let name = field.to_owned();
    let part = |random: &mut Random| match random.below(3) {
        0 => prose(random, shape.distinct),
        1 => format!("{:x}", random.below(20)),
        _ => "chess".to_owned(),
    };
    let operator = random.below(17);
    // Mostly of fields that hold such values.
    let name = match operator {
        11..=15 if !random.one_in(6) => ["text", "words", "words"][random.below(3)].to_owned(),
        16 if !random.one_in(6) => "place".to_owned(),
        _ => name,
    };
    match operator {
        11 => Filter::starts_with(name, part(random)),
        12 => Filter::contains(name, part(random)),
        13 => Filter::text(name, part(random)).unwrap_or(Filter::All),
        14 => Filter::text(name, "che* a").unwrap(),
        15 => Filter::phrase(name, part(random)).unwrap_or(Filter::All),
        16 => {
            let center = place(random, shape.distinct);
            let radius = [0.0, 1e3, 1e6, 8e6][random.below(4)];
            let other = place(random, shape.distinct);
            let area = match random.below(2) {
                0 => GeoArea::circle(center, radius),
                _ => GeoArea::bounds(center, other).or(GeoArea::bounds(other, center)),
            };
            Filter::geo_within(name, area.unwrap())
        }
        0 | 1 => Filter::Eq(name, value),
        2 => Filter::Ne(name, value),
        3 => Filter::Gt(name, value),
        4 => Filter::Gte(name, value),
        5 => Filter::Lt(name, value),
        6 => Filter::Lte(name, value),
        7 => Filter::In(name, values(random)),
        8 => Filter::Nin(name, values(random)),
        9 => Filter::Exists(name, random.one_in(2)),
        _ => Filter::All,
    }
}

/// Writes the indexes of these rows to `path`.
pub(crate) fn write(disk: &MemoryDisk, path: &Path, points: &[Metadata]) {
    let builder = FieldIndexBuilder::new(points.len() as u32, &schema());
    write_with(builder, disk, path, points);
}

fn write_with(mut builder: FieldIndexBuilder, disk: &MemoryDisk, path: &Path, points: &[Metadata]) {
    for (row, point) in points.iter().enumerate() {
        // Rows without metadata may be left out.
        if !point.is_empty() {
            builder.add(RowId(row as u32), point).unwrap();
        }
    }
    let mut writer = SectionWriter::create(disk, path, KIND, 1).unwrap();
    builder.finish(&mut writer).unwrap();
    writer.finish().unwrap();
}

/// Evaluates a filter over rows with this metadata.
pub(crate) fn evaluate(
    indexes: &FieldIndexes,
    points: &[Metadata],
    filter: &Filter,
) -> Result<Evaluation, FilterError> {
    let encoded: Vec<Vec<u8>> = points
        .iter()
        .map(|point| {
            let mut bytes = Vec::new();
            encode_metadata(point, &mut bytes);
            bytes
        })
        .collect();
    indexes.evaluate(filter, &|row| Ok(encoded[row.0 as usize].as_slice()))
}

pub(crate) fn write_and_open(points: &[Metadata]) -> FieldIndexes {
    write_and_open_with(
        FieldIndexBuilder::new(points.len() as u32, &schema()),
        points,
    )
}

/// The indexes that another schema wants.
pub(crate) fn write_and_open_schema(points: &[Metadata], schema: &MetadataSchema) -> FieldIndexes {
    write_and_open_with(FieldIndexBuilder::new(points.len() as u32, schema), points)
}

/// The indexes of these fields alone.
#[allow(dead_code, reason = "not every test that generates needs it")]
pub(crate) fn write_and_open_fields(points: &[Metadata], fields: &[&str]) -> FieldIndexes {
    let fields = fields.iter().map(|field| (*field).to_owned()).collect();
    let builder = FieldIndexBuilder::of_fields(points.len() as u32, &schema(), fields);
    write_and_open_with(builder, points)
}

fn write_and_open_with(builder: FieldIndexBuilder, points: &[Metadata]) -> FieldIndexes {
    let disk = MemoryDisk::default();
    let path = Path::new("segment");
    write_with(builder, &disk, path, points);
    let file = SectionFile::open(&disk, path, KIND, 1, None).unwrap();
    FieldIndexes::open(&file, points.len() as u32).unwrap()
}
