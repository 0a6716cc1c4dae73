//! Training, assignment, parting of overgrown lists.

use vecdb_vector::{Centroids, Metric, Nearest, RowId, VectorRows};

use super::calibrate::Calibration;
use super::codes::Codes;
use super::quantized::Placed;
use super::section::{CENTROIDS, MEMBERS, OFFSETS};
use super::{Ivf, IvfParams};
use crate::column::Column;
use crate::kmeans::{self, KMeansParams, KMeansReport, Seeding, read_row, sample};
use crate::{AnnIndex, BuildOptions, IndexError, Quantizer};

/// A list of more than this many times the mean is parted: every search that comes by would wait for it.
const LIST_RATIO_MAX: usize = 4;
/// Lists of fewer rows are short, however many times the mean that is.
const PARTED_ROWS_MIN: usize = 256;
/// Centroids serve until there are this many times the rows they were learned from.
const GROWTH_MAX: u32 = 2;
/// Rows read and assigned per step of a thread.
const BLOCK: usize = 1024;

/// How centroids see a metric: under cosine and Jaccard as directions.
pub(super) fn coarse_metric(metric: Metric) -> Metric {
    match metric {
        Metric::Cosine | Metric::Jaccard => Metric::Cosine,
        _ => Metric::L2,
    }
}

/// About how many bytes a build holds: the codes (thought as wide as f32 rows of a usual dimension), the lists, the sample.
pub(crate) fn build_bytes(params: &IvfParams, rows: u32) -> u64 {
    const CODE_BYTES: u64 = 1024;
    let lists = u64::from(params.lists_for(rows));
    let sample = u64::from(rows).min(lists * u64::from(params.train_rows_per_list));
    u64::from(rows) * (CODE_BYTES + 16) + (sample + lists) * 4 * CODE_BYTES
}

/// Lists of rows around centroids.
struct Lists {
    dim: usize,
    centroids: Vec<f32>,
    members: Vec<Vec<u32>>,
}

impl Ivf {
    /// Learns centroids from the rows and puts every row into its list.
    ///
    /// # Errors
    /// Parameters out of range, a code that cannot serve the rows, cancellation.
    pub fn build(
        params: &IvfParams,
        metric: Metric,
        rows: VectorRows<'_>,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        params.validate()?;
        let (centroids, report) = train(params, metric, rows, options)?;
        let learned = (centroids, rows.len());
        let index = Self::around(params, metric, rows, learned, (None, None), options)?;
        Ok(Self {
            training: Some(report),
            ..index
        })
    }

    /// An index over `rows` with the centroids that `seed` has learned and the rows it has assigned; `remap[old]` is the
    /// new number of its row `old`. `None` where the seed has nothing to give: another kind or other parameters, or too
    /// many new rows since its training.
    ///
    /// # Errors
    /// Those of [`Self::build`]; a `remap` that does not fit.
    pub fn extend(
        params: &IvfParams,
        metric: Metric,
        rows: VectorRows<'_>,
        options: &BuildOptions<'_>,
        seed: &dyn AnnIndex,
        remap: &[Option<RowId>],
    ) -> Result<Option<Self>, IndexError> {
        let Some(seed) = seed.as_any().downcast_ref::<Ivf>() else {
            return Ok(None);
        };
        let outgrown = rows.len() / GROWTH_MAX > seed.trained_rows;
        if seed.params != *params
            || seed.lists == 0
            || seed.lists > rows.len()
            || outgrown
            || seed.check_fits(&rows).is_err()
        {
            return Ok(None);
        }
        let centroids = seed
            .centroids
            .floats(0, seed.lists as usize * seed.dim)?
            .to_vec();
        let known = known_lists(seed, remap, rows.len())?;
        let learned = (centroids, seed.trained_rows);
        let quantizer = seed.codes.quantized().map(|codes| &codes.quantizer);
        let known = (Some(known), quantizer);
        Self::around(params, metric, rows, learned, known, options).map(Some)
    }

    /// `known`: the list of each row, where it is known; a quantizer that has learned already.
    fn around(
        params: &IvfParams,
        metric: Metric,
        rows: VectorRows<'_>,
        (centroids, trained_rows): (Vec<f32>, u32),
        (known, quantizer): (Option<Vec<u32>>, Option<&Quantizer>),
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        let code = params.code_for(metric, rows.element())?;
        let mut lists = Lists::fill(centroids, metric, rows, known, options)?;
        lists.part_overgrown(params, metric, rows, options)?;
        let mut offsets = vec![0u32];
        let mut end = 0;
        for list in &lists.members {
            end += list.len() as u32;
            offsets.push(end);
        }
        let members = lists.members.concat();
        let placed = Placed {
            rows,
            metric,
            members: &members,
            offsets: &offsets,
            centroids: &lists.centroids,
        };
        let codes = Codes::build(code, &placed, quantizer, params.seed, options)?;
        let mut index = Self {
            params: params.clone(),
            metric,
            element: rows.element(),
            dim: rows.dim(),
            rows: rows.len(),
            lists: lists.members.len() as u32,
            trained_rows,
            codes,
            calibration: Calibration::default(),
            training: None,
            centroids: Column::built(CENTROIDS, bytemuck::cast_slice(&lists.centroids).to_vec()),
            offsets: Column::built(OFFSETS, bytemuck::cast_slice(&offsets).to_vec()),
            members: Column::built(MEMBERS, bytemuck::cast_slice(&members).to_vec()),
        };
        let (calibration, rerank) = Calibration::measure(&index, rows, options)?;
        index.calibration = calibration;
        index.codes.set_rerank(rerank);
        options
            .progress
            .advance(u64::from(rows.len()), u64::from(rows.len()));
        Ok(index)
    }
}

fn train(
    params: &IvfParams,
    metric: Metric,
    rows: VectorRows<'_>,
    options: &BuildOptions<'_>,
) -> Result<(Vec<f32>, KMeansReport), IndexError> {
    let lists = params.lists_for(rows.len()) as usize;
    if lists == 0 {
        return Ok((Vec::new(), KMeansReport::default()));
    }
    let most = lists
        .saturating_mul(params.train_rows_per_list as usize)
        .max(lists);
    let coarse = coarse_metric(metric);
    let vectors = sample(coarse, rows, most, params.seed, options)?;
    let clustering = KMeansParams {
        iterations: params.iterations,
        seeding: Seeding::Auto,
        spherical: coarse == Metric::Cosine,
        size_ratio_max: None,
        seed: params.seed,
        ..KMeansParams::new(lists)
    };
    let quiet = BuildOptions {
        progress: &crate::Silent,
        ..*options
    };
    let learned = kmeans::train(rows.dim(), vectors, &clustering, &quiet)?;
    Ok((learned.centroids.into_values(), learned.report))
}

/// The list of each of `count` rows that `seed` had already; `u32::MAX` for the others.
fn known_lists(seed: &Ivf, remap: &[Option<RowId>], count: u32) -> Result<Vec<u32>, IndexError> {
    let mismatch = |expected: String, got: String| IndexError::Mismatch {
        what: "remap of the seed's rows",
        expected,
        got,
    };
    if remap.len() != seed.rows as usize {
        return Err(mismatch(seed.rows.to_string(), remap.len().to_string()));
    }
    let mut known = vec![u32::MAX; count as usize];
    for list in 0..seed.lists {
        for &old in seed.members(list)? {
            let Some(new) = remap.get(old as usize).copied().flatten() else {
                continue;
            };
            match known.get_mut(new.0 as usize) {
                Some(slot) if *slot == u32::MAX => *slot = list,
                Some(_) => {
                    return Err(mismatch(
                        "different rows".into(),
                        format!("row {} twice", new.0),
                    ));
                }
                None => return Err(mismatch(format!("rows below {count}"), new.0.to_string())),
            }
        }
    }
    Ok(known)
}

impl Lists {
    /// Every row in the list of its nearest centroid, or in the one that is known.
    fn fill(
        centroids: Vec<f32>,
        metric: Metric,
        rows: VectorRows<'_>,
        known: Option<Vec<u32>>,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        let dim = rows.dim();
        let mut assigned = known.unwrap_or_else(|| vec![u32::MAX; rows.len() as usize]);
        let mut members = vec![Vec::new(); centroids.len() / dim];
        if rows.is_empty() {
            return Ok(Self {
                dim,
                centroids,
                members,
            });
        }
        let centroids = Centroids::new(options.kernels, dim, centroids);
        let done = std::sync::atomic::AtomicU64::new(0);
        let total = u64::from(rows.len());
        options.for_each_chunk(
            &mut assigned,
            BLOCK,
            || (Vec::new(), Vec::new()),
            |(values, nearest): &mut (Vec<f32>, Vec<Nearest>), first, assigned| {
                let open: Vec<usize> = (0..assigned.len())
                    .filter(|&i| assigned[i] == u32::MAX)
                    .collect();
                read_all(
                    coarse_metric(metric),
                    rows,
                    open.iter().map(|i| (first + i) as u32),
                    values,
                );
                find(&centroids, values, nearest);
                for (&i, nearest) in open.iter().zip(nearest.iter()) {
                    assigned[i] = nearest.centroid;
                }
                let count = assigned.len() as u64;
                let before = done.fetch_add(count, std::sync::atomic::Ordering::Relaxed);
                // The codes and the calibration are still to come.
                options.progress.advance((before + count) * 8 / 10, total);
                Ok(())
            },
        )?;
        for (row, list) in assigned.into_iter().enumerate() {
            members[list as usize].push(row as u32);
        }
        Ok(Self {
            dim,
            centroids: centroids.into_values(),
            members,
        })
    }

    /// Parts lists that are many times longer than the mean. Rows that are all alike cannot be parted and stay together.
    fn part_overgrown(
        &mut self,
        params: &IvfParams,
        metric: Metric,
        rows: VectorRows<'_>,
        options: &BuildOptions<'_>,
    ) -> Result<(), IndexError> {
        let mean = rows.len() as usize / self.members.len().max(1);
        let most = (LIST_RATIO_MAX * mean).max(PARTED_ROWS_MIN);
        for list in 0..self.members.len() {
            let size = self.members[list].len();
            if size <= most {
                continue;
            }
            options.check_cancelled()?;
            let members = std::mem::take(&mut self.members[list]);
            let coarse = coarse_metric(metric);
            let (mut values, mut nearest) = (Vec::new(), Vec::new());
            read_all(coarse, rows, members.iter().copied(), &mut values);
            let clustering = KMeansParams {
                iterations: params.iterations,
                spherical: coarse == Metric::Cosine,
                size_ratio_max: Some(LIST_RATIO_MAX as f64 / 2.0),
                seed: params.seed ^ list as u64,
                ..KMeansParams::new(size.div_ceil(mean.max(1)).clamp(2, 64))
            };
            let quiet = BuildOptions {
                progress: &crate::Silent,
                ..*options
            };
            let parts = kmeans::train(self.dim, values.clone(), &clustering, &quiet)?.centroids;
            kmeans::assign(&parts, &values, &mut nearest, &quiet)?;
            let mut parted = vec![Vec::new(); parts.len()];
            for (&row, nearest) in members.iter().zip(&nearest) {
                parted[nearest.centroid as usize].push(row);
            }
            let mut kept = parted
                .into_iter()
                .zip(parts.values().chunks_exact(self.dim))
                .filter(|(members, _)| !members.is_empty());
            if let Some((first, centroid)) = kept.next() {
                self.members[list] = first;
                self.centroids[list * self.dim..(list + 1) * self.dim].copy_from_slice(centroid);
            }
            for (more, centroid) in kept {
                self.members.push(more);
                self.centroids.extend_from_slice(centroid);
            }
        }
        Ok(())
    }
}

/// The numbers of some rows, one after the other.
fn read_all(
    metric: Metric,
    rows: VectorRows<'_>,
    which: impl Iterator<Item = u32>,
    values: &mut Vec<f32>,
) {
    values.clear();
    for row in which {
        let start = values.len();
        values.resize(start + rows.dim(), 0.0);
        read_row(metric, rows, RowId(row), &mut values[start..]);
    }
}

fn find(centroids: &Centroids, values: &[f32], nearest: &mut Vec<Nearest>) {
    let none = Nearest {
        centroid: 0,
        distance: 0.0,
    };
    nearest.clear();
    nearest.resize(values.len() / centroids.dim(), none);
    centroids.nearest(values, nearest);
}
