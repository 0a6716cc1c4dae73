//! A graph of some rows of an index alone, for masks that return: it is walked as without a mask, and rows that the mask excludes
//! cost nothing. (Many small graphs for the filters that are asked most, under a bound of memory, are SIEVE: Li et al., VLDB 2025.)
//!
//! It holds links and the numbers of its rows; vectors and codes are those of the index, looked up through these numbers. Rows
//! that a mask of later allows no more are walked through.

use vecdb_vector::{Metric, RowId, RowMask, VectorRows};

use super::build::link_all;
use super::links::{LinkTable, Links, build_bytes};
use super::masked::{Allowed, End, Masked, build_work};
use super::search::{Measure, Walk};
use crate::{Budget, BuildOptions, Counters, HnswParams, IndexError, Scratch};

/// Rows renumbered at a time: more than a step measures.
const BLOCK: usize = 64;

/// A graph of some rows of an index, see [`AnnIndex::build_subset`](crate::AnnIndex::build_subset).
#[derive(Debug)]
pub struct SubsetGraph {
    links: LinkTable,
    /// The number in the index of each of its rows, ascending.
    rows: Vec<RowId>,
}

/// What a [`SubsetGraph`] takes, about.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct SubsetNeeds {
    /// Memory, in bytes.
    pub bytes: u64,
    /// Memory while it is built: its rows are copied, and coded.
    pub build_bytes: u64,
    /// The work of building it, in distance computations of a walk.
    pub build_work: f64,
}

impl SubsetNeeds {
    pub(super) fn of(params: &HnswParams, rows: &VectorRows<'_>, count: u32) -> Self {
        let bytes = build_bytes(params, count) + u64::from(count) * size_of::<RowId>() as u64;
        let row_bytes = rows.element().bytes(rows.dim()) + size_of::<f32>();
        let copied = u64::from(count) * (row_bytes + rows.dim()) as u64;
        Self {
            bytes,
            build_bytes: bytes + copied,
            build_work: build_work(params.ef_construction, count),
        }
    }
}

/// What a walk over a [`SubsetGraph`] looks for.
pub(super) struct Aim<'a> {
    pub(super) mask: &'a RowMask,
    pub(super) ef: usize,
    /// See [`Masked::work_max`].
    pub(super) work_max: f64,
    /// See [`Outlook::tells`](super::masked::Outlook::tells).
    pub(super) tells: bool,
    pub(super) budget: &'a Budget<'a>,
}

impl SubsetGraph {
    pub(super) fn build(
        params: &HnswParams,
        metric: Metric,
        rows: VectorRows<'_>,
        mask: &RowMask,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        if mask.rows() != rows.len() {
            return Err(IndexError::Mismatch {
                what: "rows of the mask",
                expected: rows.len().to_string(),
                got: mask.rows().to_string(),
            });
        }
        let members: Vec<RowId> = mask.iter().collect();
        // A build reads every row some thousands of times: side by side they are read faster than through their numbers.
        let row_bytes = rows.element().bytes(rows.dim());
        let mut bytes = Vec::with_capacity(members.len() * row_bytes);
        for &row in &members {
            bytes.extend_from_slice(rows.row_bytes(row));
        }
        let norms: Option<Vec<f32>> = rows
            .inverse_norms()
            .map(|norms| members.iter().map(|row| norms[row.index()]).collect());
        let (element, dim, count) = (rows.element(), rows.dim(), mask.count());
        let mut copied = VectorRows::new(element, dim, row_bytes, count, &bytes)?;
        if let Some(norms) = &norms {
            copied = copied.with_inverse_norms(norms)?;
        }
        Ok(Self {
            links: link_all(params, metric, copied, options)?,
            rows: members,
        })
    }

    /// How many rows it has.
    pub fn len(&self) -> u32 {
        self.links.rows()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of links and row numbers.
    pub fn memory_bytes(&self) -> u64 {
        self.links.memory_bytes() + (self.rows.len() * size_of::<RowId>()) as u64
    }

    /// Refuses an index of so many rows that it cannot be of.
    pub(super) fn check_within(&self, rows: u32) -> Result<(), IndexError> {
        match self.rows.last() {
            Some(last) if last.0 >= rows => Err(IndexError::Mismatch {
                what: "rows of the segment",
                expected: format!("more than {last}"),
                got: rows.to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// Leaves the nearest allowed rows that a walk over them alone reaches in `scratch.pool`, numbered as in the index, which
    /// `scorer` measures.
    pub(super) fn walk<M: Measure>(
        &self,
        scorer: &M,
        aim: &Aim<'_>,
        scratch: &mut Scratch,
        counters: &mut Counters,
    ) -> Result<End, IndexError> {
        let Some(entry) = self.links.entry() else {
            return Ok(End::GivenUp);
        };
        let traced = scratch.trace().len();
        let numbers = self.rows.as_slice();
        let walk = Walk {
            links: &self.links,
            scorer: Renumbered { scorer, numbers },
            hidden: None,
        };
        let start = walk.arrive(entry, scratch, counters)?;
        let members = Members {
            mask: aim.mask,
            numbers,
        };
        let mut under = Masked {
            walk: &walk,
            mask: &members,
            ef: aim.ef,
            work_max: aim.work_max,
            tells: aim.tells,
            budget: aim.budget,
            counters,
        };
        let mut end = match aim.mask.count() == self.len() {
            true => under.beam(start, scratch)?,
            false => under.walk(start, scratch)?,
        };
        let nearest = scratch.pool.iter().next().unwrap_or(start);
        if end == End::Finished && under.is_shell(nearest, scratch) {
            end = End::GivenUp;
        }
        scratch.renumber(traced, |row| numbers[row.index()]);
        Ok(end)
    }
}

/// The rows of a subset that a mask of the index allows.
struct Members<'a> {
    mask: &'a RowMask,
    numbers: &'a [RowId],
}

impl Allowed for Members<'_> {
    #[inline]
    fn contains(&self, row: RowId) -> bool {
        self.mask.contains(self.numbers[row.index()])
    }
}

/// Measures rows of a subset by those of the index.
struct Renumbered<'a, M> {
    scorer: &'a M,
    numbers: &'a [RowId],
}

impl<M: Measure> Renumbered<'_, M> {
    #[inline]
    fn in_blocks(
        &self,
        rows: &[RowId],
        out: &mut [f32],
        score: impl Fn(&[RowId], &mut [f32]) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let mut block = [RowId(0); BLOCK];
        for (rows, out) in rows.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
            let block = &mut block[..rows.len()];
            for (number, row) in block.iter_mut().zip(rows) {
                *number = self.numbers[row.index()];
            }
            score(block, out)?;
        }
        Ok(())
    }
}

impl<M: Measure> Measure for Renumbered<'_, M> {
    const PREFETCHED_ROWS: usize = M::PREFETCHED_ROWS;

    #[inline]
    fn score_rows(&self, rows: &[RowId], out: &mut [f32]) -> Result<(), IndexError> {
        self.in_blocks(rows, out, |rows, out| self.scorer.score_rows(rows, out))
    }

    #[inline]
    fn score_rows_below(
        &self,
        limit: f32,
        rows: &[RowId],
        out: &mut [f32],
    ) -> Result<(), IndexError> {
        self.in_blocks(rows, out, |rows, out| {
            self.scorer.score_rows_below(limit, rows, out)
        })
    }

    #[inline]
    fn prefetch(&self, row: RowId) {
        self.scorer.prefetch(self.numbers[row.index()]);
    }

    fn error_at(&self, distance: f32) -> f32 {
        self.scorer.error_at(distance)
    }
}
