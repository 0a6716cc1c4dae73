//! The masks of filters that return: what a filter matches in a sealed segment never changes, so a mask stays right for as
//! long as the segment is there. Deleted rows are taken out of it by each search.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use vecdb_filter::{Evaluation, Filter};

use crate::error::Result;
use crate::segment::SegmentId;

/// Memory for the masks of a collection.
const BYTES_MAX: usize = 16 << 20;
/// A filter whose text is longer is not kept.
const KEY_BYTES_MAX: usize = 4 << 10;
/// Filters remembered as having been asked once.
const SEEN_MAX: usize = 4_096;
/// What an entry takes beside mask and key.
const ENTRY_BYTES: usize = 128;

/// A filter as the cache knows it; `None` inside where it is not to be kept.
#[derive(Clone, Debug)]
pub(super) struct MaskKey(Option<Arc<str>>);

impl MaskKey {
    pub(super) fn of(filter: &Filter) -> Self {
        if filter.literals() > KEY_BYTES_MAX / 4 {
            return Self(None);
        }
        let text = filter.to_string();
        Self((text.len() <= KEY_BYTES_MAX).then(|| text.into()))
    }
}

/// Masks by segment and filter, those used longest ago forgotten first.
#[derive(Default)]
pub(crate) struct MaskCache {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    masks: HashMap<(SegmentId, Arc<str>), Entry>,
    bytes: usize,
    clock: u64,
    /// Asked once: kept the next time. With what was spent on looking at rows one by one, in nanoseconds.
    seen: HashMap<(SegmentId, Arc<str>), f64>,
}

struct Entry {
    evaluation: Evaluation,
    bytes: usize,
    used: u64,
}

impl MaskCache {
    /// The evaluation of a filter over a segment, and whether it was held already.
    pub(super) fn get_or(
        &self,
        segment: SegmentId,
        key: &MaskKey,
        evaluate: impl FnOnce() -> Result<Evaluation>,
    ) -> Result<(Evaluation, bool)> {
        let MaskKey(Some(text)) = key else {
            return Ok((evaluate()?, false));
        };
        let key = (segment, text.clone());
        if let Some(found) = self.held.lock().find(&key) {
            return Ok((found, true));
        }
        // Outside the lock: other searches need not wait. Two may evaluate the same.
        let evaluation = evaluate()?;
        self.held.lock().keep(key, &evaluation);
        Ok((evaluation, false))
    }

    /// Whether the evaluation of a filter over a segment is at hand.
    pub(super) fn holds(&self, segment: SegmentId, MaskKey(key): &MaskKey) -> bool {
        let Some(text) = key else { return false };
        self.held
            .lock()
            .masks
            .contains_key(&(segment, text.clone()))
    }

    /// What searches spent so far because it was not at hand, in nanoseconds.
    pub(super) fn spent(&self, segment: SegmentId, MaskKey(key): &MaskKey) -> f64 {
        let Some(text) = key else { return 0.0 };
        let held = self.held.lock();
        held.seen
            .get(&(segment, text.clone()))
            .copied()
            .unwrap_or(0.0)
    }

    /// Adds to what they spent.
    pub(super) fn note_spent(&self, segment: SegmentId, MaskKey(key): &MaskKey, nanos: f64) {
        if let Some(text) = key {
            *self.held.lock().seen((segment, text.clone())) += nanos;
        }
    }
}

impl Held {
    fn find(&mut self, key: &(SegmentId, Arc<str>)) -> Option<Evaluation> {
        self.clock += 1;
        let entry = self.masks.get_mut(key)?;
        entry.used = self.clock;
        Some(Evaluation {
            // Nothing is read this time.
            rows_read: 0,
            ..entry.evaluation.clone()
        })
    }

    /// The entry of a filter that was asked.
    fn seen(&mut self, key: (SegmentId, Arc<str>)) -> &mut f64 {
        if self.seen.len() >= SEEN_MAX && !self.seen.contains_key(&key) {
            self.seen.clear();
        }
        self.seen.entry(key).or_insert(0.0)
    }

    fn keep(&mut self, key: (SegmentId, Arc<str>), evaluation: &Evaluation) {
        if self.seen.remove(&key).is_none() {
            self.seen(key);
            return;
        }
        let bytes = evaluation.mask.rows() as usize / 8 + key.1.len() + ENTRY_BYTES;
        if bytes > BYTES_MAX || self.masks.contains_key(&key) {
            return;
        }
        while self.bytes + bytes > BYTES_MAX {
            let oldest = self.masks.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                break;
            };
            self.bytes -= self.masks.remove(&oldest).map_or(0, |entry| entry.bytes);
        }
        self.bytes += bytes;
        let entry = Entry {
            evaluation: evaluation.clone(),
            bytes,
            used: self.clock,
        };
        self.masks.insert(key, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vecdb_vector::RowMask;

    fn ask(cache: &MaskCache, segment: u64, filter: &Filter, rows: u32) -> bool {
        let evaluate = || {
            Ok(Evaluation {
                mask: RowMask::all(rows),
                rows_read: 7,
                unindexed: Default::default(),
            })
        };
        let key = MaskKey::of(filter);
        let (evaluation, held) = cache.get_or(SegmentId(segment), &key, evaluate).unwrap();
        assert_eq!(evaluation.rows_read, if held { 0 } else { 7 });
        held
    }

    #[test]
    fn what_returns_is_held_and_memory_is_bounded() {
        let cache = MaskCache::default();
        let filter = Filter::eq("a", 1);
        let held: Vec<bool> = (0..4).map(|_| ask(&cache, 1, &filter, 1_000)).collect();
        assert_eq!(held, [false, false, true, true]);
        assert!(!ask(&cache, 2, &filter, 1_000), "another segment");
        // 4 MiB each: no more than three of them are held beside each other.
        let rows = 8 * (4 << 20);
        for number in 0..20 {
            for _ in 0..2 {
                ask(&cache, 1, &Filter::eq("b", number), rows);
            }
            let held = cache.held.lock();
            assert!(
                held.bytes <= BYTES_MAX && held.masks.len() <= 4,
                "{}",
                held.bytes
            );
        }
        assert!(ask(&cache, 1, &Filter::eq("b", 19), rows));
        assert!(!ask(&cache, 1, &Filter::eq("b", 0), rows));
        let long = Filter::is_in("a", 0..100_000);
        assert!((0..3).all(|_| !ask(&cache, 1, &long, 10)));
    }

    #[test]
    fn what_was_spent_on_a_filter_adds_up_until_it_is_kept() {
        let cache = MaskCache::default();
        let filter = Filter::eq("a", 1);
        let key = MaskKey::of(&filter);
        let one = SegmentId(1);
        assert_eq!(
            (cache.holds(one, &key), cache.spent(one, &key)),
            (false, 0.0)
        );
        cache.note_spent(one, &key, 2.0);
        cache.note_spent(one, &key, 3.0);
        assert_eq!(cache.spent(one, &key), 5.0);
        assert_eq!(cache.spent(SegmentId(2), &key), 0.0);
        // It has been here before: kept at once.
        assert!(!ask(&cache, 1, &filter, 10));
        assert!(cache.holds(one, &key) && ask(&cache, 1, &filter, 10));
        let long = MaskKey::of(&Filter::is_in("a", 0..100_000));
        cache.note_spent(one, &long, 1.0);
        assert_eq!(
            (cache.holds(one, &long), cache.spent(one, &long)),
            (false, 0.0)
        );
    }
}
