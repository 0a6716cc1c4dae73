//! The version numbers in the files of a database, and which sections these have.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use vecdb_storage::{FileDisk, SectionFile};

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// A line for everything that has a version.
pub(crate) fn of(folder: &Path) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    add(folder, &mut lines);
    lines
}

fn add(folder: &Path, lines: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add(&path, lines);
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        match bytes.get(..8) {
            Some(b"VECDBDOC") => {
                lines.insert(format!("{name}: document {}", number(&bytes, 8)));
            }
            Some(b"VECDBWAL") => {
                let header = number(&bytes, 12) as usize;
                // The payload of the first frame, behind its head of 32 bytes.
                let batch = bytes[header + 32];
                lines.insert(format!("log {}, batch {batch}", number(&bytes, 8)));
            }
            Some(b"VECDBSEC") => add_sections(&path, number(&bytes, 8), lines),
            _ => assert!(bytes.is_empty(), "{}", path.display()),
        }
    }
}

fn add_sections(path: &Path, container: u32, lines: &mut BTreeSet<String>) {
    let file = SectionFile::open_any(&FileDisk, path, None).unwrap();
    let kind = String::from_utf8(file.kind().to_vec()).unwrap();
    let kind = format!("{kind} {}, container {container}", file.version());
    for section in file.sections() {
        let (name, bytes) = (section.name(), section.bytes_verified().unwrap());
        let own = match name.rsplit_once(':') {
            Some((_, "meta" | "quantizer")) => number(&bytes, 0).to_string(),
            _ if name == "fields" => bytes[0].to_string(),
            _ => String::new(),
        };
        lines.insert(format!("{kind}: {name} {own}"));
    }
}
