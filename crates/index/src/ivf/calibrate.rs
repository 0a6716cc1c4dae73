//! How many lists does a recall take, and how many candidates by codes? Measured at the end of a build on rows of the
//! index as queries, each of which leaves itself out.

use std::collections::HashSet;

use serde_json::json;
use vecdb_storage::bytes::{BytesError, Reader, Writer};
use vecdb_vector::{Metric, Neighbor, RowId, VectorRows, scan_batch};

use super::quantized::QuantizedCodes;
use super::{Ivf, search};
use crate::random::Random;
use crate::{BuildOptions, IndexError, Scratch};

/// What a search that names no number of lists looks for. More than most ask for: queries that are unlike the rows find
/// less than rows do that look for each other.
pub(super) const RECALL_DEFAULT: f32 = 0.99;
const RECALLS: [f32; 8] = [0.5, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995];
const QUERIES: usize = 256;
pub(super) const K: usize = 10;
/// Of the true neighbours in the lists searched, how many have to be among the candidates by codes.
pub(super) const CANDIDATES: f64 = 0.995;
/// Numbers multiplied by the exact search, at most: seconds.
const WORK_MAX: u64 = 200_000_000_000;
/// Fewer queries say nothing.
const QUERIES_MIN: u64 = 32;

/// Lists to look into for each of [`RECALLS`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Calibration {
    nprobes: [u32; RECALLS.len()],
}

/// A row as a query, and its true neighbours.
struct Probe {
    row: usize,
    neighbors: Vec<Neighbor>,
}

impl Calibration {
    /// The lists for each recall; and, where rows are quantized, the candidates for [`K`] hits.
    pub(super) fn measure(
        index: &Ivf,
        rows: VectorRows<'_>,
        options: &BuildOptions<'_>,
    ) -> Result<(Self, u32), IndexError> {
        let lists = index.lists as usize;
        let rerank = (search::RERANK_PER_HIT * K).max(search::RERANK_MIN) as u32;
        let work_each = u64::from(rows.len()) * rows.dim() as u64;
        let affordable = (WORK_MAX / work_each.max(1)).max(QUERIES_MIN) as usize;
        let mut drawn = Random::new(index.params.seed ^ 0xca11_b8a7)
            .distinct(QUERIES.min(affordable), rows.len() as usize);
        let quantized = index.codes.quantized();
        if drawn.len() < 2 || (lists <= 1 && quantized.is_none()) {
            let all = Self {
                nprobes: [index.lists.max(1); RECALLS.len()],
            };
            return Ok((all, rerank));
        }
        // Copies of one row are one query.
        let mut seen = HashSet::new();
        drawn.retain(|&row| seen.insert(rows.row_bytes(RowId(row as u32))));
        let list_of = index.list_of_rows()?;
        let stride = rows.element().bytes(rows.dim());
        let row_bytes = |row: &usize| rows.row_bytes(RowId(*row as u32));
        let queries: Vec<u8> = drawn.iter().flat_map(row_bytes).copied().collect();
        let queries = VectorRows::new(
            rows.element(),
            rows.dim(),
            stride,
            drawn.len() as u32,
            &queries,
        )?;
        options.check_cancelled()?;
        let truth = scan_batch(
            options.kernels,
            index.metric,
            queries,
            rows,
            None,
            K + 1,
            options.threads,
        );
        // found[p]: how many true neighbours lie in the p-th nearest list of their query.
        let mut found = vec![0u64; lists];
        let mut scratch = Scratch::with_kernels(options.kernels);
        let mut rank_of = vec![0u32; lists];
        let (mut values, mut wanted) = (Vec::new(), 0u64);
        let mut probes = Vec::with_capacity(drawn.len());
        for (&row, neighbors) in drawn.iter().zip(truth) {
            options.check_cancelled()?;
            values.clear();
            values.resize(rows.dim(), 0.0);
            rows.to_f32(RowId(row as u32), &mut values);
            // A query that cannot be (zeros under cosine) has no neighbours either; and copies of one row, which may be
            // many, lie in one list whatever the others need.
            let all_alike = |found: &[Neighbor]| match found {
                [first, .., last] => last.distance <= first.distance,
                _ => true,
            };
            if all_alike(&neighbors)
                || search::rank_all(index, options.kernels, &values, &mut scratch.ivf).is_err()
            {
                continue;
            }
            for (rank, &list) in scratch.ivf.order().iter().enumerate() {
                rank_of[list as usize] = rank as u32;
            }
            let mut neighbors = neighbors;
            neighbors.retain(|n| n.row.index() != row);
            neighbors.truncate(K);
            for neighbor in &neighbors {
                found[rank_of[list_of[neighbor.row.index()] as usize] as usize] += 1;
                wanted += 1;
            }
            probes.push(Probe { row, neighbors });
        }
        let calibration = Self::from_counts(&found, wanted);
        let rerank = match quantized {
            Some(codes) => calibration.candidates(index, codes, rows, &probes, options)?,
            None => None,
        }
        .unwrap_or(rerank);
        Ok((calibration, rerank))
    }

    /// How many candidates by codes hold the true neighbours that lie in the lists of a search.
    fn candidates(
        &self,
        index: &Ivf,
        codes: &QuantizedCodes,
        rows: VectorRows<'_>,
        probes: &[Probe],
        options: &BuildOptions<'_>,
    ) -> Result<Option<u32>, IndexError> {
        let nprobe = self.nprobe(RECALL_DEFAULT).min(index.lists) as usize;
        let mut scratch = Scratch::with_kernels(options.kernels);
        let (mut values, mut estimates) = (vec![0.0; rows.dim()], Vec::new());
        let mut depths = Vec::new();
        for probe in probes {
            options.check_cancelled()?;
            rows.to_f32(RowId(probe.row as u32), &mut values);
            let ivf = &mut scratch.ivf;
            search::rank_all(index, options.kernels, &values, ivf)?;
            search::estimate_all(index, codes, options.kernels, nprobe, ivf, &mut estimates)?;
            for neighbor in &probe.neighbors {
                let own = estimates.iter().find(|(_, row)| *row == neighbor.row.0);
                if let Some(&(own, _)) = own {
                    let before = estimates
                        .iter()
                        .filter(|(estimate, row)| *estimate <= own && *row as usize != probe.row);
                    depths.push(before.count() as u32);
                }
            }
        }
        depths.sort_unstable();
        let last = (depths.len() as f64 * CANDIDATES).ceil() as usize;
        Ok(depths.get(last.max(1) - 1).copied())
    }

    fn from_counts(found: &[u64], wanted: u64) -> Self {
        let mut nprobes = [found.len() as u32; RECALLS.len()];
        for (nprobe, recall) in nprobes.iter_mut().zip(RECALLS) {
            // A recall as single precision writes it is a little more than it says.
            let needed = (f64::from(recall) - 1e-6) * wanted as f64;
            let mut sum = 0;
            let enough = found.iter().position(|&more| {
                sum += more;
                sum as f64 >= needed
            });
            if let Some(last) = enough {
                *nprobe = last as u32 + 1;
            }
        }
        Self { nprobes }
    }

    /// How many lists to look into for a recall, between and beyond those measured on the logarithm of what is missed.
    pub(super) fn nprobe(&self, recall: f32) -> u32 {
        let last = RECALLS.len() - 1;
        let at = RECALLS.iter().position(|&known| known >= recall);
        let at = at.unwrap_or(last);
        if at == 0 || recall == RECALLS[at] {
            return self.nprobes[at].max(1);
        }
        let missed = |recall: f32| (1.0 - f64::from(recall)).max(1e-6).ln();
        let (low, high) = (RECALLS[at - 1], RECALLS[at]);
        let share = (missed(low) - missed(recall)) / (missed(low) - missed(high));
        let (low, high) = (f64::from(self.nprobes[at - 1]), f64::from(self.nprobes[at]));
        // A thousandth short of a whole number is rounding.
        (low + share * (high - low) - 1e-3).ceil().max(1.0) as u32
    }

    /// Recalls, ascending, with the lists for each.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (f32, u32)> {
        RECALLS.into_iter().zip(self.nprobes)
    }

    pub(super) fn describe(&self) -> serde_json::Value {
        self.pairs()
            .map(|(recall, nprobe)| json!({ "recall": recall, "nprobe": nprobe }))
            .collect()
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        for nprobe in self.nprobes {
            writer.u32(nprobe);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, BytesError> {
        let mut nprobes = [0; RECALLS.len()];
        for nprobe in &mut nprobes {
            *nprobe = reader.u32()?;
        }
        Ok(Self { nprobes })
    }
}

/// How the query is compared with centroids.
pub(super) fn probe_metric(metric: Metric) -> Metric {
    match metric {
        Metric::Dot => Metric::Dot,
        _ => Metric::L2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_become_numbers_of_lists() {
        let calibration = Calibration::from_counts(&[80, 10, 5, 4, 1, 0], 100);
        assert_eq!(calibration.nprobes, [1, 1, 2, 3, 4, 4, 4, 5]);
        assert_eq!(calibration.nprobe(0.85), 2);
        assert_eq!(
            (calibration.nprobe(0.96), calibration.nprobe(0.999)),
            (4, 8)
        );
        // What is never found takes all lists.
        assert_eq!(Calibration::from_counts(&[1, 1], 100).nprobes, [2; 8]);
        assert_eq!(Calibration::default().nprobe(0.9), 1);
    }
}
