//! The bytes on disk.
//!
//! | section | content, little-endian |
//! |---|---|
//! | `lsh:meta` | version u32, metric name, element name, dimension u32, rows u32, rows that the functions were chosen for u32, parameters as JSON, tables u32, hashes per table u32, width of slots f32 (1 without slots), largest norm f32 (dot, else 0), numbers learned from the rows (f32: the centre under cosine, and with one number more under dot; the least and then the largest number of each dimension under l1), bits of the directory u32, whether its places are hashes u8, probes for each recall 11 x u32, candidates to measure for each share of the neighbours 11 x u32, new rows per probe f32 |
//! | `lsh:directory` | per table 2^bits + 1 x u32: where the rows of each place begin, counted within the table |
//! | `lsh:hashes` | where places are not hashes: per table rows x u32, the hash of each member |
//! | `lsh:sketches` | where rows have sketches (l2, cosine, dot; vectors of at least four times as many bytes): per row a bit for each coordinate |
//! | `lsh:members` | per table rows x u32: the rows by place, hash and number |
//!
//! The hash functions follow from the seed. Opening reads the meta section alone. Of the others, blocks are checked against
//! their checksums when first used, places and numbers of rows against their bounds each time.

use vecdb_storage::bytes::{BytesError, Reader, Writer};
use vecdb_storage::{SectionFile, SectionWriter};
use vecdb_vector::{ElementType, MAX_DIM, Metric};

use super::calibrate::Calibration;
use super::functions::{Functions, Learned, Shape};
use super::sketch::{SKETCHES, Sketches};
use super::tables::{DIRECTORY, HASHES, Layout, MEMBERS, Tables};
use super::{Lsh, LshParams};
use crate::IndexError;
use crate::column::Column;

const VERSION: u32 = 1;
const META: &str = "lsh:meta";

pub(super) fn save(index: &Lsh, writer: &mut SectionWriter) -> Result<(), IndexError> {
    let params = serde_json::to_string(&index.params).map_err(|error| IndexError::BadSpec {
        text: format!("{:?}", index.params),
        reason: error.to_string(),
    })?;
    let (shape, layout) = (&index.functions.shape, &index.tables.layout);
    let mut meta = Writer::new();
    meta.u32(VERSION)
        .str(shape.metric.name())
        .str(index.element.name())
        .u32(shape.dim as u32)
        .u32(index.rows)
        .u32(index.chosen_rows)
        .str(&params)
        .u32(shape.tables)
        .u32(shape.hashes)
        .f32(shape.width);
    index.functions.learned.write(&mut meta);
    meta.u32(layout.bits).u8(u8::from(layout.direct));
    index.calibration.write(&mut meta);
    writer.add(META, meta.as_slice())?;
    index.tables.directory.save(writer)?;
    if let Some(hashes) = &index.tables.hashes {
        hashes.save(writer)?;
    }
    if let Some(sketches) = &index.sketches {
        sketches.column().save(writer)?;
    }
    index.tables.members.save(writer)
}

impl Lsh {
    /// Opens a saved index over `rows` rows. Reads its meta section only.
    ///
    /// # Errors
    /// Missing or damaged sections, another metric or number of rows.
    pub fn open(file: &SectionFile, metric: Metric, rows: u32) -> Result<Self, IndexError> {
        let section = file.section(META)?;
        let bytes = section.bytes_verified()?;
        let mut reader = Reader::new(&bytes);
        let damaged = |error: BytesError| {
            IndexError::Storage(error.in_file(section.path(), section.file_offset()))
        };
        let head = Head::read(&mut reader).map_err(damaged)?;
        let corrupt = |what: String| IndexError::Corrupt {
            section: META,
            what,
        };
        if head.version != VERSION {
            let what = format!("version {}, but this program reads {VERSION}", head.version);
            return Err(corrupt(what));
        }
        if head.metric != metric.name() {
            return Err(corrupt(format!("metric {}, not {metric}", head.metric)));
        }
        if head.rows != rows {
            return Err(corrupt(format!("{} rows, not {rows}", head.rows)));
        }
        let element: ElementType = head
            .element
            .parse()
            .map_err(|error: vecdb_vector::VectorError| corrupt(error.to_string()))?;
        let params: LshParams =
            serde_json::from_str(&head.params).map_err(|error| corrupt(error.to_string()))?;
        let chosen = LshParams {
            tables: Some(head.tables),
            hashes: Some(head.hashes),
            width: Some(head.width),
            ..params
        };
        for params in [&params, &chosen] {
            params
                .validate()
                .map_err(|error| corrupt(error.to_string()))?;
        }
        let dim = head.dim as usize;
        if dim == 0 || dim > MAX_DIM || !metric.supports(element) {
            return Err(corrupt(format!(
                "{dim} numbers of {element} under {metric}"
            )));
        }
        let learned = Learned::read(&mut reader, metric, dim).map_err(damaged)?;
        let layout = Layout {
            tables: head.tables,
            rows,
            bits: reader.u32().map_err(damaged)?,
            direct: reader.u8().map_err(damaged)? != 0,
        };
        let calibration = Calibration::read(&mut reader).map_err(damaged)?;
        reader.finish().map_err(damaged)?;
        let shape = Shape {
            metric,
            dim,
            tables: head.tables,
            hashes: head.hashes,
            width: head.width,
            seed: params.seed,
        };
        let functions = Functions::new(shape, learned);
        if !layout.is_valid(functions.hash_bits()) {
            return Err(corrupt(format!("no directory is like {layout:?}")));
        }
        let hashes = || Column::open(file, HASHES, layout.entries() * 4);
        let tables = Tables {
            layout,
            directory: Column::open(file, DIRECTORY, layout.directory_words() * 4)?,
            hashes: (!layout.direct).then(hashes).transpose()?,
            members: Column::open(file, MEMBERS, layout.entries() * 4)?,
        };
        let sketches = match Sketches::bytes_each(&functions, element) {
            0 => None,
            each => {
                let bits = Column::open(file, SKETCHES, u64::from(rows) * each as u64)?;
                Some(Sketches::opened(each, bits))
            }
        };
        Ok(Self {
            params,
            element,
            rows,
            chosen_rows: head.chosen_rows,
            functions,
            tables,
            sketches,
            calibration,
        })
    }
}

/// The first fields of the meta section.
struct Head {
    version: u32,
    metric: String,
    element: String,
    dim: u32,
    rows: u32,
    chosen_rows: u32,
    params: String,
    tables: u32,
    hashes: u32,
    width: f32,
}

impl Head {
    fn read(reader: &mut Reader<'_>) -> Result<Self, BytesError> {
        Ok(Self {
            version: reader.u32()?,
            metric: reader.str()?.to_owned(),
            element: reader.str()?.to_owned(),
            dim: reader.u32()?,
            rows: reader.u32()?,
            chosen_rows: reader.u32()?,
            params: reader.str()?.to_owned(),
            tables: reader.u32()?,
            hashes: reader.u32()?,
            width: reader.f32()?,
        })
    }
}
