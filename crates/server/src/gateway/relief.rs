//! Making room when memory is used up: writes are refused until it is done, so it has a thread of its own and waits for
//! no other call.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use vecdb_backend::Backend;
use vecdb_engine::Result;

use super::Gateway;

impl Gateway {
    /// Has the memtables of all collections written to segments, unless that is under way or was a moment ago.
    pub(super) fn relieve(&self, backend: &Arc<dyn Backend>) {
        let Some(task) = self.memory.relief() else {
            return;
        };
        tracing::warn!(
            memory_bytes = self.memory.used(),
            memory_bytes_max = self.memory.limit(),
            "memory is used up: writes are refused, all collections flushed"
        );
        let (backend, under_way) = (backend.clone(), self.calls.begin());
        let job = move |_| {
            match catch_unwind(AssertUnwindSafe(|| flush_all(backend.as_ref()))) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "collections cannot be looked at"),
                Err(_) => tracing::error!("flushing all collections panicked"),
            }
            drop((backend, task, under_way));
        };
        if let Err((_, error)) = self.relief.push(Box::new(job), Duration::ZERO) {
            tracing::warn!(%error, "collections cannot be flushed now");
        }
    }
}

/// One that cannot be flushed keeps the others from nothing; one that is not open yet holds no points in memory.
fn flush_all(backend: &dyn Backend) -> Result<()> {
    for collection in backend.overview()?.open {
        if let Err(error) = backend.flush(&collection.name) {
            tracing::warn!(%error, collection = collection.name, "flushing a collection failed");
        }
    }
    Ok(())
}
