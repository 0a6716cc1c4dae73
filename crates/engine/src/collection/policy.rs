//! Which segments to merge: a pure function of their sizes.
//!
//! Size-tiered: the smallest segments are merged as soon as the next larger one is at most four times as large as all
//! smaller ones together, so every row is rewritten O(log n) times and few segments stay. A quiet collection is merged
//! down to one segment, because each segment costs every search one walk.

use crate::options::Options;
use crate::segment::SegmentId;

/// The next larger segment joins a merge if it is at most this many times the smaller ones.
const TIER_FACTOR: u64 = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SegmentStats {
    pub(crate) id: SegmentId,
    pub(crate) rows: u32,
    pub(crate) live_rows: u32,
    pub(crate) bytes: u64,
    /// It has the index its collection asks for (or needs none).
    pub(crate) indexed: bool,
}

impl SegmentStats {
    fn live_bytes(&self) -> u64 {
        (u128::from(self.bytes) * u128::from(self.live_rows) / u128::from(self.rows.max(1))) as u64
    }

    fn dead_share(&self) -> f64 {
        f64::from(self.rows - self.live_rows) / f64::from(self.rows.max(1))
    }
}

/// The segments that should become one, best first step; `None` when all is well. `quiet`: nothing was written lately.
pub(crate) fn plan(
    segments: &[SegmentStats],
    options: &Options,
    quiet: bool,
) -> Option<Vec<SegmentId>> {
    let mut by_size: Vec<&SegmentStats> = segments
        .iter()
        .filter(|s| s.live_bytes() < options.segment_bytes_max)
        .collect();
    by_size.sort_by_key(|s| (s.live_bytes(), s.id));

    let (mut sum, mut best) = (0u64, 0);
    for (at, segment) in by_size.iter().enumerate() {
        if sum + segment.live_bytes() > options.segment_bytes_max {
            break;
        }
        if at > 0 && (quiet || segment.live_bytes() <= TIER_FACTOR * sum) {
            best = at + 1;
        }
        sum += segment.live_bytes();
    }
    if best > 1 {
        return Some(by_size[..best].iter().map(|s| s.id).collect());
    }
    let alone = segments.iter().find(|s| {
        s.live_rows == 0
            || (!s.indexed && s.live_rows >= options.index_rows_min)
            || (s.rows >= options.index_rows_min && s.dead_share() > options.dead_share_max)
    });
    alone.map(|segment| vec![segment.id])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(sizes: &[u64]) -> Vec<SegmentStats> {
        let stats = |(id, &bytes): (usize, &u64)| SegmentStats {
            id: SegmentId(id as u64),
            rows: bytes as u32,
            live_rows: bytes as u32,
            bytes,
            indexed: true,
        };
        sizes.iter().enumerate().map(stats).collect()
    }

    fn planned(segments: &[SegmentStats], quiet: bool) -> Option<Vec<u64>> {
        let options = Options {
            index_rows_min: 10,
            segment_bytes_max: 1_000_000,
            ..Options::default()
        };
        plan(segments, &options, quiet).map(|ids| ids.into_iter().map(|id| id.0).collect())
    }

    #[test]
    fn similar_sizes_merge_and_a_large_one_waits() {
        assert_eq!(planned(&segments(&[100, 100]), false), Some(vec![0, 1]));
        assert_eq!(
            planned(&segments(&[10_000, 100, 100]), false),
            Some(vec![1, 2])
        );
        assert_eq!(planned(&segments(&[10_000, 200]), false), None);
        assert_eq!(
            planned(&segments(&[10_000, 2_500]), false),
            Some(vec![1, 0])
        );
    }

    #[test]
    fn quiet_collections_become_one_segment_within_the_limit() {
        assert_eq!(planned(&segments(&[10_000, 20]), true), Some(vec![1, 0]));
        assert_eq!(planned(&segments(&[999_990, 20]), true), None);
        assert_eq!(planned(&segments(&[10_000]), true), None);
        assert_eq!(planned(&[], true), None);
    }

    #[test]
    fn unindexed_and_half_dead_segments_are_rewritten_alone() {
        let mut one = segments(&[1_000]);
        one[0].indexed = false;
        assert_eq!(planned(&one, false), Some(vec![0]));
        one[0] = SegmentStats {
            indexed: true,
            live_rows: 700,
            ..one[0]
        };
        assert_eq!(planned(&one, false), Some(vec![0]));
        one[0].live_rows = 900;
        assert_eq!(planned(&one, false), None);
        one[0].live_rows = 0;
        assert_eq!(planned(&one, false), Some(vec![0]));
    }

    /// Feeds flushes of equal size and counts how often a row is rewritten.
    #[test]
    fn write_amplification_stays_logarithmic() {
        let (mut sizes, mut rewritten, mut next) = (segments(&[]), 0u64, 0);
        let flushes = 1_000u64;
        for _ in 0..flushes {
            next += 1;
            sizes.push(SegmentStats {
                id: SegmentId(next),
                ..segments(&[100])[0]
            });
            while let Some(ids) = plan(&sizes, &Options::default(), false) {
                let merged: u64 = sizes
                    .iter()
                    .filter(|s| ids.contains(&s.id))
                    .map(|s| s.bytes)
                    .sum();
                rewritten += merged;
                sizes.retain(|s| !ids.contains(&s.id));
                next += 1;
                let rows = merged as u32;
                sizes.push(SegmentStats {
                    id: SegmentId(next),
                    rows,
                    live_rows: rows,
                    bytes: merged,
                    indexed: true,
                });
            }
            assert!(sizes.len() <= 8, "{} segments", sizes.len());
        }
        let amplification = rewritten as f64 / (flushes * 100) as f64;
        assert!(
            amplification < 20.0,
            "every row was rewritten {amplification:.1} times"
        );
    }
}
