//! The sealed graph: written as sections of a file, opened by mapping them.
//!
//! | section | content, little-endian |
//! |---|---|
//! | `hnsw:meta` | version u32, metric name, rows u32, m u32, ef_construction u32, seed u64, entry row u32 (all ones: none), entry level u32, words per layer-0 row u32, upper rows u32, absent rows u32, quantization asked for u32 (0 auto, 1 none, 2 sq4), whether there are codes u32, alpha f32; these three since version 2 |
//! | `hnsw:links0` | per row: up to 2m links, then all-ones up to a multiple of 16 words |
//! | `hnsw:offsets` | rows + 1 x u32: per row the index of its first upper row; the difference to the next is its level |
//! | `hnsw:upper` | per upper row (one per row and layer above 0): up to m links, then all-ones |
//! | `hnsw:absent` | only when rows are absent: mask of them |
//! | `hnsw:recall` | only where it was measured: the pool size for each recall, 11 x u32 |
//! | `sq4:grid`, `sq4:codes`, `sq4:errors` | only of graphs with codes: see [`sq4`](crate::sq4) |
//!
//! Opening reads the meta section alone, and the few numbers of `hnsw:recall`. Of the others, blocks are checked against their checksums when first used, and
//! every link against the number of rows each time: a compare that costs nothing beside the distance.

use vecdb_storage::bytes::{BytesError, Reader, Writer};
use vecdb_storage::{SectionFile, SectionWriter};
use vecdb_vector::{Metric, RowId, RowMask, prefetch_node};

use super::level::LEVEL_MAX;
use super::links::{EMPTY, Entry, LINE, LinkTable, Links};
use super::pool::ROWS_MAX;
use crate::calibration::KnobForRecall;
use crate::column::Column;
use crate::sq4::Sq4Codes;
use crate::{HnswParams, IndexError, Quantization};

const VERSION: u32 = 2;
/// Of graphs without codes, before there was a choice.
const VERSION_WITHOUT_CODES: u32 = 1;
const META: &str = "hnsw:meta";
const LINKS0: &str = "hnsw:links0";
const OFFSETS: &str = "hnsw:offsets";
const UPPER: &str = "hnsw:upper";
const ABSENT: &str = "hnsw:absent";
const RECALL: &str = "hnsw:recall";

/// Bytes handed to the writer at a time.
const CHUNK: usize = 64 * 1024;

/// Writes a graph as sections.
pub(super) fn save(
    writer: &mut SectionWriter,
    params: &HnswParams,
    metric: Metric,
    links: &LinkTable,
    present: &RowMask,
    codes: Option<&Sq4Codes>,
    ef_for_recall: Option<&KnobForRecall>,
) -> Result<(), IndexError> {
    let entry = links.entry();
    let upper_rows = links.offsets().last().copied().unwrap_or(0);
    let absent = present.not();
    let mut meta = Writer::new();
    meta.u32(VERSION)
        .str(metric.name())
        .u32(links.rows())
        .u32(params.m)
        .u32(params.ef_construction)
        .u64(params.seed)
        .u32(entry.map_or(EMPTY, |entry| entry.row.0))
        .u32(entry.map_or(0, |entry| u32::from(entry.level)))
        .u32(words0(params.m) as u32)
        .u32(upper_rows)
        .u32(absent.count())
        .u32(params.quantization.code())
        .u32(u32::from(codes.is_some()))
        .f32(params.alpha);
    writer.add(META, meta.as_slice())?;
    stream(writer, LINKS0, links.layer0_slots())?;
    stream(writer, OFFSETS, links.offsets().iter().copied())?;
    stream(writer, UPPER, links.upper_slots())?;
    if absent.count() > 0 {
        writer.add(ABSENT, &absent.to_bytes())?;
    }
    if let Some(efs) = ef_for_recall {
        let mut bytes = Writer::new();
        efs.write(&mut bytes);
        writer.add(RECALL, bytes.as_slice())?;
    }
    match codes {
        Some(codes) => codes.save(writer),
        None => Ok(()),
    }
}

fn words0(m: u32) -> usize {
    (2 * m as usize).next_multiple_of(LINE)
}

fn stream(
    writer: &mut SectionWriter,
    name: &str,
    words: impl Iterator<Item = u32>,
) -> Result<(), IndexError> {
    writer.begin(name)?;
    let mut bytes = Vec::with_capacity(CHUNK);
    for word in words {
        bytes.extend_from_slice(&word.to_le_bytes());
        if bytes.len() >= CHUNK {
            writer.write(&bytes)?;
            bytes.clear();
        }
    }
    writer.write(&bytes)?;
    writer.end()?;
    Ok(())
}

/// The links of a sealed graph, mapped.
#[derive(Debug)]
pub(super) struct MappedLinks {
    rows: u32,
    entry: Option<Entry>,
    m: usize,
    words0: usize,
    links0: Column,
    offsets: Column,
    upper: Column,
}

/// What `hnsw:meta`, `hnsw:absent` and `hnsw:recall` say beside the links.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) params: HnswParams,
    pub(super) links: MappedLinks,
    pub(super) present: Option<RowMask>,
    pub(super) codes: Option<Sq4Codes>,
    pub(super) ef_for_recall: Option<KnobForRecall>,
}

/// Opens the sections of a graph over `rows` rows under `metric`.
pub(super) fn open(file: &SectionFile, metric: Metric, rows: u32) -> Result<Opened, IndexError> {
    let meta_section = file.section(META)?;
    let bytes = meta_section.bytes_verified()?;
    let meta = Meta::read(&bytes).map_err(|error| {
        IndexError::Storage(error.in_file(meta_section.path(), meta_section.file_offset()))
    })?;
    let corrupt = |what: String| {
        Err(IndexError::Corrupt {
            section: META,
            what,
        })
    };
    if !(VERSION_WITHOUT_CODES..=VERSION).contains(&meta.version) {
        return corrupt(format!(
            "version {}, but this program reads {VERSION} and older ones",
            meta.version
        ));
    }
    if meta.metric != metric.name() {
        return corrupt(format!("metric {}, not {metric}", meta.metric));
    }
    if meta.rows != rows || rows > ROWS_MAX {
        return corrupt(format!("{} rows, not {rows}", meta.rows));
    }
    if let Err(error) = meta.params.validate() {
        return corrupt(error.to_string());
    }
    let words0 = words0(meta.params.m);
    if meta.words0 as usize != words0 {
        return corrupt(format!("{} words a row, not {words0}", meta.words0));
    }
    let entry = match meta.entry_row {
        EMPTY if meta.absent == rows => None,
        row if row < rows && meta.entry_level <= u32::from(LEVEL_MAX) => Some(Entry {
            row: RowId(row),
            level: meta.entry_level as u8,
        }),
        row => return corrupt(format!("entry row {row}, layer {}", meta.entry_level)),
    };
    let upper_words = u64::from(meta.upper_rows) * u64::from(meta.params.m);
    let present = match meta.absent {
        0 => None,
        absent => Some(read_present(file, rows, absent)?),
    };
    Ok(Opened {
        links: MappedLinks {
            rows,
            entry,
            m: meta.params.m as usize,
            words0,
            links0: Column::open(file, LINKS0, u64::from(rows) * words0 as u64 * 4)?,
            offsets: Column::open(file, OFFSETS, (u64::from(rows) + 1) * 4)?,
            upper: Column::open(file, UPPER, upper_words * 4)?,
        },
        params: meta.params,
        present,
        codes: match meta.codes {
            0 => None,
            _ => Some(Sq4Codes::open(file, metric, rows)?),
        },
        ef_for_recall: read_recall(file)?,
    })
}

/// `None`: a file of before this was measured, or of rows too few to do it.
fn read_recall(file: &SectionFile) -> Result<Option<KnobForRecall>, IndexError> {
    if !file.names().any(|name| name == RECALL) {
        return Ok(None);
    }
    let section = file.section(RECALL)?;
    let bytes = section.bytes_verified()?;
    let mut reader = Reader::new(&bytes);
    let efs = KnobForRecall::read(&mut reader);
    let whole = efs.and_then(|efs| reader.finish().map(|()| Some(efs)));
    whole.map_err(|error| IndexError::Storage(error.in_file(section.path(), section.file_offset())))
}

fn read_present(file: &SectionFile, rows: u32, expected: u32) -> Result<RowMask, IndexError> {
    let absent = RowMask::from_bytes(rows, &file.section(ABSENT)?.bytes_verified()?)?;
    if absent.count() != expected {
        return Err(IndexError::Corrupt {
            section: ABSENT,
            what: format!("{} rows, not {expected}", absent.count()),
        });
    }
    Ok(absent.not())
}

struct Meta {
    version: u32,
    metric: String,
    rows: u32,
    params: HnswParams,
    entry_row: u32,
    entry_level: u32,
    words0: u32,
    upper_rows: u32,
    absent: u32,
    codes: u32,
}

impl Meta {
    fn read(bytes: &[u8]) -> Result<Self, BytesError> {
        let mut reader = Reader::new(bytes);
        let version = reader.u32()?;
        let mut meta = Self {
            version,
            metric: reader.str()?.to_owned(),
            rows: reader.u32()?,
            params: HnswParams {
                m: reader.u32()?,
                ef_construction: reader.u32()?,
                seed: reader.u64()?,
                quantization: Quantization::None,
                alpha: 1.0,
            },
            entry_row: reader.u32()?,
            entry_level: reader.u32()?,
            words0: reader.u32()?,
            upper_rows: reader.u32()?,
            absent: reader.u32()?,
            codes: 0,
        };
        if version > VERSION_WITHOUT_CODES {
            meta.params.quantization = Quantization::from_code(reader.u32()?)
                .ok_or_else(|| reader.error("no kind of quantization"))?;
            meta.codes = reader.u32()?;
            if meta.codes > 1 {
                return Err(reader.error("codes that are neither there nor not"));
            }
            meta.params.alpha = reader.f32()?;
        }
        reader.finish()?;
        Ok(meta)
    }
}

impl MappedLinks {
    pub(super) fn memory_bytes(&self) -> u64 {
        (self.links0.len() + self.offsets.len() + self.upper.len()) as u64
    }

    /// The upper rows of `row`: the first and the one after the last.
    fn upper_rows(&self, row: RowId) -> Result<(u32, u32), IndexError> {
        match *self.offsets.words(row.0 as usize, 2)? {
            [start, end] if start <= end && end - start <= u32::from(LEVEL_MAX) => Ok((start, end)),
            _ => Err(IndexError::Corrupt {
                section: OFFSETS,
                what: format!("row {} has no valid level", row.0),
            }),
        }
    }

    #[inline]
    fn each(
        &self,
        words: &[u32],
        section: &'static str,
        mut each: impl FnMut(RowId),
    ) -> Result<(), IndexError> {
        for &link in words {
            if link >= self.rows {
                if link == EMPTY {
                    break;
                }
                return Err(IndexError::Corrupt {
                    section,
                    what: format!("a link to row {link} of {}", self.rows),
                });
            }
            each(RowId(link));
        }
        Ok(())
    }
}

impl Links for MappedLinks {
    fn rows(&self) -> u32 {
        self.rows
    }

    fn entry(&self) -> Option<Entry> {
        self.entry
    }

    fn level(&self, row: RowId) -> Result<u8, IndexError> {
        self.upper_rows(row).map(|(start, end)| (end - start) as u8)
    }

    #[inline]
    fn prefetch(&self, row: RowId) {
        if let Ok(words) = self.links0.words(row.0 as usize * self.words0, self.words0) {
            prefetch_node(bytemuck::cast_slice(words));
        }
    }

    fn for_each(&self, layer: u8, row: RowId, each: impl FnMut(RowId)) -> Result<(), IndexError> {
        if layer == 0 {
            let words = self
                .links0
                .words(row.0 as usize * self.words0, self.words0)?;
            return self.each(words, LINKS0, each);
        }
        let (start, end) = self.upper_rows(row)?;
        if u32::from(layer) > end - start {
            return Err(IndexError::Corrupt {
                section: UPPER,
                what: format!("row {} was reached on layer {layer}, above its own", row.0),
            });
        }
        let index = start as usize + usize::from(layer) - 1;
        let words = self.upper.words(index * self.m, self.m)?;
        self.each(words, UPPER, each)
    }
}
