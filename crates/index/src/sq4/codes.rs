//! The codes of all rows of an index.

use std::sync::atomic::{AtomicU32, Ordering};

use bytemuck::{Pod, Zeroable};
use vecdb_storage::bytes::{Reader, Writer};
use vecdb_storage::{SectionFile, SectionWriter};
use vecdb_vector::{ElementType, Kernels, Metric, Query, RowId, Sq4Rows, Sq4Scorer, VectorRows};

use super::grid::{Grid, Sq4Query};
use crate::agreement::agreement;
use crate::column::Column;
use crate::hnsw::search::Measure;
use crate::kmeans::{normalise, read_row};
use crate::{BuildOptions, IndexError};

const GRID: &str = "sq4:grid";
const CODES: &str = "sq4:codes";
const ERRORS: &str = "sq4:errors";

/// A vector has to take so many times the bytes of its code.
const SAVING_MIN: usize = 4;
/// Fewer rows are searched quickly anyway.
const ROWS_MIN: u32 = 2_000;
/// Among so many times as many candidates by the codes ...
const CANDIDATES_FACTOR: usize = 2;
/// ... this share of the true nearest has to be.
const AGREEMENT_MIN: f64 = 0.97;

/// Bytes of a line of the CPU's cache.
const LINE: usize = 64;

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

#[derive(Debug)]
enum Store {
    Memory { lines: Vec<Line>, errors: Vec<f32> },
    Mapped { codes: Column, errors: Column },
}

/// Codes of rows, in memory or mapped.
#[derive(Debug)]
pub(crate) struct Sq4Codes {
    grid: Grid,
    rows: u32,
    store: Store,
}

/// A query against codes.
pub(crate) struct OnCodes<'a> {
    scorer: Sq4Scorer<'a>,
    codes: &'a Sq4Codes,
    query: &'a Sq4Query,
}

impl Measure for OnCodes<'_> {
    // A code is a few lines: all of a step can be on their way at once.
    const PREFETCHED_ROWS: usize = 16;

    #[inline]
    fn score_rows(&self, rows: &[RowId], out: &mut [f32]) -> Result<(), IndexError> {
        for &row in rows {
            self.codes.check(row)?;
        }
        self.scorer.score_rows(rows, out);
        Ok(())
    }

    #[inline]
    fn score_rows_below(
        &self,
        limit: f32,
        rows: &[RowId],
        out: &mut [f32],
    ) -> Result<(), IndexError> {
        let Some(head) = &self.query.head else {
            return self.score_rows(rows, out);
        };
        for &row in rows {
            self.codes.check(row)?;
        }
        self.scorer.score_rows_below(limit, head, rows, out);
        Ok(())
    }

    #[inline]
    fn prefetch(&self, row: RowId) {
        match &self.query.head {
            Some(head) => self.scorer.prefetch_head(row, head),
            None => self.scorer.prefetch(row),
        }
    }

    fn error_at(&self, distance: f32) -> f32 {
        self.codes.grid.error_at(self.query, distance)
    }
}

impl Sq4Codes {
    /// Whether codes of such vectors can be made at all.
    pub(crate) fn serves(metric: Metric, element: ElementType) -> bool {
        Grid::serves(metric) && matches!(element, ElementType::F32 | ElementType::F16)
    }

    /// Codes of `rows`; `None` where there is no grid for them.
    pub(crate) fn encode(
        metric: Metric,
        rows: VectorRows<'_>,
        seed: u64,
        options: &BuildOptions<'_>,
    ) -> Result<Option<Self>, IndexError> {
        if !Self::serves(metric, rows.element()) {
            return Ok(None);
        }
        let Some(grid) = Grid::learn(metric, rows, seed) else {
            return Ok(None);
        };
        let row_bytes = Sq4Rows::row_bytes(grid.numbers());
        let mut lines = vec![Line([0; LINE]); rows.len() as usize * (row_bytes / LINE)];
        let errors: Vec<AtomicU32> = (0..rows.len()).map(|_| AtomicU32::new(0)).collect();
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut lines);
        options.for_each_chunk(
            bytes,
            256 * row_bytes,
            || (vec![0.0; rows.dim()], Vec::new()),
            |(values, rotated), first, out| {
                let first = first / row_bytes;
                let errors = errors.get(first..).unwrap_or(&[]);
                for ((i, out), error) in out.chunks_exact_mut(row_bytes).enumerate().zip(errors) {
                    read_row(metric, rows, RowId((first + i) as u32), values);
                    let missed = grid.encode(values, rotated, out);
                    error.store(missed.to_bits(), Ordering::Relaxed);
                }
                Ok(())
            },
        )?;
        Ok(Some(Self {
            grid,
            rows: rows.len(),
            store: Store::Memory {
                lines,
                errors: errors
                    .into_iter()
                    .map(|bits| f32::from_bits(bits.into_inner()))
                    .collect(),
            },
        }))
    }

    /// The same, `None` also where codes would not pay or not tell near rows from others.
    pub(crate) fn encode_if_good(
        metric: Metric,
        rows: VectorRows<'_>,
        seed: u64,
        options: &BuildOptions<'_>,
    ) -> Result<Option<Self>, IndexError> {
        let vector_bytes = rows.element().bytes(rows.dim());
        if rows.len() < ROWS_MIN || vector_bytes < SAVING_MIN * Sq4Rows::row_bytes(rows.dim()) {
            return Ok(None);
        }
        let Some(codes) = Self::encode(metric, rows, seed, options)? else {
            return Ok(None);
        };
        let (mut values, mut query) = (vec![0.0; rows.dim()], Sq4Query::default());
        let by_codes = |row, sample: &[RowId], out: &mut [f32]| {
            read_row(metric, rows, row, &mut values);
            codes.prepare_values(&values, &mut query)?;
            codes
                .scorer(options.kernels, &query)?
                .score_rows(sample, out);
            Ok(())
        };
        let agreement = agreement(options.kernels, metric, rows, CANDIDATES_FACTOR, by_codes)?;
        Ok((agreement >= AGREEMENT_MIN).then_some(codes))
    }

    pub(crate) fn save(&self, writer: &mut SectionWriter) -> Result<(), IndexError> {
        let mut grid = Writer::new();
        self.grid.write(&mut grid);
        writer.add(GRID, grid.as_slice())?;
        writer.add(CODES, self.bytes())?;
        match &self.store {
            Store::Memory { errors, .. } => Ok(writer.add(ERRORS, bytemuck::cast_slice(errors))?),
            Store::Mapped { errors, .. } => errors.save(writer),
        }
    }

    /// Opens saved codes of `rows` rows.
    pub(crate) fn open(file: &SectionFile, metric: Metric, rows: u32) -> Result<Self, IndexError> {
        let section = file.section(GRID)?;
        let bytes = section.bytes_verified()?;
        let mut reader = Reader::new(&bytes);
        let grid = Grid::read(&mut reader, metric);
        let grid = grid.and_then(|grid| reader.finish().map(|()| grid));
        let grid = grid.map_err(|error| {
            IndexError::Storage(error.in_file(section.path(), section.file_offset()))
        })?;
        if !Grid::serves(metric) {
            return Err(IndexError::Corrupt {
                section: GRID,
                what: format!("codes under {metric}, which has none"),
            });
        }
        let row_bytes = Sq4Rows::row_bytes(grid.numbers());
        let codes = Column::open(file, CODES, u64::from(rows) * row_bytes as u64)?;
        let errors = Column::open(file, ERRORS, u64::from(rows) * size_of::<f32>() as u64)?;
        Ok(Self {
            grid,
            rows,
            store: Store::Mapped { codes, errors },
        })
    }

    /// Gives a row, which may be one past the last, the code of its vector. Codes of a file stay as they are.
    pub(crate) fn set(&mut self, metric: Metric, rows: VectorRows<'_>, row: RowId) {
        let Store::Memory { lines, errors } = &mut self.store else {
            return;
        };
        let row_bytes = Sq4Rows::row_bytes(self.grid.numbers());
        let lines_per_row = row_bytes / LINE;
        self.rows = self.rows.max(row.0 + 1);
        lines.resize(self.rows as usize * lines_per_row, Line([0; LINE]));
        errors.resize(self.rows as usize, 0.0);
        let mut values = vec![0.0; rows.dim()];
        read_row(metric, rows, row, &mut values);
        let start = row.index() * lines_per_row;
        let own = lines.get_mut(start..start + lines_per_row);
        if let (Some(own), Some(error)) = (own, errors.get_mut(row.index())) {
            let own = bytemuck::cast_slice_mut(own);
            *error = self.grid.encode(&values, &mut Vec::new(), own);
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.store {
            Store::Memory { lines, .. } => bytemuck::cast_slice(lines),
            Store::Mapped { codes, .. } => codes.whole(),
        }
    }

    /// Bytes of the code of a row.
    pub(crate) fn row_bytes(&self) -> usize {
        self.bytes().len() / self.rows.max(1) as usize
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        (self.bytes().len() + self.rows as usize * size_of::<f32>() + self.grid.bytes()) as u64
    }

    /// Checks all of it against its checksums.
    pub(crate) fn verify(&self) -> Result<(), IndexError> {
        match &self.store {
            Store::Memory { .. } => Ok(()),
            Store::Mapped { codes, errors } => {
                codes.check(0..codes.len())?;
                errors.check(0..errors.len())
            }
        }
    }

    /// Checks the code of a row against its checksum; free of cost in memory.
    #[inline]
    pub(super) fn check(&self, row: RowId) -> Result<(), IndexError> {
        match &self.store {
            Store::Memory { .. } => Ok(()),
            Store::Mapped { codes, .. } => {
                let row_bytes = Sq4Rows::row_bytes(self.grid.numbers());
                let start = row.index() * row_bytes;
                codes.check(start..start + row_bytes)
            }
        }
    }

    /// How far the code of a row is from its vector: length of the difference.
    #[inline]
    pub(super) fn error(&self, row: RowId) -> Result<f32, IndexError> {
        let (start, errors) = match &self.store {
            Store::Memory { errors, .. } => (row.index(), errors.as_slice()),
            Store::Mapped { errors, .. } => (0, errors.floats(row.index(), 1)?),
        };
        // A row without a code may be anywhere.
        Ok(errors.get(start).copied().unwrap_or(f32::INFINITY))
    }

    /// Makes `query` ready.
    ///
    /// # Errors
    /// A query of another dimension.
    pub(crate) fn prepare(&self, query: &Query, out: &mut Sq4Query) -> Result<(), IndexError> {
        let mut values = std::mem::take(&mut out.values);
        values.clear();
        query.to_f32(&mut values);
        if query.metric() == Metric::Cosine {
            let inverse = query.inverse_norm();
            if inverse.is_normal() {
                values.iter_mut().for_each(|x| *x *= inverse);
            } else {
                normalise(&mut values);
            }
        }
        let prepared = self.prepare_values(&values, out);
        out.values = values;
        prepared
    }

    /// Makes a vector, normalised under cosine, ready as a query.
    pub(crate) fn prepare_values(
        &self,
        values: &[f32],
        out: &mut Sq4Query,
    ) -> Result<(), IndexError> {
        if values.len() != self.grid.dim() {
            return Err(IndexError::Mismatch {
                what: "dimension of the codes",
                expected: self.grid.dim().to_string(),
                got: values.len().to_string(),
            });
        }
        self.grid.prepare(values, out);
        Ok(())
    }

    /// Measures a query that was made ready against the codes, as a walk does.
    pub(crate) fn measure<'a>(
        &'a self,
        kernels: Kernels,
        query: &'a Sq4Query,
    ) -> Result<OnCodes<'a>, IndexError> {
        Ok(OnCodes {
            scorer: self.scorer(kernels, query)?,
            codes: self,
            query,
        })
    }

    pub(super) fn scorer<'a>(
        &'a self,
        kernels: Kernels,
        query: &'a Sq4Query,
    ) -> Result<Sq4Scorer<'a>, IndexError> {
        let rows = Sq4Rows::new(self.grid.numbers(), self.rows, self.bytes())?;
        Ok(Sq4Scorer::new(
            kernels,
            self.grid.distance(),
            &query.numbers,
            rows,
            query.scale,
            query.offset,
        ))
    }

    pub(super) fn grid(&self) -> &Grid {
        &self.grid
    }

    /// See [`Grid::least`].
    #[inline]
    pub(super) fn least(&self, query: &Sq4Query, estimate: f32, deviations: f32) -> f32 {
        self.grid.least(query, estimate, deviations)
    }
}
