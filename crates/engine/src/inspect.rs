//! What lies in a folder, for people: read file by file, without opening the database, so that one that is in use or that
//! does not open can be looked at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use vecdb_storage::{Disk, OnCorruption, Position, SectionFile, Wal};

use crate::batch::{Operation, WriteBatch};
use crate::collection::Manifest;
use crate::database::{Catalog, collection_folder};
use crate::error::{Error, ErrorKind, Result};
use crate::hex::to_hex;
use crate::options::Env;

/// Ids of a log entry that are shown.
const IDS_SHOWN: usize = 3;

/// What to show of a folder.
#[derive(Clone, Debug)]
pub struct InspectRequest {
    /// Only this collection, and its entries of the log.
    pub collection: Option<String>,
    /// Entries of the log from this position on.
    pub from: Position,
    /// At most so many of them.
    pub limit: usize,
}

impl Default for InspectRequest {
    fn default() -> Self {
        Self {
            collection: None,
            from: 1,
            limit: 20,
        }
    }
}

/// What lies in the folder of a database.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// Position up to which the segments hold every write, as the catalog says: the log may begin after it.
    pub log_from: Position,
    /// The write-ahead log.
    pub log: LogInspection,
    /// The collections of the catalog.
    pub collections: Vec<CollectionInspection>,
}

/// A write-ahead log.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LogInspection {
    /// Its files, oldest first.
    pub files: Vec<LogFileInspection>,
    /// Entries in all of them.
    pub entries: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Bytes behind the last whole entry: a torn end, or a write under way.
    pub torn_bytes: u64,
    /// Damage, by file and offset.
    pub problem: Option<String>,
    /// Those that were asked for.
    pub shown: Vec<LogEntry>,
}

/// A file of the log.
#[derive(Clone, Debug, Serialize)]
pub struct LogFileInspection {
    /// Its name.
    pub name: String,
    /// Drawn when it was made, in hexadecimal.
    pub uuid: String,
    /// Position of its first entry.
    pub first: Position,
    /// Position of its last one; one less than `first` if it has none.
    pub last: Position,
    /// Its length.
    pub bytes: u64,
}

/// An entry of the log: one write.
#[derive(Clone, Debug, Serialize)]
pub struct LogEntry {
    /// Its position.
    pub position: Position,
    /// Bytes of what was written.
    pub bytes: u64,
    /// The collection's name; its number where the catalog has none for it (any more).
    pub collection: String,
    /// When it was written, in microseconds since 1970.
    pub time_us: u64,
    /// Points written.
    pub upserts: u64,
    /// Points deleted.
    pub deletes: u64,
    /// The first ids among them.
    pub ids: Vec<String>,
    /// Why it cannot be read, if so.
    pub problem: Option<String>,
}

/// The folder of a collection.
#[derive(Clone, Debug, Serialize)]
pub struct CollectionInspection {
    /// The collection's name.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// The manifest as it stands on the disk.
    pub manifest: Option<serde_json::Value>,
    /// Why it cannot be read, if so.
    pub problem: Option<String>,
    /// The files that it names.
    pub files: Vec<FileInspection>,
    /// What else is in the folder.
    pub unnamed: Vec<String>,
}

/// A section file: its header and what the table lists. The blocks were not compared with their checksums.
#[derive(Clone, Debug, Serialize)]
pub struct FileInspection {
    /// Its name.
    pub name: String,
    /// Bytes as the manifest says.
    pub bytes: u64,
    /// Four letters: ROWS, INDX or LIVE.
    pub kind: String,
    /// Format version of its kind.
    pub version: u32,
    /// Its sections in file order.
    pub sections: Vec<SectionInspection>,
    /// Why it cannot be opened, if so.
    pub problem: Option<String>,
}

/// A section of a file.
#[derive(Clone, Debug, Serialize)]
pub struct SectionInspection {
    /// Its name.
    pub name: String,
    /// Where it begins in the file.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
}

/// Looks at the database in `folder`. Damage in one place does not hide the others: it is the `problem` there.
///
/// # Errors
/// There is no database, or its catalog cannot be read.
pub fn inspect(env: &Env, folder: &Path, request: &InspectRequest) -> Result<Inspection> {
    let disk = env.disk.as_ref();
    let catalog = Catalog::read(disk, folder)?.ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            format!("there is no database in {}", folder.display()),
        )
    })?;
    let wanted = |name: &str| {
        request
            .collection
            .as_deref()
            .is_none_or(|only| only == name)
    };
    let names: BTreeMap<u32, &str> = catalog
        .collections
        .iter()
        .map(|entry| (entry.id, entry.name.as_str()))
        .collect();
    if let Some(only) = &request.collection
        && !names.values().any(|name| name == only)
    {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("no collection is named {only:?}"),
        ));
    }
    let chosen = catalog.collections.iter().filter(|c| wanted(&c.name));
    let collections = chosen
        .map(|entry| look_at_collection(disk, &entry.name, collection_folder(folder, entry.id)))
        .collect();
    Ok(Inspection {
        log_from: catalog.log_from,
        log: look_at_log(disk, &folder.join("wal"), &names, request)?,
        collections,
    })
}

fn look_at_log(
    disk: &dyn Disk,
    dir: &Path,
    names: &BTreeMap<u32, &str>,
    request: &InspectRequest,
) -> Result<LogInspection> {
    if !disk
        .exists(dir)
        .map_err(|e| Error::io("look for", dir, e))?
    {
        return Ok(LogInspection::default());
    }
    let read = |on_corruption| {
        let mut shown = Vec::new();
        let mut show = |position, bytes: &[u8]| {
            if position >= request.from && shown.len() < request.limit {
                let entry = LogEntry::of(position, bytes, names);
                if request
                    .collection
                    .as_ref()
                    .is_none_or(|only| *only == entry.collection)
                {
                    shown.push(entry);
                }
            }
            Ok(())
        };
        let report = Wal::read(disk, dir, on_corruption, &mut show)?;
        Ok::<_, vecdb_storage::StorageError>((report, shown))
    };
    // First as an opening reads it, for the message; what lies behind damage is shown as well.
    let (outcome, problem) = match read(OnCorruption::Stop) {
        Err(error) => (read(OnCorruption::Skip), Some(error.to_string())),
        sound => (sound, None),
    };
    let (report, shown) = outcome?;
    let files = report.files.iter().map(|file| LogFileInspection {
        name: file_name(&file.path),
        uuid: to_hex(&file.uuid),
        first: file.first,
        last: file.last,
        bytes: file.bytes,
    });
    Ok(LogInspection {
        files: files.collect(),
        entries: report.found.frames,
        bytes: report.found.bytes,
        torn_bytes: report.found.torn_bytes_cut,
        problem,
        shown,
    })
}

impl LogEntry {
    fn of(position: Position, bytes: &[u8], names: &BTreeMap<u32, &str>) -> Self {
        let mut entry = Self {
            position,
            bytes: bytes.len() as u64,
            collection: String::new(),
            time_us: 0,
            upserts: 0,
            deletes: 0,
            ids: Vec::new(),
            problem: None,
        };
        let batch = match WriteBatch::decode(bytes) {
            Ok(batch) => batch,
            Err(_) if bytes.is_empty() => {
                entry.problem = Some(
                    "without content: it stands for a collection that came or went, or was lost to damage"
                        .to_owned(),
                );
                return entry;
            }
            Err(error) => {
                entry.problem = Some(error.to_string());
                return entry;
            }
        };
        entry.collection = match names.get(&batch.collection) {
            Some(name) => (*name).to_owned(),
            None => format!("#{}", batch.collection),
        };
        entry.time_us = batch.time_us;
        let is_upsert = |operation: &&Operation| matches!(operation, Operation::Upsert(_));
        entry.upserts = batch.operations.iter().filter(is_upsert).count() as u64;
        entry.deletes = batch.operations.len() as u64 - entry.upserts;
        let ids = batch.operations.iter().take(IDS_SHOWN);
        entry.ids = ids.map(|operation| operation.id().to_string()).collect();
        entry
    }
}

fn look_at_collection(disk: &dyn Disk, name: &str, folder: PathBuf) -> CollectionInspection {
    let mut found = CollectionInspection {
        name: name.to_owned(),
        folder,
        manifest: None,
        problem: None,
        files: Vec::new(),
        unnamed: Vec::new(),
    };
    let folder = &found.folder;
    let mut named = vec![Manifest::FILE.to_owned()];
    match Manifest::read(disk, folder) {
        Err(error) => found.problem = Some(error.to_string()),
        Ok(manifest) => {
            found.manifest = serde_json::to_value(&manifest).ok();
            for file in manifest.files() {
                found
                    .files
                    .push(look_at_file(disk, folder, &file.name, file.bytes));
                named.push(file.name.clone());
            }
        }
    }
    let inside = disk.list(folder).unwrap_or_default();
    let unnamed = inside.into_iter().map(|entry| entry.name);
    found.unnamed = unnamed.filter(|name| !named.contains(name)).collect();
    found
}

fn look_at_file(disk: &dyn Disk, folder: &Path, name: &str, bytes: u64) -> FileInspection {
    let mut found = FileInspection {
        name: name.to_owned(),
        bytes,
        kind: String::new(),
        version: 0,
        sections: Vec::new(),
        problem: None,
    };
    match SectionFile::open_any(disk, &folder.join(name), Some(bytes)) {
        Err(error) => found.problem = Some(error.to_string()),
        Ok(file) => {
            found.kind = String::from_utf8_lossy(&file.kind()).into_owned();
            found.version = file.version();
            let sections = file.sections().map(|section| SectionInspection {
                name: section.name().to_owned(),
                offset: section.file_offset(),
                bytes: section.len() as u64,
            });
            found.sections = sections.collect();
        }
    }
    found
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
