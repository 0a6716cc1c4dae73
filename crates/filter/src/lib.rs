//! Metadata values and schema, filter expressions, field indexes.
//!
//! A point carries [`Metadata`], checked and coerced by the collection's [`MetadataSchema`]. A
//! [`Filter`] says which points are meant: [`Filter::matches`] answers for one point,
//! [`FieldIndexes::evaluate`] for all rows of a sealed segment at once, as a
//! [`RowMask`](vecdb_vector::RowMask), and [`FieldIndexes::estimate`] tells beforehand how many.

mod error;
mod expression;
mod field_index;
pub mod fuzz;
mod nearest;
mod schema;
mod value;

pub use error::FilterError;
pub use expression::{DEPTH_MAX, Filter, IN_VALUES_MAX};
pub use field_index::{Estimate, FieldIndexBuilder, FieldIndexes, FieldInfo};
pub use schema::{FIELDS_MAX, Field, FieldKind, FieldType, MetadataSchema};
pub use value::{
    FIELD_NAME_BYTES_MAX, Metadata, Value, decode_metadata, encode_metadata, metadata_from_json,
    metadata_to_json,
};
