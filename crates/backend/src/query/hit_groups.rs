//! `SELECT ... WHERE vector NEAR ... GROUP BY field`: groups of hits as rows.
//!
//! Points that a statement leaves out (`id <> 'x'`) are hits to the search. What they may take the place of is asked for
//! as well: a hit of their groups each, and a group for each value they have.

use std::cmp::Ordering;

use vecdb_engine::{GroupBy, HitGroup, MetadataSchema, Result, SortValue};
use vecdb_sql::{NearGroups, Rows, Select};

use super::Run;
use super::rows::{Wanted, left_out};
use super::select::Found;

impl Run<'_> {
    /// The groups to ask for, and how many more of them than the statement gives.
    pub(super) fn group_by(
        &self,
        select: &Select,
        groups: &NearGroups,
    ) -> Result<(usize, GroupBy)> {
        let without = &select.rows.without;
        let wanted = Wanted {
            vector: false,
            metadata: true,
        };
        let any = MetadataSchema::default();
        let left_out = self.by_id(&select.collection, without, None, &any, wanted)?;
        let values = left_out.iter().map(|record| {
            let metadata = record.metadata.as_ref();
            let value = metadata.and_then(|metadata| metadata.get(&groups.field));
            value.map_or(0, |value| SortValue::all_of(value).len())
        });
        let group_by = GroupBy {
            field: groups.field.clone(),
            group_size: groups.size.saturating_add(left_out.len()),
        };
        Ok((values.sum(), group_by))
    }
}

/// The hits of the groups that a statement asks for, group by group, each with the value of its group.
pub(super) fn hits_of_groups(
    mut found: Vec<HitGroup>,
    groups: &NearGroups,
    rows: &Rows,
    (limit, offset): (usize, usize),
) -> Vec<Found> {
    let without = left_out(rows);
    if !without.is_empty() {
        for group in &mut found {
            group.hits.retain(|hit| !without.contains(&hit.id));
        }
        // Without its nearest hit a group may come later.
        found.retain(|group| !group.hits.is_empty());
        found.sort_by(by_nearest);
    }
    let asked = found.into_iter().skip(offset).take(limit);
    let hits = asked.flat_map(|group| {
        let hits = group.hits.into_iter().take(groups.size);
        hits.map(move |hit| (hit, group.value.clone()))
    });
    let rows = hits.map(|(hit, value)| {
        let mut found = Found::from(hit);
        let metadata = found.metadata.get_or_insert_default();
        metadata.insert(groups.field.clone(), value);
        found
    });
    rows.collect()
}

/// The group with the nearest hit first.
fn by_nearest(a: &HitGroup, b: &HitGroup) -> Ordering {
    let (Some(hit_a), Some(hit_b)) = (a.hits.first(), b.hits.first()) else {
        return b.hits.len().cmp(&a.hits.len());
    };
    let value = |group: &HitGroup| SortValue::new(group.value.clone());
    let by_distance = hit_a.distance.total_cmp(&hit_b.distance);
    by_distance
        .then_with(|| hit_a.id.cmp(&hit_b.id))
        .then_with(|| value(a).cmp(&value(b)))
}
