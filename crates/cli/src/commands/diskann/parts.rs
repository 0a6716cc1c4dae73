//! `diskann build --memory-limit`: the vectors stay on the disk.
//!
//! The folder `<output>.build` holds what is done so far; it goes when the index is written.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use vecdb_dataset::open_vectors;
use vecdb_engine::{ElementType, IndexSpec, Metric};
use vecdb_index::BuildOptions;
use vecdb_index::diskann::{FileVectors, PartitionedBuild, Pass, Plan};
use vecdb_storage::checksum::crc32c_seeded;
use vecdb_storage::{Disk, FileDisk};
use vecdb_vector::Kernels;

use crate::args::{DiskAnnBuildArgs, Globals};
use crate::commands::index_files::{About, check_output, write_with};
use crate::failure::{Failure, Outcome};
use crate::measure::{peak_rss_bytes, search_shape};
use crate::output::{Align, Bar, Console, Grid, bytes, count, seconds};

/// Bytes copied or read at once.
const CHUNK_BYTES: usize = 4 << 20;
const VECTORS: &str = "vectors";
const COPIED: &str = "copied.json";

#[derive(Serialize)]
struct Report {
    dataset: String,
    output: String,
    rows: u32,
    dimension: usize,
    element: ElementType,
    metric: Metric,
    threads: usize,
    memory_limit_bytes: u64,
    peak_rss_bytes: Option<u64>,
    parts: usize,
    part_rows_max: u64,
    passes: Vec<Timed>,
    build_seconds: f64,
    file_bytes: u64,
}

/// A pass and how long it took.
#[derive(Serialize)]
struct Timed {
    name: String,
    seconds: f64,
    /// Whether an earlier, interrupted build had done it.
    done_before: bool,
}

/// What the copy of the vectors was made of, written when it is whole.
#[derive(PartialEq, Serialize, Deserialize)]
struct Copied {
    dataset: PathBuf,
    bytes: u64,
    modified: Option<std::time::SystemTime>,
    crc32c: u32,
}

pub(super) fn run(
    console: &Console,
    globals: &Globals,
    args: &DiskAnnBuildArgs,
    limit: u64,
) -> Outcome {
    let params = args.graph.params();
    let metric = args.graph.metric.metric;
    let spec = IndexSpec::DiskAnn(params.clone());
    spec.validate()?;
    let (dataset, output) = (&args.files.dataset, &args.files.output);
    check_output(output)?;
    let reader = open_vectors(dataset)?;
    let (element, dim) = search_shape(reader.info(), metric)?;
    drop(reader);
    let threads = globals.threads_or_all();
    let folder = work_folder(output);
    let started = Instant::now();
    let mut passes = Vec::new();
    let copied = copy(console, dataset, &folder, &mut passes)?;
    let file = FileDisk
        .open(&folder.join(VECTORS))
        .map_err(|error| Failure::file(&folder.join(VECTORS), &error))?;
    let vectors = FileVectors::new(file, element, dim)?;
    let plan = Plan::new(&params, &vectors, limit)?;
    console.line("Building DiskANN index:")?;
    console.line(format_args!(
        "  Dataset: {} vectors × {dim} dimensions of {element}",
        count(vectors.rows())
    ))?;
    console.line(format_args!(
        "  Metric: {metric}   r: {}   l_build: {}   alpha: {}",
        params.r, params.l_build, params.alpha
    ))?;
    console.line(format_args!(
        "  Memory limit: {} for parts of up to {} vectors",
        bytes(limit),
        count(plan.part_rows_max)
    ))?;
    let timed = RefCell::new((Instant::now(), passes));
    let bar = Bar::new(console, "building", None);
    let options = BuildOptions {
        threads,
        progress: &bar,
        kernels: Kernels::from_env()?,
        ..BuildOptions::default()
    };
    let passed = |pass: &Pass| {
        let (since, passes) = &mut *timed.borrow_mut();
        passes.push(Timed {
            name: pass.name.clone(),
            seconds: since.elapsed().as_secs_f64(),
            done_before: pass.done_before,
        });
        *since = Instant::now();
    };
    let index = PartitionedBuild {
        params: &params,
        metric,
        vectors: &vectors,
        plan,
        disk: &FileDisk,
        folder: &folder,
        passed: &passed,
    }
    .run(&options)?;
    drop(bar);
    let about = About::of_file(
        dataset,
        metric,
        &spec,
        (vectors.rows(), dim, element),
        copied.crc32c,
    );
    let file_bytes = write_with(output, &about, |writer| Ok(index.save(writer)?))?;
    let removed = FileDisk.remove_dir_all(&folder);
    removed.map_err(|error| Failure::file(&folder, &error))?;
    let (since, mut passes) = timed.into_inner();
    passes.push(Timed {
        name: "write".to_owned(),
        seconds: since.elapsed().as_secs_f64(),
        done_before: false,
    });
    let report = Report {
        dataset: dataset.display().to_string(),
        output: output.display().to_string(),
        rows: vectors.rows(),
        dimension: dim,
        element,
        metric,
        threads,
        memory_limit_bytes: limit,
        peak_rss_bytes: peak_rss_bytes(),
        parts: passes
            .iter()
            .filter(|pass| pass.name.starts_with("part "))
            .count(),
        part_rows_max: plan.part_rows_max,
        passes,
        build_seconds: started.elapsed().as_secs_f64(),
        file_bytes,
    };
    console.json(&report)?;
    print(console, &report)
}

fn print(console: &Console, report: &Report) -> Outcome {
    let mut grid = Grid::new([("Pass", Align::Left), ("Time", Align::Right)]);
    for pass in &report.passes {
        let time = match pass.done_before {
            true => "done before".to_owned(),
            false => seconds(pass.seconds),
        };
        grid.row([pass.name.clone(), time]);
    }
    console.grid(&grid)?;
    let peak = report
        .peak_rss_bytes
        .map_or("not told by this system".to_owned(), bytes);
    console.grid(&Grid::facts([
        ("Parts", count(report.parts as u64)),
        (
            "Most memory",
            format!("{peak} of {}", bytes(report.memory_limit_bytes)),
        ),
        ("Build time", seconds(report.build_seconds)),
        (
            "Written",
            format!("{} ({})", report.output, bytes(report.file_bytes)),
        ),
    ]))
}

/// `<output>.build`.
fn work_folder(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".build");
    output.with_file_name(name)
}

/// The vectors as plain rows in the folder, unless they are there already.
fn copy(
    console: &Console,
    dataset: &Path,
    folder: &Path,
    passes: &mut Vec<Timed>,
) -> Outcome<Copied> {
    let started = Instant::now();
    let disk = FileDisk;
    let about = std::fs::metadata(dataset).map_err(|error| Failure::file(dataset, &error))?;
    let mut copied = Copied {
        dataset: std::path::absolute(dataset).unwrap_or_else(|_| dataset.to_owned()),
        bytes: about.len(),
        modified: about.modified().ok(),
        crc32c: 0,
    };
    let note = folder.join(COPIED);
    let failed = |error| Failure::file(folder, &error);
    if let Ok(text) = std::fs::read(&note)
        && let Ok(found) = serde_json::from_slice::<Copied>(&text)
    {
        copied.crc32c = found.crc32c;
        if copied == found {
            passes.push(Timed {
                name: "copy".to_owned(),
                seconds: 0.0,
                done_before: true,
            });
            return Ok(copied);
        }
    }
    // Of another dataset, or not whole.
    if disk.exists(folder).map_err(failed)? {
        disk.remove_dir_all(folder).map_err(failed)?;
    }
    disk.create_dir(folder).map_err(failed)?;
    let mut reader = open_vectors(dataset)?;
    let row_bytes = reader.info().row_bytes();
    let bar = Bar::new(console, "copying", reader.info().rows);
    let mut file = disk.create(&folder.join(VECTORS)).map_err(failed)?;
    let (mut buffer, mut rows) = (Vec::new(), 0u64);
    copied.crc32c = 0;
    loop {
        buffer.clear();
        let read = reader.read((CHUNK_BYTES / row_bytes).max(1), &mut buffer)?;
        if read == 0 {
            break;
        }
        copied.crc32c = crc32c_seeded(copied.crc32c, &buffer);
        file.write(&buffer).map_err(failed)?;
        rows += read as u64;
        bar.set(rows);
    }
    file.sync().map_err(failed)?;
    let text = serde_json::to_vec(&copied)
        .map_err(|error| Failure::usage(format!("{}: {error}", dataset.display())))?;
    disk.replace(&note, &text).map_err(failed)?;
    passes.push(Timed {
        name: "copy".to_owned(),
        seconds: started.elapsed().as_secs_f64(),
        done_before: false,
    });
    Ok(copied)
}
