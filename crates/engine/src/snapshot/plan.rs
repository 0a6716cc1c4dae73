//! Which collections a restore makes, and from what.

use std::collections::BTreeMap;
use std::sync::Arc;
use vecdb_storage::Position;

use super::{RestorePoint, RestoreRequest, SnapshotManifest};
use crate::archive::{ArchiveReader, Change, shown};
use crate::database::Database;
use crate::error::{Error, ErrorKind, Result};
use crate::schema::{CollectionConfig, check_collection_name};
use crate::stop::StopSignal;

/// What a restore is going to do.
#[derive(Clone, Debug)]
pub struct RestorePlan {
    pub(super) collections: Vec<Planned>,
    pub(super) log: Option<Along>,
}

/// A collection that is going to be made.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    /// Its name afterwards.
    pub(super) name: String,
    /// Its number in the log that is followed.
    pub(super) id: u32,
    pub(super) base: Base,
    /// Writes behind this position are added.
    pub(super) after: Position,
}

#[derive(Clone, Debug)]
pub(super) enum Base {
    /// The collection at this place of the snapshot.
    Snapshot(usize),
    /// It was made later.
    Empty(CollectionConfig),
    /// It came from another snapshot later.
    Elsewhere,
}

/// The stretch of the archived log that is followed.
#[derive(Clone, Debug)]
pub(super) struct Along {
    pub(super) archive: Arc<ArchiveReader>,
    pub(super) after: Position,
    pub(super) to: Position,
}

impl RestorePlan {
    /// The places of the collections of the snapshot of which files are needed.
    pub fn of_snapshot(&self) -> impl Iterator<Item = usize> {
        self.collections
            .iter()
            .filter_map(|planned| match planned.base {
                Base::Snapshot(at) => Some(at),
                Base::Empty(_) | Base::Elsewhere => None,
            })
    }
}

impl Database {
    /// What [`Self::restore_with`] is going to do with a snapshot.
    ///
    /// # Errors
    /// Those of [`Self::restore_with`] that can be told without the snapshot's files.
    pub fn plan_restore(
        &self,
        snapshot: &SnapshotManifest,
        request: &RestoreRequest,
        stop: &StopSignal,
    ) -> Result<RestorePlan> {
        let (collection, restore_as) =
            (request.collection.as_deref(), request.restore_as.as_deref());
        let plan = match request.until {
            None if request.archive.is_some() => {
                return Err(Error::invalid(
                    "an archive is for a restore to a point of the log: say to which",
                ));
            }
            None => RestorePlan {
                collections: snapshot
                    .choose(collection, restore_as)?
                    .into_iter()
                    .map(|(at, name)| Planned {
                        name,
                        id: 0,
                        base: Base::Snapshot(at),
                        after: 0,
                    })
                    .collect(),
                log: None,
            },
            Some(until) => {
                let location = self.archive_to_read(request.archive.as_deref())?;
                if request.archive.is_none() {
                    // So that the newest writes can be asked for too. If it fails, what is there may do.
                    let _ = self.archive_log();
                }
                let (all, along) = self.follow_catalog(snapshot, &location, until, stop)?;
                let collections = choose(all, collection, restore_as, &along)?;
                RestorePlan {
                    collections,
                    log: Some(along),
                }
            }
        };
        self.check_names_free(plan.collections.iter().map(|planned| planned.name.as_str()))?;
        Ok(plan)
    }

    /// The collections that there were at a point, and the way to there.
    fn follow_catalog(
        &self,
        snapshot: &SnapshotManifest,
        location: &str,
        until: RestorePoint,
        stop: &StopSignal,
    ) -> Result<(BTreeMap<u32, Planned>, Along)> {
        let Some(log) = &snapshot.log else {
            return Err(Error::invalid(
                "the snapshot does not say where it stands in the log: its database did not archive the log when it was made; it can only be restored as it is",
            ));
        };
        let archive = ArchiveReader::open(self.shared().archives.clone(), location)?;
        if !archive.has(&log.file) {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "the log of the snapshot is not in the archive: it is that of another database, or ends before the snapshot ({}; the snapshot stands at {})",
                    archive.covered(),
                    log.position
                ),
            ));
        }
        let mut all = BTreeMap::new();
        let (mut after, mut reached) = (log.position, log.position);
        for (at, collection) in snapshot.collections.iter().enumerate() {
            let Some(place) = collection.log else {
                continue;
            };
            after = after.min(place.position);
            reached = reached.max(place.position);
            let planned = Planned {
                name: collection.name.clone(),
                id: place.id,
                base: Base::Snapshot(at),
                after: place.position,
            };
            all.insert(place.id, planned);
        }
        let made = u64::try_from(snapshot.created_at).unwrap_or(0);
        let early = |point: &str| {
            Error::invalid(format!(
                "{point} is before the snapshot, which stands at sequence number {reached} and was made at {}: restore an older one",
                shown(made)
            ))
        };
        let to = match until {
            RestorePoint::Latest => archive.last().max(reached),
            RestorePoint::Sequence(number) if number < reached => {
                return Err(early(&until.to_string()));
            }
            RestorePoint::Sequence(number) if number > archive.last().max(reached) => {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!("{until} is not covered: {}", archive.covered()),
                ));
            }
            RestorePoint::Sequence(number) => number,
            RestorePoint::Time(time) => {
                let time = u64::try_from(time).unwrap_or(0);
                if time < made {
                    return Err(early(&until.to_string()));
                }
                archive.position_at(time, after, stop)?.max(reached)
            }
        };
        archive.check_whole(after, to.min(archive.last()))?;
        for event in archive.events(log.position, to) {
            let (name, base) = match &event.change {
                Change::Dropped => {
                    all.remove(&event.id);
                    continue;
                }
                // Of some collections only those that were named are restored.
                _ if !log.whole || all.contains_key(&event.id) => continue,
                Change::Created { name, config } => (name, Base::Empty(config.clone())),
                Change::Restored { name } => (name, Base::Elsewhere),
            };
            let planned = Planned {
                name: name.clone(),
                id: event.id,
                base,
                after: event.position,
            };
            all.insert(event.id, planned);
        }
        let along = Along {
            archive: Arc::new(archive),
            after,
            to,
        };
        Ok((all, along))
    }
}

/// Those of all collections that were asked for, under their new names.
fn choose(
    all: BTreeMap<u32, Planned>,
    collection: Option<&str>,
    restore_as: Option<&str>,
    along: &Along,
) -> Result<Vec<Planned>> {
    let mut there: Vec<&str> = all.values().map(|planned| planned.name.as_str()).collect();
    there.sort_unstable();
    if let Some(name) = collection
        && !there.contains(&name)
    {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "at sequence number {} there is no collection {name:?} in what is restored (there are: {})",
                along.to,
                there.join(", ")
            ),
        ));
    }
    let mut chosen: Vec<_> = all
        .into_values()
        .filter(|planned| collection.is_none_or(|name| name == planned.name))
        .collect();
    if let Some(name) = restore_as {
        check_collection_name(name)?;
        match &mut chosen[..] {
            [one] => one.name = name.to_owned(),
            several => {
                return Err(Error::invalid(format!(
                    "{name:?} can be the new name of one collection, not of {}: say which one to restore",
                    several.len()
                )));
            }
        }
    }
    let elsewhere = |planned: &&Planned| matches!(planned.base, Base::Elsewhere);
    if let Some(planned) = chosen.iter().find(elsewhere) {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "collection {:?} was itself restored at sequence number {}: what was in it is not in the log; begin with a snapshot made after that, or restore the other collections one by one",
                planned.name, planned.after
            ),
        ));
    }
    Ok(chosen)
}
