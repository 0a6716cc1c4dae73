//! SNAPSHOT.json: what is in a snapshot. It may come from anywhere, so every name in it is checked before it is used.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vecdb_storage::checksum::crc32c;
use vecdb_storage::{Disk, FileDisk};

use super::Transfer;
use crate::collection::Manifest;
use crate::database::Database;
use crate::error::{Error, ErrorKind, Result};
use crate::schema::check_collection_name;

/// The file that makes a folder a snapshot.
pub const SNAPSHOT_FILE: &str = "SNAPSHOT.json";

/// With places in the log; without any it is 1, which older programs read.
const FORMAT: u32 = 2;

/// A snapshot in a store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// Its name in the store.
    pub name: String,
    /// When it was made, with all that was acknowledged by then: microseconds since 1970-01-01T00:00:00 UTC.
    pub created_at: i64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// The collections in it.
    pub collections: Vec<SnapshotContent>,
    /// What making it took; `None` of one that was made before.
    pub transfer: Option<Transfer>,
}

/// A collection in a snapshot of a store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SnapshotContent {
    /// Its name when it was copied.
    pub name: String,
    /// Live points; 0 if the snapshot cannot be read.
    pub points: u64,
    /// Every write to it up to this sequence number of the log is in it; `None` where the database did not archive its log.
    pub sequence: Option<u64>,
    /// Why the snapshot cannot be read, if so.
    pub broken: Option<String>,
}

/// What is in a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotManifest {
    /// Microseconds since 1970-01-01T00:00:00 UTC.
    pub created_at: i64,
    /// The collections; the first lies in the folder `collections/1`, the second in `collections/2` and so on.
    pub collections: Vec<SnapshotCollection>,
    /// Where it stands in the log of a database that archives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<SnapshotLog>,
}

/// Where a snapshot stands in the log of its database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotLog {
    /// The uuid of the log file that was written to at that time, in hexadecimal.
    pub file: String,
    /// Collections that came or went up to this position did so before the snapshot.
    pub position: u64,
    /// All collections of the database are in it.
    pub whole: bool,
}

/// A collection in a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotCollection {
    /// Its name when it was copied.
    pub name: String,
    /// Live points.
    pub points: u64,
    /// All files of its folder.
    pub files: Vec<SnapshotFile>,
    /// Where it stands in the log; in every collection or in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<CollectionLog>,
}

/// Where a collection of a snapshot stands in the log of its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectionLog {
    /// Its number in the log.
    pub id: u32,
    /// Every write to it up to this position is in the snapshot.
    pub position: u64,
}

/// A file of a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotFile {
    /// Its name in the folder of its collection.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// CRC-32C of all its bytes.
    pub crc32c: u32,
}

/// Read first: a newer format may have anything else in it.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    /// Of the compact JSON of `snapshot`.
    crc32c: u32,
    snapshot: SnapshotManifest,
}

impl Database {
    /// What is in the snapshot in `folder`.
    ///
    /// # Errors
    /// `NotFound` where there is no whole snapshot, `Corrupt`, or `Unsupported` if a newer version made it.
    pub fn read_snapshot(folder: impl AsRef<Path>) -> Result<SnapshotManifest> {
        SnapshotManifest::read(&FileDisk, folder.as_ref())
    }
}

impl SnapshotFile {
    /// Whether it is a section file, which tells itself from all others by its first bytes.
    pub fn is_sealed(&self) -> bool {
        self.name != Manifest::FILE
    }
}

impl SnapshotManifest {
    /// SNAPSHOT.json takes some hundred bytes a file: anything larger is not one.
    pub const BYTES_MAX: u64 = 64 << 20;

    /// The folder of the collection at `at`, relative to the snapshot.
    pub fn folder(at: usize) -> String {
        format!("collections/{}", at + 1)
    }

    /// Length of all files.
    pub fn bytes(&self) -> u64 {
        let files = self.collections.iter().flat_map(|c| &c.files);
        files.fold(0, |sum, file| sum.saturating_add(file.bytes))
    }

    /// The collections with their points and where they stand in the log.
    pub fn contents(&self) -> Vec<SnapshotContent> {
        let content = |collection: &SnapshotCollection| SnapshotContent {
            name: collection.name.clone(),
            points: collection.points,
            sequence: collection.log.map(|log| log.position),
            broken: None,
        };
        self.collections.iter().map(content).collect()
    }

    /// Which collections a restore is about: their places, and the names they get.
    ///
    /// # Errors
    /// `NotFound` if there is no such collection, `InvalidArgument` if one new name is to do for several.
    pub fn choose(
        &self,
        collection: Option<&str>,
        restore_as: Option<&str>,
    ) -> Result<Vec<(usize, String)>> {
        let all = self.collections.iter().enumerate();
        let chosen: Vec<_> = all
            .filter(|(_, c)| collection.is_none_or(|name| name == c.name))
            .collect();
        if let Some(name) = collection
            && chosen.is_empty()
        {
            let there: Vec<_> = self.collections.iter().map(|c| c.name.as_str()).collect();
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "the snapshot has no collection {name:?} (it has: {})",
                    there.join(", ")
                ),
            ));
        }
        if let Some(name) = restore_as {
            check_collection_name(name)?;
            if chosen.len() != 1 {
                return Err(Error::invalid(format!(
                    "{name:?} can be the new name of one collection, not of {}: say which one to restore",
                    chosen.len()
                )));
            }
        }
        let name = |c: &SnapshotCollection| restore_as.unwrap_or(&c.name).to_owned();
        Ok(chosen.into_iter().map(|(at, c)| (at, name(c))).collect())
    }

    /// Reads the text of SNAPSHOT.json; `place` says in errors where it came from.
    ///
    /// # Errors
    /// `Corrupt`, also for names that do not belong there, or `Unsupported` if a newer version made it.
    pub fn parse(text: &[u8], place: impl Display) -> Result<Self> {
        let corrupt = |what: &dyn Display| {
            Error::new(
                ErrorKind::Corrupt,
                format!("{place}/{SNAPSHOT_FILE}: {what}"),
            )
        };
        let head: Head = serde_json::from_slice(text).map_err(|e| corrupt(&e))?;
        if head.format > FORMAT {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{place}/{SNAPSHOT_FILE} has format version {}; this program reads up to {FORMAT}: use a newer VecDB",
                    head.format
                ),
            ));
        }
        let document: Document = serde_json::from_slice(text).map_err(|e| corrupt(&e))?;
        let whole = document.format == document.snapshot.format()
            && document.crc32c == document.snapshot.checksum();
        if !whole {
            return Err(corrupt(&"its checksum does not match its content"));
        }
        document.snapshot.check().map_err(|what| corrupt(&what))?;
        Ok(document.snapshot)
    }

    pub(super) fn text(&self) -> Vec<u8> {
        let document = Document {
            format: self.format(),
            crc32c: self.checksum(),
            snapshot: self.clone(),
        };
        // Strings and numbers only: there is nothing that could not be written.
        serde_json::to_vec_pretty(&document).unwrap_or_default()
    }

    fn format(&self) -> u32 {
        match &self.log {
            Some(_) => FORMAT,
            None => 1,
        }
    }

    fn checksum(&self) -> u32 {
        crc32c(&serde_json::to_vec(self).unwrap_or_default())
    }

    pub(super) fn read(disk: &dyn Disk, folder: &Path) -> Result<Self> {
        let path = folder.join(SNAPSHOT_FILE);
        let there = disk
            .exists(&path)
            .map_err(|e| Error::io("look for", &path, e))?;
        if !there {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "there is no snapshot in {} ({SNAPSHOT_FILE} is missing)",
                    folder.display()
                ),
            ));
        }
        let file = disk.open(&path).map_err(|e| Error::io("open", &path, e))?;
        if file.len() > Self::BYTES_MAX {
            return Err(Error::corrupt(
                &path,
                format_args!("{} bytes cannot be a list of files", file.len()),
            ));
        }
        let mut text = vec![0; file.len() as usize];
        file.read_at(0, &mut text)
            .map_err(|e| Error::io("read", &path, e))?;
        Self::parse(&text, folder.display())
    }

    /// Names may lead nowhere but into the snapshot, and stand once.
    fn check(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        for collection in &self.collections {
            check_collection_name(&collection.name).map_err(|e| e.to_string())?;
            if !names.insert(&collection.name) {
                return Err(format!("collection {:?} stands twice", collection.name));
            }
            let mut files = BTreeSet::new();
            for file in &collection.files {
                if file.name != Manifest::FILE && !is_segment_file(&file.name) {
                    return Err(format!(
                        "{:?} is no name of a file of a collection",
                        file.name
                    ));
                }
                if !files.insert(file.name.as_str()) {
                    return Err(format!("file {:?} stands twice", file.name));
                }
            }
            if !files.contains(Manifest::FILE) {
                return Err(format!("collection {:?} has no MANIFEST", collection.name));
            }
        }
        Ok(())
    }
}

/// `<16 hexadecimal digits>.rows`, `.index`, `.<version>.fields` or `.<generation>.live`.
fn is_segment_file(name: &str) -> bool {
    let hexadecimal = |s: &str| s.len() == 16 && s.bytes().all(|b| b.is_ascii_hexdigit());
    let number = |s: &str| (1..=20).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
    match name.split('.').collect::<Vec<_>>()[..] {
        [segment, "rows" | "index"] => hexadecimal(segment),
        [segment, count, "fields" | "live"] => hexadecimal(segment) && number(count),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> SnapshotManifest {
        let file = |name: &str| SnapshotFile {
            name: name.to_owned(),
            bytes: 5,
            crc32c: 7,
        };
        SnapshotManifest {
            created_at: 1_700_000_000_000_000,
            collections: vec![SnapshotCollection {
                name: "products".to_owned(),
                points: 3,
                files: vec![file("MANIFEST"), file("00000000000000a1.rows")],
                log: None,
            }],
            log: None,
        }
    }

    fn parse(snapshot: &SnapshotManifest) -> Result<SnapshotManifest> {
        SnapshotManifest::parse(&snapshot.text(), "here")
    }

    #[test]
    fn every_changed_digit_is_noticed() {
        let sample = sample();
        assert_eq!(parse(&sample).unwrap(), sample);
        let text = sample.text();
        for at in (0..text.len()).filter(|&at| text[at].is_ascii_alphanumeric()) {
            let mut changed = text.clone();
            changed[at] = if changed[at] == b'1' { b'2' } else { b'1' };
            assert!(SnapshotManifest::parse(&changed, "here").is_err(), "{at}");
            assert!(
                SnapshotManifest::parse(&text[..at], "here").is_err(),
                "{at}"
            );
        }
    }

    #[test]
    fn places_in_the_log_are_a_format_of_their_own() {
        let mut sample = sample();
        let text = |sample: &SnapshotManifest| String::from_utf8(sample.text()).unwrap();
        assert!(text(&sample).contains(r#""format": 1"#) && !text(&sample).contains("log"));
        sample.log = Some(SnapshotLog {
            file: "00112233445566778899aabbccddeeff".to_owned(),
            position: 7,
            whole: true,
        });
        sample.collections[0].log = Some(CollectionLog { id: 3, position: 8 });
        assert!(text(&sample).contains(r#""format": 2"#));
        assert_eq!(parse(&sample).unwrap(), sample);
    }

    #[test]
    fn a_newer_format_is_refused_by_number() {
        let error = SnapshotManifest::parse(br#"{"format": 9, "new": []}"#, "here").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains('9'), "{error}");
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [
            "../../x.rows",
            "/etc/passwd",
            "..",
            "",
            "0000000000000001.rows/..",
            "0000000000000001..live",
            "0000000000000001.tmp",
            "000000000000000/.rows",
            "SNAPSHOT.json",
        ] {
            let mut sample = sample();
            sample.collections[0].files[1].name = name.to_owned();
            assert_eq!(
                parse(&sample).unwrap_err().kind(),
                ErrorKind::Corrupt,
                "{name}"
            );
        }
        for name in ["../x", "", "a/b"] {
            let mut sample = sample();
            sample.collections[0].name = name.to_owned();
            assert_eq!(
                parse(&sample).unwrap_err().kind(),
                ErrorKind::Corrupt,
                "{name}"
            );
        }
        let mut twice = sample();
        twice.collections.push(twice.collections[0].clone());
        assert!(parse(&twice).is_err());
        let mut twice = sample();
        twice.collections[0].files[1].name = "MANIFEST".to_owned();
        assert!(parse(&twice).is_err());
    }
}
