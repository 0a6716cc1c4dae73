//! One part: its graph, built by itself and written down.

use std::path::Path;

use vecdb_storage::checksum::crc32c;
use vecdb_storage::{Disk, DiskRead, SectionFile, SectionWriter, StorageError};
use vecdb_vector::{Metric, VectorRows};

use super::assign::Assignment;
use super::job::Folder;
use super::{CHUNK_ROWS, FileVectors};
use crate::column::Column;
use crate::diskann::layout::Layout;
use crate::diskann::{order, vamana};
use crate::{BuildOptions, DiskAnnParams, IndexError};

const KIND: [u8; 4] = *b"DAPT";
const VERSION: u32 = 1;
const WRITE_BYTES: usize = 1 << 20;
const META: &str = "part:meta";
const ROWS: &str = "part:rows";
pub(super) const LINKS: &str = "part:links";
const ORDER: &str = "part:order";

/// Links of a row within a part: two thirds, since most rows get those of two parts.
pub(super) fn params_of_part(params: &DiskAnnParams) -> DiskAnnParams {
    DiskAnnParams {
        r: (params.r * 2 / 3).next_multiple_of(2).max(4),
        ..params.clone()
    }
}

fn name(part: u32) -> String {
    format!("part-{part}")
}

/// The file of the links: a record a member, `links u32 | r of the part x u32 | crc32c u32`. It is read, not mapped: what
/// is mapped counts as memory once it was looked at, and all parts are looked at.
fn links_name(part: u32) -> String {
    format!("part-{part}.links")
}

fn record_bytes(degree: usize) -> usize {
    4 * (degree + 2)
}

/// Builds the graph of a part and writes it.
pub(super) fn build(
    folder: &Folder<'_>,
    params: &DiskAnnParams,
    metric: Metric,
    vectors: &FileVectors,
    (assignment, part): (&Assignment, u32),
    options: &BuildOptions<'_>,
) -> Result<(), IndexError> {
    let members: Vec<u32> = assignment.members(part).collect();
    let bytes = vectors.gather(&members, CHUNK_ROWS)?;
    let (dim, each) = (vectors.dim(), vectors.row_bytes());
    let rows = VectorRows::new(vectors.element(), dim, each, members.len() as u32, &bytes)?;
    let of_part = params_of_part(params);
    let graph = vamana::build(&of_part, metric, rows, options)?;
    let norms = metric.needs_norms();
    let layout = Layout::new(vectors.element(), dim, params.r as usize, norms);
    let order = order::arrange(&graph, rows.len(), layout.slots);
    let home = order.iter().map(|&member| members[member as usize]);
    let home: Vec<u32> = home.filter(|&row| assignment.of(row)[0] == part).collect();
    let path = folder.clear(&name(part))?;
    let mut writer = SectionWriter::create(folder.disk, &path, KIND, VERSION)?;
    let meta = [members.len() as u32, of_part.r, home.len() as u32];
    writer.add(META, bytemuck::cast_slice(&meta))?;
    writer.add(ROWS, bytemuck::cast_slice(&members))?;
    writer.add(ORDER, bytemuck::cast_slice(&home))?;
    writer.finish()?;
    let links_path = folder.clear(&links_name(part))?;
    let failed = |error| StorageError::io("write", &links_path, error);
    let mut file = folder.disk.create(&links_path).map_err(failed)?;
    let (mut links, mut buffer) = (Vec::new(), Vec::new());
    for member in 0..rows.len() {
        graph.links_of(member, &mut links);
        let start = buffer.len();
        buffer.extend_from_slice(&(links.len() as u32).to_le_bytes());
        for link in &links {
            buffer.extend_from_slice(&members[link.index()].to_le_bytes());
        }
        buffer.resize(start + record_bytes(of_part.r as usize) - 4, 0);
        let crc = crc32c(&buffer[start..]);
        buffer.extend_from_slice(&crc.to_le_bytes());
        if buffer.len() > WRITE_BYTES || member + 1 == rows.len() {
            file.write(&buffer).map_err(failed)?;
            buffer.clear();
        }
    }
    file.sync().map_err(failed)?;
    Ok(())
}

/// The graph of a part.
pub(super) struct Part {
    members: u32,
    degree: usize,
    home: u32,
    rows: Column,
    order: Column,
    links: Box<dyn DiskRead>,
}

impl Part {
    pub(super) fn open(disk: &dyn Disk, folder: &Path, part: u32) -> Result<Self, IndexError> {
        let path = folder.join(name(part));
        let file = SectionFile::open(disk, &path, KIND, VERSION, None)?;
        let meta = Column::open(&file, META, 12)?;
        let &[members, degree, home] = meta.words(0, 3)? else {
            return Err(meta.corrupt("is cut short".to_owned()));
        };
        let path = folder.join(links_name(part));
        let links = disk.open(&path);
        Ok(Self {
            members,
            degree: degree as usize,
            home,
            rows: Column::open(&file, ROWS, u64::from(members) * 4)?,
            order: Column::open(&file, ORDER, u64::from(home) * 4)?,
            links: links.map_err(|error| StorageError::io("open", &path, error))?,
        })
    }

    /// The rows that are at home here, in the order of their places.
    pub(super) fn order(&self) -> Result<&[u32], IndexError> {
        self.order.words(0, self.home as usize)
    }

    /// Adds the links of a row to `out`.
    pub(super) fn links(
        &self,
        row: u32,
        record: &mut Vec<u8>,
        out: &mut Vec<u32>,
    ) -> Result<(), IndexError> {
        let rows = self.rows.words(0, self.members as usize)?;
        let Ok(member) = rows.binary_search(&row) else {
            return Err(self.rows.corrupt(format!("row {row} is no member")));
        };
        let corrupt = |what: String| IndexError::Corrupt {
            section: LINKS,
            what: format!("row {row}: {what}"),
        };
        let each = record_bytes(self.degree);
        record.resize(each, 0);
        let read = self.links.read_at(member as u64 * each as u64, record);
        read.map_err(|error| corrupt(error.to_string()))?;
        let (words, _) = record.as_chunks::<4>();
        let Some((crc, words)) = words.split_last() else {
            return Err(corrupt("no record".to_owned()));
        };
        if u32::from_le_bytes(*crc) != crc32c(&record[..each - 4]) {
            return Err(corrupt("does not match its checksum".to_owned()));
        }
        let mut words = words.iter().map(|word| u32::from_le_bytes(*word));
        let count = words.next().unwrap_or(0) as usize;
        out.extend(words.take(count));
        Ok(())
    }
}
