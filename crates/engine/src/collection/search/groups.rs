//! Searches whose hits are grouped by a metadata field.
//!
//! Groups are read off the hits of an ordinary search, nearest first: the first `limit` values that occur are the right
//! groups, and their first points the right ones. Where the hits do not fill the groups, more are asked for, a few times;
//! what is missing then is looked for group by group, with the value as a filter: groups that have been found by their
//! value, others by the values that facets tell.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use vecdb_filter::{Filter, SortValue};

use super::pages::{bare, checked_end, page};
use super::{Hit, Inner, LIMIT_MAX, SearchRequest, SearchResponse};
use crate::collection::facets::{FacetRequest, facets_of};
use crate::collection::state::State;
use crate::collection::{GroupBy, HitGroup};
use crate::error::Result;
use crate::point::PointId;

/// Hits that the first search asks for, at least.
const FIRST_HITS: usize = 64;

/// How much more each next search asks for, and how many searches there are.
const GROWTH: usize = 4;
const SEARCHES: usize = 4;

impl Inner {
    pub(super) fn grouped(
        &self,
        state: &State,
        request: &SearchRequest,
        group_by: &GroupBy,
        excluded: &HashSet<PointId>,
        started: Instant,
    ) -> Result<SearchResponse> {
        // Knows which fields there are, and which name is near.
        Filter::exists(group_by.field.as_str(), true).check(&state.fields)?;
        let wanted = checked_end(request, group_by.group_size, excluded)?;
        if request.explain_only {
            let first = bare(request, first_hits(wanted, group_by, excluded));
            return self.expected(state, &first, started);
        }
        let search = Search {
            inner: self,
            state,
            request,
            group_by,
            excluded,
            started,
        };
        let (mut response, mut groups) = search.nearest_groups(wanted)?;
        if groups.may_lack {
            search.fill(&mut groups, &mut response)?;
            search.find_others(&mut groups, &mut response)?;
        }
        self.with_groups(state, request, group_by, groups, response)
    }

    /// An answer with those of the groups that the request asks for, in place of hits.
    pub(in crate::collection) fn with_groups(
        &self,
        state: &State,
        request: &SearchRequest,
        group_by: &GroupBy,
        groups: Groups,
        mut response: SearchResponse,
    ) -> Result<SearchResponse> {
        let mut groups = groups.list;
        page(&mut groups, request);
        response.hits.clear();
        let field = state.fields.field(&group_by.field);
        for (value, mut hits) in groups {
            self.complete(state, request, &mut hits)?;
            let value = value.into_value();
            response.groups.push(HitGroup {
                value: field.map_or(value.clone(), |field| field.widened(value)),
                hits,
            });
        }
        Ok(response)
    }

    /// The first `wanted` groups of hits that come in their order.
    pub(in crate::collection) fn groups_of<'h>(
        &self,
        state: &State,
        request: &SearchRequest,
        group_by: &GroupBy,
        wanted: usize,
        hits: impl Iterator<Item = &'h Hit>,
    ) -> Result<Groups> {
        let mut groups = Groups::new(wanted, group_by.group_size);
        let parts: Vec<_> = state.parts().collect();
        for hit in hits {
            request.stop.check()?;
            let Some(at) = state.find(&hit.id)? else {
                continue;
            };
            let value = parts[at.part].part().value(at.row, &group_by.field)?;
            for value in value.as_ref().map(SortValue::all_of).unwrap_or_default() {
                groups.add(value, hit);
            }
        }
        Ok(groups)
    }
}

/// A search for groups.
struct Search<'a> {
    inner: &'a Inner,
    state: &'a State,
    request: &'a SearchRequest,
    group_by: &'a GroupBy,
    excluded: &'a HashSet<PointId>,
    started: Instant,
}

/// How many hits the first search for groups asks for.
fn first_hits(wanted: usize, group_by: &GroupBy, excluded: &HashSet<PointId>) -> usize {
    let hits = wanted.saturating_mul(group_by.group_size);
    let hits = hits.saturating_mul(2).max(FIRST_HITS);
    hits.saturating_add(excluded.len()).min(LIMIT_MAX)
}

/// Groups in the order of their nearest hits.
pub(in crate::collection) struct Groups {
    list: Vec<(SortValue, Vec<Hit>)>,
    places: BTreeMap<SortValue, usize>,
    wanted: usize,
    group_size: usize,
    /// Not all hits were seen, and some group is missing or not full.
    may_lack: bool,
}

impl Groups {
    fn new(wanted: usize, group_size: usize) -> Self {
        Self {
            list: Vec::new(),
            places: BTreeMap::new(),
            wanted,
            group_size,
            may_lack: false,
        }
    }

    /// Adds the next hit to the group of a value.
    fn add(&mut self, value: SortValue, hit: &Hit) {
        if let Some(&at) = self.places.get(&value) {
            let hits = &mut self.list[at].1;
            if hits.len() < self.group_size {
                hits.push(hit.clone());
            }
        } else if self.list.len() < self.wanted {
            self.places.insert(value.clone(), self.list.len());
            self.list.push((value, vec![hit.clone()]));
        }
    }

    /// All that were wanted, with all hits that may be in each.
    pub(in crate::collection) fn are_full(&self) -> bool {
        let full = |(_, hits): &(_, Vec<Hit>)| hits.len() == self.group_size;
        self.list.len() == self.wanted && self.list.iter().all(full)
    }
}

impl Search<'_> {
    /// The groups of the nearest hits, and the last answer with what all searches took.
    fn nearest_groups(&self, wanted: usize) -> Result<(SearchResponse, Groups)> {
        let mut fetch = first_hits(wanted, self.group_by, self.excluded);
        let mut before: Option<SearchResponse> = None;
        let mut searches = 0;
        loop {
            searches += 1;
            let mut response =
                self.inner
                    .nearest(self.state, &bare(self.request, fetch), self.started)?;
            let allowed = response.hits.iter();
            let allowed = allowed.filter(|hit| !self.excluded.contains(&hit.id));
            let mut groups =
                self.inner
                    .groups_of(self.state, self.request, self.group_by, wanted, allowed)?;
            let all = match response.stats.matching {
                Some(matching) => matching,
                None => response.stats.searched_vectors,
            };
            let has_radius =
                self.request.max_distance.is_some() || self.request.min_score.is_some();
            let seen = response.hits.len();
            let saw_all = seen as u64 >= all || (seen < fetch && has_radius);
            if let Some(before) = before.take() {
                add_cost(&mut response, &before);
            }
            let done = saw_all || response.truncated || groups.are_full();
            // Fewer hits than were asked for, though there are more: so many more do not bring more.
            if done || searches == SEARCHES || fetch == LIMIT_MAX || seen < fetch {
                groups.may_lack = !done;
                return Ok((response, groups));
            }
            before = Some(response);
            fetch = fetch.saturating_mul(GROWTH).min(LIMIT_MAX);
        }
    }

    /// Finds the hits that groups are short of.
    fn fill(&self, groups: &mut Groups, response: &mut SearchResponse) -> Result<()> {
        for (value, hits) in &mut groups.list {
            if hits.len() < groups.group_size && !response.truncated {
                let found = self.of_value(value, response)?;
                // Cut short by the time limit, it may have found less than there was.
                if found.len() >= hits.len() {
                    *hits = found;
                }
            }
        }
        Ok(())
    }

    /// Finds the groups that no hit belonged to.
    fn find_others(&self, groups: &mut Groups, response: &mut SearchResponse) -> Result<()> {
        if groups.list.len() == groups.wanted || response.truncated {
            return Ok(());
        }
        let facets = facets_of(
            self.state,
            &FacetRequest {
                field: self.group_by.field.clone(),
                filter: self.request.filter.clone(),
                limit: LIMIT_MAX,
                stop: self.request.stop.clone(),
            },
        )?;
        let mut others = Vec::new();
        for facet in facets.values {
            let Some(value) = SortValue::new(facet.value) else {
                continue;
            };
            if response.truncated {
                break;
            }
            if !groups.places.contains_key(&value) {
                let hits = self.of_value(&value, response)?;
                others.extend(hits.first().cloned().map(|nearest| (nearest, value, hits)));
            }
        }
        others.sort_by(|(a, value_a, _), (b, value_b, _)| {
            let by_distance = a.distance.total_cmp(&b.distance);
            by_distance
                .then_with(|| a.id.cmp(&b.id))
                .then_with(|| value_a.cmp(value_b))
        });
        let missing = groups.wanted - groups.list.len();
        let others = others.into_iter().take(missing);
        groups
            .list
            .extend(others.map(|(_, value, hits)| (value, hits)));
        Ok(())
    }

    /// The nearest hits that have a value.
    fn of_value(&self, value: &SortValue, response: &mut SearchResponse) -> Result<Vec<Hit>> {
        let has_value = Filter::eq(self.group_by.field.as_str(), value.value().clone());
        let filter = self.request.filter.clone().unwrap_or(Filter::All);
        let request = SearchRequest {
            filter: Some(filter.and(has_value)),
            ..bare(self.request, self.group_by.group_size + self.excluded.len())
        };
        let found = self.inner.nearest(self.state, &request, self.started)?;
        add_cost(response, &found);
        let mut hits = found.hits;
        hits.retain(|hit| !self.excluded.contains(&hit.id));
        hits.truncate(self.group_by.group_size);
        Ok(hits)
    }
}

/// Counts what another search took into the answer.
pub(in crate::collection) fn add_cost(response: &mut SearchResponse, other: &SearchResponse) {
    let (stats, more) = (&mut response.stats, &other.stats);
    stats.distance_computations += more.distance_computations;
    stats.estimated_distances += more.estimated_distances;
    stats.nodes_visited += more.nodes_visited;
    response.truncated |= other.truncated;
}
