//! Which points a statement is about.

use std::collections::HashSet;

use vecdb_engine::{
    Filter, MetadataSchema, OrderBy, PointId, READ_POINTS_MAX, Record, Result, ScrollRequest,
};
use vecdb_sql::Rows;

use super::Run;

/// What of each point is needed.
#[derive(Clone, Copy, Default)]
pub(super) struct Wanted {
    pub(super) vector: bool,
    pub(super) metadata: bool,
}

/// All points that match, page by page.
pub(super) struct Pages<'a> {
    run: Run<'a>,
    collection: &'a str,
    request: ScrollRequest,
    ended: bool,
}

impl Pages<'_> {
    /// The next points, `most` at most; `None` after the last.
    pub(super) fn next(&mut self, most: usize, wanted: Wanted) -> Result<Option<Vec<Record>>> {
        if self.ended {
            return Ok(None);
        }
        self.request.limit = most.clamp(1, READ_POINTS_MAX);
        self.request.with_vector = wanted.vector;
        self.request.with_metadata = wanted.metadata;
        let run = &self.run;
        let page = run
            .backend
            .scroll(self.collection, &self.request, run.stop)?;
        self.ended = page.next_cursor.is_none();
        self.request.cursor = page.next_cursor;
        Ok(Some(page.points))
    }
}

impl Run<'_> {
    /// The points of `ids` that exist and match, in the order of the ids.
    pub(super) fn by_id(
        &self,
        collection: &str,
        ids: &[PointId],
        filter: Option<&Filter>,
        fields: &MetadataSchema,
        wanted: Wanted,
    ) -> Result<Vec<Record>> {
        let filter = filter.map(|filter| filter.check(fields)).transpose()?;
        let with_metadata = wanted.metadata || filter.is_some();
        let mut found = Vec::new();
        for chunk in ids.chunks(READ_POINTS_MAX) {
            let records =
                self.backend
                    .get(collection, chunk, wanted.vector, with_metadata, self.stop)?;
            let records = records.into_iter().flatten();
            found.extend(records.filter(|record| match (&filter, &record.metadata) {
                (Some(filter), Some(metadata)) => filter.matches(metadata),
                // Remotely, metadata without fields comes as none.
                (Some(filter), None) => filter.matches(&Default::default()),
                (None, _) => true,
            }));
        }
        Ok(found)
    }

    /// How many points there are of those that `rows` means.
    pub(super) fn count_rows(
        &self,
        collection: &str,
        rows: &Rows,
        fields: &MetadataSchema,
    ) -> Result<u64> {
        let filter = rows.filter.as_ref();
        let of = |ids| self.by_id(collection, ids, filter, fields, Wanted::default());
        if let Some(ids) = &rows.ids {
            return Ok(of(ids)?.len() as u64);
        }
        let all = self.backend.count(collection, filter, self.stop)?;
        Ok(all.saturating_sub(of(&rows.without)?.len() as u64))
    }
}

impl<'a> Run<'a> {
    pub(super) fn pages(
        &self,
        collection: &'a str,
        filter: Option<Filter>,
        order_by: Option<OrderBy>,
    ) -> Pages<'a> {
        let request = ScrollRequest {
            filter,
            order_by,
            ..ScrollRequest::default()
        };
        Pages {
            run: *self,
            collection,
            request,
            ended: false,
        }
    }
}

/// The ids that are left out, to ask quickly.
pub(super) fn left_out(rows: &Rows) -> HashSet<&PointId> {
    rows.without.iter().collect()
}
