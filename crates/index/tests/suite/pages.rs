//! What only DiskANN does: it reads pages, keeps nodes, goes on from an older index, and is built in parts.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vecdb_index::diskann::{FileVectors, PartitionedBuild, Plan};
use vecdb_index::{
    Budget, BuildOptions, BuiltIndex, DiskAnn, DiskAnnParams, DiskTrace, IndexError, IndexSpec,
    Scratch, SearchParams, build_extending,
};
use vecdb_storage::disk::{Completion, PageIo, PageReader, PageSource};
use vecdb_storage::{Disk, FileDisk, MemoryDisk, SectionFile, SectionWriter};
use vecdb_vector::{ElementType, Metric, Neighbor, Query, RowId};

use crate::fixture::{Rows, open_file, random_mask, save, sections};

const KIND: [u8; 4] = *b"TEST";

fn params() -> DiskAnnParams {
    DiskAnnParams {
        r: 32,
        l_build: 64,
        ..DiskAnnParams::default()
    }
}

fn build(rows: &Rows) -> DiskAnn {
    let options = BuildOptions {
        threads: 2,
        ..BuildOptions::default()
    };
    DiskAnn::build(&params(), rows.metric, rows.view(), &options).unwrap()
}

fn ask(index: &DiskAnn, query: &Query) -> Result<(Vec<Neighbor>, DiskTrace), IndexError> {
    let (mut scratch, mut out) = (Scratch::new(), Vec::new());
    let (params, budget) = (SearchParams::default(), Budget::UNLIMITED);
    index.search_alone(query, 10, None, &params, &budget, &mut scratch, &mut out)?;
    Ok((out, scratch.disk().clone()))
}

/// An index in a file of the real disk.
fn on_disk(folder: &Path, index: &dyn BuiltIndex) -> (PathBuf, SectionFile) {
    let path = folder.join("index");
    let mut writer = SectionWriter::create(&FileDisk, &path, KIND, 1).unwrap();
    index.save(&mut writer).unwrap();
    writer.finish().unwrap();
    let file = SectionFile::open(&FileDisk, &path, KIND, 1, None).unwrap();
    (path, file)
}

#[test]
fn every_way_to_read_finds_the_same_and_the_cache_saves_reads() {
    let rows = Rows::new(Metric::Cosine, ElementType::F32, 4000, 48);
    let built = build(&rows);
    let folder = tempfile::tempdir().unwrap();
    let (_, file) = on_disk(folder.path(), &built);
    let open = || DiskAnn::open(&file, rows.metric, rows.count).unwrap();
    let expected: Vec<_> = rows
        .queries
        .iter()
        .map(|q| ask(&built, q).unwrap())
        .collect();
    assert!(built.pages_in_file().is_none());
    for io in PageIo::ALL {
        let mut index = open();
        let notices = index.read_through(io, 0).unwrap();
        let fell_back = index.io().0 != io;
        assert!(!fell_back || !notices.is_empty(), "{io:?}: {notices:?}");
        for (query, (hits, trace)) in rows.queries.iter().zip(&expected) {
            let (got, read) = ask(&index, query).unwrap();
            // Blocks arrive in any order, and a walk depends on it a little.
            let same = got.iter().filter(|hit| hits.contains(hit)).count();
            assert!(same >= 9, "{io:?}");
            assert!(read.reads > 0 && read.reads < 2 * trace.reads + 8);
            assert_eq!(read.read_nanos.len() as u64, read.reads);
            assert_eq!(read.cache_hits, 0);
        }
        let mut cached = open();
        cached.read_through(io, 1 << 20).unwrap();
        assert!(cached.cache_nodes() > 1000);
        let reads = |index: &DiskAnn| -> u64 {
            let traces = rows.queries.iter().map(|q| ask(index, q).unwrap().1);
            traces.map(|trace| trace.reads).sum()
        };
        let (cold, warm) = (reads(&cached), reads(&cached));
        assert!(warm * 2 < cold.max(reads(&index)), "{warm} after {cold}");
    }
}

#[test]
fn all_vectors_can_be_compared_without_the_rows() {
    let rows = Rows::new(Metric::L1, ElementType::I8, 1500, 20);
    let index = build(&rows);
    let exact = SearchParams {
        exact: true,
        ..SearchParams::default()
    };
    let mask = random_mask(rows.count, 0.3, 8);
    let (mut scratch, mut out) = (Scratch::new(), Vec::new());
    for query in &rows.queries {
        for mask in [None, Some(&mask)] {
            let budget = Budget::UNLIMITED;
            let stats = index.search_alone(query, 7, mask, &exact, &budget, &mut scratch, &mut out);
            assert!(stats.unwrap().exact);
            assert_eq!(out, rows.exact(query, 7, mask));
        }
    }
    let other = Rows::new(Metric::L1, ElementType::I8, 10, 21);
    assert!(ask(&index, &other.queries[0]).is_err(), "another dimension");
}

/// Pages that arrive in another order than asked for, fail, or come damaged.
#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn PageSource>,
    reads: Arc<AtomicU64>,
    fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Reordered,
    Error,
    Short,
    Damaged,
}

struct FaultyReader {
    inner: Box<dyn PageReader>,
    reads: Arc<AtomicU64>,
    fault: Fault,
    held: Vec<Completion>,
    damaged: Vec<u8>,
}

impl PageSource for Faulty {
    fn reader(&self, depth: usize) -> io::Result<Box<dyn PageReader>> {
        Ok(Box::new(FaultyReader {
            inner: self.inner.reader(depth)?,
            reads: Arc::clone(&self.reads),
            fault: self.fault,
            held: Vec::new(),
            damaged: Vec::new(),
        }))
    }

    fn io(&self) -> PageIo {
        self.inner.io()
    }

    fn is_direct(&self) -> bool {
        false
    }
}

impl PageReader for FaultyReader {
    fn depth(&self) -> usize {
        self.inner.depth()
    }

    fn submit(&mut self, slot: usize, block: u64) -> io::Result<()> {
        self.inner.submit(slot, block)
    }

    fn wait(&mut self) -> io::Result<Option<Completion>> {
        // All that are on their way, the last first.
        while let Some(completion) = self.inner.wait()? {
            self.held.push(completion);
        }
        let Some(mut completion) = self.held.pop() else {
            return Ok(None);
        };
        if self.reads.fetch_add(1, Ordering::Relaxed) % 5 == 4 {
            match self.fault {
                Fault::Reordered => {}
                Fault::Error => completion.result = Err(io::Error::from_raw_os_error(5)),
                Fault::Short => completion.result = Err(io::ErrorKind::UnexpectedEof.into()),
                Fault::Damaged => {
                    self.damaged = self.inner.bytes(completion.slot).to_vec();
                    self.damaged[1000] ^= 1;
                    return Ok(Some(completion));
                }
            }
        }
        self.damaged.clear();
        Ok(Some(completion))
    }

    fn bytes(&self, slot: usize) -> &[u8] {
        match self.damaged.is_empty() {
            true => self.inner.bytes(slot),
            false => &self.damaged,
        }
    }
}

#[test]
fn faults_of_the_disk_are_told_with_the_nodes_and_searches_go_on_after_them() {
    let rows = Rows::new(Metric::L2, ElementType::F32, 3000, 32);
    let mut index = build(&rows);
    let disk = save(&index);
    let file = open_file(&disk).unwrap();
    let bytes = file
        .section("diskann:pages")
        .unwrap()
        .bytes_verified()
        .unwrap();
    let sound = || -> Arc<dyn PageSource> {
        Arc::new(vecdb_storage::disk::MappedPages::new(bytes.clone(), 4096).unwrap())
    };
    for (fault, named) in [
        (Fault::Reordered, ""),
        (Fault::Error, "cannot read block"),
        (Fault::Short, "with the nodes"),
        (Fault::Damaged, "does not match its checksum"),
    ] {
        let source = Faulty {
            inner: sound(),
            reads: Arc::default(),
            fault,
        };
        index.read_from(Arc::new(source), 0).unwrap();
        let mut failures = 0;
        for query in &rows.queries {
            match ask(&index, query) {
                Ok((hits, _)) => assert!(hits.len() == 10 && hits.is_sorted()),
                Err(error) => {
                    failures += 1;
                    assert!(error.to_string().contains(named), "{error}");
                }
            }
        }
        assert_eq!(failures > 0, fault != Fault::Reordered, "{fault:?}");
        if fault == Fault::Reordered {
            assert!(rows.recall(&index, 10, None) >= 0.95);
        }
    }
    index.read_from(sound(), 0).unwrap();
    assert!(ask(&index, &rows.queries[0]).is_ok());
}

#[test]
fn an_older_index_is_extended() {
    let old = Rows::new(Metric::L2, ElementType::F32, 5000, 16);
    let seed = build(&old);
    // Every third row is gone, and 400 new ones come first.
    let size = 16 * 4;
    let mut bytes = Vec::new();
    for number in old.bytes[..400 * size].chunks_exact(4) {
        let value = f32::from_le_bytes([number[0], number[1], number[2], number[3]]) + 0.02;
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    let (mut remap, mut count) = (Vec::new(), 400);
    for row in 0..5000usize {
        if row % 3 == 0 {
            remap.push(None);
        } else {
            remap.push(Some(RowId(count)));
            bytes.extend_from_slice(&old.bytes[row * size..(row + 1) * size]);
            count += 1;
        }
    }
    let rows = Rows {
        bytes,
        count,
        ..old
    };
    let spec = IndexSpec::DiskAnn(params());
    let options = BuildOptions {
        threads: 2,
        ..BuildOptions::default()
    };
    let extend = |remap: &[Option<RowId>]| {
        build_extending(&spec, Metric::L2, rows.view(), &options, &seed, remap)
    };
    let index = extend(&remap).unwrap();
    let report = index.verify(count).unwrap();
    assert_eq!((report.rows, report.unreachable), (count, 0));
    let recall = rows.recall(&*index, 10, None);
    assert!(recall >= 0.95, "recall {recall}");
    assert!(extend(&remap[1..]).is_err());
    assert!(extend(&vec![Some(RowId(1)); 5000]).is_err());
    // Mostly dead: built anew.
    assert_eq!(
        extend(&vec![None; 5000])
            .unwrap()
            .verify(count)
            .unwrap()
            .unreachable,
        0
    );
}

/// The vectors of `rows` in a file in memory.
fn vectors(rows: &Rows) -> FileVectors {
    let disk = MemoryDisk::default();
    let path = Path::new("vectors");
    disk.create(path).unwrap().write(&rows.bytes).unwrap();
    FileVectors::new(disk.open(path).unwrap(), rows.element, rows.dim).unwrap()
}

/// Builds in parts; cancelled once `stop_after` passes are done, if that is not 0.
fn build_in_parts(
    rows: &Rows,
    disk: &dyn Disk,
    memory: u64,
    stop_after: usize,
) -> Result<Vec<(String, bool)>, IndexError> {
    let (vectors, params) = (vectors(rows), params());
    let passes = Cell::new(0);
    let names = std::cell::RefCell::new(Vec::new());
    let stop = std::sync::atomic::AtomicBool::new(false);
    let cancelled = || stop.load(Ordering::Relaxed);
    let options = BuildOptions {
        threads: 1,
        cancelled: Some(&cancelled),
        ..BuildOptions::default()
    };
    let build = PartitionedBuild {
        params: &params,
        metric: rows.metric,
        vectors: &vectors,
        plan: Plan::new(&params, &vectors, memory)?,
        disk,
        folder: Path::new("build"),
        passed: &|pass| {
            passes.set(passes.get() + 1);
            stop.store(passes.get() == stop_after, Ordering::Relaxed);
            names
                .borrow_mut()
                .push((pass.name.clone(), pass.done_before));
        },
    };
    let index = build.run(&options)?;
    let path = Path::new("index.seg");
    let mut writer = SectionWriter::create(disk, path, KIND, 1)?;
    index.save(&mut writer)?;
    writer.finish()?;
    Ok(names.into_inner())
}

/// Enough for parts of about a third of the rows.
fn limit(rows: &Rows) -> u64 {
    let vectors = vectors(rows);
    let ample = Plan::new(&params(), &vectors, 1 << 40).unwrap();
    let of_all = (1u64 << 40) / ample.part_rows_max;
    let least = Plan::new(&params(), &vectors, 1).unwrap_err();
    let IndexError::MemoryLimit { needed, .. } = least else {
        panic!("{least}");
    };
    needed + u64::from(rows.count) / 2 * of_all
}

#[test]
fn parts_merge_into_an_index_as_good_and_a_stopped_build_goes_on() {
    for metric in [Metric::L2, Metric::Cosine] {
        let rows = Rows::new(metric, ElementType::F32, 6000, 24);
        let memory = limit(&rows);
        let whole = MemoryDisk::default();
        whole.create_dir(Path::new("build")).unwrap();
        let passes = build_in_parts(&rows, &whole, memory, 0).unwrap();
        let parts = passes.iter().filter(|(name, _)| name.starts_with("part "));
        assert!(parts.count() >= 3, "{passes:?}");
        assert!(passes.iter().all(|(_, before)| !before));
        let spec = IndexSpec::DiskAnn(params());
        let index = vecdb_index::open(&spec, metric, &open_file(&whole).unwrap(), rows.count);
        let index = index.unwrap();
        let report = index.verify(rows.count).unwrap();
        assert_eq!((report.rows, report.unreachable), (rows.count, 0));
        let recall = rows.recall(&*index, 10, None);
        assert!(recall >= 0.95, "{metric}: recall {recall}");

        // Stopped after each of its passes, the same file comes out.
        let stopped = MemoryDisk::default();
        stopped.create_dir(Path::new("build")).unwrap();
        for after in 1..passes.len() - 1 {
            let outcome = build_in_parts(&rows, &stopped, memory, after);
            assert!(
                matches!(outcome, Err(IndexError::Cancelled)),
                "{after}: {outcome:?}"
            );
        }
        let again = build_in_parts(&rows, &stopped, memory, 0).unwrap();
        let done_before = again.iter().filter(|(_, before)| *before).count();
        assert!(done_before + 2 >= passes.len() - 1, "{again:?}");
        assert!(sections(&whole) == sections(&stopped), "{metric}");
    }
}

#[test]
fn a_limit_that_nothing_fits_is_refused_with_what_would() {
    let rows = Rows::new(Metric::L2, ElementType::F32, 3000, 24);
    let error = Plan::new(&params(), &vectors(&rows), 1 << 20).unwrap_err();
    let IndexError::MemoryLimit { limit, needed } = error else {
        panic!("{error}");
    };
    assert_eq!(limit, 1 << 20);
    assert!(Plan::new(&params(), &vectors(&rows), needed).is_ok());
    assert!(Plan::new(&params(), &vectors(&rows), needed - 1).is_err());
    let cut = MemoryDisk::default();
    let path = Path::new("vectors");
    cut.create(path).unwrap().write(&rows.bytes[1..]).unwrap();
    let cut = FileVectors::new(cut.open(path).unwrap(), rows.element, rows.dim);
    assert!(cut.err().unwrap().to_string().contains("multiple of 96"));
}
