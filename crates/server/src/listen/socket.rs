//! Binding, with errors that name the setting.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use vecdb_engine::{Error, ErrorKind, Result};

/// Listens on the address of the setting `listen.{setting}`.
pub(super) async fn bind(setting: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| refused(setting, address, &error))
}

fn refused(setting: &str, address: SocketAddr, error: &io::Error) -> Error {
    let (kind, what) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            ErrorKind::Unavailable,
            "the port is in use; stop what listens there, or choose another port".to_owned(),
        ),
        io::ErrorKind::PermissionDenied => (
            ErrorKind::PermissionDenied,
            "this process may not; ports below 1024 need privileges".to_owned(),
        ),
        io::ErrorKind::AddrNotAvailable => (
            ErrorKind::InvalidArgument,
            "this machine has no such address; 0.0.0.0 means all it has".to_owned(),
        ),
        _ => (ErrorKind::Io, error.to_string()),
    };
    let variable = setting.to_uppercase();
    Error::new(
        kind,
        format!(
            "cannot listen on {address}: {what} (setting listen.{setting}, --{setting} or VECDB_LISTEN_{variable})"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_told_with_address_and_setting() {
        let first = bind("grpc", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let taken = first.local_addr().unwrap();
        let error = bind("http", taken).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        for part in [
            &taken.to_string(),
            "listen.http",
            "VECDB_LISTEN_HTTP",
            "in use",
        ] {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
        // An address for documentation, which no machine has (RFC 5737).
        let error = bind("grpc", "192.0.2.1:0".parse().unwrap())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
}
