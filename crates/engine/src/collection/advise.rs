//! Which index would suit a collection? A sample of its live rows, wherever they lie, measured by
//! [`vecdb_index::advise`].

use std::sync::atomic::Ordering;

use vecdb_index::{Advice, AdviceParams, BuildOptions, IndexError, Silent, advise};
use vecdb_vector::VectorRows;

use super::maintenance::Held;
use super::state::State;
use super::{Collection, closed};
use crate::error::{Error, Result};
use crate::part::Layout;
use crate::stop::StopSignal;

/// Rows between two looks at the stop signal.
const ROWS_BETWEEN_CHECKS: usize = 1 << 16;
/// Links, hashes and codes of one row in the largest candidate while it is built, about.
const BUILD_BYTES_PER_ROW: u64 = 1_024;

impl Collection {
    /// Measures every kind of index on a sample of the live points and predicts what each would be over all of them, or
    /// over `params.rows` points. The collection stays as it is and goes on serving.
    ///
    /// # Errors
    /// Parameters out of range; fewer than 300 points.
    pub fn advise(&self, params: &AdviceParams) -> Result<Advice> {
        self.advise_with(params, &StopSignal::default())
    }

    /// [`Self::advise`] until `stop` is given.
    pub fn advise_with(&self, params: &AdviceParams, stop: &StopSignal) -> Result<Advice> {
        let inner = &self.inner;
        inner.check_usable()?;
        params.validate()?;
        stop.check()?;
        let state = inner.snapshot();
        let live_rows = state.live_rows();
        let _held = Held::new(inner, self.advise_bytes(params));
        let drawn = params.draw(live_rows as usize);
        let sample = gather(&state, inner.layout, &drawn, stop)?;
        drop(state);
        let Layout {
            element,
            metric,
            dimension,
            ..
        } = inner.layout;
        let row_bytes = inner.layout.row_bytes();
        let rows = VectorRows::new(element, dimension, row_bytes, drawn.len() as u32, &sample)?;
        let cancelled = || inner.closed.load(Ordering::Relaxed) || stop.is_stopped();
        let options = BuildOptions {
            threads: inner.shared.options.thread_count(),
            // Threads of their own: searches must not queue behind a build in the shared pool.
            pool: None,
            progress: &Silent,
            cancelled: Some(&cancelled),
            kernels: inner.shared.kernels,
        };
        let params = AdviceParams {
            // Of none the error is that they are too few.
            rows: params.rows.or(Some(live_rows.max(1))),
            ..params.clone()
        };
        match advise(metric, rows, &params, &options) {
            Err(IndexError::Cancelled) => {
                stop.check()?;
                Err(closed())
            }
            outcome => outcome.map_err(Error::from),
        }
    }

    /// About how many bytes of memory [`Self::advise`] takes: the sample as it was read, as it is measured and as an index
    /// on pages holds it, numbers to learn from, and the rest of the largest index.
    pub fn advise_bytes(&self, params: &AdviceParams) -> u64 {
        let drawn = u64::from(params.sample_rows) + u64::from(params.queries);
        let drawn = drawn.min(self.inner.snapshot().live_rows());
        let layout = &self.inner.layout;
        let vectors = 3 * layout.row_bytes() as u64 + 4 * layout.dimension as u64;
        drawn * (vectors + BUILD_BYTES_PER_ROW)
    }
}

/// The vectors of the live rows of these numbers, which ascend; counted over all parts.
fn gather(state: &State, layout: Layout, numbers: &[usize], stop: &StopSignal) -> Result<Vec<u8>> {
    for view in &state.segments {
        view.part.check_searched_bytes(stop)?;
    }
    let row_bytes = layout.row_bytes();
    let mut bytes = Vec::with_capacity(numbers.len() * row_bytes);
    let mut wanted = numbers.iter().copied().peekable();
    let mut before = 0;
    for view in state.parts() {
        let next = before + view.live_rows() as usize;
        if wanted.peek().is_some_and(|&number| number < next) {
            let vectors = view.part().vectors()?;
            for (at, row) in (before..).zip(view.live_iter()) {
                if at % ROWS_BETWEEN_CHECKS == 0 {
                    stop.check()?;
                }
                if wanted.next_if_eq(&at).is_some() {
                    bytes.extend_from_slice(vectors.row_bytes(row));
                }
            }
        }
        before = next;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use vecdb_storage::MemoryDisk;
    use vecdb_vector::Metric;

    use super::*;
    use crate::{CollectionConfig, Database, Env, Options, Point, PointId};

    #[test]
    fn live_rows_are_counted_over_segments_and_memtable() {
        let disk = Arc::new(MemoryDisk::default());
        let options = Options {
            background: false,
            ..Options::default()
        };
        let db = Database::open_with(
            &Env {
                disk,
                ..Env::default()
            },
            Path::new("/db"),
            options,
        )
        .unwrap();
        let config = CollectionConfig::new(1, Metric::L2);
        let collection = db.create_collection("c", config).unwrap();
        let points = |ids: std::ops::Range<u64>| ids.map(|id| Point::new(id, vec![id as f32]));
        for ids in [0..40, 40..50] {
            collection.upsert(points(ids).collect()).unwrap();
            collection.flush().unwrap();
        }
        collection.upsert(points(50..60).collect()).unwrap();
        let dead: Vec<PointId> = [0, 17, 40, 55].map(PointId::from).into();
        collection.delete(&dead).unwrap();

        let state = collection.inner.snapshot();
        assert_eq!(state.segments.len(), 2);
        assert_eq!(state.live_rows(), 56);
        let layout = collection.inner.layout;
        let read = |numbers: &[usize]| -> Vec<f32> {
            let bytes = gather(&state, layout, numbers, &StopSignal::default()).unwrap();
            let (values, rest) = bytes.as_chunks::<4>();
            assert!(rest.is_empty());
            values
                .iter()
                .map(|value| f32::from_le_bytes(*value))
                .collect()
        };
        let all: Vec<usize> = (0..56).collect();
        let every = read(&all);
        let mut sorted = every.clone();
        sorted.sort_by(f32::total_cmp);
        let alive = (0..60).filter(|id| ![0, 17, 40, 55].contains(id));
        assert_eq!(sorted, alive.map(|id| id as f32).collect::<Vec<_>>());
        let some = [0, 3, 37, 38, 46, 47, 55];
        assert_eq!(read(&some), some.map(|number| every[number]));
        assert!(read(&[]).is_empty());
    }
}
