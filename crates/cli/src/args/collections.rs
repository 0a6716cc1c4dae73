//! Flags of `collection` and of everything that makes a collection.

use clap::{Args, Subcommand};
use vecdb_engine::{
    Durability, ElementType, FieldType, HnswParams, IndexSpec, IvfCode, IvfParams, LshParams,
    Metric, Quantization,
};

use super::help;
use crate::failure::{Failure, Outcome};

#[derive(Debug, Subcommand)]
pub(crate) enum CollectionCommand {
    /// Make an empty collection (and the database, where there is none).
    #[command(after_long_help = help::COLLECTION_CREATE)]
    Create(CreateArgs),
    /// List the collections.
    #[command(after_long_help = help::COLLECTION_LIST)]
    List,
    /// Show the settings, segments and metadata fields of a collection.
    #[command(after_long_help = help::COLLECTION_INFO)]
    Info {
        /// The collection.
        name: String,
    },
    /// Merge all segments of a collection into one, drop deleted rows and build the index.
    #[command(after_long_help = help::COLLECTION_COMPACT)]
    Compact {
        /// The collection.
        name: String,
    },
    /// Keep an index of a metadata field in every segment.
    #[command(after_long_help = help::COLLECTION_CREATE_INDEX)]
    CreateIndex(FieldArgs),
    /// Keep no index of a metadata field any more: filters on it read the points.
    #[command(after_long_help = help::COLLECTION_DROP_INDEX)]
    DropIndex(FieldArgs),
    /// Remove a collection with all its points. There is no way back.
    #[command(after_long_help = help::COLLECTION_DROP)]
    Drop {
        /// The collection.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct FieldArgs {
    /// The collection.
    pub(crate) name: String,
    /// The metadata field.
    pub(crate) field: String,
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Its name: letters, digits, `_`, `-` and `.`.
    pub(crate) name: String,
    /// Values per vector; for the element type bits, bits.
    #[arg(long, visible_alias = "dim", value_name = "N")]
    pub(crate) dimension: u32,
    #[command(flatten)]
    pub(crate) vectors: VectorArgs,
}

/// How the vectors of a new collection are measured, stored and indexed.
#[derive(Debug, Args)]
pub(crate) struct VectorArgs {
    /// l2, cosine, dot, l1, hamming or jaccard.
    #[arg(long, default_value = "cosine")]
    pub(crate) metric: Metric,
    /// f32, f16, i8, u8 or bits. Default: f32, or bits for hamming and jaccard.
    #[arg(long, value_name = "TYPE")]
    pub(crate) element: Option<ElementType>,
    #[command(flatten)]
    pub(crate) index: IndexArgs,
    /// Fix the type of a metadata field (bool, int, float, datetime, string, text, uuid, geo; with [] for arrays). Others are taken
    /// from the first value seen. Date-times need this.
    #[arg(long = "field", value_name = "NAME:TYPE", value_parser = parse_field)]
    pub(crate) fields: Vec<(String, FieldType)>,
    /// Keep no index of a field of --field: filters on it read the points. `collection create-index` makes one later.
    #[arg(long, value_name = "NAME")]
    pub(crate) unindexed: Vec<String>,
    /// When a write is acknowledged: `every-write` (synced to the disk), `interval:MS` (synced every so many
    /// milliseconds) or `none` (left to the operating system).
    #[arg(long, value_name = "LEVEL", default_value = "every-write", value_parser = parse_durability)]
    pub(crate) durability: Durability,
}

/// The index of sealed segments.
#[derive(Debug, Args)]
pub(crate) struct IndexArgs {
    /// hnsw, ivf, lsh, diskann, flat, or JSON such as {"type":"hnsw","m":32}.
    #[arg(long, default_value = "hnsw")]
    pub(crate) index: IndexSpec,
    /// hnsw: links per vector. 2 to 256. Default: 16.
    #[arg(long, visible_alias = "M", value_name = "M")]
    pub(crate) m: Option<u32>,
    /// hnsw: candidates kept while inserting. 1 to 10,000. Default: 200.
    #[arg(long, visible_alias = "efConstruction", value_name = "N")]
    pub(crate) ef_construction: Option<u32>,
    /// hnsw: what a search walks on: auto (codes of four bits where they serve), none (the vectors) or sq4. Default: auto.
    #[arg(long, value_name = "KIND")]
    pub(crate) quantization: Option<Quantization>,
    /// ivf: lists of a segment. 1 to 1,000,000. Default: the square root of the number of its rows.
    #[arg(long, visible_alias = "clusters", value_name = "N")]
    pub(crate) nlist: Option<u32>,
    /// ivf: what the lists hold of each vector: vector, sq8, pq, pq16x4, opq16x8, sq4, rabitq, rabitq4 or binary. Default:
    /// sq8 for f32 and f16 under l2, cosine, dot and l1, else vector.
    #[arg(long, value_name = "CODE")]
    pub(crate) code: Option<IvfCode>,
    /// lsh: hash tables of a segment. 1 to 512. Default: chosen from the distances.
    #[arg(long, value_name = "L")]
    pub(crate) tables: Option<u32>,
    /// lsh: hash functions per table. 1 to 32. Default: chosen from the distances.
    #[arg(long, value_name = "K")]
    pub(crate) hashes: Option<u32>,
}

impl IndexArgs {
    /// The index with the single parameters put in.
    pub(crate) fn spec(&self) -> Outcome<IndexSpec> {
        self.check_kind()?;
        Ok(match &self.index {
            IndexSpec::Flat => IndexSpec::Flat,
            IndexSpec::Hnsw(given) => IndexSpec::Hnsw(HnswParams {
                m: self.m.unwrap_or(given.m),
                ef_construction: self.ef_construction.unwrap_or(given.ef_construction),
                quantization: self.quantization.unwrap_or(given.quantization),
                ..given.clone()
            }),
            IndexSpec::Ivf(given) => IndexSpec::Ivf(IvfParams {
                nlist: self.nlist.or(given.nlist),
                code: self.code.or(given.code),
                ..given.clone()
            }),
            IndexSpec::DiskAnn(given) => IndexSpec::DiskAnn(given.clone()),
            IndexSpec::Lsh(given) => IndexSpec::Lsh(LshParams {
                tables: self.tables.or(given.tables),
                hashes: self.hashes.or(given.hashes),
                ..given.clone()
            }),
        })
    }

    /// Refuses a parameter of another kind.
    fn check_kind(&self) -> Outcome {
        let kind = self.index.kind();
        let flags = [
            ("--m", "hnsw", self.m.is_some()),
            ("--ef-construction", "hnsw", self.ef_construction.is_some()),
            ("--quantization", "hnsw", self.quantization.is_some()),
            ("--nlist", "ivf", self.nlist.is_some()),
            ("--code", "ivf", self.code.is_some()),
            ("--tables", "lsh", self.tables.is_some()),
            ("--hashes", "lsh", self.hashes.is_some()),
        ];
        let Some((flag, other, _)) = flags.iter().find(|(_, of, given)| *given && *of != kind)
        else {
            return Ok(());
        };
        let own: Vec<_> = flags
            .iter()
            .filter(|(_, of, _)| *of == kind)
            .map(|(flag, ..)| *flag)
            .collect();
        let own = match own.as_slice() {
            [] => "none".to_owned(),
            own => own.join(" and "),
        };
        Err(Failure::usage(format!(
            "{flag} is a parameter of {other}; the index kind `{kind}` has {own}"
        )))
    }
}

fn parse_field(text: &str) -> Result<(String, FieldType), String> {
    let (name, kind) = text.rsplit_once(':').ok_or_else(|| {
        "expected NAME:TYPE, such as published:datetime or tags:string[]".to_owned()
    })?;
    let kind = kind
        .parse()
        .map_err(|error: vecdb_filter::FilterError| error.to_string())?;
    Ok((name.to_owned(), kind))
}

fn parse_durability(text: &str) -> Result<Durability, String> {
    match text.split_once(':') {
        None if matches!(text, "every-write" | "every_write") => Ok(Durability::EveryWrite),
        None if text == "none" => Ok(Durability::None),
        Some(("interval", ms)) => ms
            .parse()
            .ok()
            .filter(|ms| *ms > 0)
            .map(Durability::IntervalMs)
            .ok_or_else(|| format!("`{ms}` is not a number of milliseconds from 1")),
        _ => Err("expected every-write, interval:MS or none".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durability_levels_are_read() {
        assert_eq!(parse_durability("every-write"), Ok(Durability::EveryWrite));
        assert_eq!(
            parse_durability("interval:50"),
            Ok(Durability::IntervalMs(50))
        );
        assert_eq!(parse_durability("none"), Ok(Durability::None));
        for bad in ["interval:0", "interval:x", "interval", "always", ""] {
            assert!(parse_durability(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn fields_are_read_from_the_last_colon() {
        let (name, kind) = parse_field("use:tags:string[]").unwrap();
        assert_eq!((name.as_str(), kind.array), ("use:tags", true));
        assert!(parse_field("tags").unwrap_err().contains("NAME:TYPE"));
        assert!(parse_field("a:strng").unwrap_err().contains("string"));
    }

    fn args(index: &str) -> IndexArgs {
        IndexArgs {
            index: index.parse().unwrap(),
            m: None,
            ef_construction: None,
            quantization: None,
            nlist: None,
            code: None,
            tables: None,
            hashes: None,
        }
    }

    #[test]
    fn parameters_of_another_kind_are_refused() {
        let m = |index: &str| IndexArgs {
            m: Some(8),
            ..args(index)
        };
        let nlist = |index: &str| IndexArgs {
            nlist: Some(8),
            ..args(index)
        };
        for (refused, named) in [
            (m("flat"), "`flat` has none"),
            (m("ivf"), "`ivf` has --nlist and --code"),
            (m("lsh"), "`lsh` has --tables and --hashes"),
            (nlist("hnsw"), "`hnsw` has --m and --ef-construction"),
            (nlist("flat"), "--nlist is a parameter of ivf"),
        ] {
            let Err(Failure::Error(error)) = refused.spec() else {
                panic!("{refused:?} passed")
            };
            assert!(error.to_string().contains(named), "{error}");
        }
        assert!(matches!(
            m("hnsw").spec(),
            Ok(IndexSpec::Hnsw(HnswParams { m: 8, .. }))
        ));
    }

    #[test]
    fn a_single_parameter_counts_more_than_the_json() {
        let args = IndexArgs {
            nlist: Some(8),
            ..args(r#"{"type":"ivf","nlist":99,"code":"vector","iterations":4}"#)
        };
        let expected = IvfParams {
            nlist: Some(8),
            code: Some(IvfCode::Vector),
            iterations: 4,
            ..IvfParams::default()
        };
        assert_eq!(args.spec().unwrap(), IndexSpec::Ivf(expected));
    }
}
