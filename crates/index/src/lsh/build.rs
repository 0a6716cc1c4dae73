//! Choosing, hashing, sorting, calibrating.

use std::sync::atomic::{AtomicU64, Ordering};

use vecdb_vector::{Metric, RowId, VectorRows};

use super::calibrate::Calibration;
use super::choose::Profile;
use super::functions::{Functions, HashScratch, Learned};
use super::sketch::{self, Sketches};
use super::tables::{Layout, Tables};
use super::{Lsh, LshParams};
use crate::calibration::{QUERIES, hold_out};
use crate::{AnnIndex, BuildOptions, IndexError};

/// Functions serve until there are this many times the rows that they were chosen for.
const GROWTH_MAX: u32 = 2;
/// Rows hashed per step of a thread.
const BLOCK: usize = 512;

/// About how many bytes a build holds: the hashes of all rows, and the tables.
pub(crate) fn build_bytes(params: &LshParams, rows: u32) -> u64 {
    const TABLES_USUAL: u32 = 32;
    let tables = u64::from(params.tables.unwrap_or(TABLES_USUAL));
    u64::from(rows) * tables * (4 + 4 + 4 + 8)
}

impl Lsh {
    /// Chooses what `params` leaves open and puts every row into a bucket of each table.
    ///
    /// # Errors
    /// Parameters out of range or that the metric does not have, cancellation.
    pub fn build(
        params: &LshParams,
        metric: Metric,
        rows: VectorRows<'_>,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        params.check_metric(metric)?;
        params.validate()?;
        let held_out = hold_out(metric, rows, QUERIES, params.seed, options)?;
        let learned = Learned::of(metric, rows, params.seed, options)?;
        let profile = Profile::measure(metric, rows, &learned, &held_out, params.seed);
        let functions = Functions::new(profile.choose(params, rows.dim()), learned);
        let tables = functions.shape.tables as usize;
        let known = Known {
            hashes: vec![0; rows.len() as usize * tables],
            sketches: vec![
                0;
                rows.len() as usize * Sketches::bytes_each(&functions, rows.element())
            ],
            unknown: vec![true; rows.len() as usize],
        };
        let mut index = Self::of(params, functions, rows, known, options)?;
        index.calibration = Calibration::measure(&index, rows, &held_out, options)?;
        Ok(index)
    }

    /// An index over `rows` with the hash functions of `seed` and the hashes of its rows; `remap[old]` is the new number of
    /// its row `old`. `None` where the seed has nothing to give: another kind or other parameters, or too many new rows.
    ///
    /// # Errors
    /// Those of [`Self::build`]; a `remap` that does not fit.
    pub fn extend(
        params: &LshParams,
        metric: Metric,
        rows: VectorRows<'_>,
        options: &BuildOptions<'_>,
        seed: &dyn AnnIndex,
        remap: &[Option<RowId>],
    ) -> Result<Option<Self>, IndexError> {
        let Some(seed) = seed.as_any().downcast_ref::<Lsh>() else {
            return Ok(None);
        };
        let outgrown = rows.len() / GROWTH_MAX > seed.chosen_rows;
        if seed.params != *params || outgrown || seed.check_fits(&rows).is_err() {
            return Ok(None);
        }
        let functions = Functions::new(seed.functions.shape, seed.functions.learned.clone());
        let known = Known::of(seed, remap, rows.len())?;
        let held_out = hold_out(metric, rows, QUERIES, params.seed, options)?;
        let mut index = Self::of(params, functions, rows, known, options)?;
        index.chosen_rows = seed.chosen_rows;
        index.calibration = Calibration::measure(&index, rows, &held_out, options)?;
        Ok(Some(index))
    }

    /// Hashes and sketches what is not known of the rows, and sorts the tables.
    fn of(
        params: &LshParams,
        functions: Functions,
        rows: VectorRows<'_>,
        mut known: Known,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        let tables = functions.shape.tables as usize;
        let bytes_each = Sketches::bytes_each(&functions, rows.element());
        let total = u64::from(rows.len());
        let done = AtomicU64::new(0);
        let unknown = &known.unknown;
        let mut rest = known.sketches.as_mut_slice();
        let blocks = known.hashes.chunks_mut(BLOCK * tables);
        let mut blocks: Vec<(&mut [u32], &mut [u8])> = blocks
            .map(|hashes| {
                let bytes = hashes.len() / tables * bytes_each;
                let (sketches, others) = std::mem::take(&mut rest).split_at_mut(bytes);
                rest = others;
                (hashes, sketches)
            })
            .collect();
        options.for_each_chunk(
            &mut blocks,
            1,
            || (Vec::new(), HashScratch::default()),
            |(values, scratch), block, blocks| {
                for (hashes, sketches) in blocks {
                    let count = hashes.len() / tables;
                    for at in 0..count {
                        let row = block * BLOCK + at;
                        if !unknown[row] {
                            continue;
                        }
                        let hashes = &mut hashes[at * tables..(at + 1) * tables];
                        functions.hash_row(rows, RowId(row as u32), values, scratch, hashes);
                        let sketch = &mut sketches[at * bytes_each..(at + 1) * bytes_each];
                        sketch::encode(&scratch.coordinates, sketch);
                    }
                    let before = done.fetch_add(count as u64, Ordering::Relaxed);
                    // The tables and the calibration are still to come.
                    options
                        .progress
                        .advance((before + count as u64) * 6 / 10, total);
                }
                Ok(())
            },
        )?;
        let layout = Layout::new(functions.shape.tables, rows.len(), functions.hash_bits());
        let buckets = Tables::build(layout, &known.hashes, options)?;
        options.progress.advance(total * 8 / 10, total);
        Ok(Self {
            params: params.clone(),
            element: rows.element(),
            rows: rows.len(),
            chosen_rows: rows.len(),
            functions,
            tables: buckets,
            sketches: Sketches::built(bytes_each, known.sketches),
            calibration: Calibration::default(),
        })
    }
}

/// What is known of rows before they are hashed.
struct Known {
    /// One a table for each row.
    hashes: Vec<u32>,
    sketches: Vec<u8>,
    /// Rows of which nothing is known.
    unknown: Vec<bool>,
}

impl Known {
    /// What `seed` knows of `count` rows.
    fn of(seed: &Lsh, remap: &[Option<RowId>], count: u32) -> Result<Self, IndexError> {
        let mismatch = |expected: String, got: String| IndexError::Mismatch {
            what: "remap of the seed's rows",
            expected,
            got,
        };
        if remap.len() != seed.rows as usize {
            return Err(mismatch(seed.rows.to_string(), remap.len().to_string()));
        }
        let tables = seed.functions.shape.tables as usize;
        let bytes_each = Sketches::bytes_each(&seed.functions, seed.element);
        let old = seed.tables.hashes_of_rows()?;
        let mut known = Self {
            hashes: vec![0; count as usize * tables],
            sketches: vec![0; count as usize * bytes_each],
            unknown: vec![true; count as usize],
        };
        for (old_row, (new, old)) in remap.iter().zip(old.chunks_exact(tables)).enumerate() {
            let Some(new) = new.map(RowId::index) else {
                continue;
            };
            match known.unknown.get_mut(new) {
                Some(slot) if *slot => *slot = false,
                Some(_) => {
                    return Err(mismatch(
                        "different rows".into(),
                        format!("row {new} twice"),
                    ));
                }
                None => return Err(mismatch(format!("rows below {count}"), new.to_string())),
            }
            known.hashes[new * tables..(new + 1) * tables].copy_from_slice(old);
            if let Some(sketches) = &seed.sketches {
                known.sketches[new * bytes_each..(new + 1) * bytes_each]
                    .copy_from_slice(sketches.of_row(old_row)?);
            }
        }
        Ok(known)
    }
}
