//! Archives of logs in an object store.
//!
//! Nobody can lock such a place. So a piece is only ever made, never replaced by another one's, and the name of a log file
//! tells its content: of two copies of a database that archive to one place, the second is refused and harms nothing.

use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutOptions, PutPayload};
use vecdb_engine::{ArchiveOpener, ArchiveStore, Env, Error, ErrorKind, FolderArchive, Result};
use vecdb_storage::{Disk, FileDisk, LogPiece, SealedFile};

use crate::bucket::{Bucket, REQUESTS_AT_ONCE, was_there};
use crate::location::Location;
use crate::transfer::{download, upload};

/// A store that does not answer is given up after this long: the database tries again by itself, and a close waits for it.
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);
/// Larger objects are none of those that are read whole.
const DOCUMENT_BYTES_MAX: u64 = 64 << 20;

/// The usual components of a database, and object storage for the archive of its log.
pub fn env() -> Env {
    Env {
        archives: Some(Arc::new(Archives)),
        ..Env::default()
    }
}

#[derive(Debug)]
struct Archives;

impl ArchiveOpener for Archives {
    fn open(&self, url: &str) -> Result<Arc<dyn ArchiveStore>> {
        match Location::parse(url, RETRY_TIMEOUT)? {
            Location::Folder(folder) => {
                Ok(Arc::new(FolderArchive::new(Arc::new(FileDisk), folder)))
            }
            Location::Bucket { url, .. } if url.starts_with("memory:") => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("an archive in {url} is gone when it is needed; use a folder or s3://"),
            )),
            Location::Bucket {
                objects,
                prefix,
                url,
            } => Ok(Arc::new(BucketArchive {
                bucket: Bucket::new(objects, prefix, url)?,
            })),
        }
    }
}

/// An archive in an object store.
pub(crate) struct BucketArchive {
    bucket: Bucket,
}

impl fmt::Debug for BucketArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketArchive")
            .field("url", &self.bucket.url())
            .finish_non_exhaustive()
    }
}

impl BucketArchive {
    fn path(&self, name: &str) -> Path {
        self.bucket.prefix().clone().join(name)
    }

    async fn read_one(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path(name);
        let failed = |error| self.bucket.failure().of("fetch", &path, error);
        let found = match self.bucket.objects().get(&path).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if found.meta.size > DOCUMENT_BYTES_MAX {
            let (url, size) = (self.bucket.url(), found.meta.size);
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("{url}: {path} has {size} bytes, too many for what it should be"),
            ));
        }
        let bytes = found.bytes().await.map_err(failed)?;
        Ok(Some(bytes.into()))
    }

    async fn put(&self, name: &str, bytes: &[u8], mode: PutMode) -> object_store::Result<()> {
        let options = PutOptions {
            mode,
            ..PutOptions::default()
        };
        let payload = PutPayload::from(bytes.to_vec());
        let path = self.path(name);
        let put = self.bucket.objects().put_opts(&path, payload, options);
        put.await.map(drop)
    }
}

impl ArchiveStore for BucketArchive {
    fn location(&self) -> String {
        self.bucket.url().to_owned()
    }

    fn list(&self) -> Result<Vec<String>> {
        let prefix = self.bucket.prefix();
        let inside = async {
            let listed = self.bucket.objects().list_with_delimiter(Some(prefix));
            let listed = listed.await;
            listed.map_err(|e| self.bucket.failure().of("list", prefix, e))
        };
        let inside = self.bucket.run(inside)?.objects.into_iter();
        let name = |object: object_store::ObjectMeta| object.location.filename().map(str::to_owned);
        Ok(inside.filter_map(name).collect())
    }

    fn read(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        let read = stream::iter(names)
            .map(|name| self.read_one(name))
            .buffered(REQUESTS_AT_ONCE);
        self.bucket.run(read.try_collect())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let put = async {
            let put = self.put(name, bytes, PutMode::Overwrite).await;
            put.map_err(|e| self.bucket.failure().of("store", &self.path(name), e))
        };
        self.bucket.run(put)
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<()> {
        use object_store::Error as E;
        let taken = || {
            let message = format!(
                "{}: {} is there already",
                self.bucket.url(),
                self.path(name)
            );
            Error::new(ErrorKind::AlreadyExists, message)
        };
        let created = async { Ok(self.put(name, bytes, PutMode::Create).await) };
        match self.bucket.run(created)? {
            Ok(()) => Ok(()),
            Err(E::AlreadyExists { .. } | E::Precondition { .. }) => Err(taken()),
            // A store that cannot do that is looked at before.
            Err(E::NotImplemented { .. } | E::NotSupported { .. }) => {
                match self.bucket.run(self.read_one(name))? {
                    Some(_) => Err(taken()),
                    None => self.write(name, bytes),
                }
            }
            Err(error) => Err(self.bucket.failure().of("store", &self.path(name), error)),
        }
    }

    fn store(
        &self,
        disk: &dyn Disk,
        file: &SealedFile,
        piece: &LogPiece,
        name: &str,
    ) -> Result<()> {
        let (to, failure) = (self.path(name), self.bucket.failure());
        let bytes = Some(piece.end.bytes);
        let stored = upload(
            self.bucket.objects(),
            disk,
            &file.path,
            bytes,
            &to,
            &failure,
        );
        self.bucket.run(stored)
    }

    fn at_hand(
        &self,
        name: &str,
        bytes: u64,
        disk: &dyn Disk,
        copy_to: &mut dyn FnMut() -> Result<PathBuf>,
    ) -> Result<PathBuf> {
        let to = copy_to()?;
        let (from, failure) = (self.path(name), self.bucket.failure());
        let to_path: &FilePath = &to;
        let fetched = download(self.bucket.objects(), &from, bytes, disk, to_path, &failure);
        self.bucket.run(fetched).map_err(was_there)?;
        Ok(to)
    }
}

#[cfg(test)]
mod tests;
