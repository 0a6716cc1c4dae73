//! Folders whose files are compressed one by one: most of a section file is zeros between sections.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value as Json;

const SUFFIX: &str = ".gz";

fn write_packed(path: &Path, bytes: &[u8]) {
    let name = path.file_name().unwrap().to_str().unwrap();
    let file = fs::File::create(path.with_file_name(format!("{name}{SUFFIX}"))).unwrap();
    let mut packed = GzEncoder::new(file, Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap();
}

fn read_packed(path: &Path) -> Vec<u8> {
    let file = fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    bytes
}

pub(crate) fn pack(from: &Path, into: &Path) {
    fs::create_dir_all(into).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = into.join(path.file_name().unwrap());
        match path.is_dir() {
            true => pack(&path, &to),
            false => write_packed(&to, &fs::read(&path).unwrap()),
        }
    }
}

pub(crate) fn unpack(from: &Path, into: &Path) {
    fs::create_dir_all(into).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        match name.strip_suffix(SUFFIX) {
            Some(name) => fs::write(into.join(name), read_packed(&path)).unwrap(),
            None => unpack(&path, &into.join(name)),
        }
    }
}

pub(crate) fn write_json(path: &Path, json: &Json) {
    write_packed(path, json.to_string().as_bytes());
}

pub(crate) fn read_json(path: &Path) -> Json {
    let name = path.file_name().unwrap().to_str().unwrap();
    let packed = path.with_file_name(format!("{name}{SUFFIX}"));
    serde_json::from_slice(&read_packed(&packed)).unwrap()
}
