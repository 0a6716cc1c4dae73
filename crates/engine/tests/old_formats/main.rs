//! Folders that earlier programs wrote, byte for byte as they left them: this program opens them, answers what they
//! answered, finds nothing wrong, and goes on writing into them.
//!
//! Each `tests/fixtures/format-N` holds a database folder, its files compressed one by one, and `expected.json`: what was
//! in it and what it answered. A folder that is there is never made anew. `docs/compatibility.md` says when a new one is
//! due; `VECDB_REGENERATE=1 cargo test -p vecdb-engine --test old_formats` makes it.

mod archive;
mod backup;
mod check;
mod expected;
mod make;
mod versions;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use vecdb_engine::IndexSpec;

const DATABASE: &str = "database";
const EXPECTED: &str = "expected.json";

/// All that are there, the newest last.
static FIXTURES: LazyLock<Vec<(u32, PathBuf)>> = LazyLock::new(|| {
    let newest = folder().join(format!("format-{}", make::FORMAT));
    if std::env::var_os("VECDB_REGENERATE").is_some() && !newest.exists() {
        make::fixture(&newest);
    }
    fixtures("format-")
});

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The folders of this prefix with their numbers, the newest last.
fn fixtures(prefix: &str) -> Vec<(u32, PathBuf)> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let numbered = entries.filter_map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let number = name.strip_prefix(prefix)?.to_owned();
        Some((number.parse().unwrap_or_else(|_| panic!("{name}")), path))
    });
    let mut found: Vec<_> = numbered.collect();
    found.sort();
    found
}

#[test]
fn every_folder_is_opened_asked_and_written_to() {
    for (number, fixture) in FIXTURES.iter() {
        let copy = tempfile::tempdir().unwrap();
        archive::unpack(&fixture.join(DATABASE), copy.path());
        let expected = archive::read_json(&fixture.join(EXPECTED));
        let collections = expected::read(&expected);
        check::check(copy.path(), &collections, &format!("format {number}"));
    }
    let numbers: Vec<u32> = FIXTURES.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=make::FORMAT).collect::<Vec<_>>());
}

#[test]
fn what_is_written_today_has_the_versions_of_the_newest_folder() {
    let today = tempfile::tempdir().unwrap();
    make::database(today.path());
    let frozen = tempfile::tempdir().unwrap();
    let (_, newest) = FIXTURES.last().unwrap();
    archive::unpack(&newest.join(DATABASE), frozen.path());
    let (today, frozen) = (versions::of(today.path()), versions::of(frozen.path()));
    let both: BTreeSet<_> = today.symmetric_difference(&frozen).collect();
    assert!(
        both.is_empty(),
        "the bytes on disk are not those of {}: they need a folder of their own (docs/compatibility.md).\nToday alone: \
         {:#?}\nThere alone: {:#?}",
        newest.display(),
        today.difference(&frozen).collect::<Vec<_>>(),
        frozen.difference(&today).collect::<Vec<_>>(),
    );
}

#[test]
fn every_kind_of_index_and_quantization_is_among_the_folders() {
    let specs = make::KINDS.map(|kind| kind.spec());
    let kinds: BTreeSet<_> = specs.iter().map(IndexSpec::kind).chain(["flat"]).collect();
    assert_eq!(kinds, BTreeSet::from(IndexSpec::KINDS));
    let walked = specs.iter().filter_map(|spec| match spec {
        IndexSpec::Hnsw(params) => Some(params.quantization.name()),
        _ => None,
    });
    let all = vecdb_engine::Quantization::ALL.map(|quantization| quantization.name());
    assert_eq!(walked.collect::<BTreeSet<_>>(), BTreeSet::from(all));
}
