//! Making a snapshot.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use vecdb_storage::disk::temporary_name;
use vecdb_storage::{Disk, verify_file};

use super::{
    CollectionLog, EarlierFiles, PlacedFile, SNAPSHOT_FILE, SnapshotCollection, SnapshotFile,
    SnapshotLog, SnapshotManifest, Transfer, checksum_of,
};
use crate::collection::Manifest;
use crate::database::Database;
use crate::error::{Error, ErrorKind, Result};
use crate::stop::StopSignal;

impl Database {
    /// Copies collections, all where none is named, to a new or empty folder `into`. Reads and writes go on meanwhile;
    /// every write that was acknowledged before the call is in the copy.
    ///
    /// Files are given second names where the file system allows it, else copied. Every byte is read and compared with
    /// its checksum: what is damaged is not passed on as a backup.
    ///
    /// # Errors
    /// `NotFound` for an unknown collection, that of a broken one for it, `AlreadyExists` if `into` is not empty. After
    /// an error nothing is left there.
    pub fn snapshot(
        &self,
        collections: &[String],
        into: impl AsRef<Path>,
    ) -> Result<SnapshotManifest> {
        self.snapshot_with(collections, into, &StopSignal::default())
    }

    /// [`Self::snapshot`] until `stop` is given; then, as after any error, nothing is left.
    pub fn snapshot_with(
        &self,
        collections: &[String],
        into: impl AsRef<Path>,
        stop: &StopSignal,
    ) -> Result<SnapshotManifest> {
        let made = self.snapshot_beside(collections, into, &EarlierFiles::default(), stop);
        Ok(made?.0)
    }

    /// [`Self::snapshot_with`]; where the database's files cannot be given second names, those of `earlier` snapshots
    /// are if they have the same content. Also tells what had to be written.
    pub fn snapshot_beside(
        &self,
        collections: &[String],
        into: impl AsRef<Path>,
        earlier: &EarlierFiles,
        stop: &StopSignal,
    ) -> Result<(SnapshotManifest, Transfer)> {
        let into = into.as_ref();
        let (names, log) = self.snapshot_names(collections)?;
        let disk = self.disk().as_ref();
        let existed = disk
            .exists(into)
            .map_err(|e| Error::io("look for", into, e))?;
        claim(disk, into)?;
        let made = self.fill(
            &names,
            log,
            Place {
                disk,
                into,
                earlier,
            },
            stop,
        );
        if made.is_err() {
            clean_up(disk, into, existed);
        }
        made
    }

    /// The collections, and where the database stands in its log if that is archived.
    fn snapshot_names(&self, collections: &[String]) -> Result<(Vec<String>, Option<SnapshotLog>)> {
        let mut seen = BTreeSet::new();
        if let Some(twice) = collections.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(Error::invalid(format!(
                "collection {twice:?} is named twice; name each once"
            )));
        }
        let (all, log) = self.names_and_log();
        Ok(match collections.is_empty() {
            true => (all, log),
            false => {
                let part = log.map(|log| SnapshotLog {
                    whole: false,
                    ..log
                });
                (collections.to_vec(), part)
            }
        })
    }

    fn fill(
        &self,
        names: &[String],
        log: Option<SnapshotLog>,
        place: Place<'_>,
        stop: &StopSignal,
    ) -> Result<(SnapshotManifest, Transfer)> {
        let Place {
            disk,
            into,
            earlier,
        } = place;
        let open = names.iter().map(|name| self.collection(name));
        let open = open.collect::<Result<Vec<_>>>()?;
        // All at nearly the same moment, before the first byte is copied. A state holds its files.
        let pinned: Vec<_> = open.iter().map(|c| (c, c.inner.pin())).collect();
        // What the log may still lose must not be in a snapshot that the log is to go on from. One whose log does not take
        // it is a snapshot all the same.
        let reached = pinned.iter().map(|(_, (_, position))| *position).max();
        let log = log.filter(|log| self.sync_log(reached.unwrap_or(0).max(log.position)));
        let created_at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_micros() as i64);
        let mut placed = Vec::with_capacity(pinned.len());
        for (at, (collection, (state, position))) in pinned.into_iter().enumerate() {
            let folder = into.join(SnapshotManifest::folder(at));
            let files = collection
                .inner
                .copy_state(&state, &folder, earlier, stop)?;
            let place = log.as_ref().map(|_| CollectionLog {
                id: collection.inner.id(),
                position,
            });
            placed.push((collection.name(), state.live_rows(), folder, files, place));
        }
        let mut snapshot = SnapshotManifest {
            created_at,
            collections: Vec::with_capacity(placed.len()),
            log,
        };
        let mut transfer = Transfer::default();
        for (name, points, folder, files, log) in placed {
            for file in &files {
                match file.written {
                    true => transfer.uploaded_bytes += file.bytes,
                    false => transfer.reused_bytes += file.bytes,
                }
            }
            let files = files
                .into_iter()
                .map(|file| seal(disk, &folder, file, stop));
            snapshot.collections.push(SnapshotCollection {
                name: name.to_owned(),
                points,
                files: files.collect::<Result<_>>()?,
                log,
            });
        }
        let path = into.join(SNAPSHOT_FILE);
        disk.replace(&path, &snapshot.text())
            .map_err(|e| Error::io("replace", &path, e))?;
        Ok((snapshot, transfer))
    }
}

/// Where a snapshot goes.
#[derive(Clone, Copy)]
struct Place<'a> {
    disk: &'a dyn Disk,
    into: &'a Path,
    earlier: &'a EarlierFiles,
}

/// Makes the folder and takes it: of two snapshots into one folder the second is refused.
fn claim(disk: &dyn Disk, into: &Path) -> Result<()> {
    disk.create_dir(into)
        .map_err(|e| Error::io("create folder", into, e))?;
    let inside = disk.list(into).map_err(|e| Error::io("list", into, e))?;
    let claim = temporary_name(&into.join(SNAPSHOT_FILE));
    let taken = match inside.iter().map(|entry| entry.name.as_str()).next() {
        Some(name) => Some(name),
        None => match disk.create(&claim) {
            Ok(_) => None,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Some("another snapshot"),
            Err(e) => return Err(Error::io("create", &claim, e)),
        },
    };
    match taken {
        None => Ok(()),
        Some(name) => Err(Error::new(
            ErrorKind::AlreadyExists,
            format!(
                "{} is not empty (it holds {name}); a snapshot needs a new or empty folder",
                into.display()
            ),
        )),
    }
}

/// Checks every byte of a placed file and takes its checksum.
fn seal(
    disk: &dyn Disk,
    folder: &Path,
    file: PlacedFile,
    stop: &StopSignal,
) -> Result<SnapshotFile> {
    stop.check()?;
    let path = folder.join(&file.name);
    if file.name != Manifest::FILE {
        verify_file(disk, &path)?;
    }
    let crc32c = match file.crc32c {
        Some(crc) => crc,
        None => checksum_of(disk, &path, stop)?.1,
    };
    Ok(SnapshotFile {
        name: file.name,
        bytes: file.bytes,
        crc32c,
    })
}

/// The list of files first: without it the rest is no snapshot.
fn clean_up(disk: &dyn Disk, into: &Path, existed: bool) {
    let list = into.join(SNAPSHOT_FILE);
    let _ = disk.remove_file(&list);
    let _ = disk.remove_dir_all(&into.join("collections"));
    let _ = disk.remove_file(&temporary_name(&list));
    if !existed {
        let _ = disk.remove_dir_all(into);
    }
}
