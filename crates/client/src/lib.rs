#![doc = include_str!("../README.md")]

mod builder;
mod client;
mod codec;
mod error;
mod retry;
mod rpc;
mod upsert_stream;

pub use builder::Builder;
pub use client::Client;
pub use error::ClientError;
pub use upsert_stream::UpsertStream;
/// The messages.
pub use vecdb_protocol::v1;
