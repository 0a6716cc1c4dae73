//! What stands around a search for the nearest points: passing over the first of them.

use std::time::Instant;

use super::{Hit, Inner, LIMIT_MAX, SearchRequest, SearchResponse};
use crate::collection::state::State;
use crate::error::{Error, Result};

impl Inner {
    /// The answer to a search of `state` that began at `started`.
    pub(in crate::collection) fn answer(
        &self,
        state: &State,
        request: &SearchRequest,
        started: Instant,
    ) -> Result<SearchResponse> {
        if request.offset == 0 {
            return self.nearest(state, request, started);
        }
        let bare = SearchRequest {
            limit: checked_end(request)?,
            offset: 0,
            with_vector: false,
            with_metadata: false,
            ..request.clone()
        };
        let mut response = self.nearest(state, &bare, started)?;
        let passed = request.offset.min(response.hits.len());
        response.hits.drain(..passed);
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

/// Hits up to the last that is asked for.
fn checked_end(request: &SearchRequest) -> Result<usize> {
    let (limit, offset) = (request.limit, request.offset);
    let end = limit.saturating_add(offset);
    if limit == 0 || end > LIMIT_MAX {
        return Err(Error::invalid(format!(
            "limit {limit} and offset {offset}: limit is 1 or more, and both together are at most {LIMIT_MAX}"
        )));
    }
    Ok(end)
}
