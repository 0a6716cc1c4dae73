//! How a build runs: threads, progress, cancellation.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use vecdb_vector::Kernels;

use crate::IndexError;

/// Hears how far a build is. Called at coarse steps, from any of its threads.
pub trait Progress: Sync {
    /// `done` of `total` rows are in the index.
    fn advance(&self, done: u64, total: u64);
}

/// Hears nothing.
#[derive(Copy, Clone, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn advance(&self, _done: u64, _total: u64) {}
}

/// How to build an index. What to build is in [`IndexSpec`](crate::IndexSpec).
#[derive(Copy, Clone)]
pub struct BuildOptions<'a> {
    /// Threads to build with; 0 is taken as 1. One thread gives the same index every time.
    pub threads: usize,
    /// Where to run them; without a pool, threads are started for the build.
    pub pool: Option<&'a rayon::ThreadPool>,
    /// Hears how far the build is.
    pub progress: &'a dyn Progress,
    /// Asked at every few rows; once it says yes the build ends with [`IndexError::Cancelled`].
    pub cancelled: Option<&'a (dyn Fn() -> bool + Sync)>,
    /// The instruction set to compute with.
    pub kernels: Kernels,
}

impl Default for BuildOptions<'_> {
    /// All cores, own threads, silent.
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            pool: None,
            progress: &Silent,
            cancelled: None,
            kernels: Kernels::detect(),
        }
    }
}

impl fmt::Debug for BuildOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuildOptions")
            .field("threads", &self.threads)
            .field("pool", &self.pool.is_some())
            .field("kernels", &self.kernels)
            .finish_non_exhaustive()
    }
}

impl BuildOptions<'_> {
    /// Whether someone asked to stop.
    pub(crate) fn check_cancelled(&self) -> Result<(), IndexError> {
        match self.cancelled {
            Some(cancelled) if cancelled() => Err(IndexError::Cancelled),
            _ => Ok(()),
        }
    }

    /// Runs `work` over `0..count` in blocks of `block` numbers, handed out in order to the threads, each of which has a
    /// state of its own from `state`. Stops at the first error.
    pub(crate) fn for_each_block<S>(
        &self,
        count: u32,
        block: u32,
        state: impl Fn() -> S + Sync,
        work: impl Fn(&mut S, std::ops::Range<u32>) -> Result<(), IndexError> + Sync,
    ) -> Result<(), IndexError> {
        let next = AtomicU32::new(0);
        let blocks = count.div_ceil(block.max(1));
        let failure = Mutex::new(None);
        let worker = || {
            let mut state = state();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= blocks {
                    return;
                }
                let start = index * block.max(1);
                let end = start.saturating_add(block.max(1)).min(count);
                let result = self
                    .check_cancelled()
                    .and_then(|()| work(&mut state, start..end));
                if let Err(error) = result {
                    failure.lock().get_or_insert(error);
                    // The others find nothing left to do.
                    next.store(blocks, Ordering::Relaxed);
                    return;
                }
            }
        };
        let threads = self.threads.max(1).min(blocks as usize);
        match self.pool {
            _ if threads <= 1 => worker(),
            Some(pool) => pool.scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|_| worker());
                }
            }),
            None => {
                let panicked = std::thread::scope(|scope| {
                    let handles: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
                    let joined = handles.into_iter().map(|handle| handle.join());
                    // All are joined, whatever the first one says.
                    joined.filter(Result::is_err).count() > 0
                });
                if panicked {
                    return Err(IndexError::WorkerPanicked);
                }
            }
        }
        failure.into_inner().map_or(Ok(()), Err)
    }

    /// Runs `work` over `items` in chunks of `chunk` items, with the number of each chunk's first item; see
    /// [`Self::for_each_block`].
    pub(crate) fn for_each_chunk<T: Send, S>(
        &self,
        items: &mut [T],
        chunk: usize,
        state: impl Fn() -> S + Sync,
        work: impl Fn(&mut S, usize, &mut [T]) -> Result<(), IndexError> + Sync,
    ) -> Result<(), IndexError> {
        let chunk = chunk.max(1);
        let parts: Vec<Mutex<&mut [T]>> = items.chunks_mut(chunk).map(Mutex::new).collect();
        self.for_each_block(parts.len() as u32, 1, state, |state, block| {
            for part in block {
                if let Some(items) = parts.get(part as usize) {
                    work(state, part as usize * chunk, &mut items.lock())?;
                }
            }
            Ok(())
        })
    }
}
