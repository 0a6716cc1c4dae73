//! The log on a disk that fails, tears and loses: a scripted life is ended at every single call to
//! the disk, and what is found afterwards is compared with what was promised.
//!
//! Promised: every acknowledged frame is there, in order, without a gap; nothing is there that was
//! not appended; what one opening delivered is never lost later; writing works again.

use std::path::Path;
use std::time::Duration;

use vecdb_storage::{
    Disk, Durability, Log, OnCorruption, Position, StorageError, Wal, WalOptions, WalRecovery,
};
use vecdb_testkit::random::SeededRandom;
use vecdb_testkit::sim_disk::{CrashMode, Fault, SimDisk};

const DIR: &str = "/db/wal";

type Frames = Vec<(Position, Vec<u8>)>;

/// What a client of the log knows.
#[derive(Default, Clone)]
struct Promise {
    /// Payloads by position, from 1, as appended last.
    appended: Vec<Vec<u8>>,
    /// Acknowledged as synced, and as handed to the system.
    synced: Position,
    written: Position,
    /// Durable elsewhere: the replay starts after it.
    floor: Position,
}

impl Promise {
    /// Checks what an opening delivered and what the crash left of the promises.
    fn check(&self, frames: &[(Position, Vec<u8>)], last: Position, killed_only: bool, what: &str) {
        for (index, (position, payload)) in frames.iter().enumerate() {
            assert_eq!(*position, self.floor + 1 + index as u64, "{what}: a gap");
            assert_eq!(
                Some(payload),
                self.appended.get(*position as usize - 1),
                "{what}: position {position} was never appended so"
            );
        }
        let reached = self.floor + frames.len() as u64;
        assert_eq!(last, reached, "{what}");
        let owed = if killed_only {
            self.written
        } else {
            self.synced
        };
        assert!(
            reached >= owed,
            "{what}: {owed} acknowledged, {reached} found"
        );
    }

    /// Forgets what a crash took.
    fn cut_to(&mut self, last: Position) {
        self.appended.truncate(last as usize);
        self.written = last;
        self.synced = last;
    }
}

fn options() -> WalOptions {
    WalOptions {
        file_bytes_max: 9000,
        ..WalOptions::default()
    }
}

fn open(disk: &SimDisk, floor: Position) -> Result<(Wal, WalRecovery, Frames), StorageError> {
    open_with(disk, options(), floor)
}

fn open_with(
    disk: &SimDisk,
    options: WalOptions,
    floor: Position,
) -> Result<(Wal, WalRecovery, Frames), StorageError> {
    let mut frames = Vec::new();
    let mut keep = |position: Position, payload: &[u8]| {
        frames.push((position, payload.to_vec()));
        Ok(())
    };
    let (wal, found) = Wal::open(disk.shared(), Path::new(DIR), options, floor, &mut keep)?;
    Ok((wal, found, frames))
}

fn append(
    wal: &Wal,
    promise: &mut Promise,
    random: &mut SeededRandom,
    durability: Option<Durability>,
) -> Result<(), StorageError> {
    // Mostly small, at times over several 4 KiB blocks.
    let len = match random.below(4) {
        0 => random.below(6000),
        _ => random.below(300),
    };
    let payload: Vec<u8> = (0..len).map(|_| random.bits() as u8).collect();
    let position = wal.append(&payload)?;
    assert_eq!(position as usize, promise.appended.len() + 1);
    promise.appended.push(payload);
    if let Some(durability) = durability {
        wal.commit(position, durability)?;
        promise.written = position;
        if durability == Durability::EveryWrite {
            promise.synced = position;
        }
    }
    Ok(())
}

/// A life of five sessions: all levels, groups, rotation, truncation, a clean and an unclean end.
fn live(disk: &SimDisk, promise: &mut Promise) -> Result<(), StorageError> {
    let mut random = SeededRandom::new(11);
    for session in 0..5 {
        let (wal, _, frames) = open(disk, promise.floor)?;
        promise.check(&frames, wal.last(), true, "within the life");
        promise.cut_to(wal.last());
        for step in 0..12 {
            let durability = match (session + step) % 4 {
                0 | 1 => Some(Durability::EveryWrite),
                2 => Some(Durability::None),
                _ => None,
            };
            append(&wal, promise, &mut random, durability)?;
            if step == 7 {
                // As after a flush: the manifest has it all.
                let last = wal.last();
                wal.commit(last, Durability::EveryWrite)?;
                promise.written = last;
                promise.synced = last;
                promise.floor = last - 3;
                wal.truncate_before(promise.floor + 1)?;
            }
        }
        if session % 2 == 0 {
            wal.close()?;
            promise.written = promise.appended.len() as u64;
            promise.synced = promise.written;
        } else {
            // Appended but not committed: written by the drop, or lost.
            drop(wal);
        }
    }
    Ok(())
}

fn modes() -> impl Iterator<Item = CrashMode> {
    let seeds = (0..8).map(CrashMode::KeepRandom);
    [CrashMode::LoseUnsynced, CrashMode::KeepAll]
        .into_iter()
        .chain(seeds)
}

/// Opens what is left, checks it, writes on, and opens once more.
fn check_aftermath(disk: &SimDisk, promise: &Promise, killed_only: bool, what: &str) {
    let mut promise = promise.clone();
    let (wal, _, frames) = open(disk, promise.floor).unwrap_or_else(|error| {
        panic!("{what}: {error}");
    });
    promise.check(&frames, wal.last(), killed_only, what);
    // What was delivered once must survive from now on, without any further write.
    promise.cut_to(wal.last());
    let lost = disk.crash_image(CrashMode::LoseUnsynced);
    let (second, _, again) = open(&lost, promise.floor).unwrap_or_else(|error| {
        panic!("{what}, then power loss: {error}");
    });
    assert_eq!(again, frames, "{what}: delivered, then lost");
    drop(second);
    let mut random = SeededRandom::new(5);
    for _ in 0..3 {
        append(
            &wal,
            &mut promise,
            &mut random,
            Some(Durability::EveryWrite),
        )
        .unwrap_or_else(|error| panic!("{what}: cannot write again: {error}"));
    }
    let lost = disk.crash_image(CrashMode::LoseUnsynced);
    let (third, _, frames) = open(&lost, promise.floor).unwrap_or_else(|error| {
        panic!("{what}, after new writes: {error}");
    });
    promise.check(&frames, third.last(), false, what);
}

fn lifetime_calls() -> u64 {
    let disk = SimDisk::new();
    live(&disk, &mut Promise::default()).unwrap();
    disk.calls()
}

fn describe(disk: &SimDisk, call: u64, mode: impl std::fmt::Debug) -> String {
    let calls = disk.trace();
    let at = calls.get(call as usize - 1).map(ToString::to_string);
    format!(
        "{mode:?} at call {}",
        at.unwrap_or(format!("{call}, never made"))
    )
}

#[test]
fn a_crash_at_every_call_loses_nothing_acknowledged() {
    let calls = lifetime_calls();
    assert!(calls > 100, "{calls} calls are too few for a life");
    for call in 1..=calls {
        let disk = SimDisk::new();
        disk.plan(call, Fault::Crash);
        let mut promise = Promise::default();
        let ended = live(&disk, &mut promise);
        assert!(disk.crashed());
        for mode in modes() {
            let what = describe(&disk, call, mode);
            // Only the mark of the clean end, the last call, may fail unseen.
            assert!(ended.is_err() || call == calls, "{what} went unseen");
            check_aftermath(
                &disk.crash_image(mode),
                &promise,
                mode == CrashMode::KeepAll,
                &what,
            );
        }
    }
}

#[test]
fn a_second_crash_during_recovery_loses_nothing_either() {
    let calls = lifetime_calls();
    let mut crashed_twice = 0;
    for call in (1..=calls).step_by(3) {
        let disk = SimDisk::new();
        disk.plan(call, Fault::Crash);
        let mut promise = Promise::default();
        let _ = live(&disk, &mut promise);
        for first in [CrashMode::KeepAll, CrashMode::KeepRandom(call)] {
            for second_call in 1.. {
                let image = disk.crash_image(first);
                image.plan(second_call, Fault::Crash);
                let opened = open(&image, promise.floor);
                let done = !image.crashed();
                assert_eq!(opened.is_ok(), done);
                drop(opened);
                if done {
                    break;
                }
                crashed_twice += 1;
                for second in [
                    CrashMode::LoseUnsynced,
                    CrashMode::KeepAll,
                    CrashMode::KeepRandom(second_call),
                ] {
                    let what = format!(
                        "{}, then {}",
                        describe(&disk, call, first),
                        describe(&image, second_call, second)
                    );
                    let killed_only = first == CrashMode::KeepAll && second == first;
                    check_aftermath(&image.crash_image(second), &promise, killed_only, &what);
                }
            }
        }
    }
    assert!(crashed_twice > 300, "{crashed_twice}");
}

#[test]
fn an_error_at_every_call_poisons_and_reopening_heals() {
    let calls = lifetime_calls();
    for call in 1..=calls {
        for fault in [
            Fault::Error(std::io::ErrorKind::Other),
            Fault::Error(std::io::ErrorKind::StorageFull),
            Fault::Torn { bytes: 37 },
        ] {
            let disk = SimDisk::new();
            disk.plan(call, fault);
            let mut promise = Promise::default();
            let ended = live(&disk, &mut promise);
            let what = describe(&disk, call, fault);
            if let Err(StorageError::Poisoned { cause }) = &ended {
                let full = fault == Fault::Error(std::io::ErrorKind::StorageFull);
                assert_eq!(cause.is_disk_full(), full, "{what}");
            }
            // The same disk goes on: after a failed sync its cache shows what is not durable.
            let image = disk.crash_image(CrashMode::LoseUnsynced);
            check_aftermath(&image, &promise, false, &what);
            check_aftermath(&disk, &promise, true, &what);
        }
    }
}

#[test]
fn a_poisoned_log_refuses_for_good_and_names_the_cause() {
    let disk = SimDisk::new();
    let (wal, ..) = open(&disk, 0).unwrap();
    let first = wal.append(b"one").unwrap();
    wal.commit(first, Durability::EveryWrite).unwrap();
    disk.plan(disk.calls() + 2, Fault::Error(std::io::ErrorKind::Other));
    let second = wal.append(b"two").unwrap();
    for _ in 0..3 {
        let error = wal.commit(second, Durability::EveryWrite).unwrap_err();
        assert!(matches!(error, StorageError::Poisoned { .. }));
        let text = error.to_string();
        assert!(
            text.contains("cannot sync /db/wal/") && text.contains("open"),
            "{text}"
        );
        assert!(matches!(
            wal.append(b"three"),
            Err(StorageError::Poisoned { .. })
        ));
    }
    wal.commit(first, Durability::EveryWrite).unwrap();
    assert_eq!((wal.durable(), wal.last()), (first, second));
    assert!(wal.close().is_err());
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_space() {
    for space in (0..6000).step_by(41) {
        let disk = SimDisk::new();
        disk.create_dir(Path::new(DIR)).unwrap();
        disk.set_space(Some(space));
        let mut promise = Promise::default();
        let (wal, ..) = open(&disk, 0).unwrap();
        let mut random = SeededRandom::new(space);
        let error = loop {
            let written = append(
                &wal,
                &mut promise,
                &mut random,
                Some(Durability::EveryWrite),
            );
            if let Err(error) = written {
                break error;
            }
        };
        assert!(error.is_disk_full(), "{space} bytes: {error}");
        drop(wal);
        disk.set_space(None);
        check_aftermath(&disk, &promise, true, &format!("{space} bytes of space"));
    }
}

#[test]
fn a_read_only_disk_is_an_error() {
    let disk = SimDisk::new();
    let (wal, ..) = open(&disk, 0).unwrap();
    let position = wal.append(b"one").unwrap();
    wal.commit(position, Durability::EveryWrite).unwrap();
    let image = disk.crash_image(CrashMode::KeepAll);
    image.set_read_only(true);
    let error = open(&image, 0).map(drop).unwrap_err();
    let kind = error.io_kind();
    assert_eq!(
        kind,
        Some(std::io::ErrorKind::ReadOnlyFilesystem),
        "{error}"
    );
    image.set_read_only(false);
    assert_eq!(open(&image, 0).unwrap().2.len(), 1);
}

#[test]
fn many_writers_and_a_crash_at_any_call() {
    for seed in 0..60 {
        let disk = SimDisk::new();
        let (wal, ..) = open(&disk, 0).unwrap();
        let mut random = SeededRandom::new(seed);
        disk.plan(disk.calls() + 1 + random.below(80), Fault::Crash);
        let acknowledged: Vec<(Position, Vec<u8>)> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4u8)
                .map(|writer| {
                    let wal = &wal;
                    scope.spawn(move || {
                        let mut done = Vec::new();
                        for number in 0..40u8 {
                            let payload = vec![writer, number, seed as u8];
                            let durability = match writer {
                                3 => Durability::Interval(Duration::from_micros(200)),
                                _ => Durability::EveryWrite,
                            };
                            let Ok(position) = wal.append(&payload) else {
                                break;
                            };
                            if wal.commit(position, durability).is_err() {
                                break;
                            }
                            if durability == Durability::EveryWrite {
                                done.push((position, payload));
                            }
                        }
                        done
                    })
                })
                .collect();
            let joined = writers.into_iter().map(|writer| writer.join().unwrap());
            joined.flatten().collect()
        });
        for mode in modes() {
            let image = disk.crash_image(mode);
            let (wal, _, frames) =
                open(&image, 0).unwrap_or_else(|error| panic!("seed {seed} {mode:?}: {error}"));
            let positions: Vec<_> = frames.iter().map(|(position, _)| *position).collect();
            assert_eq!(positions, (1..=wal.last()).collect::<Vec<_>>());
            for (position, payload) in &acknowledged {
                assert_eq!(
                    frames.get(*position as usize - 1).map(|(_, bytes)| bytes),
                    Some(payload),
                    "seed {seed} {mode:?}: position {position} was acknowledged"
                );
            }
        }
    }
}

/// Changes bytes in one of many ways.
fn mutate(bytes: &mut Vec<u8>, random: &mut SeededRandom) {
    let len = bytes.len() as u64;
    let at = random.below(len + 1) as usize;
    let to = (at + random.below(200) as usize).min(bytes.len());
    match random.below(8) {
        0 | 1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        2 if at < bytes.len() => bytes[at] = random.bits() as u8,
        3 => bytes.truncate(at),
        4 => bytes[at..to].fill(0),
        5 => {
            let from = random.below((bytes.len() - (to - at)) as u64 + 1) as usize;
            bytes.copy_within(from..from + (to - at), at);
        }
        6 => {
            let copied = bytes[at..to].to_vec();
            bytes.splice(at..at, copied);
        }
        _ => {
            drop(bytes.drain(at..to));
        }
    }
}

#[test]
fn twenty_thousand_mutations_give_an_error_or_a_prefix() {
    let disk = SimDisk::new();
    let (wal, ..) = open_with(&disk, small_files(), 0).unwrap();
    let mut promise = Promise::default();
    for number in 0..30u64 {
        let payload = vec![number as u8; (number * 13 % 90) as usize];
        let position = wal.append(&payload).unwrap();
        promise.appended.push(payload);
        if number % 3 == 2 {
            wal.commit(position, Durability::EveryWrite).unwrap();
        }
    }
    let image = disk.crash_image(CrashMode::KeepAll);
    let files = image.files();
    assert!(files.len() >= 3);
    let largest = files.iter().filter_map(|path| image.contents(path));
    let largest = largest.map(|bytes| bytes.len() as u64).max().unwrap();
    let (mut refused, mut prefixes) = (0, 0);
    for seed in 0..20_000 {
        let mut random = SeededRandom::new(seed);
        let image = disk.crash_image(CrashMode::KeepAll);
        let path = &files[random.below(files.len() as u64) as usize];
        let mut bytes = image.contents(path).unwrap();
        for _ in 0..1 + random.below(3) {
            mutate(&mut bytes, &mut random);
        }
        image.damage(path, |file| file.clone_from(&bytes));
        let mode = match seed % 5 {
            0 => OnCorruption::Skip,
            _ => OnCorruption::Stop,
        };
        let options = WalOptions {
            on_corruption: mode,
            ..small_files()
        };
        match open_with(&image, options, 0) {
            Ok((wal, found, frames)) if mode == OnCorruption::Stop => {
                promise.check(&frames, wal.last(), false, &format!("seed {seed}"));
                assert_eq!(found.skipped, 0);
                prefixes += 1;
            }
            Ok((_, _, frames)) => {
                // Salvage: gaps, but in order and never a frame that was not written.
                assert!(frames.is_sorted_by(|a, b| a.0 < b.0), "seed {seed}");
                for (position, payload) in frames {
                    let written = promise.appended.get(position as usize - 1);
                    assert_eq!(written, Some(&payload), "seed {seed}");
                }
            }
            Err(StorageError::Corrupt { path, what, .. }) => {
                assert!(path.starts_with(DIR) && !what.is_empty());
                refused += 1;
            }
            Err(other) => panic!("seed {seed}: {other}"),
        }
        let largest = largest.max(bytes.len() as u64);
        for call in image.trace() {
            assert!(call.bytes <= 2 * largest + 4096, "seed {seed}: {call}");
        }
    }
    assert!(refused > 5000 && prefixes > 200, "{refused} {prefixes}");
}

fn small_files() -> WalOptions {
    WalOptions {
        file_bytes_max: 600,
        ..WalOptions::default()
    }
}
