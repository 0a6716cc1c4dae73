//! Snapshots in an object store. Staged in the database's folder on their way out and in: names of its own files going
//! out, files that a second name makes its own coming in.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use tokio::runtime::{Builder, Runtime};
use vecdb_engine::{
    Database, Error, ErrorKind, RestoreRequest, Restored, Result, SNAPSHOT_FILE, SnapshotManifest,
    StopSignal, Transfer,
};
use vecdb_storage::StorageError;

use crate::store::{fits, missing, taken};
use crate::transfer::{download, reuse, unless_stopped, upload, verify};

/// Small requests that are under way at once.
pub(crate) const REQUESTS_AT_ONCE: usize = 8;

pub(crate) struct Bucket {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    url: String,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

/// What went wrong with which object of which store.
pub(crate) struct Failure<'a> {
    url: &'a str,
}

impl Failure<'_> {
    pub(crate) fn of(&self, op: &str, path: &Path, error: object_store::Error) -> Error {
        use object_store::Error as E;
        let kind = match &error {
            E::NotFound { .. } => ErrorKind::NotFound,
            E::AlreadyExists { .. } => ErrorKind::AlreadyExists,
            // The caller of this process may well be known; it is this process that the store does not know.
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => ErrorKind::PermissionDenied,
            E::NotImplemented { .. } | E::NotSupported { .. } => ErrorKind::Unsupported,
            E::InvalidPath { .. } => ErrorKind::InvalidArgument,
            _ => ErrorKind::Io,
        };
        let url = self.url;
        let mut message = format!("{url}: cannot {op} {path}: {error}");
        // The client says that a request failed; why (no route, a certificate) is known only to the innermost error.
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            cause = inner.source();
            let inner = inner.to_string();
            if cause.is_none() && !message.contains(&inner) {
                message = format!("{message}: {inner}");
            }
        }
        Error::new(kind, message)
    }

    pub(crate) fn not_as_sent(&self, path: &Path) -> Error {
        Error::new(
            ErrorKind::Corrupt,
            format!("{}: {path} does not read back as it was sent", self.url),
        )
    }

    pub(crate) fn wrong_length(&self, path: &Path, found: u64, expected: u64) -> Error {
        Error::new(
            ErrorKind::Corrupt,
            format!(
                "{}: {path} has {found} bytes where {expected} were stored",
                self.url
            ),
        )
    }
}

impl Bucket {
    pub(crate) fn new(objects: Arc<dyn ObjectStore>, prefix: Path, url: String) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("vecdb-remote")
            .enable_all()
            .build()
            .map_err(|e| {
                Error::new(
                    ErrorKind::ResourceExhausted,
                    format!("cannot start a thread for {url}: {e}"),
                )
            })?;
        Ok(Self {
            objects,
            prefix,
            url,
            runtime: Some(runtime),
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn objects(&self) -> &dyn ObjectStore {
        self.objects.as_ref()
    }

    pub(crate) fn prefix(&self) -> &Path {
        &self.prefix
    }

    pub(crate) fn create(
        &self,
        db: &Database,
        name: &str,
        collections: &[String],
        stop: &StopSignal,
    ) -> Result<(SnapshotManifest, Transfer)> {
        self.run(self.claim(name))?;
        let made = self.make(db, name, collections, stop);
        if made.is_err() {
            // What cannot be removed now can be deleted by its name.
            let _ = self.run(self.remove(name));
        }
        made
    }

    fn make(
        &self,
        db: &Database,
        name: &str,
        names: &[String],
        stop: &StopSignal,
    ) -> Result<(SnapshotManifest, Transfer)> {
        let staging = db.stage()?;
        let snapshot = db.snapshot_with(names, staging.path(), stop)?;
        let earlier = self.earlier_files()?;
        let mut transfer = Transfer::default();
        self.run(unless_stopped(stop, async {
            let disk = staging.disk();
            let failure = self.failure();
            for (at, collection) in snapshot.collections.iter().enumerate() {
                let folder = SnapshotManifest::folder(at);
                for file in &collection.files {
                    let from = staging.path().join(&folder).join(&file.name);
                    let to = self.file(name, at, &file.name);
                    let same = earlier
                        .get(&(file.bytes, file.crc32c))
                        .into_iter()
                        .flatten();
                    if file.is_sealed() && reuse(&self.objects, disk, &from, same, &to).await? {
                        transfer.reused_bytes += file.bytes;
                        continue;
                    }
                    upload(&self.objects, disk, &from, None, &to, &failure).await?;
                    verify(&self.objects, &to, file, &failure).await?;
                    transfer.uploaded_bytes += file.bytes;
                }
            }
            let list = staging.path().join(SNAPSHOT_FILE);
            let to = self.path(name).join(SNAPSHOT_FILE);
            upload(&self.objects, disk, &list, None, &to, &failure).await
        }))?;
        // It is whole: a claim that stays is in nobody's way.
        let _ = self.run(async { Ok(self.objects.delete(&self.claim_path(name)).await) });
        Ok((snapshot, transfer))
    }

    /// The files of all snapshots, by length and checksum.
    fn earlier_files(&self) -> Result<BTreeMap<(u64, u32), Vec<Path>>> {
        let mut earlier: BTreeMap<_, Vec<Path>> = BTreeMap::new();
        for (name, snapshot) in self.list()? {
            let Ok(snapshot) = snapshot else {
                continue;
            };
            for (at, collection) in snapshot.collections.iter().enumerate() {
                for file in &collection.files {
                    let same = earlier.entry((file.bytes, file.crc32c)).or_default();
                    same.push(self.file(&name, at, &file.name));
                }
            }
        }
        Ok(earlier)
    }

    /// Takes the name: of two that write a snapshot of one name the second is refused.
    async fn claim(&self, name: &str) -> Result<()> {
        let claim = self.claim_path(name);
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        let put = self.objects.put_opts(&claim, PutPayload::new(), options);
        use object_store::Error as E;
        match put.await {
            Ok(_) => {}
            Err(E::AlreadyExists { .. } | E::Precondition { .. }) => {
                let whole = self.is_whole(name).await?;
                return Err(taken(name, whole, &self.url));
            }
            // A store that cannot do that leaves two writers of one name to the checksums of a restore.
            Err(E::NotImplemented { .. } | E::NotSupported { .. }) => {}
            Err(error) => return Err(self.failure().of("store", &claim, error)),
        }
        if self.is_whole(name).await? {
            let _ = self.objects.delete(&claim).await;
            return Err(taken(name, true, &self.url));
        }
        Ok(())
    }

    async fn is_whole(&self, name: &str) -> Result<bool> {
        let path = self.path(name).join(SNAPSHOT_FILE);
        match self.objects.head(&path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failure().of("look for", &path, error)),
        }
    }

    pub(crate) fn list(&self) -> Result<Vec<(String, Result<SnapshotManifest>)>> {
        self.run(async {
            let inside = self.objects.list_with_delimiter(Some(&self.prefix)).await;
            let inside = inside.map_err(|e| self.failure().of("list", &self.prefix, e))?;
            let names = inside.common_prefixes.iter().filter_map(Path::filename);
            let names: Vec<_> = names.filter(|n| fits(n)).map(str::to_owned).collect();
            let found: Vec<_> = stream::iter(names)
                .map(|name| async { (self.read(&name).await, name) })
                .buffered(REQUESTS_AT_ONCE)
                .collect()
                .await;
            let whole = |(snapshot, name): (Result<_>, String)| match snapshot {
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                snapshot => Some((name, snapshot.map(|(_, snapshot)| snapshot))),
            };
            Ok(found.into_iter().filter_map(whole).collect())
        })
    }

    pub(crate) fn restore(
        &self,
        db: &Database,
        name: &str,
        request: &RestoreRequest,
        stop: &StopSignal,
    ) -> Result<Restored> {
        let (text, snapshot) = self.run(unless_stopped(stop, self.read(name)))?;
        // Before anything is fetched.
        let plan = db.plan_restore(&snapshot, request, stop)?;
        let staging = db.stage()?;
        let disk = staging.disk();
        let root = staging.path();
        let failure = self.failure();
        disk.create_dir(root)
            .map_err(|e| StorageError::io("create folder", root, e))?;
        self.run(unless_stopped(stop, async {
            for at in plan.of_snapshot() {
                let folder = root.join(SnapshotManifest::folder(at));
                disk.create_dir(&folder)
                    .map_err(|e| StorageError::io("create folder", &folder, e))?;
                for file in snapshot.collections.get(at).iter().flat_map(|c| &c.files) {
                    let from = self.file(name, at, &file.name);
                    let to = folder.join(&file.name);
                    let fetched = download(&self.objects, &from, file.bytes, disk, &to, &failure);
                    let mut fetched = fetched.await.map_err(was_there)?;
                    // The restore gives it a second name instead of a copy: it has to be durable under the first.
                    let synced = fetched.sync();
                    synced.map_err(|e| StorageError::io("sync", &to, e))?;
                }
            }
            Ok(())
        }))?;
        let list = root.join(SNAPSHOT_FILE);
        disk.replace(&list, &text)
            .map_err(|e| StorageError::io("replace", &list, e))?;
        db.restore_with(root, request, stop)
    }

    pub(crate) fn delete(&self, name: &str) -> Result<()> {
        match self.run(self.remove(name))? {
            true => Ok(()),
            false => Err(missing(name, &self.url)),
        }
    }

    /// The list of files first, the claim last; nothing but what belongs to a snapshot. Whether there was one.
    async fn remove(&self, name: &str) -> Result<bool> {
        let root = self.path(name);
        let failure = self.failure();
        let (list, claim) = (root.clone().join(SNAPSHOT_FILE), self.claim_path(name));
        let mut files = Vec::new();
        let (mut whole, mut claimed) = (false, false);
        let mut inside = self.objects.list(Some(&root));
        while let Some(object) = inside
            .try_next()
            .await
            .map_err(|e| failure.of("list", &root, e))?
        {
            let path = object.location;
            whole |= path == list;
            claimed |= path == claim;
            if path.prefix_matches(&root.clone().join("collections")) {
                files.push(path);
            }
        }
        if !whole && !claimed {
            return Ok(false);
        }
        let ordered = whole.then_some(list).into_iter().map(|list| vec![list]);
        for batch in ordered.chain([files, claimed.then_some(claim).into_iter().collect()]) {
            let batch = stream::iter(batch.into_iter().map(Ok)).boxed();
            let mut removed = self.objects.delete_stream(batch);
            loop {
                match removed.try_next().await {
                    Ok(Some(_)) | Err(object_store::Error::NotFound { .. }) => {}
                    Ok(None) => break,
                    Err(error) => return Err(failure.of("delete", &root, error)),
                }
            }
        }
        Ok(true)
    }

    /// The text of SNAPSHOT.json, and what it says.
    async fn read(&self, name: &str) -> Result<(Vec<u8>, SnapshotManifest)> {
        let path = self.path(name).join(SNAPSHOT_FILE);
        let found = match self.objects.get(&path).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Err(missing(name, &self.url)),
            Err(error) => return Err(self.failure().of("fetch", &path, error)),
        };
        if found.meta.size > SnapshotManifest::BYTES_MAX {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "{}: {path} has {} bytes, too many for a list of files",
                    self.url, found.meta.size
                ),
            ));
        }
        let text = found.bytes().await;
        let text = text.map_err(|e| self.failure().of("fetch", &path, e))?;
        let place = format!("{}: {}", self.url, self.path(name));
        let snapshot = SnapshotManifest::parse(&text, place)?;
        Ok((text.into(), snapshot))
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    fn claim_path(&self, name: &str) -> Path {
        self.path(name).join(format!("{SNAPSHOT_FILE}.tmp"))
    }

    fn file(&self, name: &str, at: usize, file: &str) -> Path {
        let folder = SnapshotManifest::folder(at);
        let folder = folder
            .split('/')
            .fold(self.path(name), |path, part| path.join(part));
        folder.join(file)
    }

    pub(crate) fn failure(&self) -> Failure<'_> {
        Failure { url: &self.url }
    }

    pub(crate) fn run<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        match &self.runtime {
            Some(runtime) => runtime.block_on(work),
            None => Err(Error::new(ErrorKind::Unavailable, "the store is closed")),
        }
    }
}

/// What a list names was there.
pub(crate) fn was_there(error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::new(ErrorKind::Corrupt, error.to_string()),
        _ => error,
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // Waiting for its threads would be refused where async code drops the store.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests;
