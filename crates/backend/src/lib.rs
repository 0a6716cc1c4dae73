//! Every operation of VecDB behind one trait. A program that speaks to a [`Backend`] works on a folder in its own
//! process ([`Local`]) and on a server (`Remote`, feature `remote`) alike.
//!
//! The requests and results are the engine's own, and those of `vecdb-sql`.

mod backend;
mod local;
#[cfg(feature = "protocol")]
mod message;
mod query;
#[cfg(feature = "remote")]
mod remote;
mod snapshots;

pub use backend::{Backend, Selection, Status};
pub use local::{Local, resident_bytes};
pub use query::execute;
#[cfg(feature = "remote")]
pub use remote::{Remote, RemoteOptions};
pub use snapshots::{SnapshotStore, env};
