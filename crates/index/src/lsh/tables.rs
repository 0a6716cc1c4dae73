//! The buckets: for every table the rows in the order of their hashes, and a directory of where each hash begins.
//!
//! A table with no more hashes than about twice its rows has a place in the directory for each of them. Else the directory
//! goes by the upper bits of the mixed hash, and the hashes stand beside the rows.

use std::ops::Range;

use vecdb_vector::RowMask;

use crate::column::Column;
use crate::{BuildOptions, IndexError};

pub(super) const DIRECTORY: &str = "lsh:directory";
pub(super) const HASHES: &str = "lsh:hashes";
pub(super) const MEMBERS: &str = "lsh:members";

/// More places than this make a directory larger than it saves.
const DIRECTORY_BITS_MAX: u32 = 26;

/// How hashes find their place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Layout {
    pub(super) tables: u32,
    pub(super) rows: u32,
    /// Bits of a place in the directory.
    pub(super) bits: u32,
    /// Whether a place is a hash; else it is the upper bits of the mixed one.
    pub(super) direct: bool,
}

impl Layout {
    /// For hashes of `hash_bits` bits each; `None`: of 32, which are mostly not used.
    pub(super) fn new(tables: u32, rows: u32, hash_bits: Option<u32>) -> Self {
        let rows_bits = rows.max(2).ilog2();
        if let Some(bits) = hash_bits.filter(|&bits| bits <= rows_bits + 1) {
            return Self {
                tables,
                rows,
                bits,
                direct: true,
            };
        }
        Self {
            tables,
            rows,
            bits: rows_bits.min(DIRECTORY_BITS_MAX),
            direct: false,
        }
    }

    /// Whether the numbers are such that [`Layout::new`] or one for a smaller number of rows gives them.
    pub(super) fn is_valid(&self, hash_bits: Option<u32>) -> bool {
        *self == Self::new(self.tables, self.rows, hash_bits)
    }

    pub(super) fn directory_words(&self) -> u64 {
        u64::from(self.tables) * ((1 << self.bits) + 1)
    }

    pub(super) fn entries(&self) -> u64 {
        u64::from(self.tables) * u64::from(self.rows)
    }

    fn place(&self, hash: u32) -> usize {
        match self.direct {
            true => hash as usize,
            false => (mix(hash) >> (32 - self.bits)) as usize,
        }
    }
}

/// A bijection that spreads hashes over all bits (the finaliser of MurmurHash3, Appleby 2011).
fn mix(mut hash: u32) -> u32 {
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[derive(Debug)]
pub(super) struct Tables {
    pub(super) layout: Layout,
    /// Per table one word for each place and one more: where its rows begin.
    pub(super) directory: Column,
    /// Per table the hashes of its rows, in their order; not where places are hashes.
    pub(super) hashes: Option<Column>,
    /// Per table the rows, by place, then hash, then number.
    pub(super) members: Column,
}

impl Tables {
    /// `hashes`: those of every row, one a table.
    pub(super) fn build(
        layout: Layout,
        hashes: &[u32],
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        let rows = layout.rows as usize;
        let mut directory = vec![0u32; layout.directory_words() as usize];
        let mut members = vec![0u32; layout.entries() as usize];
        let mut sorted = match layout.direct {
            true => Vec::new(),
            false => vec![0u32; layout.entries() as usize],
        };
        let mut parts: Vec<Part<'_>> = Vec::with_capacity(layout.tables as usize);
        let mut rest = (members.as_mut_slice(), sorted.as_mut_slice());
        for directory in directory.chunks_exact_mut((1 << layout.bits) + 1) {
            let (members, others) = rest.0.split_at_mut(rows);
            let (hashes, more) = rest.1.split_at_mut(if layout.direct { 0 } else { rows });
            rest = (others, more);
            parts.push(Part {
                directory,
                members,
                hashes,
            });
        }
        options.for_each_chunk(&mut parts, 1, Vec::new, |own, table, parts| {
            for part in parts {
                let tables = layout.tables as usize;
                own.clear();
                own.extend(hashes.iter().skip(table).step_by(tables));
                part.fill(&layout, own);
            }
            Ok(())
        })?;
        Ok(Self {
            layout,
            directory: Column::built(DIRECTORY, bytemuck::cast_slice(&directory).to_vec()),
            hashes: (!layout.direct)
                .then(|| Column::built(HASHES, bytemuck::cast_slice(&sorted).to_vec())),
            members: Column::built(MEMBERS, bytemuck::cast_slice(&members).to_vec()),
        })
    }

    /// The rows of a bucket, ascending.
    pub(super) fn bucket(&self, table: u32, hash: u32) -> Result<&[u32], IndexError> {
        let place = self.layout.place(hash);
        let range = self.range(table, place)?;
        if range.is_empty() {
            return Ok(&[]);
        }
        let start = table as usize * self.layout.rows as usize + range.start;
        let Some(hashes) = &self.hashes else {
            return self.members.words(start, range.len());
        };
        // A handful of entries lies in a place.
        let hashes = hashes.words(start, range.len())?;
        let below = hashes.iter().take_while(|&&other| other < hash).count();
        let equal = hashes
            .iter()
            .skip(below)
            .take_while(|&&other| other == hash);
        self.members.words(start + below, equal.count())
    }

    /// Where the rows of a place lie within the table.
    fn range(&self, table: u32, place: usize) -> Result<Range<usize>, IndexError> {
        let start = table as usize * ((1 << self.layout.bits) + 1) + place;
        match *self.directory.words(start, 2)? {
            [start, end] if start <= end && end <= self.layout.rows => {
                Ok(start as usize..end as usize)
            }
            _ => Err(self
                .directory
                .corrupt(format!("place {place} of table {table} has no valid range"))),
        }
    }

    /// Hands out every row of a table with its hash, in the order of the table.
    pub(super) fn for_each(
        &self,
        table: u32,
        mut entry: impl FnMut(u32, u32) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let mut next = 0;
        for place in 0..1 << self.layout.bits {
            let range = self.range(table, place)?;
            if range.start != next {
                return Err(self.directory.corrupt(format!(
                    "place {place} of table {table} begins at {}, not {next}",
                    range.start
                )));
            }
            next = range.end;
            let start = table as usize * self.layout.rows as usize + range.start;
            let members = self.members.words(start, range.len())?;
            let hashes = match &self.hashes {
                Some(hashes) => Some(hashes.words(start, range.len())?),
                None => None,
            };
            for (i, &row) in members.iter().enumerate() {
                let hash = hashes.map_or(place as u32, |hashes| hashes[i]);
                if self.layout.place(hash) != place || row >= self.layout.rows {
                    return Err(self.members.corrupt(format!(
                        "row {row} of {} with the hash {hash} stands at place {place} of table {table}",
                        self.layout.rows
                    )));
                }
                entry(row, hash)?;
            }
        }
        if next != self.layout.rows as usize {
            return Err(self
                .directory
                .corrupt(format!("table {table} ends at {next}")));
        }
        Ok(())
    }

    /// The hashes of all rows, one a table.
    pub(super) fn hashes_of_rows(&self) -> Result<Vec<u32>, IndexError> {
        let tables = self.layout.tables as usize;
        let mut hashes = vec![0; self.layout.entries() as usize];
        for table in 0..self.layout.tables {
            self.for_each(table, |row, hash| {
                hashes[row as usize * tables + table as usize] = hash;
                Ok(())
            })?;
        }
        Ok(hashes)
    }

    /// Checks that every table holds every row once, in order.
    pub(super) fn verify(&self) -> Result<(), IndexError> {
        for table in 0..self.layout.tables {
            let mut seen = RowMask::none(self.layout.rows);
            let mut before = None;
            self.for_each(table, |row, hash| {
                let key = (self.layout.place(hash), hash, row);
                if before.is_some_and(|before| before >= key) || !seen.insert(row.into()) {
                    return Err(self.members.corrupt(format!(
                        "row {row} of table {table} is out of order or stands there twice"
                    )));
                }
                before = Some(key);
                Ok(())
            })?;
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> u64 {
        let hashes = self.hashes.as_ref().map_or(0, Column::len);
        (self.directory.len() + hashes + self.members.len()) as u64
    }
}

/// One table in the making.
struct Part<'a> {
    directory: &'a mut [u32],
    members: &'a mut [u32],
    hashes: &'a mut [u32],
}

impl Part<'_> {
    /// A counting sort by place; rows of a place keep their order.
    fn fill(&mut self, layout: &Layout, hashes: &[u32]) {
        for &hash in hashes {
            self.directory[layout.place(hash) + 1] += 1;
        }
        let mut end = 0;
        for next in self.directory.iter_mut() {
            end += *next;
            *next = end;
        }
        let mut cursors = self.directory.to_vec();
        for (row, &hash) in hashes.iter().enumerate() {
            let cursor = &mut cursors[layout.place(hash)];
            self.members[*cursor as usize] = row as u32;
            *cursor += 1;
        }
        if layout.direct {
            return;
        }
        for range in self.directory.windows(2) {
            let members = &mut self.members[range[0] as usize..range[1] as usize];
            members.sort_by_key(|&row| hashes[row as usize]);
        }
        for (&row, hash) in self.members.iter().zip(self.hashes.iter_mut()) {
            *hash = hashes[row as usize];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn check(layout: Layout, hash_of: impl Fn(&mut Random) -> u32) {
        let mut random = Random::new(5);
        let hashes: Vec<u32> = (0..layout.entries())
            .map(|_| hash_of(&mut random))
            .collect();
        let tables = Tables::build(layout, &hashes, &BuildOptions::default()).unwrap();
        tables.verify().unwrap();
        assert_eq!(tables.hashes_of_rows().unwrap(), hashes);
        let of = |table: u32, hash: u32| -> Vec<u32> {
            let own = hashes
                .iter()
                .skip(table as usize)
                .step_by(layout.tables as usize);
            let rows = own.enumerate().filter(|(_, other)| **other == hash);
            rows.map(|(row, _)| row as u32).collect()
        };
        for table in 0..layout.tables {
            for _ in 0..50 {
                let hash = hash_of(&mut random);
                assert_eq!(tables.bucket(table, hash).unwrap(), of(table, hash));
            }
        }
    }

    #[test]
    fn a_bucket_holds_the_rows_of_its_hash() {
        for rows in [0, 1, 2, 500] {
            let direct = Layout::new(3, rows, Some(1));
            assert!(direct.direct);
            check(direct, |random| random.bits() as u32 & 1);
            let wide = Layout::new(3, rows, Some(20));
            assert!(!wide.direct);
            check(wide, |random| (random.below(40) << 11) as u32);
            check(Layout::new(2, rows, None), |random| {
                (random.below(100) as u32).wrapping_mul(77_777_777)
            });
        }
    }
}
