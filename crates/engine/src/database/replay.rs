//! Replaying the log: every collection that it names is opened and takes its entries in their order. Different ones do
//! so at the same time, spread over lanes.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, sync_channel};

use rayon::ThreadPool;
use vecdb_storage::Position;

use super::catalog::CatalogEntry;
use crate::collection::Inner;
use crate::error::Result;

/// Entries that wait for a lane. Few: one may hold a million points.
const WAITING_MAX: usize = 2;

/// What became of the collections that the log names.
#[derive(Default)]
pub(super) struct Replayed {
    pub(super) collections: BTreeMap<u32, Result<Inner>>,
    /// Entries that the segments did not hold.
    pub(super) entries: u64,
}

struct Entry<'a> {
    collection: &'a CatalogEntry,
    position: Position,
    bytes: Vec<u8>,
}

/// Lets `read` go through the log and hand over each entry with its collection; `open` opens those, once each.
pub(super) fn replay<'a, T>(
    pool: &ThreadPool,
    open: impl Fn(&CatalogEntry) -> Result<Inner> + Sync,
    read: impl FnOnce(&mut dyn FnMut(&'a CatalogEntry, Position, &[u8])) -> T,
) -> (T, Replayed) {
    let mut lanes: Vec<Replayed> = Vec::new();
    lanes.resize_with(pool.current_num_threads(), Replayed::default);
    let open = &open;
    let outcome = pool.in_place_scope(|scope| {
        let start = |lane| {
            let (sender, entries) = sync_channel(WAITING_MAX);
            scope.spawn(move |_| Replayed::run(lane, &entries, open));
            sender
        };
        let senders: Vec<_> = lanes.iter_mut().map(start).collect();
        read(&mut |collection, position, bytes| {
            let entry = Entry {
                collection,
                position,
                bytes: bytes.to_vec(),
            };
            // Nobody receives only after a panic, which the scope passes on.
            let _ = senders[collection.id as usize % senders.len()].send(entry);
        })
    });
    let mut all = Replayed::default();
    for lane in lanes {
        all.entries += lane.entries;
        all.collections.extend(lane.collections);
    }
    (outcome, all)
}

impl Replayed {
    fn run(
        &mut self,
        entries: &Receiver<Entry<'_>>,
        open: &impl Fn(&CatalogEntry) -> Result<Inner>,
    ) {
        for Entry {
            collection,
            position,
            bytes,
        } in entries
        {
            let id = collection.id;
            let opened = self
                .collections
                .entry(id)
                .or_insert_with(|| open(collection));
            if let Ok(inner) = opened {
                self.entries += u64::from(position > inner.snapshot().position);
                if let Err(error) = inner.replay(position, &bytes) {
                    *opened = Err(error.context(format_args!("log entry {position}")));
                }
            }
        }
    }
}
