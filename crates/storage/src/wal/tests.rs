//! The log on a disk that does not fail; crashes are in the testkit's tests.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::layout::{FILE_HEADER_BYTES, FRAME_HEAD_BYTES};
use super::*;
use crate::disk::{Disk, FileDisk, MemoryDisk};

type Frames = Vec<(Position, Vec<u8>)>;

const DIR: &str = "log";

fn small_files() -> WalOptions {
    WalOptions {
        file_bytes_max: 400,
        ..WalOptions::default()
    }
}

fn open_with(
    disk: &Arc<dyn Disk>,
    options: WalOptions,
    from: Position,
) -> Result<(Wal, WalRecovery, Frames), StorageError> {
    let mut frames = Vec::new();
    let (wal, found) = Wal::open(
        Arc::clone(disk),
        Path::new(DIR),
        options,
        from,
        &mut |position, payload| {
            frames.push((position, payload.to_vec()));
            Ok(())
        },
    )?;
    Ok((wal, found, frames))
}

fn open(disk: &Arc<dyn Disk>) -> (Wal, WalRecovery, Frames) {
    open_with(disk, small_files(), 0).unwrap()
}

fn payload(position: Position) -> Vec<u8> {
    vec![position as u8; (position * 7 % 60) as usize]
}

fn expected(positions: std::ops::RangeInclusive<Position>) -> Frames {
    positions.map(|p| (p, payload(p))).collect()
}

fn write(wal: &Wal, count: u64, durability: Durability) {
    for _ in 0..count {
        let position = wal.append(&payload(wal.last() + 1)).unwrap();
        wal.commit(position, durability).unwrap();
    }
}

fn memory() -> Arc<dyn Disk> {
    Arc::new(MemoryDisk::default())
}

fn files(disk: &Arc<dyn Disk>) -> Vec<std::path::PathBuf> {
    let entries = disk.list(Path::new(DIR)).unwrap().into_iter();
    entries.map(|e| Path::new(DIR).join(e.name)).collect()
}

fn contents(disk: &Arc<dyn Disk>, path: &Path) -> Vec<u8> {
    let read = disk.open(path).unwrap();
    let mut bytes = vec![0; read.len() as usize];
    read.read_at(0, &mut bytes).unwrap();
    bytes
}

/// The same files as if the process had been killed now, one of them changed.
fn killed(disk: &Arc<dyn Disk>, change: impl Fn(usize, &mut Vec<u8>)) -> Arc<dyn Disk> {
    let copy = memory();
    copy.create_dir(Path::new(DIR)).unwrap();
    for (index, path) in files(disk).iter().enumerate() {
        let mut bytes = contents(disk, path);
        change(index, &mut bytes);
        copy.create(path).unwrap().write(&bytes).unwrap();
    }
    copy
}

#[test]
fn frames_come_back_in_order_over_files_and_sessions() {
    let folder = tempfile::tempdir().unwrap();
    for durability in [
        Durability::EveryWrite,
        Durability::None,
        Durability::Interval(Duration::from_millis(1)),
    ] {
        let disk = memory();
        let mut total = 0;
        for session in 0..4 {
            let (wal, found, frames) = open(&disk);
            assert_eq!(
                frames,
                expected(1..=total),
                "{durability:?} session {session}"
            );
            assert_eq!(found.frames, total);
            assert_eq!(found.torn_bytes_cut + found.skipped, 0);
            write(&wal, 20, durability);
            total += 20;
            assert_eq!(wal.last(), total);
            wal.close().unwrap();
        }
        assert!(files(&disk).len() > 4);
        let report = Wal::verify(&*disk, Path::new(DIR)).unwrap();
        assert_eq!(report.positions, Some((1, 80)));
    }
    // Once with real files.
    let disk: Arc<dyn Disk> = Arc::new(FileDisk);
    for session in 0..3u64 {
        let mut seen = 0;
        let mut count = |_: Position, _: &[u8]| {
            seen += 1;
            Ok(())
        };
        let dir = folder.path().join("wal");
        let (wal, _) = Wal::open(Arc::clone(&disk), &dir, small_files(), 0, &mut count).unwrap();
        assert_eq!(seen, session * 10);
        write(&wal, 10, Durability::EveryWrite);
        assert_eq!(wal.durable(), wal.last());
    }
}

#[test]
fn replay_from_hides_older_frames_and_positions_go_on() {
    let disk = memory();
    let (wal, ..) = open(&disk);
    write(&wal, 10, Durability::EveryWrite);
    drop(wal);
    let (wal, found, frames) = open_with(&disk, small_files(), 7).unwrap();
    assert_eq!((frames, found.frames), (expected(8..=10), 10));
    drop(wal);
    // The state is ahead of the log: weak durability, and the log lost its tail.
    let (wal, _, frames) = open_with(&disk, small_files(), 15).unwrap();
    assert_eq!((frames.len(), wal.last()), (0, 15));
    write(&wal, 1, Durability::EveryWrite);
    drop(wal);
    let (_, _, frames) = open_with(&disk, small_files(), 15).unwrap();
    assert_eq!(frames, expected(16..=16));
    let gap = open_with(&disk, small_files(), 12).unwrap_err().to_string();
    assert!(gap.contains("begins with position 16"), "{gap}");
}

#[test]
fn truncation_frees_whole_files_only() {
    let disk = memory();
    let (wal, ..) = open(&disk);
    write(&wal, 100, Durability::EveryWrite);
    let before = files(&disk).len();
    assert!(before > 5);
    let all = wal.bytes_from(1);
    assert!(wal.bytes_from(51) < all && wal.bytes_from(51) > 0);
    assert_eq!(wal.bytes_from(101), 0);
    wal.truncate_before(51).unwrap();
    assert!(files(&disk).len() < before);
    assert!(wal.bytes_from(1) < all);
    drop(wal);
    let (wal, _, frames) = open_with(&disk, small_files(), 50).unwrap();
    assert_eq!(frames, expected(51..=100));
    wal.truncate_before(1000).unwrap();
    assert_eq!(
        files(&disk).len(),
        1,
        "the newest file anchors the positions"
    );
    write(&wal, 1, Durability::EveryWrite);
    assert_eq!(wal.last(), 101);
    drop(wal);
    // Without the state that made truncation safe the gap is an error.
    assert!(open_with(&disk, small_files(), 0).is_err());
    assert_eq!(
        open_with(&disk, small_files(), 100).unwrap().2,
        expected(101..=101)
    );
}

#[test]
fn a_torn_tail_is_cut_and_stays_cut() {
    let disk = memory();
    let (wal, ..) = open_with(&disk, WalOptions::default(), 0).unwrap();
    write(&wal, 10, Durability::EveryWrite);
    let len = contents(&disk, &files(&disk)[0]).len();
    for cut in 1..len - FILE_HEADER_BYTES as usize {
        let torn = killed(&disk, |_, bytes| bytes.truncate(len - cut));
        let (wal, found, frames) = open(&torn);
        assert!(frames.len() < 10);
        assert_eq!(frames, expected(1..=frames.len() as u64), "cut {cut}");
        let position = wal.append(b"new").unwrap();
        wal.commit(position, Durability::EveryWrite).unwrap();
        assert_eq!(position, frames.len() as u64 + 1);
        // Killed again, and the old file grown back to what it was before the cut.
        let again = killed(&torn, |index, bytes| {
            if index == 0 {
                *bytes = contents(&disk, &files(&disk)[0]);
            }
        });
        let (_, second, back) = open(&again);
        assert_eq!(back.len(), frames.len() + 1, "cut {cut}");
        assert_eq!(back.last().unwrap(), &(position, b"new".to_vec()));
        assert_eq!(second.torn_bytes_cut, 0, "after {found:?}");
    }
}

#[test]
fn damage_before_synced_frames_is_an_error_or_skipped_on_demand() {
    let disk = memory();
    let (wal, ..) = open_with(&disk, WalOptions::default(), 0).unwrap();
    write(&wal, 10, Durability::EveryWrite);
    let bytes = contents(&disk, &files(&disk)[0]);
    // Everything but the last frame is known to be synced by the frame after it.
    let last_frame = bytes.len() - payload(10).len() - FRAME_HEAD_BYTES as usize;
    let head = FILE_HEADER_BYTES as usize;
    for at in head..last_frame {
        let damaged = killed(&disk, |_, bytes| bytes[at] ^= 0x10);
        match open_with(&damaged, small_files(), 0) {
            Err(StorageError::Corrupt { path, offset, .. }) => {
                assert_eq!(path, files(&disk)[0]);
                assert!(offset <= at as u64);
            }
            other => panic!("byte {at}: {other:?}"),
        }
        assert!(Wal::verify(&*damaged, Path::new(DIR)).is_err());
        let options = WalOptions {
            on_corruption: OnCorruption::Skip,
            ..small_files()
        };
        let (wal, found, frames) = open_with(&damaged, options.clone(), 0).unwrap();
        assert_eq!((found.skipped, frames.len()), (1, 9), "byte {at}");
        assert!(frames.iter().all(|(p, bytes)| *bytes == payload(*p)));
        write(&wal, 1, Durability::EveryWrite);
        assert_eq!(wal.last(), 11);
        drop(wal);
        let (_, _, frames) = open_with(&damaged, options, 0).unwrap();
        assert_eq!(frames.len(), 10, "byte {at}");
    }
}

#[test]
fn a_clean_close_protects_the_last_frame_too() {
    let disk = memory();
    let (wal, ..) = open_with(&disk, WalOptions::default(), 0).unwrap();
    write(&wal, 3, Durability::EveryWrite);
    wal.close().unwrap();
    let path = &files(&disk)[0];
    let len = contents(&disk, path).len();
    for at in FILE_HEADER_BYTES as usize..len - FRAME_HEAD_BYTES as usize {
        let damaged = killed(&disk, |_, bytes| bytes[at] ^= 1);
        assert!(open_with(&damaged, small_files(), 0).is_err(), "byte {at}");
    }
    // Nothing is in doubt after a clean close: opening writes no file.
    let (wal, ..) = open(&disk);
    assert_eq!(files(&disk).len(), 1);
    drop(wal);
}

#[test]
fn missing_and_foreign_files_are_errors() {
    let disk = memory();
    let (wal, ..) = open(&disk);
    write(&wal, 60, Durability::EveryWrite);
    wal.close().unwrap();
    let names = files(&disk);
    let fails = |index: usize, what: &str| {
        let copy = killed(&disk, |_, _| {});
        copy.remove_file(&names[index]).unwrap();
        let error = open_with(&copy, small_files(), 0).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    fails(0, "missing");
    fails(2, "missing");
    let swapped = killed(&disk, |_, _| {});
    swapped.rename(&names[3], &names[1]).unwrap();
    assert!(open_with(&swapped, small_files(), 0).is_err());
    // Files without a whole header at the end never held a frame.
    for len in [0, 1, FILE_HEADER_BYTES as usize - 1] {
        let copy = killed(&disk, |_, _| {});
        let next = Path::new(DIR).join(layout::file_name(names.len() as u64 + 1));
        let header = &contents(&disk, &names[0])[..len];
        copy.create(&next).unwrap().write(header).unwrap();
        let rubbish = Path::new(DIR).join("00000000000000000099.wal.tmp");
        copy.create(&rubbish).unwrap().write(b"half").unwrap();
        let (wal, _, frames) = open(&copy);
        assert_eq!(frames, expected(1..=60));
        assert!(!copy.exists(&rubbish).unwrap());
        write(&wal, 1, Durability::EveryWrite);
        wal.close().unwrap();
        assert_eq!(open(&copy).2.len(), 61, "a short file of {len} bytes");
    }
}

#[test]
fn salvage_reads_around_a_lost_file() {
    let disk = memory();
    // The second session copies frames whose sync nobody recorded; the first's tail is cut.
    let (wal, ..) = open_with(&disk, WalOptions::default(), 0).unwrap();
    write(&wal, 5, Durability::None);
    let disk = killed(&disk, |_, bytes| bytes.truncate(bytes.len() - 1));
    let (wal, _, frames) = open_with(&disk, WalOptions::default(), 0).unwrap();
    assert_eq!(frames, expected(1..=4));
    write(&wal, 6, Durability::EveryWrite);
    wal.close().unwrap();
    let (wal, ..) = open(&disk);
    write(&wal, 20, Durability::EveryWrite);
    wal.close().unwrap();
    assert!(files(&disk).len() > 3);
    let options = WalOptions {
        on_corruption: OnCorruption::Skip,
        ..small_files()
    };
    for lost in 0..files(&disk).len() {
        for whole in [false, true] {
            let damaged = killed(&disk, |index, bytes| {
                if index == lost {
                    bytes[20] ^= 1;
                }
            });
            if whole {
                damaged.remove_file(&files(&disk)[lost]).unwrap();
            }
            let (wal, found, frames) = open_with(&damaged, options.clone(), 0).unwrap();
            let last = lost + 1 == files(&disk).len();
            assert!(found.skipped > 0 || (last && whole) || (lost == 0 && whole));
            assert!(frames.is_sorted_by(|a, b| a.0 < b.0), "file {lost}");
            assert!(frames.iter().all(|(p, bytes)| *bytes == payload(*p)));
            assert!(!frames.is_empty() && frames.len() <= 30);
            write(&wal, 1, Durability::EveryWrite);
        }
    }
}

#[test]
fn limits_are_kept() {
    let disk = memory();
    let options = WalOptions {
        frame_bytes_max: 100,
        ..small_files()
    };
    let (wal, ..) = open_with(&disk, options, 0).unwrap();
    assert!(matches!(
        wal.append(&[0; 101]),
        Err(StorageError::TooLarge {
            bytes: 101,
            max: 100,
            ..
        })
    ));
    wal.append(&[0; 100]).unwrap();
    // A frame larger than a file gets a file of its own.
    let disk = memory();
    let (wal, ..) = open(&disk);
    for _ in 0..3 {
        wal.append(&[1; 5000]).unwrap();
    }
    wal.close().unwrap();
    assert_eq!(files(&disk).len(), 3);
    assert_eq!(open(&disk).2.len(), 3);
}

#[test]
fn the_interval_level_syncs_by_itself() {
    let disk = memory();
    let (wal, ..) = open(&disk);
    let position = wal.append(b"soon").unwrap();
    wal.commit(position, Durability::Interval(Duration::from_millis(5)))
        .unwrap();
    let patience = Instant::now() + Duration::from_secs(20);
    while wal.durable() < position {
        assert!(Instant::now() < patience, "not synced after 20 s");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A disk whose files count their syncs and take a while to do one.
#[derive(Debug, Default)]
struct SlowSync {
    disk: MemoryDisk,
    syncs: Arc<AtomicU64>,
}

struct SlowFile(Box<dyn crate::disk::DiskFile>, Arc<AtomicU64>);

impl crate::disk::DiskFile for SlowFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write(bytes)
    }
    fn sync(&mut self) -> std::io::Result<()> {
        self.1.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(2));
        self.0.sync()
    }
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl Disk for SlowSync {
    fn create(&self, path: &Path) -> std::io::Result<Box<dyn crate::disk::DiskFile>> {
        let file = self.disk.create(path)?;
        Ok(Box::new(SlowFile(file, Arc::clone(&self.syncs))))
    }
    fn open(&self, path: &Path) -> std::io::Result<Box<dyn crate::disk::DiskRead>> {
        self.disk.open(path)
    }
    fn map(&self, path: &Path, expected_len: u64) -> std::io::Result<crate::Blob> {
        self.disk.map(path, expected_len)
    }
    fn replace(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        self.disk.replace(path, bytes)
    }
    fn create_dir(&self, path: &Path) -> std::io::Result<()> {
        self.disk.create_dir(path)
    }
    fn remove_file(&self, path: &Path) -> std::io::Result<()> {
        self.disk.remove_file(path)
    }
    fn remove_dir_all(&self, path: &Path) -> std::io::Result<()> {
        self.disk.remove_dir_all(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.disk.rename(from, to)
    }
    fn link(&self, existing: &Path, new: &Path) -> std::io::Result<()> {
        self.disk.link(existing, new)
    }
    fn sync_dir(&self, path: &Path) -> std::io::Result<()> {
        self.disk.sync_dir(path)
    }
    fn list(&self, dir: &Path) -> std::io::Result<Vec<crate::DirEntry>> {
        self.disk.list(dir)
    }
    fn exists(&self, path: &Path) -> std::io::Result<bool> {
        self.disk.exists(path)
    }
    fn lock(&self, path: &Path) -> std::io::Result<Box<dyn Send + Sync>> {
        self.disk.lock(path)
    }
}

#[test]
fn writers_that_wait_together_share_a_sync() {
    const WRITERS: u64 = 16;
    const EACH: u64 = 25;
    let slow = SlowSync::default();
    let syncs = Arc::clone(&slow.syncs);
    let disk: Arc<dyn Disk> = Arc::new(slow);
    let (wal, ..) = open_with(&disk, WalOptions::default(), 0).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let wal = &wal;
            scope.spawn(move || {
                for number in 0..EACH {
                    let position = wal.append(&[writer as u8, number as u8]).unwrap();
                    wal.commit(position, Durability::EveryWrite).unwrap();
                    assert!(wal.durable() >= position);
                }
            });
        }
    });
    drop(wal);
    let done = syncs.load(Ordering::Relaxed);
    assert!(
        done < WRITERS * EACH / 3,
        "{done} syncs for {} commits",
        WRITERS * EACH
    );
    let (_, _, frames) = open_with(&disk, WalOptions::default(), 0).unwrap();
    assert_eq!(frames.len() as u64, WRITERS * EACH);
    // Each writer's own order is kept.
    for writer in 0..WRITERS {
        let own: Vec<u8> = frames
            .iter()
            .filter(|(_, bytes)| bytes[0] == writer as u8)
            .map(|(_, bytes)| bytes[1])
            .collect();
        assert_eq!(own, (0..EACH as u8).collect::<Vec<_>>());
    }
}
