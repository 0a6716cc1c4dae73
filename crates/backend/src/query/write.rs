//! `INSERT`, `UPDATE`, `DELETE`.

use vecdb_engine::{Error, Filter, MetadataUpdate, PointId, Record, Result};
use vecdb_sql::{Delete, Insert, QueryResult, Rows, Update};

use super::Run;
use super::rows::Wanted;
use crate::backend::Selection;

/// Points of one write: whole rows are held for each.
const STEP: usize = 10_000;

impl Run<'_> {
    pub(super) fn insert(&self, insert: Insert) -> Result<QueryResult> {
        let result = self
            .backend
            .upsert(&insert.collection, insert.points, None, self.stop)
            .map_err(|error| self.of_collection(error))?;
        Ok(affected(result.inserted + result.updated))
    }

    /// Page by page: each page is atomic, the whole is not.
    pub(super) fn update(&self, update: Update) -> Result<QueryResult> {
        let Update {
            collection,
            changes,
            rows,
        } = update;
        let info = self.info(&collection)?;
        self.statement.check_rows(&rows, &info.fields)?;
        self.refuse_left_out(&rows)?;
        let change = MetadataUpdate::Merge(changes);
        let mut updated = 0;
        let mut write = |points: &[PointId]| -> Result<()> {
            let result = self
                .backend
                .update_metadata(&collection, points, &change, self.stop);
            let result = result.map_err(|error| after(error, updated, "updated"))?;
            updated += result.updated;
            Ok(())
        };
        if let Some(ids) = &rows.ids {
            let filter = rows.filter.as_ref();
            let found = self.by_id(&collection, ids, filter, &info.fields, Wanted::default())?;
            for chunk in ids_of(found).chunks(STEP) {
                write(chunk)?;
            }
        } else {
            let mut pages = self.pages(&collection, rows.filter.clone(), None);
            while let Some(page) = pages.next(STEP, Wanted::default())? {
                write(&ids_of(page))?;
            }
        }
        Ok(affected(updated))
    }

    pub(super) fn delete(&self, delete: Delete) -> Result<QueryResult> {
        let Delete { collection, rows } = delete;
        let info = self.info(&collection)?;
        self.statement.check_rows(&rows, &info.fields)?;
        self.refuse_left_out(&rows)?;
        let Some(ids) = &rows.ids else {
            let selection = Selection::Filter(rows.filter.unwrap_or(Filter::All));
            let result = self.backend.delete(&collection, &selection, self.stop)?;
            return Ok(affected(result.deleted));
        };
        let ids = match &rows.filter {
            None => ids.clone(),
            filter => ids_of(self.by_id(
                &collection,
                ids,
                filter.as_ref(),
                &info.fields,
                Wanted::default(),
            )?),
        };
        let mut deleted = 0;
        for chunk in ids.chunks(STEP) {
            let selection = Selection::Ids(chunk.to_vec());
            let result = self.backend.delete(&collection, &selection, self.stop);
            deleted += result
                .map_err(|error| after(error, deleted, "deleted"))?
                .deleted;
        }
        Ok(affected(deleted))
    }

    fn refuse_left_out(&self, rows: &Rows) -> Result<()> {
        match rows.without.is_empty() {
            true => Ok(()),
            false => Err(self.statement.error(
                rows.id_at(),
                "only SELECT leaves ids out: say which points to change, by id or by their metadata",
            )),
        }
    }
}

fn ids_of(records: Vec<Record>) -> Vec<PointId> {
    records.into_iter().map(|record| record.id).collect()
}

fn affected(points: u64) -> QueryResult {
    QueryResult {
        affected: Some(points),
        ..QueryResult::default()
    }
}

/// What was done before an error stays done.
fn after(error: Error, points: u64, what: &str) -> Error {
    match points {
        0 => error,
        points => error.context(format_args!("after {points} points were {what}")),
    }
}
