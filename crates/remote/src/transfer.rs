//! Moving one file to or from an object store, in pieces, in bounded memory.

use std::future::Future;
use std::path::Path as FilePath;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStream, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use vecdb_engine::{Error, FILE_HEAD_BYTES, Result, SnapshotFile, StopSignal};
use vecdb_storage::checksum::crc32c_seeded;
use vecdb_storage::{Disk, DiskFile, StorageError};

use crate::bucket::Failure;

/// Bytes of a piece; at most [`PIECES_AT_ONCE`] are in memory.
const PIECE: u64 = 8 << 20;
const PIECES_AT_ONCE: usize = 4;
/// S3 takes up to 10,000 parts of one size: the pieces of a larger file grow.
const PIECES_MAX: u64 = 9_000;
/// How often a running request looks whether it is still wanted.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// Stores a file as `to`; of one of which not all counts the first `bytes`.
pub(crate) async fn upload(
    objects: &dyn ObjectStore,
    disk: &dyn Disk,
    from: &FilePath,
    bytes: Option<u64>,
    to: &Path,
    failure: &Failure<'_>,
) -> Result<()> {
    let file = disk
        .open(from)
        .map_err(|e| StorageError::io("open", from, e))?;
    let len = bytes.unwrap_or(file.len());
    let piece = PIECE.max(len.div_ceil(PIECES_MAX));
    let read = |at: u64| -> Result<Vec<u8>> {
        let mut bytes = vec![0; piece.min(len - at) as usize];
        file.read_at(at, &mut bytes)
            .map_err(|e| StorageError::io("read", from, e))?;
        Ok(bytes)
    };
    if len <= piece {
        let payload = PutPayload::from(read(0)?);
        let put = objects.put(to, payload).await;
        return put.map(drop).map_err(|e| failure.of("store", to, e));
    }
    let parts = objects
        .put_multipart(to)
        .await
        .map_err(|e| failure.of("store", to, e))?;
    let mut out = WriteMultipart::new_with_chunk_size(parts, piece as usize);
    let mut at = 0;
    while at < len {
        let ready = out.wait_for_capacity(PIECES_AT_ONCE).await;
        let bytes = match ready.map_err(|e| failure.of("store", to, e)) {
            Ok(()) => read(at),
            Err(error) => Err(error),
        };
        match bytes {
            Ok(bytes) => {
                at += bytes.len() as u64;
                out.put(bytes.into());
            }
            Err(error) => {
                // Parts that stay are removed by the store's own rules for unfinished uploads.
                let _ = out.abort().await;
                return Err(error);
            }
        }
    }
    let stored = out.finish().await;
    stored.map(drop).map_err(|e| failure.of("store", to, e))
}

/// Has the store make `to` of one of `earlier`, if that has the content of the file `from`: the same first bytes, in which
/// a file tells itself from all others, and, as their lists say, the same length and checksum. Whether there was one.
pub(crate) async fn reuse(
    objects: &dyn ObjectStore,
    disk: &dyn Disk,
    from: &FilePath,
    earlier: impl Iterator<Item = &Path>,
    to: &Path,
) -> Result<bool> {
    let file = disk
        .open(from)
        .map_err(|e| StorageError::io("open", from, e))?;
    let mut head = vec![0; file.len().min(FILE_HEAD_BYTES) as usize];
    file.read_at(0, &mut head)
        .map_err(|e| StorageError::io("read", from, e))?;
    for earlier in earlier {
        // Whatever keeps the store from it, sending the file does as well.
        let found = objects.get_range(earlier, 0..head.len() as u64).await;
        if found.is_ok_and(|found| found == head)
            && objects.copy(earlier, to).await.is_ok()
            && let Ok(made) = objects.head(to).await
            && made.size == file.len()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads back what was stored and compares it with the list of files.
pub(crate) async fn verify(
    objects: &dyn ObjectStore,
    stored: &Path,
    file: &SnapshotFile,
    failure: &Failure<'_>,
) -> Result<()> {
    let (mut crc, mut bytes) = (0, 0);
    let mut pieces = pieces(objects, stored, file.bytes);
    while let Some(piece) = pieces
        .try_next()
        .await
        .map_err(|e| failure.of("read back", stored, e))?
    {
        crc = crc32c_seeded(crc, &piece);
        bytes += piece.len() as u64;
    }
    match (bytes, crc) == (file.bytes, file.crc32c) {
        true => Ok(()),
        false => Err(failure.not_as_sent(stored)),
    }
}

/// An object in pieces, in their order.
fn pieces<'a>(
    objects: &'a dyn ObjectStore,
    path: &'a Path,
    bytes: u64,
) -> impl TryStream<Ok = Bytes, Error = object_store::Error> + Unpin + 'a {
    let ranges = (0..bytes.div_ceil(PIECE)).map(move |n| n * PIECE..bytes.min((n + 1) * PIECE));
    let pieces = stream::iter(ranges).map(move |range| objects.get_range(path, range));
    Box::pin(pieces.buffered(PIECES_AT_ONCE))
}

/// Fetches `from`, which must have `bytes` bytes, into the new file `to`, and gives that: it is not synced.
pub(crate) async fn download(
    objects: &dyn ObjectStore,
    from: &Path,
    bytes: u64,
    disk: &dyn Disk,
    to: &FilePath,
    failure: &Failure<'_>,
) -> Result<Box<dyn DiskFile>> {
    let found = objects
        .head(from)
        .await
        .map_err(|e| failure.of("look for", from, e))?;
    if found.size != bytes {
        return Err(failure.wrong_length(from, found.size, bytes));
    }
    let mut out = disk
        .create(to)
        .map_err(|e| StorageError::io("create", to, e))?;
    let mut pieces = pieces(objects, from, bytes);
    while let Some(piece) = pieces
        .try_next()
        .await
        .map_err(|e| failure.of("fetch", from, e))?
    {
        out.write(&piece)
            .map_err(|e| StorageError::io("write", to, e))?;
    }
    Ok(out)
}

/// Does `work` unless `stop` says that nobody waits for it any more.
pub(crate) async fn unless_stopped<T>(
    stop: &StopSignal,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T> {
    let mut work = pin!(work);
    loop {
        stop.check()?;
        if let Ok(outcome) = tokio::time::timeout(STOP_CHECK, work.as_mut()).await {
            return outcome;
        }
    }
}
