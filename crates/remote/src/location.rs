//! What a location means: a folder, or a place in an object store.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, RetryConfig};
use url::Url;
use vecdb_engine::{Error, ErrorKind, Result};

pub(crate) enum Location {
    Folder(PathBuf),
    Bucket {
        objects: Arc<dyn ObjectStore>,
        prefix: Path,
        /// For messages: without user, password and query.
        url: String,
    },
}

impl Location {
    /// A store that does not answer is given up after `retry_timeout`.
    pub(crate) fn parse(location: &str, retry_timeout: Duration) -> Result<Self> {
        if location.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "the location is empty; give a folder or a URL such as s3://bucket/prefix",
            ));
        }
        if !location.contains("://") {
            return Ok(Self::Folder(PathBuf::from(location)));
        }
        // A text that is no URL may still hold a secret: it is not repeated.
        let parsed = Url::parse(location).map_err(|e| refused("the location is not a URL", &e))?;
        let url = shown(&parsed);
        let prefix = || {
            Path::from_url_path(parsed.path())
                .map_err(|e| refused(&format!("the path of {url} cannot be used"), &e))
        };
        match parsed.scheme() {
            "file" => parsed.to_file_path().map(Self::Folder).map_err(|()| {
                Error::new(
                    ErrorKind::InvalidArgument,
                    format!("{url} is no folder of this machine; write file:///path/to/folder"),
                )
            }),
            "memory" => Ok(Self::Bucket {
                objects: Arc::new(InMemory::new()),
                prefix: prefix()?,
                url,
            }),
            "s3" | "s3a" => {
                if !parsed.username().is_empty() || parsed.password().is_some() {
                    return Err(Error::new(
                        ErrorKind::InvalidArgument,
                        format!(
                            "the location {url} was given with credentials; put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                        ),
                    ));
                }
                // The client for HTTPS takes the provider of the process; one that is there already serves as well.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let objects = AmazonS3Builder::from_env()
                    .with_url(&url)
                    .with_retry(RetryConfig {
                        retry_timeout,
                        ..RetryConfig::default()
                    })
                    .build()
                    .map_err(|e| refused(&format!("{url} cannot be used"), &e))?;
                Ok(Self::Bucket {
                    objects: Arc::new(objects),
                    prefix: prefix()?,
                    url,
                })
            }
            scheme => Err(Error::new(
                ErrorKind::Unsupported,
                format!("{scheme}:// is no place that is known; use a folder, file:// or s3://"),
            )),
        }
    }
}

fn refused(what: &str, error: &dyn std::error::Error) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("{what}: {error}"))
}

fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Refused only by URLs that have no place for them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(location: &str) -> Result<Location> {
        Location::parse(location, Duration::from_secs(1))
    }

    fn refusal(location: &str) -> Error {
        match parse(location) {
            Ok(_) => panic!("{location} was accepted"),
            Err(error) => error,
        }
    }

    #[test]
    fn folders_and_urls_are_told_apart() {
        for (location, folder) in [
            ("/var/backups", "/var/backups"),
            ("backups", "backups"),
            ("file:///var/back%20ups", "/var/back ups"),
        ] {
            match parse(location).unwrap() {
                Location::Folder(found) => assert_eq!(found, PathBuf::from(folder)),
                Location::Bucket { url, .. } => panic!("{url} is a folder"),
            }
        }
        match parse("s3://bucket/some/prefix/").unwrap() {
            Location::Bucket { prefix, url, .. } => {
                assert_eq!(prefix.as_ref(), "some/prefix");
                assert_eq!(url, "s3://bucket/some/prefix/");
            }
            Location::Folder(folder) => panic!("{} is a bucket", folder.display()),
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_without_repeating_secrets() {
        assert_eq!(refusal("").kind(), ErrorKind::InvalidArgument);
        assert_eq!(refusal("gopher://x/y").kind(), ErrorKind::Unsupported);
        assert_eq!(refusal("file://host/x").kind(), ErrorKind::InvalidArgument);
        for location in [
            "s3://key:hunter2@bucket/x?token=hunter2",
            "s3://key:hunter2@bucket:no/x",
            "ftp://key:hunter2@host/x#hunter2",
        ] {
            let message = refusal(location).to_string();
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
