//! Folders and memory.

mod exercise;

use exercise::exercise;
use vecdb_engine::{Database, ErrorKind, Options, StopSignal};
use vecdb_remote::SnapshotStore;

#[test]
fn a_folder_holds_snapshots() {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("new/place");
    exercise(&place.display().to_string());
    assert_eq!(std::fs::read_dir(&place).unwrap().count(), 0);
}

#[test]
fn a_file_url_is_a_folder() {
    let root = tempfile::tempdir().unwrap();
    exercise(&format!("file://{}", root.path().display()));
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn memory_holds_snapshots() {
    exercise("memory:///backups");
}

#[test]
fn in_a_folder_only_snapshots_are_listed_and_deleted() {
    let root = tempfile::tempdir().unwrap();
    let db = Database::open(root.path().join("db"), Options::default()).unwrap();
    let place = root.path().join("place");
    std::fs::create_dir_all(place.join("photos/collections")).unwrap();
    std::fs::create_dir_all(place.join("half/collections/1")).unwrap();
    std::fs::write(place.join("half/SNAPSHOT.json.tmp"), "").unwrap();
    std::fs::write(place.join("half/notes"), "mine").unwrap();
    std::fs::create_dir_all(place.join("torn")).unwrap();
    std::fs::write(place.join("torn/SNAPSHOT.json"), "{").unwrap();
    let store = SnapshotStore::open(&place.display().to_string()).unwrap();
    let shown = store.list().unwrap();
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].name, "torn");
    assert!(shown[0].collections[0].broken.is_some());
    let kind = |outcome: vecdb_engine::Result<()>| outcome.unwrap_err().kind();
    assert_eq!(kind(store.delete("photos")), ErrorKind::NotFound);
    for name in ["photos", "half", "torn"] {
        let made = store
            .create(&db, Some(name), &[], &StopSignal::default())
            .map(drop);
        assert_eq!(kind(made), ErrorKind::AlreadyExists, "{name}");
    }
    store.delete("half").unwrap();
    assert!(place.join("half/notes").exists() && !place.join("half/collections").exists());
    store.delete("torn").unwrap();
    assert!(!place.join("torn").exists() && place.join("photos/collections").exists());
}

#[test]
fn async_code_may_drop_a_store() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = SnapshotStore::open("memory://").unwrap();
    runtime.block_on(async move { drop(store) });
}
