//! Who is calling and what they may do.
//!
//! A caller shows an API key, a token (JWT) or a client certificate; the [`Authority`] finds out who that is and whether
//! the rights cover the call. Rights are [`Access`](crate::gateway::Access) levels on collections, each level including the
//! lesser ones.
//!
//! Invariants: secrets are kept as digests where that is enough, are compared in constant time, and stand in no message,
//! log line or `Debug` output; nothing a caller sends chooses how it is checked.

mod authority;
mod caller;
mod certificate;
mod credentials;
mod keys;
mod tokens;

#[cfg(test)]
mod tests;

pub use authority::Authority;
pub use caller::Caller;
pub use certificate::PeerCertificate;
pub use credentials::Credentials;
