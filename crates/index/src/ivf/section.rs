//! The bytes on disk.
//!
//! | section | content, little-endian |
//! |---|---|
//! | `ivf:meta` | version u32, metric name, element name, dimension u32, rows u32, lists u32, trained rows u32, parameters as JSON, code name, scale (low f32, step f32, signed u8; zeros for vectors), lists for each recall 8 x u32 |
//! | `ivf:centroids` | lists x dimension x f32 |
//! | `ivf:offsets` | lists + 1 x u32: where each list begins, counted in rows |
//! | `ivf:members` | rows x u32: the rows of each list, ascending |
//! | `ivf:codes` | per row, in the order of the members: its vector, a byte a number, or its quantized code (`quantizer/packed`) |
//! | `ivf:quantizer`, `ivf:coarse`, `ivf:factors`, `ivf:extra` | quantized codes only: candidates for ten hits u32 and the quantizer (`quantizer/section`); factors of the rows (factors x rows, bfloat16 and f32); bytes that refine the code of each row |
//! | `ivf:norms` | vectors under cosine only: an inverse norm each, f32 |
//!
//! Opening reads the meta section alone. Of the others, blocks are checked against their checksums when first used,
//! places of lists and numbers of rows against their bounds each time.

use vecdb_storage::bytes::{BytesError, Reader, Writer};
use vecdb_storage::{SectionFile, SectionWriter};
use vecdb_vector::{ElementType, Metric};

use super::calibrate::Calibration;
use super::codes::{CODES, Codes, NORMS};
use super::quantized::QuantizedCodes;
use super::{Ivf, IvfCode, IvfParams};
use crate::IndexError;
use crate::column::Column;
use crate::scale::Scale;

const VERSION: u32 = 1;
const META: &str = "ivf:meta";
pub(super) const CENTROIDS: &str = "ivf:centroids";
pub(super) const OFFSETS: &str = "ivf:offsets";
pub(super) const MEMBERS: &str = "ivf:members";

pub(super) fn save(index: &Ivf, writer: &mut SectionWriter) -> Result<(), IndexError> {
    let params = serde_json::to_string(&index.params).map_err(|error| IndexError::BadSpec {
        text: format!("{:?}", index.params),
        reason: error.to_string(),
    })?;
    let scale = match &index.codes {
        Codes::Sq8 { scale, .. } => *scale,
        Codes::Vector { .. } | Codes::Quantized(_) => Scale {
            low: 0.0,
            step: 0.0,
            signed: false,
        },
    };
    let mut meta = Writer::new();
    meta.u32(VERSION)
        .str(index.metric.name())
        .str(index.element.name())
        .u32(index.dim as u32)
        .u32(index.rows)
        .u32(index.lists)
        .u32(index.trained_rows)
        .str(&params)
        .str(&index.codes.code().to_string())
        .u32(scale.low.to_bits())
        .u32(scale.step.to_bits())
        .u8(u8::from(scale.signed));
    index.calibration.write(&mut meta);
    writer.add(META, meta.as_slice())?;
    index.centroids.save(writer)?;
    index.offsets.save(writer)?;
    index.members.save(writer)?;
    index.codes.save(writer)
}

impl Ivf {
    /// Opens a saved index over `rows` rows. Reads its meta section only.
    ///
    /// # Errors
    /// Missing or damaged sections, another metric or number of rows.
    pub fn open(file: &SectionFile, metric: Metric, rows: u32) -> Result<Self, IndexError> {
        let section = file.section(META)?;
        let bytes = section.bytes_verified()?;
        let meta = Meta::read(&bytes).map_err(|error| {
            IndexError::Storage(error.in_file(section.path(), section.file_offset()))
        })?;
        let corrupt = |what: String| IndexError::Corrupt {
            section: META,
            what,
        };
        if meta.version != VERSION {
            let what = format!("version {}, but this program reads {VERSION}", meta.version);
            return Err(corrupt(what));
        }
        if meta.metric != metric.name() {
            return Err(corrupt(format!("metric {}, not {metric}", meta.metric)));
        }
        if meta.rows != rows {
            return Err(corrupt(format!("{} rows, not {rows}", meta.rows)));
        }
        let element: ElementType = meta
            .element
            .parse()
            .map_err(|error: vecdb_vector::VectorError| corrupt(error.to_string()))?;
        let params: IvfParams =
            serde_json::from_str(&meta.params).map_err(|error| corrupt(error.to_string()))?;
        params
            .validate()
            .map_err(|error| corrupt(error.to_string()))?;
        let dim = meta.dim as usize;
        if dim == 0 || dim > vecdb_vector::MAX_DIM || u64::from(meta.lists) > 2 * u64::from(rows) {
            return Err(corrupt(format!(
                "{} lists of {dim} numbers for {rows} rows",
                meta.lists
            )));
        }
        let (rows64, lists) = (u64::from(rows), u64::from(meta.lists));
        let code: IvfCode = meta
            .code
            .parse()
            .map_err(|error: IndexError| corrupt(error.to_string()))?;
        let fits = code.serves(metric, element)
            && (code != IvfCode::Sq8
                || (meta.scale.is_valid() && meta.scale.signed == (metric == Metric::Dot)));
        if !fits {
            return Err(corrupt(format!(
                "codes `{code}` on the scale {:?} of {element} under {metric}",
                meta.scale
            )));
        }
        let codes = match code {
            IvfCode::Vector => {
                let vector_bytes = rows64 * element.bytes(dim) as u64;
                let norms = metric
                    .needs_norms()
                    .then(|| Column::open(file, NORMS, rows64 * 4));
                Codes::Vector {
                    element,
                    dim,
                    vectors: Column::open(file, CODES, vector_bytes)?,
                    norms: norms.transpose()?,
                }
            }
            IvfCode::Sq8 => Codes::Sq8 {
                scale: meta.scale,
                dim,
                codes: Column::open(file, CODES, rows64 * dim as u64)?,
            },
            IvfCode::Quantized(spec) => {
                let codes = QuantizedCodes::open(spec, (metric, dim), file, rows)?;
                Codes::Quantized(Box::new(codes))
            }
        };
        Ok(Self {
            params,
            metric,
            element,
            dim,
            rows,
            lists: meta.lists,
            trained_rows: meta.trained_rows,
            codes,
            calibration: meta.calibration,
            training: None,
            centroids: Column::open(file, CENTROIDS, lists * dim as u64 * 4)?,
            offsets: Column::open(file, OFFSETS, (lists + 1) * 4)?,
            members: Column::open(file, MEMBERS, rows64 * 4)?,
        })
    }
}

struct Meta {
    version: u32,
    metric: String,
    element: String,
    dim: u32,
    rows: u32,
    lists: u32,
    trained_rows: u32,
    params: String,
    code: String,
    scale: Scale,
    calibration: Calibration,
}

impl Meta {
    fn read(bytes: &[u8]) -> Result<Self, BytesError> {
        let mut reader = Reader::new(bytes);
        let meta = Self {
            version: reader.u32()?,
            metric: reader.str()?.to_owned(),
            element: reader.str()?.to_owned(),
            dim: reader.u32()?,
            rows: reader.u32()?,
            lists: reader.u32()?,
            trained_rows: reader.u32()?,
            params: reader.str()?.to_owned(),
            code: reader.str()?.to_owned(),
            scale: Scale {
                low: f32::from_bits(reader.u32()?),
                step: f32::from_bits(reader.u32()?),
                signed: reader.u8()? != 0,
            },
            calibration: Calibration::read(&mut reader)?,
        };
        reader.finish()?;
        Ok(meta)
    }
}
