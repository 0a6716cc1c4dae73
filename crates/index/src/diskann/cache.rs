//! Nodes kept in memory: those around the entries, which stay, and those used last.
//!
//! Nodes are kept, not pages: one hot node in five costs a fifth of its page. A node can stand in one of the eight ways
//! of its set; the way used longest ago makes room. Everything is allocated once.

use parking_lot::Mutex;

use crate::random::mix;

const WAYS: usize = 8;
/// Sets under one lock.
const SETS_PER_LOCK: usize = 64;
const FREE: u32 = u32::MAX;
/// The time of a node that stays.
const PINNED: u32 = u32::MAX;

/// A cache of nodes of one size.
#[derive(Debug)]
pub(super) struct NodeCache {
    record_bytes: usize,
    sets: usize,
    shards: Vec<Mutex<Shard>>,
}

#[derive(Debug)]
struct Shard {
    clock: u32,
    ways: Vec<Way>,
    records: Vec<u8>,
}

#[derive(Copy, Clone, Debug)]
struct Way {
    place: u32,
    used: u32,
}

impl NodeCache {
    /// As many nodes as fit `bytes`; `None` if not even one set does.
    pub(super) fn new(bytes: u64, record_bytes: usize) -> Option<Self> {
        let set_bytes = WAYS * (record_bytes + size_of::<Way>());
        let sets = usize::try_from(bytes).unwrap_or(usize::MAX) / set_bytes;
        if sets == 0 {
            return None;
        }
        let shard = |first: usize| {
            let sets = SETS_PER_LOCK.min(sets - first);
            Mutex::new(Shard {
                clock: 0,
                ways: vec![
                    Way {
                        place: FREE,
                        used: 0
                    };
                    sets * WAYS
                ],
                records: vec![0; sets * WAYS * record_bytes],
            })
        };
        Some(Self {
            record_bytes,
            sets,
            shards: (0..sets).step_by(SETS_PER_LOCK).map(shard).collect(),
        })
    }

    /// Nodes it has room for.
    pub(super) fn capacity(&self) -> usize {
        self.sets * WAYS
    }

    /// Forgets the nodes that do not stay.
    pub(super) fn clear(&self) {
        for shard in &self.shards {
            for way in shard
                .lock()
                .ways
                .iter_mut()
                .filter(|way| way.used != PINNED)
            {
                way.place = FREE;
                way.used = 0;
            }
        }
    }

    fn locate(&self, place: u32) -> (&Mutex<Shard>, usize) {
        let set = (mix(u64::from(place)) % self.sets as u64) as usize;
        (
            &self.shards[set / SETS_PER_LOCK],
            set % SETS_PER_LOCK * WAYS,
        )
    }

    /// Copies a node into `out`; whether it is here.
    pub(super) fn get(&self, place: u32, out: &mut [u8]) -> bool {
        let (shard, first) = self.locate(place);
        let shard = &mut *shard.lock();
        let Some(at) = shard.ways[first..first + WAYS]
            .iter()
            .position(|way| way.place == place)
        else {
            return false;
        };
        let at = first + at;
        out.copy_from_slice(&shard.records[at * self.record_bytes..][..self.record_bytes]);
        shard.touch(at);
        true
    }

    /// Keeps a node, for good if `pinned` and there is a way left for it.
    pub(super) fn put(&self, place: u32, pinned: bool, record: impl FnOnce(&mut [u8])) {
        let (shard, first) = self.locate(place);
        let shard = &mut *shard.lock();
        let ways = &shard.ways[first..first + WAYS];
        let same = ways.iter().position(|way| way.place == place);
        let oldest = || {
            let aged = ways
                .iter()
                .enumerate()
                .filter(|(_, way)| way.used != PINNED);
            aged.min_by_key(|(_, way)| way.used).map(|(at, _)| at)
        };
        // Half of the ways are left to those used last.
        let full = ways.iter().filter(|way| way.used == PINNED).count() >= WAYS / 2;
        let Some(at) = same.or_else(oldest) else {
            return;
        };
        let at = first + at;
        shard.ways[at].place = place;
        shard.touch(at);
        if pinned && !full {
            shard.ways[at].used = PINNED;
        }
        record(&mut shard.records[at * self.record_bytes..][..self.record_bytes]);
    }
}

impl Shard {
    fn touch(&mut self, at: usize) {
        if self.ways[at].used == PINNED {
            return;
        }
        self.clock += 1;
        if self.clock == PINNED {
            // Once in four billion looks all are as old as each other.
            self.clock = 1;
            for way in self.ways.iter_mut().filter(|way| way.used != PINNED) {
                way.used = 0;
            }
        }
        self.ways[at].used = self.clock;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_used_last_and_the_pinned_ones_are_there() {
        assert!(NodeCache::new(10, 100).is_none());
        let cache = NodeCache::new(900, 100).unwrap();
        assert_eq!(cache.capacity(), WAYS);
        let mut out = [0; 100];
        let put = |place: u32, pinned| cache.put(place, pinned, |out| out.fill(place as u8));
        put(200, true);
        for place in 0..7 {
            put(place, false);
        }
        assert!(cache.get(0, &mut out) && out[0] == 0);
        put(50, false);
        assert!(!cache.get(1, &mut out), "the oldest went");
        for place in [200, 0, 2, 50] {
            assert!(
                cache.get(place, &mut out) && out[99] == place as u8,
                "{place}"
            );
        }
        for place in 60..90 {
            put(place, true);
        }
        let here = (60..90).filter(|&place| cache.get(place, &mut out)).count();
        assert!(cache.get(200, &mut out) && here == 7, "{here}");
        cache.clear();
        let here = (60..90).filter(|&place| cache.get(place, &mut out)).count();
        assert!(cache.get(200, &mut out) && here == 3, "{here}");
    }
}
