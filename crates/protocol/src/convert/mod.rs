//! Conversions between messages and the types of the engine, both ways.
//!
//! From a message: `TryFrom`, by value so that vectors and texts are moved, with an `InvalidArgument` that names what is
//! wrong. What the engine checks itself (dimension, finite numbers, field names, ranges) is left to it. To a message:
//! `From`. A message that stands for several arguments has a function for each: [`points`], [`ids`], [`metadata`],
//! [`durability`], [`filter`], [`params`], [`collection_name`].
//!
//! The conversions of a request leave its collection alone: it is an argument of its own everywhere in the engine.

mod admin;
mod advise;
mod collections;
mod facets;
mod groups;
mod points;
mod query;
mod recommend;
mod search;
mod status;
#[cfg(test)]
mod tests;
mod values;
mod writes;

pub use admin::restore_request;
pub use points::{get_response, ids, points, records};
pub use query::params;
pub use search::searches;
pub use status::{error_of, status_of};
pub use values::{filter, metadata, metadata_message};
pub use writes::{durability, metadata_update};

use vecdb_engine::{Error, ErrorKind, Result};

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

/// The name of the collection that a request is about, which must not be empty.
pub fn collection_name(name: String) -> Result<String> {
    if name.is_empty() {
        return Err(invalid("the request names no collection"));
    }
    Ok(name)
}

/// The message in an optional field that must be set.
fn required<T>(message: Option<T>, what: &str) -> Result<T> {
    message.ok_or_else(|| invalid(format!("{what} is missing")))
}

/// Proto3 has no unset text: empty stands for it.
fn optional_text(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
