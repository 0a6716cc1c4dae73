//! `SELECT field, COUNT(*) FROM ... GROUP BY field`.

use std::cmp::Reverse;

use vecdb_engine::{
    Error, ErrorKind, Facet, FacetRequest, Filter, LIMIT_MAX, Result, SortValue, Value,
};
use vecdb_sql::{Cell, Group, GroupColumn, QueryResult, ResultColumn};

use super::select::element_kind;
use super::{Run, number};

impl Run<'_> {
    pub(super) fn group(&self, group: Group) -> Result<QueryResult> {
        let info = self.info(&group.collection)?;
        let known = Filter::exists(&group.field, true).check(&info.fields);
        known.map_err(|error| self.statement.error(group.at, error))?;
        self.statement.check_rows(&group.rows, &info.fields)?;
        let wanted = group
            .limit
            .map_or(usize::MAX, |limit| limit.saturating_add(group.offset));
        let most_first = group.order.by == GroupColumn::Count && group.order.descending;
        let request = FacetRequest {
            filter: group.rows.filter.clone(),
            limit: match most_first {
                true => wanted.clamp(1, LIMIT_MAX),
                // All are compared.
                false => LIMIT_MAX,
            },
            ..FacetRequest::new(group.field.as_str())
        };
        let facets = self
            .backend
            .facets(&group.collection, &request, self.stop)?;
        let seen = facets.values.len();
        if facets.distinct > seen as u64 && (!most_first || seen < wanted) {
            return Err(too_many(facets.distinct));
        }
        let mut groups = facets.values;
        if facets.missing > 0 {
            groups.push(Facet {
                value: Value::Null,
                count: facets.missing,
            });
        }
        sort(&mut groups, group.order.by, group.order.descending);
        let groups = groups.into_iter().skip(group.offset);
        let groups = groups.take(group.limit.unwrap_or(usize::MAX));
        let rows = groups.map(|facet| {
            let cells = group.columns.iter().map(|(column, _)| match column {
                GroupColumn::Value => Cell::Value(facet.value.clone()),
                GroupColumn::Count => number(facet.count),
            });
            cells.collect()
        });
        let kind = info.fields.field(&group.field).map(element_kind);
        let columns = group.columns.iter().map(|(column, name)| match column {
            GroupColumn::Value => ResultColumn::new(name, kind.unwrap_or("null")),
            GroupColumn::Count => ResultColumn::new(name, "int"),
        });
        let columns: Vec<_> = columns.collect();
        Ok(QueryResult {
            rows: rows.collect(),
            columns,
            ..QueryResult::default()
        })
    }
}

/// Points without a value come last by value, and by their number like all others.
fn sort(groups: &mut [Facet], by: GroupColumn, descending: bool) {
    let value = |facet: &Facet| {
        let value = SortValue::of(Some(&facet.value), false);
        (value.is_none(), value)
    };
    match (by, descending) {
        (GroupColumn::Count, true) => {
            groups.sort_by_cached_key(|facet| (Reverse(facet.count), value(facet)));
        }
        (GroupColumn::Count, false) => {
            groups.sort_by_cached_key(|facet| (facet.count, value(facet)));
        }
        (GroupColumn::Value, false) => groups.sort_by_cached_key(value),
        (GroupColumn::Value, true) => groups.sort_by_cached_key(|facet| {
            let (missing, value) = value(facet);
            (missing, Reverse(value))
        }),
    }
}

fn too_many(groups: u64) -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "there are {groups} groups, and {LIMIT_MAX} are counted at most: order by COUNT(*) DESC with a LIMIT"
        ),
    )
}
