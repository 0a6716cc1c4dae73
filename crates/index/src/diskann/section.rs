//! The bytes on disk.
//!
//! | section | content, little-endian |
//! |---|---|
//! | `diskann:meta` | version u32, metric name, element name, dimension u32, rows u32, links of a node u32, bytes of a code u32, nodes of the sample u32, entry u32 (all ones without rows), parameters as JSON, whether what a recall takes was measured u8, then the pool size for each recall 11 x u32 |
//! | `diskann:codebook` | for each number of a vector, in turn, its value in each of the 256 centroids of its piece, f32 |
//! | `diskann:codes` | the code of each node, by place |
//! | `diskann:rows` | the row of each node, u32, by place |
//! | `diskann:nav` | the places of the nodes of the sample, u32, ascending |
//! | `diskann:nav_codes` | their codes |
//! | `diskann:pages` | the blocks, see `layout` |
//!
//! Opening reads the meta section alone. Of the others, blocks are checked against their checksums when first used,
//! and pages each time they are read; places and rows against their bounds each time.

use vecdb_storage::bytes::{BytesError, Reader, Writer};
use vecdb_storage::{SectionFile, SectionWriter};
use vecdb_vector::{ElementType, Metric};

use super::codes::CENTROIDS;
use super::layout::Layout;
use super::{DiskAnn, DiskAnnParams};
use crate::IndexError;
use crate::calibration::KnobForRecall;
use crate::column::Column;

const VERSION: u32 = 1;
const META: &str = "diskann:meta";
pub(super) const CODEBOOK: &str = "diskann:codebook";
pub(super) const CODES: &str = "diskann:codes";
pub(super) const ROWS: &str = "diskann:rows";
pub(super) const NAV: &str = "diskann:nav";
pub(super) const NAV_CODES: &str = "diskann:nav_codes";
pub(super) const PAGES: &str = "diskann:pages";

/// What the meta section tells.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Meta {
    pub(super) params: DiskAnnParams,
    pub(super) metric: Metric,
    pub(super) element: ElementType,
    pub(super) dim: usize,
    pub(super) rows: u32,
    pub(super) degree: usize,
    pub(super) code_bytes: usize,
    pub(super) nav_count: u32,
    pub(super) entry: Option<u32>,
    /// Where it was measured.
    pub(super) ef_for_recall: Option<KnobForRecall>,
}

impl Meta {
    pub(super) fn layout(&self) -> Layout {
        Layout::new(
            self.element,
            self.dim,
            self.degree,
            self.metric.needs_norms(),
        )
    }

    pub(super) fn save(&self, writer: &mut SectionWriter) -> Result<(), IndexError> {
        let params = serde_json::to_string(&self.params).map_err(|error| IndexError::BadSpec {
            text: format!("{:?}", self.params),
            reason: error.to_string(),
        })?;
        let mut meta = Writer::new();
        meta.u32(VERSION)
            .str(self.metric.name())
            .str(self.element.name())
            .u32(self.dim as u32)
            .u32(self.rows)
            .u32(self.degree as u32)
            .u32(self.code_bytes as u32)
            .u32(self.nav_count)
            .u32(self.entry.unwrap_or(u32::MAX))
            .str(&params)
            .u8(u8::from(self.ef_for_recall.is_some()));
        if let Some(efs) = &self.ef_for_recall {
            efs.write(&mut meta);
        }
        Ok(writer.add(META, meta.as_slice())?)
    }

    fn open(file: &SectionFile, metric: Metric, rows: u32) -> Result<Self, IndexError> {
        let section = file.section(META)?;
        let bytes = section.bytes_verified()?;
        let raw = RawMeta::read(&bytes).map_err(|error| {
            IndexError::Storage(error.in_file(section.path(), section.file_offset()))
        })?;
        let corrupt = |what: String| IndexError::Corrupt {
            section: META,
            what,
        };
        if raw.version != VERSION {
            let what = format!("version {}, but this program reads {VERSION}", raw.version);
            return Err(corrupt(what));
        }
        if raw.metric != metric.name() {
            return Err(corrupt(format!("metric {}, not {metric}", raw.metric)));
        }
        if raw.rows != rows {
            return Err(corrupt(format!("{} rows, not {rows}", raw.rows)));
        }
        let element: ElementType = raw
            .element
            .parse()
            .map_err(|error: vecdb_vector::VectorError| corrupt(error.to_string()))?;
        let params: DiskAnnParams =
            serde_json::from_str(&raw.params).map_err(|error| corrupt(error.to_string()))?;
        params
            .validate()
            .map_err(|error| corrupt(error.to_string()))?;
        let dim = raw.dim as usize;
        let entry = (raw.entry != u32::MAX).then_some(raw.entry);
        let sound = (1..=vecdb_vector::MAX_DIM).contains(&dim)
            && metric.supports(element)
            && raw.degree == params.r
            && (1..=dim).contains(&(raw.code_bytes as usize))
            && raw.nav_count <= rows
            && (raw.nav_count == 0) == (rows == 0)
            && entry.map_or(rows == 0, |entry| entry < rows);
        if !sound {
            return Err(corrupt(format!("numbers that do not go together: {raw:?}")));
        }
        Ok(Self {
            params,
            metric,
            element,
            dim,
            rows,
            degree: raw.degree as usize,
            code_bytes: raw.code_bytes as usize,
            nav_count: raw.nav_count,
            entry,
            ef_for_recall: raw.ef_for_recall,
        })
    }
}

impl DiskAnn {
    /// Opens a saved index over `rows` rows; its pages are mapped. Reads its meta section only.
    ///
    /// # Errors
    /// Missing or damaged sections, another metric or number of rows.
    pub fn open(file: &SectionFile, metric: Metric, rows: u32) -> Result<Self, IndexError> {
        let meta = Meta::open(file, metric, rows)?;
        let (rows, nav) = (u64::from(rows), u64::from(meta.nav_count));
        let code_bytes = meta.code_bytes as u64;
        let layout = meta.layout();
        let page_bytes = u64::from(layout.blocks(meta.rows)) * layout.block_bytes as u64;
        let columns = super::Columns {
            codebook: Column::open(file, CODEBOOK, (meta.dim * CENTROIDS * 4) as u64)?,
            codes: Column::open(file, CODES, rows * code_bytes)?,
            place_rows: Column::open(file, ROWS, rows * 4)?,
            nav: Column::open(file, NAV, nav * 4)?,
            nav_codes: Column::open(file, NAV_CODES, nav * code_bytes)?,
            pages: Column::open(file, PAGES, page_bytes)?,
        };
        Self::from_columns(meta, columns)
    }
}

#[derive(Debug)]
struct RawMeta {
    version: u32,
    metric: String,
    element: String,
    dim: u32,
    rows: u32,
    degree: u32,
    code_bytes: u32,
    nav_count: u32,
    entry: u32,
    params: String,
    ef_for_recall: Option<KnobForRecall>,
}

impl RawMeta {
    fn read(bytes: &[u8]) -> Result<Self, BytesError> {
        let mut reader = Reader::new(bytes);
        let meta = Self {
            version: reader.u32()?,
            metric: reader.str()?.to_owned(),
            element: reader.str()?.to_owned(),
            dim: reader.u32()?,
            rows: reader.u32()?,
            degree: reader.u32()?,
            code_bytes: reader.u32()?,
            nav_count: reader.u32()?,
            entry: reader.u32()?,
            params: reader.str()?.to_owned(),
            ef_for_recall: match reader.u8()? {
                0 => None,
                _ => Some(KnobForRecall::read(&mut reader)?),
            },
        };
        reader.finish()?;
        Ok(meta)
    }
}
