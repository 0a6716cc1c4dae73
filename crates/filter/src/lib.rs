//! Metadata values and schema, filter expressions, field indexes.
//!
//! A point carries [`Metadata`], checked and coerced by the collection's [`MetadataSchema`]. A
//! [`Filter`] says which points are meant: [`Filter::matches`] answers for one point,
//! [`FieldIndexes::evaluate`] for all rows of a sealed segment at once, as a
//! [`RowMask`](vecdb_vector::RowMask), and [`FieldIndexes::estimate`] tells beforehand how many.
//!
//! ```
//! use serde_json::json;
//! use vecdb_filter::{Filter, FilterError, MetadataSchema, metadata_from_json};
//!
//! # fn main() -> Result<(), FilterError> {
//! let mut schema = MetadataSchema::new();
//! schema.declare("released", "datetime".parse()?)?;
//! let chess = schema.observe(&metadata_from_json(
//!     &json!({"section": "games", "size_kb": 812, "released": "2024-05-01T12:00:00Z"}),
//! )?)?;
//!
//! let filter = Filter::parse_str(
//!     r#"{"section": "games", "size_kb": {"$lt": 20000}, "released": {"$gte": "2024-01-01"}}"#,
//! )?
//! .check(&schema)?;
//! assert!(filter.matches(&chess));
//!
//! let error = Filter::eq("sectoin", "games").check(&schema).unwrap_err();
//! assert!(error.to_string().contains("did you mean section?"));
//! # Ok(())
//! # }
//! ```

mod error;
mod expression;
mod field_index;
pub mod fuzz;
mod geo;
mod nearest;
mod schema;
mod stemmer;
mod text;
mod value;

pub use error::FilterError;
pub use expression::{DEPTH_MAX, Filter, IN_VALUES_MAX};
pub use field_index::{
    Estimate, Evaluation, FieldIndexBuilder, FieldIndexes, FieldInfo, OrderedValues,
};
pub use geo::{GeoArea, GeoPoint};
pub use nearest::did_you_mean;
pub use schema::{FIELDS_MAX, Field, FieldKind, FieldType, MetadataSchema};
pub use stemmer::Stemmer;
pub use text::TextQuery;
pub use value::{
    FIELD_NAME_BYTES_MAX, Metadata, MetadataNode, SortValue, Value, decode_field, decode_metadata,
    encode_metadata, metadata_from_json, metadata_to_json, nest_metadata, parse_date_time,
};
