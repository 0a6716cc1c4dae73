//! Which addresses may be served without knowing callers: loopback, where only this machine's own can connect.

use vecdb_engine::{Error, ErrorKind, Result};

use crate::config::Config;

/// Refuses to serve other machines when anyone there could read and drop everything.
pub(crate) fn check(config: &Config) -> Result<()> {
    if config.knows_callers() || config.listen.allow_insecure {
        return Ok(());
    }
    for (setting, address) in [("grpc", config.listen.grpc), ("http", config.listen.http)] {
        if !address.ip().to_canonical().is_loopback() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "listen.{setting} is {address}, which other machines can reach, and there are no keys: anyone could read and drop everything. Either set auth.keys (or auth.jwt, or tls.client_ca), or listen on 127.0.0.1, or say listen.allow_insecure: true if something else keeps strangers away"
                ),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ApiKey, Secret};
    use crate::gateway::Access;

    #[test]
    fn other_machines_are_served_only_when_that_is_safe_or_wanted() {
        let mut config = Config::default();
        assert!(check(&config).is_ok());
        for address in ["[::1]:1", "[::ffff:127.0.0.1]:1", "127.3.4.5:1"] {
            config.listen.http = address.parse().unwrap();
            assert!(check(&config).is_ok(), "{address}");
        }
        for address in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[::ffff:10.0.0.1]:1"] {
            config.listen.http = address.parse().unwrap();
            let error = check(&config).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            for part in [
                address,
                "listen.http",
                "auth.keys",
                "127.0.0.1",
                "listen.allow_insecure: true",
            ] {
                assert!(error.to_string().contains(part), "{part}: {error}");
            }
        }
        let mut with_key = config.clone();
        with_key.auth.keys.push(ApiKey {
            name: "a".to_owned(),
            key: Secret::new("b"),
            access: Access::Read,
            collections: Vec::new(),
        });
        assert!(check(&with_key).is_ok());
        let mut with_certificates = config.clone();
        with_certificates.tls.client_ca = Some("ca.pem".into());
        // Nobody shows a certificate on a connection without encryption.
        assert!(check(&with_certificates).is_err());
        with_certificates.tls.certificate = Some("server.pem".into());
        assert!(check(&with_certificates).is_ok());
        config.listen.allow_insecure = true;
        assert!(check(&config).is_ok());
    }
}
