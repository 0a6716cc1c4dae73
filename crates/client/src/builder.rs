//! Settings of a client, checked before anything is connected.

use std::time::Duration;

use http::Uri;
use tonic::Code;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::client::Client;
use crate::error::ClientError;

const PORT: u16 = 6333;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);
const RETRIES: u32 = 3;
/// Bytes the server may send ahead in one call.
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
/// ... and in all calls. The HTTP/2 library ends a connection whose unread frames fall short of 256 bytes each by more
/// than half of this in sum; the answers of a long stream, read late, must not get there.
const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;
/// A connection on which nothing comes for so long is asked whether it lives, and given up after the second time.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// Settings of a [`Client`]; each default stands at its method.
pub struct Builder {
    url: String,
    api_key: Option<String>,
    ca_certificate: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    timeout: Option<Duration>,
    retries: u32,
}

impl Builder {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            api_key: None,
            ca_certificate: None,
            identity: None,
            timeout: Some(TIMEOUT),
            retries: RETRIES,
        }
    }

    /// The API key or JWT that every call shows. Default: none.
    #[must_use]
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// The certificates (PEM) that the server's is trusted by. Default: those of the system.
    #[must_use]
    pub fn ca_certificate_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_certificate = Some(pem.into());
        self
    }

    /// The certificate and private key (PEM) that are shown to a server that asks for them. Default: none.
    #[must_use]
    pub fn identity_pem(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.identity = Some((certificate.into(), key.into()));
        self
    }

    /// How long a call may take, retries included; `None`: as long as it takes. It does not hold for calls that take as
    /// long as there is data (streams of upserts, flush, compact, verify, advise, field indexes; making, restoring and deleting snapshots):
    /// give these a deadline. Default: 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// How often a call that can be repeated is repeated at most. Default: 3.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// The client. The connection is made by its first call.
    ///
    /// # Errors
    /// `invalid_argument` for settings that cannot work. Also where no tokio runtime is: call it inside of one.
    pub fn connect(self) -> Result<Client, ClientError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(invalid("a client is made inside of a tokio runtime"));
        }
        let uri = address(&self.url)?;
        let encrypted = uri.scheme_str() == Some("https");
        if !encrypted && (self.ca_certificate.is_some() || self.identity.is_some()) {
            return Err(invalid(format!(
                "certificates are given, but {uri} is not encrypted: write https://"
            )));
        }
        let address = uri.to_string().trim_end_matches('/').to_owned();
        let mut endpoint = Endpoint::from(uri)
            .connect_timeout(CONNECT_TIMEOUT)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_keep_alive_interval(KEEP_ALIVE.0)
            .keep_alive_timeout(KEEP_ALIVE.1)
            .keep_alive_while_idle(true);
        if encrypted {
            let tls = tls(self.ca_certificate, self.identity)?;
            endpoint = endpoint
                .tls_config(tls)
                .map_err(|error| invalid(format!("TLS cannot be set up: {}", innermost(&error))))?;
        }
        Ok(Client {
            channel: endpoint.connect_lazy(),
            address: address.into(),
            authorization: self.api_key.as_deref().map(authorization).transpose()?,
            timeout: self.timeout,
            deadline: None,
            retries: self.retries,
        })
    }
}

/// `host`, `host:port` or either with `http://` or `https://` before it.
fn address(url: &str) -> Result<Uri, ClientError> {
    let refuse = |why: &str| {
        Err(invalid(format!(
            "{url:?} is not an address: {why}; write host:port, http://host:port or https://host:port"
        )))
    };
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    if !matches!(scheme, "http" | "https") {
        return refuse(&format!("the scheme {scheme:?} is not known"));
    }
    let rest = rest.trim_end_matches('/');
    if rest.is_empty() {
        return refuse("the host is missing");
    }
    if rest.contains(['/', '?', '#']) {
        return refuse("it has a path");
    }
    if rest.contains('@') {
        return refuse("it has a user name; pass an API key instead");
    }
    let Ok(authority) = rest.parse::<http::uri::Authority>() else {
        return refuse("it cannot be read");
    };
    // Of `host:` and `host:99999`, too, `port` is none.
    let has_port = authority.as_str().len() > authority.host().len();
    let with_port = match authority.port_u16() {
        Some(0) => return refuse("port 0 cannot be connected to"),
        Some(_) => rest.to_owned(),
        None if has_port => return refuse("the port is not a number from 1 to 65535"),
        None => format!("{rest}:{PORT}"),
    };
    match format!("{scheme}://{with_port}").parse() {
        Ok(uri) => Ok(uri),
        Err(error) => refuse(&error.to_string()),
    }
}

fn tls(
    ca_certificate: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
) -> Result<ClientTlsConfig, ClientError> {
    let mut tls = match ca_certificate {
        Some(pem) => {
            check_pem(&pem, "CERTIFICATE", "the CA certificate")?;
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem))
        }
        None => ClientTlsConfig::new().with_native_roots(),
    };
    if let Some((certificate, key)) = identity {
        check_pem(&certificate, "CERTIFICATE", "the client certificate")?;
        check_pem(&key, "PRIVATE KEY", "the client key")?;
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    Ok(tls)
}

/// What has no such block at all is passed over without a word by the TLS library.
fn check_pem(pem: &[u8], block: &str, what: &str) -> Result<(), ClientError> {
    let text = String::from_utf8_lossy(pem);
    let begins = |line: &str| line.starts_with("-----BEGIN ") && line.contains(block);
    match text.lines().any(begins) {
        true => Ok(()),
        false => Err(invalid(format!(
            "{what} is not PEM: it has no line -----BEGIN {block}-----"
        ))),
    }
}

fn authorization(key: &str) -> Result<MetadataValue<Ascii>, ClientError> {
    // The key itself stays out of the message.
    let shown = |c: char| c.is_ascii_graphic();
    if key.is_empty() || !key.chars().all(shown) {
        return Err(invalid(
            "the API key must be visible ASCII characters without spaces",
        ));
    }
    let mut value: MetadataValue<Ascii> = format!("Bearer {key}")
        .parse()
        .map_err(|_| invalid("the API key cannot be sent as a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn innermost(error: &dyn std::error::Error) -> &dyn std::error::Error {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
}

fn invalid(message: impl Into<String>) -> ClientError {
    ClientError::new(Code::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_completed_and_nonsense_is_refused() {
        for (given, meant) in [
            ("localhost", "http://localhost:6333/"),
            ("localhost:7000", "http://localhost:7000/"),
            ("http://10.0.0.1/", "http://10.0.0.1:6333/"),
            ("https://db.example.org:443", "https://db.example.org:443/"),
            ("[::1]:6334", "http://[::1]:6334/"),
            ("[::1]", "http://[::1]:6333/"),
        ] {
            assert_eq!(address(given).unwrap().to_string(), meant, "{given}");
        }
        for (bad, why) in [
            ("", "host is missing"),
            ("http://", "host is missing"),
            ("ftp://host", "\"ftp\" is not known"),
            ("http://host/v1", "has a path"),
            ("key@host:1", "user name"),
            ("host:", "from 1 to 65535"),
            ("host:65536", "from 1 to 65535"),
            ("host:0", "port 0"),
            ("a host", "cannot be read"),
        ] {
            let error = address(bad).unwrap_err();
            assert!(error.message().contains(why), "{bad}: {error}");
        }
    }

    #[tokio::test]
    async fn settings_that_cannot_work_are_refused_without_showing_secrets() {
        let refused = |builder: Builder| builder.connect().err().unwrap().to_string();
        let error = refused(Client::builder("host").api_key("se cret"));
        assert!(
            error.contains("API key") && !error.contains("cret"),
            "{error}"
        );
        let error = refused(Client::builder("host").ca_certificate_pem("x"));
        assert!(error.contains("write https://"), "{error}");
        let error = refused(Client::builder("https://host").ca_certificate_pem("x"));
        assert!(error.contains("CA certificate is not PEM"), "{error}");
    }

    #[test]
    fn outside_of_a_runtime_it_is_an_error_and_no_panic() {
        let error = Client::connect("host").err().unwrap();
        assert!(error.message().contains("tokio runtime"), "{error}");
    }
}
