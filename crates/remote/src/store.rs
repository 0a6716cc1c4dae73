//! The store: checks names, keeps calls on one snapshot apart, and hands the rest to the kind of place it is.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use vecdb_engine::{
    Database, Error, ErrorKind, RestoreRequest, Restored, Result, SnapshotContent, SnapshotInfo,
    SnapshotManifest, StopSignal,
};

use crate::bucket::Bucket;
use crate::folder::Folder;
use crate::location::Location;

const NAME_BYTES_MAX: usize = 64;
/// A store that does not answer is given up after this long.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// A place that holds snapshots by name. Calls block; they are not for async code.
pub struct SnapshotStore {
    place: Place,
    /// Names that a call is writing or deleting.
    busy: Mutex<BTreeSet<String>>,
}

enum Place {
    Folder(Folder),
    Bucket(Bucket),
}

/// Keeps a name from being written and deleted at once.
struct Busy<'a> {
    store: &'a SnapshotStore,
    name: String,
}

impl SnapshotStore {
    /// The store at `location`: a folder's path, or a URL: `file:///path`, `s3://bucket/prefix` (with the usual `AWS_*`
    /// variables of the environment) or `memory://`. Nothing is read or made yet.
    ///
    /// # Errors
    /// `InvalidArgument` or `Unsupported`, naming the location without secrets.
    pub fn open(location: &str) -> Result<Self> {
        let place = match Location::parse(location, RETRY_TIMEOUT)? {
            Location::Folder(root) => Place::Folder(Folder::new(root)),
            Location::Bucket {
                objects,
                prefix,
                url,
            } => Place::Bucket(Bucket::new(objects, prefix, url)?),
        };
        Ok(Self {
            place,
            busy: Mutex::default(),
        })
    }

    /// Copies collections of `db`, all where none is named, into the store. The time is the name where none is given. Files
    /// that the store has already, in another snapshot, are not sent again.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken; see [`Database::snapshot`]. After an error nothing is left.
    pub fn create(
        &self,
        db: &Database,
        name: Option<&str>,
        collections: &[String],
        stop: &StopSignal,
    ) -> Result<SnapshotInfo> {
        let name = match name {
            Some(name) => name.to_owned(),
            None => Timestamp::now().strftime("%Y%m%dT%H%M%S.%6fZ").to_string(),
        };
        check_name(&name)?;
        let _one = self.occupy(&name)?;
        let snapshot = match &self.place {
            Place::Folder(folder) => folder.create(db, &name, collections, stop),
            Place::Bucket(bucket) => bucket.create(db, &name, collections, stop),
        };
        let (snapshot, transfer) = snapshot?;
        Ok(SnapshotInfo {
            transfer: Some(transfer),
            ..info(&name, &snapshot)
        })
    }

    /// All whole snapshots, oldest first. One that cannot be read is shown with the reason.
    pub fn list(&self) -> Result<Vec<SnapshotInfo>> {
        let found = match &self.place {
            Place::Folder(folder) => folder.list(),
            Place::Bucket(bucket) => bucket.list(),
        };
        let show = |(name, snapshot): (String, Result<SnapshotManifest>)| match snapshot {
            Ok(snapshot) => info(&name, &snapshot),
            Err(error) => SnapshotInfo {
                name,
                created_at: 0,
                bytes: 0,
                collections: vec![SnapshotContent {
                    name: "?".to_owned(),
                    points: 0,
                    sequence: None,
                    broken: Some(error.to_string()),
                }],
                transfer: None,
            },
        };
        let mut snapshots: Vec<_> = found?.into_iter().map(show).collect();
        snapshots.sort_by(|a, b| (a.created_at, &a.name).cmp(&(b.created_at, &b.name)));
        Ok(snapshots)
    }

    /// Adds the collections of a snapshot, or one of them, to `db`; see [`Database::restore_with`].
    ///
    /// # Errors
    /// `NotFound` if there is no such snapshot, and those of [`Database::restore_with`].
    pub fn restore(
        &self,
        db: &Database,
        name: &str,
        request: &RestoreRequest,
        stop: &StopSignal,
    ) -> Result<Restored> {
        check_name(name)?;
        match &self.place {
            Place::Folder(folder) => db.restore_with(folder.path(name), request, stop),
            Place::Bucket(bucket) => bucket.restore(db, name, request, stop),
        }
        .map_err(|error| error.context(format_args!("snapshot {name:?}")))
    }

    /// Removes a snapshot, or what is left of one that was interrupted.
    ///
    /// # Errors
    /// `NotFound` if there is neither.
    pub fn delete(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let _one = self.occupy(name)?;
        match &self.place {
            Place::Folder(folder) => folder.delete(name),
            Place::Bucket(bucket) => bucket.delete(name),
        }
    }

    fn location(&self) -> String {
        match &self.place {
            Place::Folder(folder) => folder.root().display().to_string(),
            Place::Bucket(bucket) => bucket.url().to_owned(),
        }
    }

    fn occupy(&self, name: &str) -> Result<Busy<'_>> {
        match self.busy.lock().insert(name.to_owned()) {
            true => Ok(Busy {
                store: self,
                name: name.to_owned(),
            }),
            false => Err(Error::new(
                ErrorKind::Unavailable,
                format!("snapshot {name:?} is being written or deleted at the moment"),
            )),
        }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.store.busy.lock().remove(&self.name);
    }
}

impl fmt::Debug for SnapshotStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotStore")
            .field("location", &self.location())
            .finish_non_exhaustive()
    }
}

fn info(name: &str, snapshot: &SnapshotManifest) -> SnapshotInfo {
    SnapshotInfo {
        name: name.to_owned(),
        created_at: snapshot.created_at,
        bytes: snapshot.bytes(),
        collections: snapshot.contents(),
        transfer: None,
    }
}

/// Whether `name` can be a snapshot's.
pub(crate) fn fits(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(fits)
}

fn check_name(name: &str) -> Result<()> {
    if fits(name) {
        return Ok(());
    }
    let shown: String = name.chars().take(40).collect();
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "{shown:?} is not a snapshot's name: use 1 to {NAME_BYTES_MAX} of the characters A-Z, a-z, 0-9, '.', '_' and '-', not starting with '.'"
        ),
    ))
}

/// Where there is no snapshot of this name.
pub(crate) fn missing(name: &str, place: &dyn fmt::Display) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("there is no snapshot {name:?} in {place}"),
    )
}

/// Where a snapshot of this name is, or the rest of one.
pub(crate) fn taken(name: &str, whole: bool, place: &dyn fmt::Display) -> Error {
    let what = match whole {
        true => "a snapshot of this name exists already",
        false => "one is being written, or was interrupted: delete it first",
    };
    Error::new(
        ErrorKind::AlreadyExists,
        format!("snapshot {name:?} in {place}: {what}"),
    )
}
