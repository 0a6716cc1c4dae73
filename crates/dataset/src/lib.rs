//! Streaming readers for vector data files: npy, fvecs/ivecs/bvecs, MNIST idx, JSON lines, Parquet.
//!
//! Two views of a file: [`open_vectors`] gives rows of raw element bytes (benchmarks, index builds),
//! [`open_points`] gives ids, vectors and metadata (imports). Both read in buffers of a few MiB, however
//! large the file is, and both treat the file as untrusted: a size found in a header is compared with the
//! bytes that are there before it decides an allocation, and damage is a [`DatasetError`] that names the
//! file and the place, never a panic.
//!
//! Any format may be gzipped, except Parquet, which is read from its end.

mod error;
mod format;
mod idx;
mod jsonl;
mod npy;
mod parquet;
mod points;
mod source;
mod vecs;
mod vectors;

pub use error::DatasetError;
pub use format::{open_points, open_vectors, read_ids, read_labels};
pub use points::{PointOptions, PointReader, RawPoint, zip_metadata};
pub use vectors::{VectorInfo, VectorReader, Vectors, read_vectors};
