//! What the faulty disk keeps and loses.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use super::*;

const FILE: &str = "/d/f";

fn write(disk: &SimDisk, path: &str, bytes: &[u8], sync: bool) {
    let mut file = disk.create(Path::new(path)).unwrap();
    file.write(bytes).unwrap();
    if sync {
        file.sync().unwrap();
    }
}

fn with_folder() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir(Path::new("/d")).unwrap();
    disk
}

fn lost(disk: &SimDisk) -> SimDisk {
    disk.crash_image(CrashMode::LoseUnsynced)
}

fn contents(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    disk.contents(Path::new(path))
}

#[test]
fn names_and_bytes_become_durable_apart() {
    let disk = with_folder();
    write(&disk, FILE, b"abc", true);
    assert_eq!(
        contents(&lost(&disk), FILE),
        None,
        "the name was not synced"
    );
    disk.sync_dir(Path::new("/d")).unwrap();
    assert_eq!(contents(&lost(&disk), FILE).unwrap(), b"abc");

    write(&disk, "/d/g", b"xyz", false);
    disk.sync_dir(Path::new("/d")).unwrap();
    assert_eq!(
        contents(&lost(&disk), "/d/g").unwrap(),
        b"",
        "bytes not synced"
    );
    let kept = disk.crash_image(CrashMode::KeepAll);
    assert_eq!(contents(&kept, "/d/g").unwrap(), b"xyz");

    disk.rename(Path::new(FILE), Path::new("/d/h")).unwrap();
    disk.remove_file(Path::new("/d/g")).unwrap();
    let names = |disk: SimDisk| disk.files();
    let old = [PathBuf::from("/d/f"), PathBuf::from("/d/g")];
    assert_eq!(names(lost(&disk)), old);
    assert_eq!(names(disk.clone()), [PathBuf::from("/d/h")]);
    disk.sync_dir(Path::new("/d")).unwrap();
    assert_eq!(names(lost(&disk)), [PathBuf::from("/d/h")]);
}

#[test]
fn replace_is_atomic_at_every_call() {
    let disk = with_folder();
    disk.replace(Path::new(FILE), b"old").unwrap();
    let before = disk.calls();
    disk.replace(Path::new(FILE), b"new content").unwrap();
    let calls = disk.calls() - before;
    assert!(calls >= 5);
    assert_eq!(contents(&lost(&disk), FILE).unwrap(), b"new content");
    for call in 1..=calls {
        for seed in 0..20 {
            let disk = with_folder();
            disk.replace(Path::new(FILE), b"old").unwrap();
            disk.plan(disk.calls() + call, Fault::Crash);
            assert!(disk.replace(Path::new(FILE), b"new content").is_err());
            assert!(disk.crashed() && disk.open(Path::new(FILE)).is_err());
            let after = disk.crash_image(CrashMode::KeepRandom(seed));
            let found = contents(&after, FILE).unwrap();
            assert!(
                found == b"old" || found == b"new content",
                "call {call} seed {seed}: {found:?}"
            );
            after.replace(Path::new(FILE), b"again").unwrap();
        }
    }
}

#[test]
fn kept_names_are_a_prefix_and_kept_blocks_vary() {
    let disk = with_folder();
    for name in 0..6 {
        write(&disk, &format!("/d/{name}"), &[], false);
    }
    let mut lens = BTreeSet::new();
    for seed in 0..100 {
        let files = disk.crash_image(CrashMode::KeepRandom(seed)).files();
        let expected: Vec<_> = (0..files.len())
            .map(|name| PathBuf::from(format!("/d/{name}")))
            .collect();
        assert_eq!(files, expected, "seed {seed}");
        lens.insert(files.len());
    }
    assert_eq!(lens.len(), 7, "every prefix is tried");

    let disk = with_folder();
    let bytes: Vec<u8> = (0..20_000u32).map(|i| (i / 7) as u8 | 1).collect();
    let mut file = disk.create(Path::new(FILE)).unwrap();
    file.write(&bytes[..5000]).unwrap();
    file.sync().unwrap();
    file.write(&bytes[5000..]).unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    let mut outcomes = BTreeSet::new();
    for seed in 0..100 {
        let after = disk.crash_image(CrashMode::KeepRandom(seed));
        let found = contents(&after, FILE).unwrap();
        assert_eq!(
            found[..5000],
            bytes[..5000],
            "synced bytes stay, seed {seed}"
        );
        let again = disk.crash_image(CrashMode::KeepRandom(seed));
        assert_eq!(
            contents(&again, FILE).unwrap(),
            found,
            "one seed, one outcome"
        );
        outcomes.insert(found);
    }
    assert!(outcomes.len() > 50);
    // A block after a lost one can survive.
    let reordered = |found: &Vec<u8>| {
        found.len() > 16_384
            && found[8192..12_288] != bytes[8192..12_288]
            && found[12_288..16_384] == bytes[12_288..16_384]
    };
    assert!(outcomes.iter().any(reordered));
}

#[test]
fn a_failed_sync_drops_the_pages_for_good() {
    let disk = with_folder();
    let mut file = disk.create(Path::new(FILE)).unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    file.write(b"ab").unwrap();
    file.sync().unwrap();
    disk.plan(disk.calls() + 2, Fault::Error(ErrorKind::Other));
    file.write(b"cd").unwrap();
    assert!(file.sync().is_err());
    file.write(b"ef").unwrap();
    file.sync().unwrap();
    assert_eq!(
        contents(&disk, FILE).unwrap(),
        b"abcdef",
        "the cache still has it"
    );
    assert_eq!(contents(&lost(&disk), FILE).unwrap(), b"ab\0\0ef");
}

#[test]
fn faults_hit_the_call_they_were_planned_for() {
    let disk = with_folder();
    let mut file = disk.create(Path::new(FILE)).unwrap();
    let next = disk.calls() + 1;
    disk.plan(next, Fault::Torn { bytes: 2 });
    disk.plan(next + 2, Fault::Error(ErrorKind::StorageFull));
    assert!(file.write(b"hello").is_err());
    file.write(b"!").unwrap();
    let full = file.write(b"?").unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    assert!(full.to_string().contains(&format!("call {}", next + 2)));
    assert_eq!(contents(&disk, FILE).unwrap(), b"he!");
    let last = disk.trace().pop().unwrap();
    assert_eq!(
        last.to_string(),
        format!("{} Write /d/f (1 bytes)", next + 2)
    );

    disk.set_space(Some(3));
    assert_eq!(
        file.write(b"12345").unwrap_err().kind(),
        ErrorKind::StorageFull
    );
    assert_eq!(contents(&disk, FILE).unwrap(), b"he!123");
    assert!(disk.create(Path::new("/d/new")).is_err());
    disk.set_space(None);
    file.write(b"4").unwrap();
    disk.set_read_only(true);
    assert_eq!(
        file.write(b"5").unwrap_err().kind(),
        ErrorKind::ReadOnlyFilesystem
    );
    assert!(disk.remove_file(Path::new(FILE)).is_err());
    assert!(disk.open(Path::new(FILE)).is_ok());
    disk.set_read_only(false);
    disk.flip_bit(Path::new(FILE), 9);
    assert_eq!(contents(&disk, FILE).unwrap(), b"hg!1234");
}

#[test]
fn folders_links_and_locks() {
    let disk = with_folder();
    disk.create_dir(Path::new("/d/e/f")).unwrap();
    write(&disk, "/d/e/f/x", b"1", true);
    disk.link(Path::new("/d/e/f/x"), Path::new("/d/y")).unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    let after = lost(&disk);
    assert_eq!(contents(&after, "/d/y").unwrap(), b"1");
    assert!(after.exists(Path::new("/d/e/f")).unwrap());
    assert!(!after.exists(Path::new("/d/e/f/x")).unwrap());
    disk.remove_dir_all(Path::new("/d/e")).unwrap();
    assert_eq!(disk.files(), [PathBuf::from("/d/y")]);
    assert!(disk.create(Path::new("/nowhere/z")).is_err());

    let guard = disk.lock(Path::new("/d/lock")).unwrap();
    let again = disk.lock(Path::new("/d/lock")).map(drop).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::WouldBlock);
    assert!(lost(&disk).lock(Path::new("/d/lock")).is_ok());
    drop(guard);
    disk.lock(Path::new("/d/lock")).unwrap();
}
