//! A file much larger than the memory that reading it takes. Alone in its binary: the peak is the process's.

use std::fs::{self, File};
use std::io::Write as _;

use vecdb_dataset::open_vectors;

const ROWS: u64 = 1 << 18;
const DIM: u64 = 512;

#[test]
fn half_a_gigabyte_in_a_few_megabytes() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("base.npy");
    let header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({ROWS}, {DIM}), }}\n");
    let mut file = File::create(&path).unwrap();
    file.write_all(b"\x93NUMPY\x01\x00").unwrap();
    file.write_all(&(header.len() as u16).to_le_bytes())
        .unwrap();
    file.write_all(header.as_bytes()).unwrap();
    // The rest is a hole: zeros that take no disk.
    file.set_len(10 + header.len() as u64 + ROWS * DIM * 4)
        .unwrap();

    let mut reader = open_vectors(&path).unwrap();
    let (mut rows, mut bytes) = (0, Vec::new());
    loop {
        bytes.clear();
        match reader.read(1024, &mut bytes).unwrap() {
            0 => break,
            read => rows += read as u64,
        }
    }
    assert_eq!(rows, ROWS);
    assert!(
        bytes.capacity() <= 16 << 20,
        "{} bytes reserved",
        bytes.capacity()
    );
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kib < 64 << 10, "{kib} KiB resident at the peak");
    }
}
