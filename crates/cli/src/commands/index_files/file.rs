//! The file of `hnsw build`, `ivf build`, `lsh build` and `diskann build`: a section file with the index and a description of the dataset it belongs to.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vecdb_engine::{ElementType, ErrorKind, IndexSpec, Metric};
use vecdb_index::{AnnIndex, BuiltIndex};
use vecdb_storage::checksum::crc32c;
use vecdb_storage::{Disk, FileDisk, SectionFile, SectionWriter};

use crate::failure::{Failure, Outcome};
use crate::measure::Rows;

const KIND: [u8; 4] = *b"GRPH";
const VERSION: u32 = 2;
const DATASET_SECTION: &str = "dataset";

/// The index, and the dataset that it was built over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::commands) struct About {
    pub(super) dataset: PathBuf,
    pub(super) metric: Metric,
    pub(super) index: IndexSpec,
    rows: u32,
    dimension: usize,
    element: ElementType,
    /// CRC-32C of the vectors: an index over other vectors finds nonsense.
    crc32c: u32,
}

impl About {
    pub(super) fn new(dataset: &Path, metric: Metric, spec: &IndexSpec, rows: &Rows) -> Self {
        let shape = (rows.len(), rows.dim(), rows.element());
        Self::of_file(dataset, metric, spec, shape, crc32c(rows.bytes()))
    }

    /// Of vectors that are not in memory, with the CRC-32C of all of them.
    pub(in crate::commands) fn of_file(
        dataset: &Path,
        metric: Metric,
        spec: &IndexSpec,
        (rows, dimension, element): (u32, usize, ElementType),
        crc32c: u32,
    ) -> Self {
        Self {
            // The name is used again from other folders.
            dataset: std::path::absolute(dataset).unwrap_or_else(|_| dataset.to_owned()),
            metric,
            index: spec.clone(),
            rows,
            dimension,
            element,
            crc32c,
        }
    }

    pub(in crate::commands) fn metric(&self) -> Metric {
        self.metric
    }

    pub(in crate::commands) fn rows(&self) -> u32 {
        self.rows
    }

    /// Element type and dimension.
    pub(in crate::commands) fn shape(&self) -> (ElementType, usize) {
        (self.element, self.dimension)
    }

    /// Whether `rows` are those that the index was built over.
    fn check(&self, rows: &Rows, dataset: &Path) -> Outcome {
        let shape = |rows: u32, dimension: usize, element: ElementType| {
            format!("{rows} x {dimension} {element}")
        };
        let own = shape(self.rows, self.dimension, self.element);
        let given = shape(rows.len(), rows.dim(), rows.element());
        if own != given {
            return Err(Failure::usage(format!(
                "{} holds {given} vectors, but the index was built over {own} from {}",
                dataset.display(),
                self.dataset.display()
            )));
        }
        if crc32c(rows.bytes()) != self.crc32c {
            return Err(Failure::usage(format!(
                "{} does not hold the vectors that the index was built over (from {})",
                dataset.display(),
                self.dataset.display()
            )));
        }
        Ok(())
    }
}

/// An opened file: description and index, the rows not yet compared.
pub(in crate::commands) struct IndexFile {
    pub(super) about: About,
    file: SectionFile,
}

impl IndexFile {
    /// Opens a file with an index of this kind.
    pub(in crate::commands) fn open(path: &Path, kind: &'static str) -> Outcome<Self> {
        let file = SectionFile::open(&FileDisk, path, KIND, VERSION, None)?;
        let shown = path.display();
        if file.version() < VERSION {
            return Err(Failure::new(
                ErrorKind::Unsupported,
                format!(
                    "{shown} has format version {}, this program reads {VERSION}: build the index again",
                    file.version()
                ),
            ));
        }
        let bytes = file.section(DATASET_SECTION)?.bytes_verified()?;
        let about: About = serde_json::from_slice(&bytes).map_err(|error| {
            Failure::new(
                ErrorKind::Corrupt,
                format!("{shown}: the section {DATASET_SECTION:?} is damaged: {error}"),
            )
        })?;
        let found = about.index.kind();
        if found != kind {
            return Err(Failure::usage(format!(
                "{shown} holds an index of the kind `{found}`, not `{kind}`: use the commands of `vecdb {found}`"
            )));
        }
        Ok(Self { about, file })
    }

    pub(in crate::commands) fn about(&self) -> &About {
        &self.about
    }

    /// The sections, of an index that needs no rows beside it.
    pub(in crate::commands) fn sections(&self) -> &SectionFile {
        &self.file
    }

    /// The index, for `rows` read from `dataset`.
    pub(super) fn index(&self, rows: &Rows, dataset: &Path) -> Outcome<Box<dyn AnnIndex>> {
        let about = &self.about;
        about.check(rows, dataset)?;
        Ok(vecdb_index::open(
            &about.index,
            about.metric,
            &self.file,
            about.rows,
        )?)
    }
}

/// Writes an index with its description.
pub(super) fn write(path: &Path, about: &About, index: &dyn BuiltIndex) -> Outcome<u64> {
    write_with(path, about, |writer| Ok(index.save(writer)?))
}

/// As [`write`], with whatever writes the sections of the index.
pub(in crate::commands) fn write_with(
    path: &Path,
    about: &About,
    save: impl FnOnce(&mut SectionWriter) -> Outcome,
) -> Outcome<u64> {
    write_file(path, KIND, VERSION, |writer| {
        let text = serde_json::to_vec(about)
            .map_err(|error| Failure::usage(format!("{}: {error}", about.dataset.display())))?;
        writer.add(DATASET_SECTION, &text)?;
        save(writer)
    })
}

/// Writes a section file beside its place, then moves it there: an older file stays whole until the new one is.
pub(in crate::commands) fn write_file(
    path: &Path,
    kind: [u8; 4],
    version: u32,
    fill: impl FnOnce(&mut SectionWriter) -> Outcome,
) -> Outcome<u64> {
    let disk = FileDisk;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let draft = path.with_file_name(name);
    let failed = |error| Failure::file(&draft, &error);
    if disk.exists(&draft).map_err(failed)? {
        disk.remove_file(&draft).map_err(failed)?;
    }
    let mut writer = SectionWriter::create(&disk, &draft, kind, version)?;
    fill(&mut writer)?;
    let summary = writer.finish()?;
    disk.rename(&draft, path)
        .map_err(|error| Failure::file(path, &error))?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    disk.sync_dir(folder)
        .map_err(|error| Failure::file(folder, &error))?;
    Ok(summary.len)
}
