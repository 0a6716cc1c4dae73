//! One set of rules for every disk.

use super::*;

fn check_rules(disk: &dyn Disk, root: &Path) {
    let dir = root.join("a/b");
    disk.create_dir(&dir).unwrap();
    disk.create_dir(&dir).unwrap();
    let path = dir.join("one");
    let kind = |result: io::Result<()>| result.unwrap_err().kind();
    assert_eq!(
        kind(disk.open(&path).map(drop)),
        io::ErrorKind::NotFound,
        "opened before it was made"
    );
    let mut file = disk.create(&path).unwrap();
    file.write(b"hello ").unwrap();
    file.write(b"world").unwrap();
    file.sync().unwrap();
    assert_eq!(file.len(), 11);
    assert_eq!(
        kind(disk.create(&path).map(drop)),
        io::ErrorKind::AlreadyExists
    );
    drop(file);

    let read = disk.open(&path).unwrap();
    let mut out = [0; 5];
    read.read_at(6, &mut out).unwrap();
    assert_eq!((&out, read.len()), (b"world", 11));
    assert_eq!(
        kind(read.read_at(7, &mut out)),
        io::ErrorKind::UnexpectedEof
    );
    assert_eq!(
        kind(read.read_at(u64::MAX >> 1, &mut out)),
        io::ErrorKind::UnexpectedEof
    );

    assert_eq!(
        kind(disk.map(&path, 10).map(drop)),
        io::ErrorKind::InvalidData
    );
    let blob = disk.map(&path, 11).unwrap();
    assert_eq!(&*blob, b"hello world");
    assert_eq!(blob.as_ptr().align_offset(64), 0);
    blob.advise(Access::WillNeed);
    blob.slice(3..7).unwrap().advise(Access::Random);

    let second = dir.join("two");
    disk.link(&path, &second).unwrap();
    assert_eq!(
        kind(disk.link(&path, &second)),
        io::ErrorKind::AlreadyExists
    );
    disk.remove_file(&path).unwrap();
    assert_eq!(kind(disk.remove_file(&path)), io::ErrorKind::NotFound);
    assert_eq!(&*disk.map(&second, 11).unwrap(), b"hello world");
    assert_eq!(&*blob, b"hello world", "a map outlives its name");
    disk.rename(&second, &path).unwrap();
    assert!(!disk.exists(&second).unwrap() && disk.exists(&path).unwrap());
    assert_eq!(kind(disk.rename(&second, &path)), io::ErrorKind::NotFound);

    disk.replace(&path, b"new").unwrap();
    disk.replace(&dir.join("zero"), b"").unwrap();
    assert_eq!(&*disk.map(&path, 3).unwrap(), b"new");
    assert!(disk.map(&dir.join("zero"), 0).unwrap().is_empty());
    disk.sync_dir(&dir).unwrap();
    let names = |dir: &Path| -> Vec<(String, bool, u64)> {
        let entries = disk.list(dir).unwrap().into_iter();
        entries.map(|e| (e.name, e.is_dir, e.len)).collect()
    };
    assert_eq!(
        names(&dir),
        [("one".into(), false, 3), ("zero".into(), false, 0)]
    );
    assert_eq!(names(&root.join("a")), [("b".into(), true, 0)]);

    let lock_path = root.join("lock");
    let guard = disk.lock(&lock_path).unwrap();
    assert_eq!(
        kind(disk.lock(&lock_path).map(drop)),
        io::ErrorKind::WouldBlock
    );
    let refused = take_lock(disk, &lock_path).map(drop).unwrap_err();
    assert!(matches!(refused, StorageError::Locked { .. }), "{refused}");
    drop(guard);
    drop(disk.lock(&lock_path).unwrap());

    disk.rename(&root.join("a"), &root.join("c")).unwrap();
    assert_eq!(names(&root.join("c/b")).len(), 2);
    disk.remove_dir_all(&root.join("c")).unwrap();
    assert!(!disk.exists(&root.join("c/b/one")).unwrap());
    assert_eq!(
        kind(disk.create(&root.join("c/x")).map(drop)),
        io::ErrorKind::NotFound
    );
}

#[test]
fn the_memory_disk_keeps_the_rules() {
    check_rules(&MemoryDisk::default(), Path::new(""));
    check_rules(&MemoryDisk::default(), Path::new("/"));
}

#[test]
fn the_file_disk_keeps_the_rules() {
    let folder = tempfile::tempdir().unwrap();
    check_rules(&FileDisk, folder.path());
}

#[test]
fn a_mapped_memory_file_is_sealed() {
    let disk = MemoryDisk::default();
    let mut file = disk.create(Path::new("f")).unwrap();
    file.write(b"x").unwrap();
    let first = disk.map(Path::new("f"), 1).unwrap();
    let second = disk.map(Path::new("f"), 1).unwrap();
    assert_eq!(first.as_ptr(), second.as_ptr(), "maps share the memory");
    assert!(file.write(b"y").is_err());
}
