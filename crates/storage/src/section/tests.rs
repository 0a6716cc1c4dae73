//! Section files: round trips, and no byte that can change unseen.

use std::path::Path;

use super::*;
use crate::disk::{Disk, MemoryDisk};
use crate::{FileDisk, StorageError};

const KIND: [u8; 4] = *b"TEST";

fn sample_sections() -> Vec<(&'static str, Vec<u8>)> {
    let mut state = 7u32;
    let mut noise = |len: usize| -> Vec<u8> {
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect()
    };
    vec![
        ("rows", noise(3 * BLOCK_BYTES + 17)),
        ("empty", Vec::new()),
        ("one block", noise(BLOCK_BYTES)),
        ("tail", noise(5)),
    ]
}

fn write_sample(disk: &dyn Disk, path: &Path, sections: &[(&str, Vec<u8>)]) -> FileSummary {
    let mut writer = SectionWriter::create(disk, path, KIND, 3).unwrap();
    for (name, bytes) in sections {
        writer.begin(name).unwrap();
        for part in bytes.chunks(50_001) {
            writer.write(part).unwrap();
        }
        writer.end().unwrap();
    }
    writer.finish().unwrap()
}

fn whole(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    let read = disk.open(path).unwrap();
    let mut bytes = vec![0; read.len() as usize];
    read.read_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn reads_back_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let memory = MemoryDisk::default();
    let on_disk = folder.path().join("f");
    for (disk, path) in [
        (&memory as &dyn Disk, Path::new("f")),
        (&FileDisk, &on_disk),
    ] {
        let sections = sample_sections();
        let summary = write_sample(disk, path, &sections);
        let file = SectionFile::open(disk, path, KIND, 3, Some(summary.len)).unwrap();
        assert_eq!(file.summary(), summary);
        assert_eq!((file.version(), file.path()), (3, path));
        let names: Vec<_> = sections.iter().map(|(name, _)| *name).collect();
        assert_eq!(file.names().collect::<Vec<_>>(), names);
        for (name, bytes) in &sections {
            let section = file.section(name).unwrap();
            assert_eq!(&*section.bytes_unverified(), &bytes[..]);
            assert_eq!(&*section.bytes_verified().unwrap(), &bytes[..]);
            assert_eq!(section.file_offset() % SECTION_ALIGNMENT, 0);
            assert_eq!(section.bytes_unverified().as_ptr().align_offset(64), 0);
            assert!(section.verify_range(0..bytes.len() + 1).is_err());
        }
        assert_eq!(verify_file(disk, path).unwrap().blocks, 4 + 1 + 1);
        let missing = file.section("graph").unwrap_err().to_string();
        assert!(
            missing.contains("graph") && missing.contains("tail"),
            "{missing}"
        );
    }
}

#[test]
fn refuses_other_kinds_versions_and_lengths() {
    let disk = MemoryDisk::default();
    let path = Path::new("f");
    let summary = write_sample(&disk, path, &[("a", vec![1, 2, 3])]);
    let open = |kind, version, len| SectionFile::open(&disk, path, kind, version, len);
    assert!(matches!(
        open(*b"ELSE", 3, None),
        Err(StorageError::Corrupt { offset: 12, .. })
    ));
    assert!(matches!(
        open(KIND, 2, None),
        Err(StorageError::NewerFormat {
            found: 3,
            supported: 2,
            ..
        })
    ));
    assert!(matches!(
        open(KIND, 3, Some(summary.len + 1)),
        Err(StorageError::Corrupt { .. })
    ));
    assert!(open(KIND, 9, Some(summary.len)).is_ok());
}

#[test]
fn the_writer_refuses_calls_out_of_order() {
    let disk = MemoryDisk::default();
    let mut writer = SectionWriter::create(&disk, Path::new("f"), KIND, 1).unwrap();
    assert!(writer.write(b"x").is_err());
    assert!(writer.end().is_err());
    assert!(writer.begin("").is_err());
    writer.add("a", b"1").unwrap();
    assert!(writer.add("a", b"2").is_err(), "a name twice");
    writer.begin("b").unwrap();
    assert!(writer.begin("c").is_err());
    assert!(writer.finish().is_err());
}

/// Opens and reads everything; the content, or the error's text.
fn content(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, StorageError> {
    let disk = MemoryDisk::default();
    let path = Path::new("f");
    disk.create(path).unwrap().write(bytes).unwrap();
    let file = SectionFile::open(&disk, path, KIND, 3, None)?;
    file.names()
        .map(|name| {
            let blob = file.section(name)?.bytes_verified()?;
            Ok((name.to_owned(), blob.to_vec()))
        })
        .collect()
}

#[test]
fn every_flipped_byte_and_every_cut_is_seen() {
    let disk = MemoryDisk::default();
    let path = Path::new("f");
    let sections = [("ab", b"some bytes".to_vec()), ("c", vec![9; 300])];
    write_sample(&disk, path, &sections);
    let sound = whole(&disk, path);
    let expected = content(&sound).unwrap();
    let mut unseen = 0;
    for at in 0..sound.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = sound.clone();
            bytes[at] ^= flip;
            match content(&bytes) {
                Err(StorageError::Corrupt { path, .. }) => assert_eq!(path, Path::new("f")),
                Err(other) => panic!("byte {at}: {other}"),
                Ok(found) => {
                    assert_eq!(found, expected, "byte {at} ^ {flip:#x}");
                    unseen += 1;
                    let disk = MemoryDisk::default();
                    disk.create(path).unwrap().write(&bytes).unwrap();
                    assert!(verify_file(&disk, path).is_err(), "byte {at} of a gap");
                }
            }
        }
    }
    assert!(unseen > 0, "gaps between sections exist");
    for len in 0..sound.len() {
        assert!(content(&sound[..len]).is_err(), "cut to {len} bytes");
        let mut longer = sound.clone();
        longer.extend_from_slice(&sound[..len.min(100) + 1]);
        assert!(content(&longer).is_err());
    }
}

#[test]
fn a_misdirected_block_is_seen() {
    let disk = MemoryDisk::default();
    let path = Path::new("f");
    // Two blocks of equal bytes would have equal checksums if the place did not count.
    let first = write_sample(&disk, path, &[("a", vec![5; 2 * BLOCK_BYTES])]);
    let file = SectionFile::open(&disk, path, KIND, 3, Some(first.len)).unwrap();
    let table = whole(&disk, path);
    let crcs = &table[table.len() - layout::FOOTER_BYTES - 8..table.len() - layout::FOOTER_BYTES];
    assert_ne!(crcs[..4], crcs[4..]);
    file.verify().unwrap();
}

#[test]
fn ranges_are_verified_block_by_block() {
    let disk = MemoryDisk::default();
    let path = Path::new("f");
    write_sample(&disk, path, &[("a", vec![5; 3 * BLOCK_BYTES])]);
    let mut bytes = whole(&disk, path);
    bytes[4096 + BLOCK_BYTES + 10] ^= 1;
    let damaged = Path::new("g");
    disk.create(damaged).unwrap().write(&bytes).unwrap();
    let file = SectionFile::open(&disk, damaged, KIND, 3, None).unwrap();
    let section = file.section("a").unwrap();
    section.verify_range(0..BLOCK_BYTES).unwrap();
    section
        .verify_range(2 * BLOCK_BYTES..3 * BLOCK_BYTES)
        .unwrap();
    section.verify_range(BLOCK_BYTES..BLOCK_BYTES).unwrap();
    match section.verify_range(BLOCK_BYTES - 1..BLOCK_BYTES + 1) {
        Err(StorageError::Corrupt { offset, .. }) => {
            assert_eq!(offset, 4096 + BLOCK_BYTES as u64);
        }
        other => panic!("{other:?}"),
    }
}
