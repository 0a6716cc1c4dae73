//! The gRPC interface of VecDB, generated from `proto/vecdb/v1/vecdb.proto`.
//!
//! The generated code is committed, so that a build needs no protobuf compiler; `tests/generated.rs` checks that it
//! is what the `.proto` file says, and writes it anew with `VECDB_REGENERATE=1`.

#[cfg(feature = "engine")]
pub mod convert;
mod status;

pub use status::{ERROR_KIND_METADATA, RETRY_AFTER_METADATA, kind_name, retry_after};

/// Messages, client and server of the package `vecdb.v1`.
#[allow(missing_docs, unreachable_pub, clippy::all, rustdoc::all)]
#[rustfmt::skip]
pub mod v1 {
    include!("generated/vecdb.v1.rs");
}

/// The compiled `.proto` file, for the reflection service.
pub const DESCRIPTOR: &[u8] = include_bytes!("generated/vecdb.v1.bin");
