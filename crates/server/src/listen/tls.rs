//! Certificates: read from files, and read again when those change. Connections that exist keep what they have.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use vecdb_engine::{Error, ErrorKind, Result};

use crate::config::Tls;

/// The certificates of a server that has some.
pub(super) struct Certificates {
    current: ArcSwap<ServerConfig>,
    /// The settings, and how the files looked when they were read last, well or not.
    read: Mutex<(Tls, Stamp)>,
}

/// Certificates that were read and are not in use yet.
pub(super) struct PreparedCertificates {
    config: ServerConfig,
    read: (Tls, Stamp),
}

/// When each of the files was changed, where it is there.
type Stamp = [Option<SystemTime>; 3];

impl Certificates {
    /// Reads the files; none if connections are not to be encrypted.
    pub(super) fn load(settings: &Tls) -> Result<Option<Self>> {
        let stamp = stamp(settings);
        let config = server_config(settings)?;
        Ok(config.map(|config| Self {
            current: ArcSwap::from_pointee(config),
            read: Mutex::new((settings.clone(), stamp)),
        }))
    }

    /// For the next connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Reads the files of `settings`, whether or not they changed. The old certificates stay in use.
    pub(super) fn prepare(settings: &Tls) -> Result<PreparedCertificates> {
        let stamp = stamp(settings);
        let config = server_config(settings)?.ok_or_else(|| {
            wrong("tls.certificate cannot be taken away from a running server".to_owned())
        })?;
        Ok(PreparedCertificates {
            config,
            read: (settings.clone(), stamp),
        })
    }

    /// Uses certificates for the next connection.
    pub(super) fn take_over(&self, prepared: PreparedCertificates) {
        *self.read.lock() = prepared.read;
        self.current.store(Arc::new(prepared.config));
    }

    /// Reads the files if they were changed since they were read last, and says whether they were. If they are wrong
    /// the old certificates stay until the files are changed again: a renewal writes them one after the other.
    pub(super) fn reload_if_changed(&self) -> Result<bool> {
        let settings = {
            let mut read = self.read.lock();
            let stamp = stamp(&read.0);
            if stamp == read.1 {
                return Ok(false);
            }
            read.1 = stamp;
            read.0.clone()
        };
        if let Some(config) = server_config(&settings)? {
            self.current.store(Arc::new(config));
        }
        Ok(true)
    }
}

fn stamp(settings: &Tls) -> Stamp {
    [&settings.certificate, &settings.key, &settings.client_ca].map(|path| {
        let metadata = std::fs::metadata(path.as_ref()?).ok()?;
        metadata.modified().ok()
    })
}

fn server_config(settings: &Tls) -> Result<Option<ServerConfig>> {
    let (Some(certificate), Some(key)) = (&settings.certificate, &settings.key) else {
        return Ok(None);
    };
    let chain = certificates("tls.certificate", certificate)?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| unreadable("tls.key", key, "private key", &error))?;

    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(format!("TLS: {error}")))?;
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates("tls.client_ca", path)? {
                roots.add(certificate).map_err(|error| {
                    wrong(format!("tls.client_ca: {}: {error}", path.display()))
                })?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| wrong(format!("tls.client_ca: {}: {error}", path.display())))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, private).map_err(|error| {
        wrong(format!(
            "tls.certificate {} and tls.key {} do not go together: {error}",
            certificate.display(),
            key.display()
        ))
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(config))
}

fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).and_then(|certificates| certificates.collect());
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => {
            let error = rustls_pki_types::pem::Error::NoItemsFound;
            Err(unreadable(setting, path, "certificate", &error))
        }
        Err(error) => Err(unreadable(setting, path, "certificate", &error)),
    }
}

fn unreadable(
    setting: &str,
    path: &Path,
    what: &str,
    error: &rustls_pki_types::pem::Error,
) -> Error {
    use rustls_pki_types::pem::Error as PemError;
    let path = path.display();
    let (kind, message) = match error {
        PemError::Io(error) => {
            let kind = match error.kind() {
                std::io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
                _ => ErrorKind::InvalidArgument,
            };
            (kind, format!("{setting}: cannot read {path}: {error}"))
        }
        // The error may quote the file, and the file may be a key.
        _ => (
            ErrorKind::InvalidArgument,
            format!("{setting}: {path} holds no {what} in PEM form (-----BEGIN ...-----)"),
        ),
    };
    Error::new(kind, message)
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}
