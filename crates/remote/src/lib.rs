//! Where snapshots, and archives of logs, are kept: a folder, or object storage. A face without async over a private runtime.
//!
//! ```no_run
//! use vecdb_engine::{Database, Options, RestoreRequest, StopSignal};
//! use vecdb_remote::SnapshotStore;
//!
//! # fn main() -> vecdb_engine::Result<()> {
//! let db = Database::open("data", Options::default())?;
//! let store = SnapshotStore::open("s3://backups/vecdb")?;
//! let made = store.create(&db, None, &[], &StopSignal::default())?;
//! let request = RestoreRequest::of("products").under("products-before");
//! store.restore(&db, &made.name, &request, &StopSignal::default())?;
//! # Ok(())
//! # }
//! ```
//! The log is archived to object storage by a database that is opened with [`env`]:
//!
//! ```no_run
//! use vecdb_engine::{Archive, Database, Options};
//!
//! # fn main() -> vecdb_engine::Result<()> {
//! let archive = Archive::parse("s3://backups/log");
//! let options = Options { archive, ..Options::default() };
//! let db = Database::open_with(&vecdb_remote::env(), "data", options)?;
//! # Ok(())
//! # }
//! ```
//!
//! A store holds each snapshot under its name, laid out as `vecdb_engine::Database::snapshot` does. SNAPSHOT.json is
//! written last and removed first; what has none is no snapshot. While one is being written, SNAPSHOT.json.tmp holds
//! its name.

mod archive;
mod bucket;
mod folder;
mod location;
mod store;
mod transfer;

pub use archive::env;
pub use store::SnapshotStore;
