//! Settings that the engine knows by name: metrics, element types, indexes, field types, durability.

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};
use vecdb_engine as engine;

/// How nearness is measured.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(in crate::http) struct Metric(pub(in crate::http) engine::Metric);

impl PartialSchema for Metric {
    fn schema() -> RefOr<Schema> {
        one_of(
            engine::Metric::ALL.map(engine::Metric::name),
            "How nearness is measured: l2, cosine, dot, l1; hamming and jaccard on the element type bits.",
        )
    }
}

impl ToSchema for Metric {}

/// How the numbers of a vector are stored.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(in crate::http) struct Element(pub(in crate::http) engine::ElementType);

impl PartialSchema for Element {
    fn schema() -> RefOr<Schema> {
        one_of(
            engine::ElementType::ALL.map(engine::ElementType::name),
            "How the numbers of a vector are stored.",
        )
    }
}

impl ToSchema for Element {}

/// The type of a metadata field as text: `int`, `string[]`.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct FieldType(pub(in crate::http) engine::FieldType);

impl<'de> Deserialize<'de> for FieldType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

impl Serialize for FieldType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl PartialSchema for FieldType {
    fn schema() -> RefOr<Schema> {
        let of = |kind, stemmer| {
            [false, true].map(|array| {
                let kind = engine::FieldType {
                    kind,
                    array,
                    stemmer,
                };
                kind.to_string()
            })
        };
        let kinds = engine::FieldKind::ALL.into_iter();
        let stemmed =
            engine::Stemmer::all().flat_map(|stemmer| of(engine::FieldKind::Text, Some(stemmer)));
        one_of(
            kinds.flat_map(|kind| of(kind, None)).chain(stemmed),
            "The type of a metadata field; with [] for arrays of it. Words of text(english) are stemmed by the rules of \
             that language.",
        )
    }
}

impl ToSchema for FieldType {}

/// The index that segments get, with its parameters.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(in crate::http) struct IndexConfig(pub(in crate::http) engine::IndexSpec);

impl PartialSchema for IndexConfig {
    fn schema() -> RefOr<Schema> {
        let kind = |name: &str| {
            ObjectBuilder::new()
                .property(
                    "type",
                    ObjectBuilder::new()
                        .schema_type(Type::String)
                        .enum_values(Some([name])),
                )
                .required("type")
                .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
        };
        let default = engine::HnswParams::default();
        let number = |least: u32, most: usize, default: u64, what: &str| {
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(least))
                .maximum(Some(most))
                .default(Some(default.into()))
                .description(Some(what))
        };
        let hnsw = kind("hnsw")
            .property(
                "m",
                number(
                    2,
                    256,
                    default.m.into(),
                    "Links per row on the upper layers.",
                ),
            )
            .property(
                "ef_construction",
                number(
                    1,
                    10_000,
                    default.ef_construction.into(),
                    "Pool size while inserting: larger builds slower and connects better.",
                ),
            )
            .property(
                "seed",
                number(
                    0,
                    u64::MAX as usize,
                    default.seed,
                    "Seed of the level draw.",
                ),
            )
            .property(
                "alpha",
                ObjectBuilder::new()
                    .schema_type(Type::Number)
                    .minimum(Some(1))
                    .maximum(Some(2))
                    .default(Some(default.alpha.to_string().parse().unwrap_or(1.1f64).into()))
                    .description(Some(
                        "How much longer links may be than the nearest ones need: 1 as published.",
                    )),
            )
            .property(
                "quantization",
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .enum_values(Some(
                        engine::Quantization::ALL.map(engine::Quantization::name),
                    ))
                    .default(Some(default.quantization.name().into()))
                    .description(Some(
                        "What a search walks on: codes of four bits a number where they serve (auto), the vectors (none) or such codes in any case (sq4).",
                    )),
            );
        let defaults = engine::IvfParams::default();
        let optional = |schema_type: Type, what: &str| {
            ObjectBuilder::new()
                .schema_type(schema_type)
                .description(Some(what))
        };
        let ivf = kind("ivf")
            .property(
                "nlist",
                optional(
                    Type::Integer,
                    "Lists. Left out: the square root of the number of rows.",
                )
                .minimum(Some(1))
                .maximum(Some(1_000_000)),
            )
            .property(
                "code",
                optional(
                    Type::String,
                    "What the lists hold of each row: its vector (`vector`), a byte a number (`sq8`), or a shorter code: `pq`, `pq16x4` (16 segments of 4 bits), `opq16x8`, `sq4`, `rabitq`, `rabitq4`, `binary`. Left out: sq8 where it can be.",
                )
                .examples(["sq8", "pq16x4", "rabitq4"]),
            )
            .property(
                "train_rows_per_list",
                number(
                    1,
                    100_000,
                    defaults.train_rows_per_list.into(),
                    "Rows per list that the centroids are learned from, at most.",
                ),
            )
            .property(
                "iterations",
                number(1, 1_000, defaults.iterations.into(), "Iterations of k-means at most."),
            )
            .property(
                "seed",
                number(0, u64::MAX as usize, defaults.seed, "Seed of the training."),
            );
        let defaults = engine::DiskAnnParams::default();
        let diskann = kind("diskann")
            .property(
                "r",
                number(4, 256, defaults.r.into(), "Links of a row at most; even."),
            )
            .property(
                "l_build",
                number(
                    4,
                    10_000,
                    defaults.l_build.into(),
                    "Pool size while a row is linked: larger builds slower and connects better.",
                ),
            )
            .property(
                "alpha",
                optional(
                    Type::Number,
                    "How much longer links may be than the nearest ones need. Left out: 1.2.",
                )
                .minimum(Some(1))
                .maximum(Some(2)),
            )
            .property(
                "code_bytes",
                optional(
                    Type::Integer,
                    "Bytes in memory for each row. Left out: a quarter of the dimension, but no less than 16 (or the dimension).",
                )
                .minimum(Some(1))
                .maximum(Some(4096)),
            )
            .property(
                "seed",
                number(0, u64::MAX as usize, defaults.seed, "Seed of all draws."),
            );
        let lsh = kind("lsh")
            .property(
                "tables",
                optional(
                    Type::Integer,
                    "Hash tables. Left out: chosen from the distances of the rows.",
                )
                .minimum(Some(1))
                .maximum(Some(512)),
            )
            .property(
                "hashes",
                optional(
                    Type::Integer,
                    "Hash functions per table. Left out: chosen from the distances of the rows.",
                )
                .minimum(Some(1))
                .maximum(Some(32)),
            )
            .property(
                "width",
                optional(
                    Type::Number,
                    "Width of the slots of a projection, under l2 only; above 0. Left out: chosen from the distances of the rows.",
                ),
            )
            .property(
                "seed",
                number(
                    0,
                    u64::MAX as usize,
                    engine::LshParams::default().seed,
                    "Seed of the hash functions.",
                ),
            );
        OneOfBuilder::new()
            .item(
                kind("flat")
                    .description(Some("No structure: every search scans all rows, exactly.")),
            )
            .item(hnsw.description(Some("Hierarchical navigable small world graph.")))
            .item(ivf.description(Some("Lists around learned centroids.")))
            .item(diskann.description(Some("A graph on the disk, codes in memory.")))
            .item(lsh.description(Some("Hash tables in which near rows share buckets.")))
            .description(Some("The index that segments get, with its parameters."))
            .examples([serde_json::json!({"type": "hnsw", "m": 32, "ef_construction": 200})])
            .into()
    }
}

impl ToSchema for IndexConfig {}

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(in crate::http) struct Durability(pub(in crate::http) engine::Durability);

impl PartialSchema for Durability {
    fn schema() -> RefOr<Schema> {
        let interval = ObjectBuilder::new()
            .property(
                "interval_ms",
                ObjectBuilder::new()
                    .schema_type(Type::Integer)
                    .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
                    .minimum(Some(0))
                    .maximum(Some(u32::MAX as usize)),
            )
            .required("interval_ms")
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
        let names = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(["every_write", "none"]));
        OneOfBuilder::new()
            .item(names)
            .item(interval)
            .description(Some(
                "When a write is acknowledged: every_write after it was synced to the disk; none after the operating \
                 system has it; interval_ms likewise, and it is synced every so many milliseconds.",
            ))
            .into()
    }
}

impl ToSchema for Durability {}

fn one_of<N: Into<serde_json::Value>>(
    names: impl IntoIterator<Item = N>,
    description: &str,
) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names))
        .description(Some(description))
        .into()
}
