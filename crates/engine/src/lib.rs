//! VecDB, embedded: durable collections of vectors with metadata, and search for the nearest of them.
//!
//! ```
//! use vecdb_engine::{CollectionConfig, Database, Filter, Metric, Options, Point, SearchRequest};
//!
//! # fn main() -> vecdb_engine::Result<()> {
//! # let folder = std::env::temp_dir().join(format!("vecdb-doc-{}", std::process::id()));
//! let db = Database::open(&folder, Options::default())?;
//! let products = db.create_collection("products", CollectionConfig::new(3, Metric::Cosine))?;
//! products.upsert(vec![
//!     Point::new(1, vec![0.9, 0.1, 0.0]).with("category", "games").with("price", 20),
//!     Point::new(2, vec![0.8, 0.3, 0.1]).with("category", "games").with("price", 60),
//!     Point::new("sku-3", vec![0.0, 0.2, 0.9]).with("category", "books").with("price", 15),
//! ])?;
//!
//! let cheap_games = Filter::parse_str(r#"{"category": "games", "price": {"$lt": 50}}"#)?;
//! let answer = products.search(&SearchRequest::new([1.0, 0.2, 0.0]).limit(5).filter(cheap_games))?;
//! assert_eq!(answer.hits.len(), 1);
//! assert_eq!(answer.hits[0].id, 1.into());
//! db.close()?;
//! # std::fs::remove_dir_all(&folder).ok();
//! # Ok(())
//! # }
//! ```
//!
//! A write is acknowledged once it is on disk (see [`Durability`]) and seen by every read from then on. Reads never
//! wait for writes, flushes or merges. `docs/format.md` in the repository describes the bytes on disk.

mod archive;
mod batch;
mod clock;
mod collection;
mod database;
mod document;
mod error;
mod hex;
mod inspect;
mod options;
mod part;
mod point;
mod schema;
mod segment;
mod snapshot;
mod stop;

pub use archive::{
    ArchiveOpener, ArchiveRange, ArchiveReport, ArchiveStatus, ArchiveStore, FolderArchive,
};
pub use collection::{
    Collection, CollectionInfo, ConditionExplanation, EXAMPLES_MAX, Example, Explanation, Facet,
    FacetRequest, Facets, GroupBy, Hit, HitGroup, LIMIT_MAX, MaintenanceStatus, MatchEstimate,
    MergeProgress, MergeStep, MetadataUpdate, OrderBy, PartExplanation, PlanExplanation,
    READ_POINTS_MAX, RecommendRequest, RecommendStrategy, ScrollPage, ScrollRequest, SearchCounts,
    SearchRequest, SearchResponse, SearchStats, SegmentInfo, VerifyReport, WRITE_POINTS_MAX,
    WriteResult,
};
pub use database::{CollectionSummary, Database, MemoryUse, Overview, Recovery};
pub use error::{Error, ErrorKind, Result};
pub use inspect::{
    CollectionInspection, FileInspection, InspectRequest, Inspection, LogEntry, LogFileInspection,
    LogInspection, SectionInspection, inspect,
};
pub use options::{Archive, Durability, Env, OnCorruption, Options};
pub use point::{ID_BYTES_MAX, Point, PointId, Record};
pub use schema::{CollectionConfig, DEFAULT_FIELD, DIMENSION_MAX, NAME_BYTES_MAX, VectorField};
pub use snapshot::{
    CollectionLog, EarlierFiles, FILE_HEAD_BYTES, RestorePlan, RestorePoint, RestoreRequest,
    Restored, SNAPSHOT_FILE, SnapshotCollection, SnapshotContent, SnapshotFile, SnapshotInfo,
    SnapshotLog, SnapshotManifest, Staging, Transfer,
};
pub use stop::StopSignal;

pub use vecdb_filter::{
    FIELD_NAME_BYTES_MAX, Field, FieldKind, FieldType, Filter, GeoArea, GeoPoint, Metadata,
    MetadataNode, MetadataSchema, SortValue, Stemmer, TextQuery, Value, did_you_mean,
    metadata_from_json, metadata_to_json, nest_metadata,
};
pub use vecdb_index::{
    Advice, AdviceParams, Choice, DiskAnnParams, HnswParams, IndexSpec, IvfCode, IvfParams,
    LshParams, Plan, PlanCosts, Progress, Quantization, SearchParams, Silent,
};
pub use vecdb_vector::{ElementType, Metric};
