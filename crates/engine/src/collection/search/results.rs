//! Answers that searches asked to be kept: right for as long as nothing is written, and forgotten with the first write.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use parking_lot::Mutex;
use vecdb_filter::{Metadata, Value};
use vecdb_storage::Position;

use super::{Hit, SearchRequest, SearchResponse};
use crate::error::Result;

/// Memory for the answers of a collection.
const BYTES_MAX: usize = 16 << 20;
/// A search whose description is longer is not kept.
const KEY_BYTES_MAX: usize = 64 << 10;
/// What an entry, a hit or a value takes beside its contents.
const ITEM_BYTES: usize = 96;

/// All that an answer depends on beside the state; `None` inside where it is not to be kept.
pub(in crate::collection) struct ResultKey(Option<Arc<[u8]>>);

impl ResultKey {
    /// `more` stands for what the request does not say.
    pub(in crate::collection) fn of(request: &SearchRequest, more: &str) -> Self {
        if !request.cache || request.explain || request.explain_only {
            return Self(None);
        }
        let filter = request.filter.as_ref();
        if filter.is_some_and(|filter| filter.literals() > KEY_BYTES_MAX / 8) {
            return Self(None);
        }
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{:?}",
            (
                (request.limit, request.offset, &request.group_by),
                filter,
                &request.params,
                (request.max_distance, request.min_score),
                (request.with_vector, request.with_metadata),
                more,
            )
        );
        let mut key = text.into_bytes();
        let vector = request.vector.iter();
        key.extend(vector.flat_map(|value| value.to_bits().to_le_bytes()));
        Self((key.len() <= KEY_BYTES_MAX).then(|| key.into()))
    }
}

/// The answers to searches of states that hold the same points, those used longest ago forgotten first.
#[derive(Default)]
pub(crate) struct ResultCache {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// Of the last write that the answers know of.
    position: Position,
    answers: HashMap<Arc<[u8]>, Entry>,
    bytes: usize,
    clock: u64,
}

struct Entry {
    response: Arc<SearchResponse>,
    bytes: usize,
    used: u64,
}

impl ResultCache {
    /// The answer of the state at this position, and whether it was held; `None` where the key is not to be kept.
    pub(super) fn get_or(
        &self,
        position: Position,
        key: ResultKey,
        answer: impl FnOnce() -> Result<SearchResponse>,
    ) -> Result<(SearchResponse, Option<bool>)> {
        let ResultKey(Some(key)) = key else {
            return Ok((answer()?, None));
        };
        let found = self.held.lock().find(position, &key);
        if let Some(found) = found {
            let mut response = SearchResponse::clone(&found);
            response.cached = true;
            return Ok((response, Some(true)));
        }
        // Outside the lock: other searches need not wait.
        let response = answer()?;
        if !response.truncated {
            self.held.lock().keep(position, key, &response);
        }
        Ok((response, Some(false)))
    }
}

impl Held {
    fn find(&mut self, position: Position, key: &Arc<[u8]>) -> Option<Arc<SearchResponse>> {
        if position != self.position {
            return None;
        }
        self.clock += 1;
        let entry = self.answers.get_mut(key)?;
        entry.used = self.clock;
        Some(entry.response.clone())
    }

    fn keep(&mut self, position: Position, key: Arc<[u8]>, response: &SearchResponse) {
        // A search that began before the last write may end after it.
        if position < self.position {
            return;
        }
        if position > self.position {
            *self = Self {
                position,
                ..Self::default()
            };
        }
        let bytes = key.len() + bytes_of(response);
        if bytes > BYTES_MAX || self.answers.contains_key(&key) {
            return;
        }
        while self.bytes + bytes > BYTES_MAX {
            let oldest = self.answers.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                break;
            };
            self.bytes -= self.answers.remove(&oldest).map_or(0, |entry| entry.bytes);
        }
        self.bytes += bytes;
        self.clock += 1;
        let entry = Entry {
            response: Arc::new(response.clone()),
            bytes,
            used: self.clock,
        };
        self.answers.insert(key, entry);
    }
}

/// Bytes of an answer in memory, near enough for a limit.
fn bytes_of(response: &SearchResponse) -> usize {
    let groups = response.groups.iter();
    let grouped = groups.flat_map(|group| &group.hits);
    let hits = response.hits.iter().chain(grouped);
    2 * ITEM_BYTES + response.groups.len() * ITEM_BYTES + hits.map(bytes_of_hit).sum::<usize>()
}

fn bytes_of_hit(hit: &Hit) -> usize {
    let vector = hit.vector.as_ref().map_or(0, |vector| 4 * vector.len());
    let of_metadata = |metadata: &Metadata| -> usize {
        let fields = metadata.iter();
        fields
            .map(|(name, value)| ITEM_BYTES + name.len() + bytes_of_value(value))
            .sum()
    };
    2 * ITEM_BYTES + vector + hit.metadata.as_ref().map_or(0, of_metadata)
}

fn bytes_of_value(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| 32 + bytes_of_value(item)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: usize) -> SearchResponse {
        let hit = Hit {
            id: 1.into(),
            distance: 0.5,
            score: 0.5,
            vector: Some(vec![0.0; bytes / 4]),
            metadata: None,
        };
        SearchResponse {
            hits: vec![hit],
            ..SearchResponse::default()
        }
    }

    fn ask(
        cache: &ResultCache,
        position: Position,
        request: &SearchRequest,
        bytes: usize,
    ) -> Option<bool> {
        let key = ResultKey::of(request, "");
        let (response, held) = cache.get_or(position, key, || Ok(answer(bytes))).unwrap();
        assert_eq!(response.cached, held == Some(true));
        held
    }

    #[test]
    fn answers_are_of_one_state_and_memory_is_bounded() {
        let cache = ResultCache::default();
        let request = SearchRequest::new(vec![1.0, 2.0]).cache(true);
        assert_eq!(ask(&cache, 5, &request, 8), Some(false));
        assert_eq!(ask(&cache, 5, &request, 8), Some(true));
        for other in [
            request.clone().limit(3),
            request.clone().offset(1),
            request.clone().group_by("a", 1),
            request.clone().max_distance(1.0),
            request.clone().with_vector(true),
            request.clone().filter(vecdb_filter::Filter::eq("a", 1)),
            SearchRequest {
                vector: vec![1.0, 2.5],
                ..request.clone()
            },
        ] {
            assert_eq!(ask(&cache, 5, &other, 8), Some(false), "{other:?}");
        }
        assert_eq!(ask(&cache, 5, &request.clone().explain(true), 8), None);
        assert_eq!(ask(&cache, 5, &request.clone().cache(false), 8), None);
        // A write: nothing of before is right, and what began before it is not kept.
        assert_eq!(ask(&cache, 6, &request, 8), Some(false));
        assert_eq!(ask(&cache, 5, &request, 8), Some(false));
        assert_eq!(ask(&cache, 6, &request, 8), Some(true));
        for at in 0..20u8 {
            let request = SearchRequest::new(vec![f32::from(at)]).cache(true);
            ask(&cache, 6, &request, 4 << 20);
            let held = cache.held.lock();
            assert!(held.bytes <= BYTES_MAX && held.answers.len() <= 4 + 1);
        }
        assert_eq!(ask(&cache, 6, &request, 8), Some(false), "forgotten");
    }

    #[test]
    fn what_is_cut_short_is_not_kept() {
        let cache = ResultCache::default();
        let request = SearchRequest::new(vec![1.0]).cache(true);
        for _ in 0..2 {
            let truncated = SearchResponse {
                truncated: true,
                ..SearchResponse::default()
            };
            let key = ResultKey::of(&request, "");
            let (_, held) = cache.get_or(1, key, || Ok(truncated)).unwrap();
            assert_eq!(held, Some(false));
        }
    }
}
