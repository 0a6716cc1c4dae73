//! The background threads of a database: one flushes, one merges and one builds graphs for filters that return, over all its
//! collections, and with an archive one archives the log; and right after the start one opens those that nobody has asked for
//! yet.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::registry::Registry;
use crate::error::{Error, Result};
use crate::stop::StopSignal;

/// How often the threads look without being asked: for a full log, for collections gone quiet, to try again.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);
const MERGE_PATIENCE: Duration = Duration::from_millis(250);
const SUBSET_PATIENCE: Duration = Duration::from_millis(250);
const ARCHIVE_PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn start(registry: &Arc<Registry>) -> Result<Vec<JoinHandle<()>>> {
    let spawn = |name: &str, work: fn(&Registry)| {
        let registry = registry.clone();
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread
            .spawn(move || work(&registry))
            .map_err(|e| Error::new(crate::ErrorKind::Io, format!("cannot start a thread: {e}")))
    };
    let mut threads = vec![
        spawn("vecdb-flush", flush_loop)?,
        spawn("vecdb-merge", merge_loop)?,
        spawn("vecdb-open", Registry::open_all)?,
    ];
    if registry.shared.options.subset_graph_bytes_max > 0 {
        threads.push(spawn("vecdb-subset", subset_loop)?);
    }
    if registry.archiver.is_some() {
        threads.push(spawn("vecdb-archive", archive_loop)?);
    }
    Ok(threads)
}

fn archive_loop(registry: &Registry) {
    yield_to_others(FLUSH_NICENESS);
    while registry.shared.signals.wait(ARCHIVE_PATIENCE) {
        registry.archive_when_due();
    }
}

/// Flushes yield to searches; writers that wait for one leave them the processor.
const FLUSH_NICENESS: i32 = 10;

fn flush_loop(registry: &Registry) {
    yield_to_others(FLUSH_NICENESS);
    while registry.shared.signals.wait_for_flush(FLUSH_PATIENCE) {
        for collection in registry.open_collections() {
            collection.sweep();
            if collection.has_frozen() && !collection.flushes_wait() {
                // The collection keeps the error for its status and its writers; the next round tries again.
                let _ = collection.flush_frozen();
            }
        }
        registry.bound_log();
    }
}

/// Builds yield to searches, writes and flushes.
const MERGE_NICENESS: i32 = 19;

/// Lowers the priority of this thread and of those that it starts.
fn yield_to_others(niceness: i32) {
    // On Linux a priority is a thread's; elsewhere it would be the whole process's.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, niceness);
    #[cfg(not(target_os = "linux"))]
    let _ = niceness;
}

/// Beside the merges, which must not queue behind such a build.
fn subset_loop(registry: &Registry) {
    yield_to_others(MERGE_NICENESS);
    while registry.shared.signals.wait(SUBSET_PATIENCE) {
        for collection in registry.open_collections() {
            // A graph that cannot be built is not wanted again; searches go on without.
            let _ = collection.build_subsets_in_background();
        }
    }
}

fn merge_loop(registry: &Registry) {
    yield_to_others(MERGE_NICENESS);
    let never = StopSignal::default();
    while registry.shared.signals.wait_for_merge(MERGE_PATIENCE) {
        for collection in registry.open_collections() {
            while !registry.shared.signals.is_stopped()
                && !registry.shared.pace.is_paused()
                && !collection.merges_wait()
                && matches!(collection.merge_in_background(), Ok(true))
            {}
            if !registry.shared.signals.is_stopped() && !collection.merges_wait() {
                // The collection keeps the error for its status; the next round tries again.
                let _ = collection.index_missing_fields(&never);
            }
        }
    }
}
