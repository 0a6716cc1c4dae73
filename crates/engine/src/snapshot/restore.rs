//! Restoring collections from a snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use vecdb_storage::{Disk, verify_file};

use super::plan::Base;
use super::{
    EarlierFiles, RestoreRequest, Restored, SnapshotCollection, SnapshotFile, SnapshotManifest,
    checksum_of, place,
};
use crate::collection::Manifest;
use crate::database::{CollectionSummary, Database};
use crate::error::{Error, ErrorKind, Result};
use crate::stop::StopSignal;

impl Database {
    /// Adds the collections of the snapshot in `from`, or one of them, to this database; one of them under the name
    /// `restore_as`, if given. All of them or none: every file is checked before the first collection is added.
    ///
    /// # Errors
    /// `AlreadyExists` if a name is taken, `NotFound` if there is no snapshot or no such collection in it, `Corrupt`
    /// if anything in it is missing or is not what was written, `Unsupported` if a newer version made it.
    pub fn restore(
        &self,
        from: impl AsRef<Path>,
        collection: Option<&str>,
        restore_as: Option<&str>,
        stop: &StopSignal,
    ) -> Result<Vec<CollectionSummary>> {
        let request = RestoreRequest {
            collection: collection.map(str::to_owned),
            restore_as: restore_as.map(str::to_owned),
            ..RestoreRequest::default()
        };
        Ok(self.restore_with(from, &request, stop)?.collections)
    }

    /// [`Self::restore`]; from the snapshot on, the archived log is followed to the point that `request` names.
    ///
    /// # Errors
    /// Those of [`Self::restore`]; `InvalidArgument` if the point is before the snapshot, `NotFound` if the archive does
    /// not reach it, which says what it covers.
    pub fn restore_with(
        &self,
        from: impl AsRef<Path>,
        request: &RestoreRequest,
        stop: &StopSignal,
    ) -> Result<Restored> {
        let from = from.as_ref();
        let disk = self.disk().as_ref();
        let snapshot = SnapshotManifest::read(disk, from)?;
        let plan = self.plan_restore(&snapshot, request, stop)?;
        let staging = self.stage()?;
        let mut staged = Vec::with_capacity(plan.collections.len());
        let mut restored = Restored::default();
        for (number, planned) in plan.collections.iter().enumerate() {
            let target = staging.path().join((number + 1).to_string());
            let mut points = 0;
            match &planned.base {
                Base::Snapshot(at) => {
                    let Some(collection) = snapshot.collections.get(*at) else {
                        continue;
                    };
                    let source = from.join(SnapshotManifest::folder(*at));
                    stage_collection(disk, collection, &source, &target, stop)?;
                    points = collection.points;
                }
                Base::Empty(config) => self.stage_empty(&planned.name, config, &target)?,
                // Refused by the plan.
                Base::Elsewhere => continue,
            }
            restored.collections.push(CollectionSummary {
                name: planned.name.clone(),
                points,
                broken: None,
            });
            staged.push((planned.name.clone(), target));
        }
        if let Some(along) = &plan.log {
            let folders = staged.iter().map(|(_, folder)| folder.as_path());
            let followed = self.follow_log(along, plan.collections.iter().zip(folders), stop)?;
            restored.sequence = Some(along.to);
            restored.time = followed.time;
            for (summary, points) in restored.collections.iter_mut().zip(followed.points) {
                summary.points = points;
            }
        }
        self.adopt(&staged)?;
        Ok(restored)
    }

    /// # Errors
    /// `AlreadyExists` if one of `names` is taken.
    pub fn check_names_free<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let taken: BTreeSet<String> = self.names().into_iter().collect();
        match names.into_iter().find(|name| taken.contains(*name)) {
            None => Ok(()),
            Some(name) => Err(Error::new(
                ErrorKind::AlreadyExists,
                format!(
                    "a collection named {name:?} exists already; restore under another name, or drop it first"
                ),
            )),
        }
    }
}

/// Puts the checked files of a collection into the new folder `target`, which could then be one of this database.
fn stage_collection(
    disk: &dyn Disk,
    collection: &SnapshotCollection,
    source: &Path,
    target: &Path,
    stop: &StopSignal,
) -> Result<()> {
    let there = disk
        .list(source)
        .map_err(|e| Error::io("list", source, e))?;
    // The listing does not follow symbolic links: what is not itself a file of this length is refused.
    let lengths: BTreeMap<&str, u64> = there
        .iter()
        .filter(|entry| !entry.is_dir)
        .map(|entry| (entry.name.as_str(), entry.len))
        .collect();
    for file in &collection.files {
        let path = source.join(&file.name);
        match lengths.get(file.name.as_str()) {
            Some(&found) if found == file.bytes => {}
            Some(found) => {
                return Err(Error::corrupt(
                    &path,
                    format_args!("{found} bytes where the snapshot has {}", file.bytes),
                ));
            }
            None => return Err(Error::corrupt(&path, "the file is missing")),
        }
    }
    disk.create_dir(target)
        .map_err(|e| Error::io("create folder", target, e))?;
    for file in &collection.files {
        match file.name == Manifest::FILE {
            true => check(&source.join(&file.name), file, || {
                checksum_of(disk, &source.join(&file.name), stop)
            })?,
            false => stage_file(disk, file, source, target, stop)?,
        }
    }
    let manifest = as_new(Manifest::read(disk, source)?, collection, source)?;
    manifest.write(disk, target)
}

fn stage_file(
    disk: &dyn Disk,
    file: &SnapshotFile,
    source: &Path,
    target: &Path,
    stop: &StopSignal,
) -> Result<()> {
    let (from, to) = (source.join(&file.name), target.join(&file.name));
    let copied = place(disk, &from, &to, &EarlierFiles::default(), stop)?;
    check(&from, file, || match copied.crc32c {
        Some(crc) => Ok((file.bytes, crc)),
        None => checksum_of(disk, &to, stop),
    })?;
    verify_file(disk, &to)?;
    Ok(())
}

fn check(
    path: &Path,
    file: &SnapshotFile,
    found: impl FnOnce() -> Result<(u64, u32)>,
) -> Result<()> {
    match found()? == (file.bytes, file.crc32c) {
        true => Ok(()),
        false => Err(Error::corrupt(
            path,
            "its checksum is not the one in the snapshot's list of files",
        )),
    }
}

/// The manifest as that of a new collection: nothing of it is in this database's log.
fn as_new(manifest: Manifest, collection: &SnapshotCollection, source: &Path) -> Result<Manifest> {
    let corrupt = |what: &str| Error::corrupt(&source.join(Manifest::FILE), what);
    let listed: BTreeSet<&str> = collection.files.iter().map(|f| f.name.as_str()).collect();
    let mut named: BTreeSet<&str> = BTreeSet::from([Manifest::FILE]);
    // Also refuses names that lead elsewhere: the listed ones do not.
    if !manifest.file_names().all(|name| named.insert(name)) || named != listed {
        return Err(corrupt("it names other files than the snapshot's list"));
    }
    let live = manifest.segments.iter().map(|s| u64::from(s.live_rows));
    if live.sum::<u64>() != collection.points {
        return Err(corrupt(
            "it has another number of points than the snapshot's list",
        ));
    }
    let last = manifest.segments.iter().map(|s| s.id.0).max().unwrap_or(0);
    let next_segment = last
        .checked_add(1)
        .ok_or_else(|| corrupt("no number is left for further segments"))?;
    Ok(Manifest {
        generation: 1,
        flushed: 0,
        next_segment,
        ..manifest
    })
}
