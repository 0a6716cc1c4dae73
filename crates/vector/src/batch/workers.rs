//! Rows in blocks, and threads that take them.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::{RowId, RowMask, VectorRows};

/// Rows a worker takes at a time: small enough that workers end together.
const MORSEL_ROWS: u32 = 1024;

/// The rows searched: all, or those of a mask.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) rows: VectorRows<'a>,
    pub(super) mask: Option<&'a RowMask>,
}

impl Rows<'_> {
    /// How many rows are searched, at most.
    pub(super) fn count(&self) -> usize {
        let all = self.rows.len();
        self.mask.map_or(all, |mask| mask.count().min(all)) as usize
    }

    /// Calls `block` with lists of at most `block_rows` ascending rows, until no morsel is left.
    pub(super) fn for_each_block(
        &self,
        next_morsel: &AtomicU32,
        block_rows: usize,
        mut block: impl FnMut(&[RowId]),
    ) {
        let mut listed = Vec::with_capacity(block_rows);
        loop {
            let morsel = next_morsel.fetch_add(1, Ordering::Relaxed);
            let first = u64::from(morsel) * u64::from(MORSEL_ROWS);
            if first >= u64::from(self.rows.len()) {
                break;
            }
            let first = first as u32;
            let end = first.saturating_add(MORSEL_ROWS).min(self.rows.len());
            for row in (first..end).map(RowId) {
                if self.mask.is_none_or(|mask| mask.contains(row)) {
                    listed.push(row);
                    if listed.len() == block_rows {
                        block(&listed);
                        listed.clear();
                    }
                }
            }
        }
        if !listed.is_empty() {
            block(&listed);
        }
    }
}

/// Runs `work` on so many threads, the calling one among them, and returns what each returned.
pub(super) fn run<R: Send>(threads: usize, work: impl Fn() -> R + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        let spawned: Vec<_> = (1..threads).map(|_| scope.spawn(&work)).collect();
        let mut results = vec![work()];
        for thread in spawned {
            let result = thread.join();
            results.push(result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        results
    })
}

/// Calls `work` for every number below `count` on so many threads; results in order.
pub(super) fn map<R: Send>(
    threads: usize,
    count: usize,
    work: impl Fn(usize) -> R + Sync,
) -> Vec<R> {
    let next = AtomicU32::new(0);
    let parts = run(threads, || {
        let mut part = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed) as usize;
            if i >= count {
                return part;
            }
            part.push((i, work(i)));
        }
    });
    let mut all: Vec<(usize, R)> = parts.into_iter().flatten().collect();
    all.sort_unstable_by_key(|(i, _)| *i);
    all.into_iter().map(|(_, result)| result).collect()
}
