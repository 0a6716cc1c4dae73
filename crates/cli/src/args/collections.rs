//! Flags of `collection` and of everything that makes a collection.

use clap::{Args, Subcommand};
use vecdb_engine::{Durability, ElementType, FieldType, HnswParams, IndexSpec, Metric};

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
    /// Remove a collection with all its points. There is no way back.
    #[command(after_long_help = help::COLLECTION_DROP)]
    Drop {
        /// The collection.
        name: String,
    },
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
    /// Fix the type of a metadata field (bool, int, float, datetime, string; with [] for arrays). Others are taken
    /// from the first value seen. Date-times need this.
    #[arg(long = "field", value_name = "NAME:TYPE", value_parser = parse_field)]
    pub(crate) fields: Vec<(String, FieldType)>,
    /// When a write is acknowledged: `every-write` (synced to the disk), `interval:MS` (synced every so many
    /// milliseconds) or `none` (left to the operating system).
    #[arg(long, value_name = "LEVEL", default_value = "every-write", value_parser = parse_durability)]
    pub(crate) durability: Durability,
}

/// The index of sealed segments.
#[derive(Debug, Args)]
pub(crate) struct IndexArgs {
    /// hnsw, flat, or JSON such as {"type":"hnsw","m":32}.
    #[arg(long, default_value = "hnsw")]
    pub(crate) index: IndexSpec,
    /// Links per vector of hnsw. 2 to 256. Default: 16.
    #[arg(long, visible_alias = "M", value_name = "M")]
    pub(crate) m: Option<u32>,
    /// Candidates kept while hnsw inserts. 1 to 10,000. Default: 200.
    #[arg(long, visible_alias = "efConstruction", value_name = "N")]
    pub(crate) ef_construction: Option<u32>,
}

impl IndexArgs {
    /// The index with the single parameters put in.
    pub(crate) fn spec(&self) -> Outcome<IndexSpec> {
        match &self.index {
            IndexSpec::Hnsw(given) => Ok(IndexSpec::Hnsw(HnswParams {
                m: self.m.unwrap_or(given.m),
                ef_construction: self.ef_construction.unwrap_or(given.ef_construction),
                ..given.clone()
            })),
            other if self.m.is_some() || self.ef_construction.is_some() => {
                Err(Failure::usage(format!(
                    "--m and --ef-construction are parameters of hnsw; the index kind `{}` has none of them",
                    other.kind()
                )))
            }
            other => Ok(other.clone()),
        }
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

    #[test]
    fn parameters_of_another_kind_are_refused() {
        let args = IndexArgs {
            index: IndexSpec::Flat,
            m: Some(8),
            ef_construction: None,
        };
        assert!(args.spec().is_err());
        let args = IndexArgs {
            index: IndexSpec::default(),
            m: Some(8),
            ef_construction: None,
        };
        assert!(matches!(
            args.spec(),
            Ok(IndexSpec::Hnsw(HnswParams { m: 8, .. }))
        ));
    }
}
