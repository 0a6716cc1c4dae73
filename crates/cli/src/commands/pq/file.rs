//! The files of `pq train` and `pq compress`: a quantizer, then the codes of a dataset as well.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vecdb_engine::{ElementType, ErrorKind, Metric};
use vecdb_index::Quantizer;
use vecdb_index::quantizer::CodedRows;
use vecdb_storage::checksum::crc32c;
use vecdb_storage::{FileDisk, SectionFile};

use crate::commands::index_files::write_file;
use crate::failure::{Failure, Outcome};
use crate::measure::Rows;

const KIND: [u8; 4] = *b"QNTZ";
const VERSION: u32 = 1;
const CODED: &str = "coded";
const QUANTIZER: &str = "quantizer";

/// The dataset whose codes lie in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Coded {
    dataset: PathBuf,
    rows: u32,
    dimension: usize,
    element: ElementType,
    /// CRC-32C of the vectors: true distances to others are nonsense.
    crc32c: u32,
}

/// An opened file.
pub(super) struct QuantizerFile {
    path: PathBuf,
    file: SectionFile,
    pub(super) quantizer: Quantizer,
}

/// Writes a quantizer, and codes if there are some.
pub(super) fn write(
    path: &Path,
    quantizer: &Quantizer,
    coded: Option<(&Path, &Rows, &CodedRows)>,
) -> Outcome<u64> {
    write_file(path, KIND, VERSION, |writer| {
        quantizer.save(QUANTIZER, writer)?;
        let Some((dataset, rows, codes)) = coded else {
            return Ok(());
        };
        let about = Coded {
            // The name is used again from other folders.
            dataset: std::path::absolute(dataset).unwrap_or_else(|_| dataset.to_owned()),
            rows: rows.len(),
            dimension: rows.dim(),
            element: rows.element(),
            crc32c: crc32c(rows.bytes()),
        };
        let text = serde_json::to_vec(&about)
            .map_err(|error| Failure::usage(format!("{}: {error}", dataset.display())))?;
        writer.add(CODED, &text)?;
        Ok(codes.save(writer)?)
    })
}

impl QuantizerFile {
    pub(super) fn open(path: &Path) -> Outcome<Self> {
        let file = SectionFile::open(&FileDisk, path, KIND, VERSION, None)?;
        Ok(Self {
            quantizer: Quantizer::open(QUANTIZER, &file)?,
            path: path.to_owned(),
            file,
        })
    }

    pub(super) fn metric(&self) -> Metric {
        self.quantizer.metric()
    }

    fn about(&self) -> Outcome<Coded> {
        let shown = self.path.display();
        if !self.file.has(CODED) {
            return Err(Failure::usage(format!(
                "{shown} holds codebooks but no codes: make them with `vecdb pq compress --codebook {shown}`"
            )));
        }
        let bytes = self.file.section(CODED)?.bytes_verified()?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let what = format!("{shown}: the section {CODED:?} is damaged: {error}");
            Failure::new(ErrorKind::Corrupt, what)
        })
    }

    /// Where the dataset lay when it was compressed.
    pub(super) fn dataset(&self) -> Outcome<PathBuf> {
        Ok(self.about()?.dataset)
    }

    /// The codes of `rows`, read from `dataset`.
    pub(super) fn codes(&self, rows: &Rows, dataset: &Path) -> Outcome<CodedRows> {
        let about = self.about()?;
        let same = (about.rows, about.dimension, about.element)
            == (rows.len(), rows.dim(), rows.element())
            && about.crc32c == crc32c(rows.bytes());
        if !same {
            return Err(Failure::usage(format!(
                "{} does not hold the vectors that were compressed (from {})",
                dataset.display(),
                about.dataset.display()
            )));
        }
        Ok(self.quantizer.open_codes(&self.file, about.rows)?)
    }
}
