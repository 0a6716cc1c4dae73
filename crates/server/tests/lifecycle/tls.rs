//! Encrypted connections: both protocols, client certificates, and files that are wrong.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;
use vecdb_backend::{Backend, Remote, RemoteOptions};
use vecdb_engine::ErrorKind;
use vecdb_server::Server;
use vecdb_server::config::Config;

use crate::started::{
    PATIENCE, Started, ask, connect, eventually, get, get_text, read_answer, settings,
};

/// A certificate that vouches for itself, with its key, as PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names).unwrap();
        Self {
            certificate: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let certificate = folder.join(format!("{name}.crt"));
        let key = folder.join(format!("{name}.key"));
        std::fs::write(&certificate, &self.certificate).unwrap();
        std::fs::write(&key, &self.key).unwrap();
        (certificate, key)
    }

    /// Uses it for a server.
    pub(crate) fn install(&self, config: &mut Config, folder: &TempDir) {
        let (certificate, key) = self.write(folder.path(), "server");
        config.tls.certificate = Some(certificate);
        config.tls.key = Some(key);
    }

    /// Lets in who shows it.
    pub(crate) fn vouch(&self, config: &mut Config, folder: &TempDir) {
        config.tls.client_ca = Some(self.write(folder.path(), "client").0);
    }

    fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }
}

type Encrypted = StreamOwned<ClientConnection, TcpStream>;

/// A connection that trusts `server` only, and shows `client`.
fn encrypted(address: SocketAddr, server: &Pair, client: Option<&Pair>) -> Encrypted {
    let mut roots = RootCertStore::empty();
    roots.add(server.der()).unwrap();
    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let key = PrivateKeyDer::from_pem_slice(client.key.as_bytes()).unwrap();
            builder
                .with_client_auth_cert(vec![client.der()], key)
                .unwrap()
        }
    };
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(connection, connect(address))
}

/// The status of `GET /livez`, or 0 if the connection came to nothing.
pub(crate) fn livez(address: SocketAddr, server: &Pair, client: Option<&Pair>) -> u16 {
    let mut stream = encrypted(address, server, client);
    let text = get_text("/livez", "connection: close\r\n");
    match stream.write_all(text.as_bytes()) {
        Ok(()) => read_answer(&mut stream).0,
        Err(_) => 0,
    }
}

fn remote(address: SocketAddr, server: &Pair, client: Option<&Pair>) -> Remote {
    let options = RemoteOptions {
        ca_certificate: Some(server.certificate.clone().into_bytes()),
        client_certificate: client.map(|pair| pair.certificate.clone().into_bytes()),
        client_key: client.map(|pair| pair.key.clone().into_bytes()),
        timeout: Some(PATIENCE),
        retries: Some(0),
        ..RemoteOptions::default()
    };
    Remote::connect(&format!("https://localhost:{}", address.port()), options).unwrap()
}

#[test]
fn both_protocols_are_encrypted_on_both_ports() {
    let pair = Pair::new();
    let started = Started::new(|config, folder| pair.install(config, folder));
    for address in [started.server.grpc_address(), started.server.http_address()] {
        assert_eq!(livez(address, &pair, None), 200);
        assert_eq!(
            remote(address, &pair, None).status().unwrap().collections,
            0
        );
        // Another certificate is not taken for this server's.
        assert_eq!(livez(address, &Pair::new(), None), 0);
        // Without TLS.
        let (status, body) = get(address, "/livez", "");
        assert_eq!(status, 400);
        assert!(body.contains("TLS"), "{body}");
    }
}

#[test]
fn with_client_certificates_others_are_refused() {
    let (pair, client) = (Pair::new(), Pair::new());
    let started = Started::new(|config, folder| {
        pair.install(config, folder);
        client.vouch(config, folder);
    });
    let address = started.server.grpc_address();
    assert_eq!(livez(address, &pair, Some(&client)), 200);
    assert!(remote(address, &pair, Some(&client)).status().is_ok());
    assert_eq!(livez(address, &pair, None), 0);
    assert_eq!(livez(address, &pair, Some(&Pair::new())), 0);
    let refused = remote(address, &pair, None).status().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
}

#[test]
fn a_certificate_that_changes_is_read_again_and_connections_stay() {
    let (old, new) = (Pair::new(), Pair::new());
    let started = Started::new(|config, folder| old.install(config, folder));
    let address = started.server.http_address();
    let mut before = encrypted(address, &old, None);
    assert_eq!(ask(&mut before, "/livez"), 200);
    // Half of a renewal, the certificate without its key, changes nothing.
    let folder = started.folder.path();
    std::fs::write(folder.join("server.crt"), &new.certificate).unwrap();
    assert_eq!(livez(address, &old, None), 200);
    std::fs::write(folder.join("server.key"), &new.key).unwrap();
    eventually("the new certificate", || livez(address, &new, None) == 200);
    assert_eq!(livez(address, &old, None), 0);
    assert_eq!(ask(&mut before, "/livez"), 200);
}

#[test]
fn a_reload_reads_certificates_at_once() {
    let (old, new) = (Pair::new(), Pair::new());
    let started = Started::new(|config, folder| old.install(config, folder));
    let address = started.server.http_address();
    let mut config = settings(&started.folder);
    config.tls.certificate = Some(started.folder.path().join("missing.crt"));
    config.tls.key = Some(started.folder.path().join("server.key"));
    assert!(started.server.reload(config.clone()).is_err());
    assert_eq!(livez(address, &old, None), 200);
    new.install(&mut config, &started.folder);
    started.server.reload(config).unwrap();
    assert_eq!(livez(address, &new, None), 200);
}

#[test]
fn wrong_files_are_told_with_their_settings() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (Pair::new(), Pair::new());
    let (certificate, key) = a.write(folder.path(), "a");
    let (_, other_key) = b.write(folder.path(), "b");
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    let missing = folder.path().join("missing");
    let cases = [
        (&missing, &key, None, "tls.certificate: cannot read"),
        (&certificate, &missing, None, "tls.key: cannot read"),
        (&empty, &key, None, "tls.certificate"),
        (&certificate, &certificate, None, "tls.key"),
        (&key, &key, None, "holds no certificate"),
        (&certificate, &other_key, None, "do not go together"),
        (&certificate, &key, Some(&empty), "tls.client_ca"),
        (
            &certificate,
            &key,
            Some(&missing),
            "tls.client_ca: cannot read",
        ),
    ];
    for (certificate, key, client_ca, part) in cases {
        let mut config = settings(&folder);
        config.tls.certificate = Some(certificate.clone());
        config.tls.key = Some(key.clone());
        config.tls.client_ca = client_ca.cloned();
        let error = Server::start(config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(
            error.to_string().contains(part),
            "{part:?} is not in: {error}"
        );
        // Not a byte of a key in the error.
        assert!(!error.to_string().contains("PRIVATE"), "{error}");
    }
}
