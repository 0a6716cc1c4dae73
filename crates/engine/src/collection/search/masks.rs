//! The masks of filters that return: what a filter matches in a sealed segment never changes, so a mask stays right for as
//! long as the segment is there. Deleted rows are taken out of it by each search.
//!
//! Beside a mask there may be a graph of the rows that match. One is wanted once searches under the filter have taken as much
//! longer without it as building it takes: then it has been worth it if as many come again, and if none comes, no more is lost
//! than was lost before. It goes with its mask, or when graphs that were used since need the room; then the count begins anew, so that
//! what is built again and again for want of room has been paid for each time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use vecdb_filter::{Evaluation, Filter};
use vecdb_index::{Plan, PlanCosts, SearchParams, SubsetGraph};
use vecdb_vector::RowMask;

use crate::error::Result;
use crate::segment::SegmentId;

/// Memory for the masks of a collection.
const BYTES_MAX: usize = 16 << 20;
/// A filter whose text is longer is not kept.
const KEY_BYTES_MAX: usize = 4 << 10;
/// Filters remembered as having been asked once.
const SEEN_MAX: usize = 4_096;
/// What an entry takes beside mask and key.
const ENTRY_BYTES: usize = 192;
/// So many answers under a filter are a habit.
const ANSWERS_MIN: u32 = 32;
/// A graph with more dead rows than this is given up: the next one is without them.
const DEAD_SHARE_MAX: f64 = 0.5;

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

/// A filter in a segment.
type Key = (SegmentId, Arc<str>);

/// Masks by segment and filter, those used longest ago forgotten first.
#[derive(Default)]
pub(crate) struct MaskCache {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    masks: HashMap<Key, Entry>,
    bytes: usize,
    clock: u64,
    /// Asked once: kept the next time. With what was spent on looking at rows one by one, in nanoseconds.
    seen: HashMap<Key, f64>,
    /// The masks of which a graph is to be built, in the order of wanting.
    wanted: VecDeque<Key>,
    graphs: u64,
    graph_bytes: u64,
    /// Graphs that are held no more. Freeing them takes milliseconds, which are not to be those of a search.
    given_up: Vec<HeldSubset>,
}

struct Entry {
    evaluation: Evaluation,
    bytes: usize,
    used: u64,
    subset: Subset,
}

/// A graph of the rows that match.
enum Subset {
    /// There is none. Answers without it, and how much longer they took, in nanoseconds.
    Missed {
        answers: u32,
        nanos: f64,
    },
    /// There will be one.
    Wanted,
    Held(HeldSubset),
    /// It takes more memory than there may be, or the segment's index cannot have one.
    Refused,
}

impl Subset {
    const UNKNOWN: Self = Self::Missed {
        answers: 0,
        nanos: 0.0,
    };
}

/// A graph of the rows that match and were alive.
#[derive(Clone)]
pub(in crate::collection) struct HeldSubset {
    pub(in crate::collection) graph: Arc<SubsetGraph>,
    /// How many rows of the segment were. Rows only ever die: a state with more alive may have matching ones that are not in it.
    pub(in crate::collection) live_rows: u32,
}

impl HeldSubset {
    /// Whether a search of a state with so many live rows may take it: all that match have to be in it. Where plans are compared by
    /// what they count, a search is answered in the same way always, whatever was searched for before.
    pub(super) fn serves(&self, live_rows: u32, params: &SearchParams) -> bool {
        let by_history = params.plan_costs != Some(PlanCosts::Counted);
        live_rows <= self.live_rows && (by_history || params.plan == Some(Plan::Subset))
    }

    /// Of its rows only so many match still: one without the others is better.
    pub(super) fn is_mostly_dead(&self, matching: u32) -> bool {
        f64::from(matching) < f64::from(self.graph.len()) * (1.0 - DEAD_SHARE_MAX)
    }
}

/// What is known of a filter in a segment.
pub(super) struct Known {
    pub(super) evaluation: Evaluation,
    /// It was known already.
    pub(super) held: bool,
    pub(super) subset: Option<HeldSubset>,
}

impl Known {
    /// What was found out just now.
    pub(super) fn new(evaluation: Evaluation) -> Self {
        Self {
            evaluation,
            held: false,
            subset: None,
        }
    }
}

/// A graph that is to be built.
pub(in crate::collection) struct WantedSubset {
    key: Key,
    /// The rows that match.
    pub(in crate::collection) mask: RowMask,
}

impl WantedSubset {
    pub(in crate::collection) fn segment(&self) -> SegmentId {
        self.key.0
    }
}

/// What became of the building of a graph.
pub(in crate::collection) enum Built {
    Subset(HeldSubset),
    /// It cannot be had.
    Refused,
    /// Given up before its end.
    Interrupted,
}

impl MaskCache {
    /// The evaluation of a filter over a segment.
    pub(super) fn get_or(
        &self,
        segment: SegmentId,
        key: &MaskKey,
        evaluate: impl FnOnce() -> Result<Evaluation>,
    ) -> Result<Known> {
        let new = |text: Option<&Arc<str>>| {
            // Outside the lock: other searches need not wait. Two may evaluate the same.
            let evaluation = evaluate()?;
            if let Some(text) = text {
                self.held.lock().keep((segment, text.clone()), &evaluation);
            }
            Ok(Known::new(evaluation))
        };
        let MaskKey(Some(text)) = key else {
            return new(None);
        };
        let found = self.held.lock().find(&(segment, text.clone()));
        found.map_or_else(|| new(Some(text)), Ok)
    }

    /// The graph of the rows of a segment that match a filter, if there is one.
    pub(super) fn subset(&self, segment: SegmentId, MaskKey(key): &MaskKey) -> Option<HeldSubset> {
        let held = self.held.lock();
        let entry = held.masks.get(&(segment, key.clone()?))?;
        entry.subset.held().cloned()
    }

    /// A search took `nanos` longer than with a graph of the rows that match, which would take `build_nanos` to build.
    pub(super) fn note_missed(
        &self,
        segment: SegmentId,
        MaskKey(key): &MaskKey,
        nanos: f64,
        build_nanos: f64,
    ) {
        let Some(text) = key else { return };
        let key = (segment, text.clone());
        let held = &mut *self.held.lock();
        let Some(entry) = held.masks.get_mut(&key) else {
            return;
        };
        if let Subset::Missed {
            answers,
            nanos: sum,
        } = &mut entry.subset
        {
            *answers += 1;
            *sum += nanos.max(0.0);
            if *answers >= ANSWERS_MIN && *sum >= build_nanos {
                entry.subset = Subset::Wanted;
                held.wanted.push_back(key);
            }
        }
    }

    /// Gives a graph up.
    pub(super) fn forget_subset(&self, segment: SegmentId, MaskKey(key): &MaskKey) {
        let Some(text) = key else { return };
        let held = &mut *self.held.lock();
        let Some(entry) = held.masks.get_mut(&(segment, text.clone())) else {
            return;
        };
        if entry.subset.held().is_some() {
            let gone = std::mem::replace(&mut entry.subset, Subset::UNKNOWN);
            held.give_up(gone);
        }
    }

    /// Whether a graph is to be built.
    pub(in crate::collection) fn wants_subset(&self) -> bool {
        !self.held.lock().wanted.is_empty()
    }

    /// The graph to build next. What becomes of it is told by [`Self::note_built`].
    pub(in crate::collection) fn next_wanted(&self) -> Option<WantedSubset> {
        let held = &mut *self.held.lock();
        loop {
            let key = held.wanted.pop_front()?;
            let entry = held.masks.get(&key);
            // The mask may have gone meanwhile.
            if let Some(entry) = entry.filter(|entry| matches!(entry.subset, Subset::Wanted)) {
                let mask = entry.evaluation.mask.clone();
                return Some(WantedSubset { key, mask });
            }
        }
    }

    /// Keeps a graph, for which those used longest ago make room: all may take `bytes_max`.
    pub(in crate::collection) fn note_built(
        &self,
        wanted: WantedSubset,
        built: Built,
        bytes_max: u64,
    ) {
        let held = &mut *self.held.lock();
        let Some(entry) = held.masks.get_mut(&wanted.key) else {
            return;
        };
        match built {
            Built::Interrupted => held.wanted.push_front(wanted.key),
            Built::Subset(subset) if subset.graph.memory_bytes() <= bytes_max => {
                held.make_room(bytes_max - subset.graph.memory_bytes());
                held.count_in(&subset);
                if let Some(entry) = held.masks.get_mut(&wanted.key) {
                    entry.subset = Subset::Held(subset);
                }
            }
            Built::Subset(_) | Built::Refused => entry.subset = Subset::Refused,
        }
    }

    /// Forgets what is known of segments other than these.
    pub(in crate::collection) fn keep_only(&self, segments: &[SegmentId]) {
        let held = &mut *self.held.lock();
        let known = held.masks.keys();
        let gone: Vec<Key> = known
            .filter(|(segment, _)| !segments.contains(segment))
            .cloned()
            .collect();
        gone.iter().for_each(|key| held.forget(key));
        held.seen
            .retain(|(segment, _), _| segments.contains(segment));
    }

    /// Frees the graphs that are held no more.
    pub(in crate::collection) fn sweep(&self) {
        let given_up = std::mem::take(&mut self.held.lock().given_up);
        // The lock is given back before.
        drop(given_up);
    }

    /// How many graphs are held, and their bytes.
    pub(in crate::collection) fn graphs(&self) -> (u64, u64) {
        let held = self.held.lock();
        (held.graphs, held.graph_bytes)
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

impl Subset {
    fn held(&self) -> Option<&HeldSubset> {
        match self {
            Self::Held(held) => Some(held),
            _ => None,
        }
    }
}

impl Held {
    fn find(&mut self, key: &Key) -> Option<Known> {
        self.clock += 1;
        let entry = self.masks.get_mut(key)?;
        entry.used = self.clock;
        Some(Known {
            evaluation: Evaluation {
                // Nothing is read this time.
                rows_read: 0,
                ..entry.evaluation.clone()
            },
            held: true,
            subset: entry.subset.held().cloned(),
        })
    }

    fn forget(&mut self, key: &Key) {
        if let Some(gone) = self.masks.remove(key) {
            self.bytes -= gone.bytes;
            self.give_up(gone.subset);
        }
    }

    fn count_in(&mut self, subset: &HeldSubset) {
        self.graphs += 1;
        self.graph_bytes += subset.graph.memory_bytes();
    }

    fn give_up(&mut self, subset: Subset) {
        if let Subset::Held(held) = subset {
            self.graphs -= 1;
            self.graph_bytes -= held.graph.memory_bytes();
            self.given_up.push(held);
        }
    }

    /// Gives graphs up, those used longest ago first, until all take at most `bytes_max`.
    fn make_room(&mut self, bytes_max: u64) {
        while self.graph_bytes > bytes_max {
            let held = self.masks.values_mut();
            let held = held.filter(|entry| entry.subset.held().is_some());
            let Some(oldest) = held.min_by_key(|entry| entry.used) else {
                break;
            };
            let gone = std::mem::replace(&mut oldest.subset, Subset::UNKNOWN);
            self.give_up(gone);
        }
    }

    /// The entry of a filter that was asked.
    fn seen(&mut self, key: Key) -> &mut f64 {
        if self.seen.len() >= SEEN_MAX && !self.seen.contains_key(&key) {
            self.seen.clear();
        }
        self.seen.entry(key).or_insert(0.0)
    }

    fn keep(&mut self, key: Key, evaluation: &Evaluation) {
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
            self.forget(&oldest);
        }
        self.bytes += bytes;
        let entry = Entry {
            evaluation: evaluation.clone(),
            bytes,
            used: self.clock,
            subset: Subset::UNKNOWN,
        };
        self.masks.insert(key, entry);
    }
}

#[cfg(test)]
mod tests {
    use vecdb_index::{BuildOptions, IndexSpec};
    use vecdb_vector::{Metric, VectorRows};

    use super::*;

    fn ask(cache: &MaskCache, segment: u64, filter: &Filter, rows: u32) -> bool {
        let evaluate = || {
            Ok(Evaluation {
                mask: RowMask::all(rows),
                rows_read: 7,
                unindexed: Default::default(),
            })
        };
        let key = MaskKey::of(filter);
        let known = cache.get_or(SegmentId(segment), &key, evaluate).unwrap();
        assert_eq!(known.evaluation.rows_read, if known.held { 0 } else { 7 });
        known.held
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

    /// A graph of so many rows.
    fn graph(rows: u32) -> HeldSubset {
        let values: Vec<f32> = (0..rows).map(|row| row as f32).collect();
        let vectors = VectorRows::from_f32(1, &values).unwrap();
        let (spec, options) = (IndexSpec::default(), BuildOptions::default());
        let index = vecdb_index::build(&spec, Metric::L2, vectors, &options).unwrap();
        let all = RowMask::all(rows);
        let graph = index
            .build_subset(vectors, &all, &options)
            .unwrap()
            .unwrap();
        HeldSubset {
            graph: graph.into(),
            live_rows: rows,
        }
    }

    #[test]
    fn a_graph_is_wanted_once_it_would_have_paid() {
        let cache = MaskCache::default();
        let (one, filter) = (SegmentId(1), Filter::eq("a", 1));
        let key = MaskKey::of(&filter);
        let miss = |times: u32, nanos: f64| {
            (0..times).for_each(|_| cache.note_missed(one, &key, nanos, 1_000.0));
            cache.wants_subset()
        };
        assert!(!miss(100, 100.0), "the mask is not even held");
        (0..2).for_each(|_| assert!(!ask(&cache, 1, &filter, 100)));
        assert!(!miss(ANSWERS_MIN - 1, 1e9), "too few");
        assert!(miss(1, 0.0));
        let wanted = cache.next_wanted().unwrap();
        assert_eq!((wanted.segment(), wanted.mask.count()), (one, 100));
        assert!(!miss(100, 1e9), "it is being built");
        cache.note_built(wanted, Built::Interrupted, u64::MAX);
        let wanted = cache.next_wanted().unwrap();
        cache.note_built(wanted, Built::Subset(graph(100)), u64::MAX);
        assert!(!miss(100, 1e9), "it is there");
        let held = cache.subset(one, &key).unwrap();
        assert_eq!(cache.graphs(), (1, held.graph.memory_bytes()));

        let params = SearchParams::default();
        assert!(held.serves(100, &params) && held.serves(60, &params));
        assert!(!held.serves(101, &params), "rows had not died yet");
        assert!(!held.is_mostly_dead(50) && held.is_mostly_dead(49));
        cache.forget_subset(one, &key);
        assert_eq!(cache.graphs(), (0, 0));
        assert!(!miss(2 * ANSWERS_MIN, -1.0) && !miss(1, 999.0) && miss(1, 1.0));

        // What cannot be had is not asked for again.
        let wanted = cache.next_wanted().unwrap();
        cache.note_built(wanted, Built::Refused, u64::MAX);
        assert!(!miss(100, 1e9));
    }

    #[test]
    fn graphs_used_longest_ago_make_room_and_go_with_their_segment() {
        let cache = MaskCache::default();
        let bytes = graph(100).graph.memory_bytes();
        let filter = |number: i64| Filter::eq("a", number);
        let most = 2 * bytes;
        let build = |segment: u64, number: i64| {
            for _ in 0..3 {
                ask(&cache, segment, &filter(number), 100);
            }
            let key = MaskKey::of(&filter(number));
            (0..ANSWERS_MIN).for_each(|_| cache.note_missed(SegmentId(segment), &key, 1.0, 1.0));
            let wanted = cache.next_wanted().unwrap();
            cache.note_built(wanted, Built::Subset(graph(100)), most);
        };
        let held = |number| {
            cache
                .subset(SegmentId(1), &MaskKey::of(&filter(number)))
                .is_some()
        };
        (0..2).for_each(|number| build(1, number));
        assert!(held(0) && held(1));
        assert!(ask(&cache, 1, &filter(0), 100));
        build(1, 2);
        assert!(held(0) && !held(1) && held(2));
        assert_eq!(cache.graphs(), (2, most));
        cache.keep_only(&[SegmentId(1)]);
        assert_eq!(cache.graphs(), (2, most));
        cache.keep_only(&[SegmentId(2)]);
        assert_eq!(cache.graphs(), (0, 0));
        assert!(!ask(&cache, 1, &filter(0), 100));
        // One that takes more than all may.
        assert!((0..2).all(|_| !ask(&cache, 2, &filter(0), 100)));
        let key = MaskKey::of(&filter(0));
        (0..ANSWERS_MIN).for_each(|_| cache.note_missed(SegmentId(2), &key, 1.0, 1.0));
        let wanted = cache.next_wanted().unwrap();
        cache.note_built(wanted, Built::Subset(graph(300)), most);
        assert_eq!(cache.graphs(), (0, 0));
    }
}
