//! Settings from a file, the environment and flags.
//!
//! ```text
//! settings  what can be set, with every default
//! sources   where a value comes from: flags over environment over file
//! read      from sources to settings: types and ranges
//! value     secrets, byte sizes
//! ```
//! `docs/server.md` lists every key.

mod read;
mod settings;
mod sources;
mod value;

pub use settings::{
    ApiKey, Auth, Config, Jwt, Limits, Listen, Log, LogFormat, Snapshots, Storage, Tls, Trace,
};
pub(crate) use sources::nearest;
pub use value::Secret;
