//! What stands around a search for the nearest points: hits to pass over, and points that are not to be hits.

use std::collections::HashSet;
use std::time::Instant;

use super::{Hit, Inner, LIMIT_MAX, SearchRequest, SearchResponse, limit_out_of_range};
use crate::collection::state::State;
use crate::error::{Error, Result};
use crate::point::PointId;

impl Inner {
    /// The answer to a search of `state` that began at `started`. The points of `excluded` are no hits, and others come
    /// in their place.
    pub(in crate::collection) fn answer(
        &self,
        state: &State,
        request: &SearchRequest,
        excluded: &HashSet<PointId>,
        started: Instant,
    ) -> Result<SearchResponse> {
        if let Some(group_by) = &request.group_by {
            return self.grouped(state, request, group_by, excluded, started);
        }
        if request.explain_only {
            return self.expected(state, request, started);
        }
        if request.offset == 0 && excluded.is_empty() {
            return self.nearest(state, request, started);
        }
        let end = checked_end(request, 1, excluded)?;
        let mut response = self.nearest(state, &bare(request, end + excluded.len()), started)?;
        response.hits.retain(|hit| !excluded.contains(&hit.id));
        page(&mut response.hits, request);
        self.complete(state, request, &mut response.hits)?;
        Ok(response)
    }

    /// Gives hits what the request asks of them beyond id and distance.
    pub(in crate::collection) fn complete(
        &self,
        state: &State,
        request: &SearchRequest,
        hits: &mut [Hit],
    ) -> Result<()> {
        if !request.with_vector && !request.with_metadata {
            return Ok(());
        }
        let parts: Vec<_> = state.parts().collect();
        for hit in hits {
            request.stop.check()?;
            // Found in this state, so it is there.
            if let Some(at) = state.find(&hit.id)? {
                let part = parts[at.part].part();
                let record =
                    self.record(part, at.row, request.with_vector, request.with_metadata)?;
                (hit.vector, hit.metadata) = (record.vector, record.metadata);
            }
        }
        Ok(())
    }
}

/// The `limit` nearest hits of the same search, with nothing but ids and distances.
pub(in crate::collection) fn bare(request: &SearchRequest, limit: usize) -> SearchRequest {
    SearchRequest {
        limit,
        offset: 0,
        group_by: None,
        with_vector: false,
        with_metadata: false,
        ..request.clone()
    }
}

/// Leaves of all hits (or groups) those that were asked for.
pub(in crate::collection) fn page<T>(all: &mut Vec<T>, request: &SearchRequest) {
    all.drain(..request.offset.min(all.len()));
    all.truncate(request.limit);
}

/// The last hit (or group of `group_size` hits) that is asked for, counted from 1.
pub(in crate::collection) fn checked_end(
    request: &SearchRequest,
    group_size: usize,
    excluded: &HashSet<PointId>,
) -> Result<usize> {
    let (limit, offset) = (request.limit, request.offset);
    let end = limit.saturating_add(offset);
    let hits = end.saturating_mul(group_size);
    if limit == 0 {
        return Err(limit_out_of_range(limit));
    }
    if group_size == 0 || hits.saturating_add(excluded.len()) > LIMIT_MAX {
        let group_size = match &request.group_by {
            Some(_) => format!(", group_size {group_size}"),
            None => String::new(),
        };
        let examples = match excluded.len() {
            0 => String::new(),
            examples => format!(", {examples} examples"),
        };
        return Err(Error::invalid(format!(
            "limit {limit}, offset {offset}{group_size}{examples}: a group has a size of 1 or more, and one search at \
             most {LIMIT_MAX} hits, those passed over counted in"
        )));
    }
    Ok(end)
}
