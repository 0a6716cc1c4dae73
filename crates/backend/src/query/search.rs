//! `SELECT ... WHERE vector NEAR ...`.

use vecdb_engine::{CollectionInfo, ErrorKind, Hit, Result, SearchRequest, SearchResponse};
use vecdb_sql::{Near, QueryResult, Select, Target};

use super::Run;
use super::hit_groups::hits_of_groups;
use super::rows::{Wanted, left_out};
use super::select::{Columns, Found};

/// Hits where no `LIMIT` is given.
const LIMIT: usize = 10;

/// What a search is to say of itself.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Explained {
    No,
    /// How it was answered.
    Run,
    /// How it would be, without being run.
    Only,
}

impl From<Hit> for Found {
    fn from(hit: Hit) -> Self {
        Self {
            id: hit.id,
            vector: hit.vector,
            metadata: hit.metadata,
            near: Some((hit.distance, hit.score)),
        }
    }
}

impl Run<'_> {
    pub(super) fn nearest(
        &self,
        select: Select,
        near: Near,
        info: &CollectionInfo,
    ) -> Result<QueryResult> {
        let mut columns = Columns::of(self, &select.columns, true, &info.fields)?;
        if let Some(groups) = &near.groups {
            columns = columns.of_groups(&groups.field, &info.fields);
        }
        let wanted = columns.wanted();
        let limit = select.limit.unwrap_or(LIMIT);
        if limit == 0 {
            return Ok(columns.result(Vec::new()));
        }
        let groups = near.groups.clone();
        let mut response = self.search(&select, near, wanted, Explained::No)?;
        let found = match groups {
            Some(groups) => {
                let found = std::mem::take(&mut response.groups);
                hits_of_groups(found, &groups, &select.rows, (limit, select.offset))
            }
            None => {
                let without = left_out(&select.rows);
                let hits = std::mem::take(&mut response.hits).into_iter();
                let hits = hits.filter(|hit| !without.contains(&hit.id));
                let hits = hits.skip(select.offset).take(limit);
                hits.map(Found::from).collect()
            }
        };
        let rows = found.iter().map(|found| columns.row(found)).collect();
        Ok(QueryResult {
            truncated: response.truncated,
            searched_vectors: Some(response.stats.searched_vectors),
            unindexed: response.stats.unindexed,
            ..columns.result(rows)
        })
    }

    /// The search of a statement.
    pub(super) fn search(
        &self,
        select: &Select,
        near: Near,
        wanted: Wanted,
        explained: Explained,
    ) -> Result<SearchResponse> {
        let vector = self.query_vector(&near)?;
        let limit = select.limit.unwrap_or(LIMIT);
        // What is left out or passed over is found as well.
        let end = limit.saturating_add(select.offset).max(1);
        let (limit, group_by) = match &near.groups {
            Some(groups) => {
                let (more, group_by) = self.group_by(select, groups)?;
                (end.saturating_add(more), Some(group_by))
            }
            None => (end.saturating_add(select.rows.without.len()), None),
        };
        let request = SearchRequest {
            limit,
            group_by,
            filter: select.rows.filter.clone(),
            params: near.params,
            max_distance: near.max_distance,
            min_score: near.min_score,
            with_vector: wanted.vector,
            with_metadata: wanted.metadata,
            timeout: near.timeout,
            cache: near.cache,
            explain: explained == Explained::Run,
            explain_only: explained == Explained::Only,
            ..SearchRequest::new(vector)
        };
        self.backend
            .search(&select.collection, &request, self.stop)
            .map_err(|error| match error.kind() {
                // Limits, knobs, dimensions.
                ErrorKind::InvalidArgument => self.statement.error(near.at, error),
                _ => error,
            })
    }

    fn query_vector(&self, near: &Near) -> Result<Vec<f32>> {
        let (collection, id) = match &near.target {
            Target::Vector(vector) => return Ok(vector.clone()),
            Target::Point { collection, id } => (collection, id),
        };
        let ids = std::slice::from_ref(id);
        let found = self.backend.get(collection, ids, true, false, self.stop);
        let found = found.map_err(|error| match error.kind() {
            ErrorKind::NotFound => self.statement.error_of(near.at, &error),
            _ => error,
        })?;
        let found = found.into_iter().flatten().next();
        found.and_then(|record| record.vector).ok_or_else(|| {
            let missing = vecdb_engine::Error::new(
                ErrorKind::NotFound,
                format!("there is no point {id} in collection {collection:?}"),
            );
            self.statement.error_of(near.at, &missing)
        })
    }
}
