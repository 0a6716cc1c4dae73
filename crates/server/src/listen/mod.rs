//! Sockets: who may connect, how connections are encrypted, which protocol a request speaks, and how they end.
//!
//! ```text
//! exposure     which addresses may be served without knowing callers
//! socket       binding, with errors that name the setting
//! tls          certificates, read again when they change
//! activity     what a connection is doing: the heads and requests on it, and when it has been idle too long
//! frames       whether an HTTP/2 client owes the rest of a head
//! answer       answers on their way, and since when a client has taken nothing of one
//! connection   one connection from its first byte to its last
//! accept       the loops that take connections, their limit, and the end of all of them
//! protocol     gRPC or HTTP?
//! ```
//! Both ports answer HTTP/1.1 and HTTP/2, and gRPC beside plain HTTP. Nothing here looks at the content of a request.

mod accept;
mod activity;
mod answer;
mod connection;
pub(crate) mod exposure;
mod frames;
mod protocol;
mod socket;
mod tls;

use std::net::IpAddr;

use crate::auth::PeerCertificate;

pub(crate) use accept::{Listeners, Stopper};
pub(crate) use protocol::by_protocol;

/// Who is at the other end of a connection; every request carries it among its extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// The address, without the port.
    pub ip: IpAddr,
    /// The certificate that was shown and verified, where `tls.client_ca` asks for one.
    pub certificate: Option<PeerCertificate>,
}
