//! Every format cut at every length, and with random bytes changed: an error or fewer rows, never a
//! panic, never memory by the word of a damaged header.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::files::{self, Folder};
use parquet::basic::Compression;
use vecdb_dataset::{DatasetError, PointOptions, open_points, open_vectors, read_ids, read_labels};

const MUTATIONS: u64 = 5_000;
const SEED: u64 = 0x5eed_da7a;
/// All tiny files together take a few KiB.
const RESIDENT_BYTES_MAX: u64 = 512 << 20;
/// More rows than this out of a tiny file would be invented.
const ROWS_MAX: usize = 1 << 20;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Vectors,
    Ids,
    Labels,
}

/// Name, content and kind of one tiny file each.
fn all_files() -> Vec<(&'static str, Vec<u8>, Kind)> {
    let npy = |descr: &str| files::npy(descr, "(4, 3)", &files::encoded(descr));
    let points = |compression| files::parquet(files::point_columns(), compression);
    vec![
        ("a.npy", npy("<f2"), Kind::Vectors),
        ("b.npy", npy("<f8"), Kind::Vectors),
        ("c.npy", npy("|i1"), Kind::Vectors),
        ("d.npy.gz", files::gzip(&npy("<f4")), Kind::Vectors),
        ("e.fvecs", files::vecs("<f4"), Kind::Vectors),
        ("f.bvecs", files::vecs("|u1"), Kind::Vectors),
        (
            "g.fvecs.gz",
            files::gzip(&files::vecs("<f4")),
            Kind::Vectors,
        ),
        ("h-idx3-ubyte", files::idx3(), Kind::Vectors),
        (
            "i-idx3-ubyte.gz",
            files::gzip(&files::idx3()),
            Kind::Vectors,
        ),
        ("j.jsonl", files::jsonl(), Kind::Vectors),
        ("k.jsonl.gz", files::gzip(&files::jsonl()), Kind::Vectors),
        (
            "l.parquet",
            points(Compression::UNCOMPRESSED),
            Kind::Vectors,
        ),
        ("m.parquet", points(Compression::SNAPPY), Kind::Vectors),
        (
            "n.parquet",
            points(Compression::ZSTD(Default::default())),
            Kind::Vectors,
        ),
        ("o.ivecs", files::vecs("<i4"), Kind::Ids),
        ("p.npy", npy("<i8"), Kind::Ids),
        ("q-idx1-ubyte", files::idx1(&[1, 2, 3, 4]), Kind::Labels),
    ]
}

/// Reads a file in every way that its kind allows; the rows of the way that got farthest, if one ended well.
fn read_all(path: &Path, kind: Kind) -> Result<usize, DatasetError> {
    match kind {
        Kind::Ids => read_ids(path).map(|ids| ids.len()),
        Kind::Labels => read_labels(path).map(|labels| labels.len()),
        Kind::Vectors => {
            let points = count_points(path);
            let rows = count_rows(path);
            match (points, rows) {
                (Ok(points), Ok(rows)) => Ok(points.max(rows)),
                (Ok(count), Err(_)) | (Err(_), Ok(count)) => Ok(count),
                (Err(error), Err(_)) => Err(error),
            }
        }
    }
}

fn count_rows(path: &Path) -> Result<usize, DatasetError> {
    let mut reader = open_vectors(path)?;
    let mut bytes = Vec::new();
    let mut rows = 0;
    loop {
        bytes.clear();
        match reader.read(64, &mut bytes)? {
            0 => return Ok(rows),
            read => rows += read,
        }
        assert_eq!(bytes.len() % reader.info().row_bytes(), 0);
        assert!(rows <= ROWS_MAX);
    }
}

fn count_points(path: &Path) -> Result<usize, DatasetError> {
    let mut rows = 0;
    for point in open_points(path, &PointOptions::default())? {
        point?;
        rows += 1;
        assert!(rows <= ROWS_MAX);
    }
    Ok(rows)
}

#[test]
fn cut_at_every_length() {
    let folder = Folder::new();
    for (name, whole, kind) in all_files() {
        let path = folder.write(name, &whole);
        assert_eq!(read_all(&path, kind).unwrap(), 4, "{name} whole");
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            let read = catch_unwind(AssertUnwindSafe(|| read_all(&path, kind)))
                .unwrap_or_else(|_| panic!("{name} cut to {len} bytes panics"));
            // The last line end of a text file may be missing; a gzip's last 8 bytes may not.
            let complete = name == "j.jsonl" && len + 1 == whole.len();
            match read {
                Ok(rows) => assert!(
                    rows < 4 || complete,
                    "{name} cut to {len} bytes gives {rows} rows"
                ),
                Err(error) => assert!(error.to_string().contains(name), "{error}"),
            }
        }
    }
}

#[test]
fn random_bytes_changed() {
    let folder = Folder::new();
    for (number, (name, whole, kind)) in all_files().into_iter().enumerate() {
        let mut random = SEED + number as u64;
        for round in 0..MUTATIONS {
            let mut bytes = whole.clone();
            for _ in 0..1 + next(&mut random) % 3 {
                let at = next(&mut random) as usize % bytes.len();
                bytes[at] = match next(&mut random) % 4 {
                    0 => 0,
                    1 => 0xff,
                    2 => bytes[at] ^ (1 << (next(&mut random) % 8)),
                    _ => next(&mut random) as u8,
                };
            }
            let path = folder.write(name, &bytes);
            let read = catch_unwind(AssertUnwindSafe(|| read_all(&path, kind)));
            let Ok(read) = read else {
                panic!(
                    "{name} panics in round {round} of seed {:#x}",
                    SEED + number as u64
                );
            };
            if let Err(error) = read {
                assert!(error.to_string().contains(name), "{error}");
            }
        }
    }
    if let Some(resident) = resident_bytes_peak() {
        assert!(
            resident < RESIDENT_BYTES_MAX,
            "{resident} bytes resident at the peak"
        );
    }
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Where the system tells.
fn resident_bytes_peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}
