//! `GROUP BY` and `ORDER BY`.

use vecdb_engine::{OrderBy, Result};

use super::Parser;
use super::name::{Name, Table};
use super::select::Item;
use crate::rows::Parts;
use crate::source::Span;
use crate::statement::{Column, GroupColumn, GroupOrder};
use crate::tokens::Kind;

/// Something to sort by.
pub(super) struct Order {
    /// None: `COUNT(*)`, or its alias.
    column: Option<Column>,
    descending: bool,
    pub(super) at: Span,
}

impl Parser<'_> {
    /// `GROUP BY` and its field, if there is one.
    pub(super) fn group_by(&mut self, table: &Table) -> Result<Option<Name>> {
        if !self.eat_words(&["GROUP", "BY"]) {
            return Ok(None);
        }
        let name = self.name("a metadata field")?;
        if self.is(",") {
            return Err(self.error("GROUP BY takes one field"));
        }
        self.field_of_group(&name, table)?;
        Ok(Some(name))
    }

    /// The metadata field behind `GROUP BY`.
    pub(super) fn field_of_group(&self, name: &Name, table: &Table) -> Result<String> {
        match name.column(table) {
            Column::Field(field) => Ok(field),
            _ => self.error_at(name.at, "GROUP BY takes a metadata field"),
        }
    }

    /// `ORDER BY`, with the aliases of what is selected.
    pub(super) fn order(
        &mut self,
        table: &Table,
        items: &[(Item, Option<String>)],
    ) -> Result<Vec<Order>> {
        let mut order = Vec::new();
        if !self.is_word("ORDER") {
            return Ok(order);
        }
        self.advance();
        self.expect_word("BY")?;
        loop {
            let start = self.here();
            let column = if self.is_word("COUNT") && matches!(self.peek_after(1), Kind::Symbol("("))
            {
                self.at += 2;
                self.expect("*")?;
                self.expect(")")?;
                None
            } else {
                let name = self.name("a column")?;
                let text = name.text();
                let aliased = items
                    .iter()
                    .find(|(_, alias)| alias.as_ref() == Some(&text));
                match aliased {
                    Some((Item::Count(_), _)) => None,
                    Some((Item::Name(meant), _)) => Some(meant.column(table)),
                    _ => Some(name.column(table)),
                }
            };
            let descending = self.eat_word("DESC");
            if !descending {
                self.eat_word("ASC");
            }
            if self.is_word("NULLS") && !self.eat_words(&["NULLS", "LAST"]) {
                return Err(self.error("points without a value come last: NULLS LAST"));
            }
            order.push(Order {
                column,
                descending,
                at: start.to(self.before()),
            });
            if !self.eat(",") {
                return Ok(order);
            }
        }
    }

    /// The order of points: of a search that of its hits, else that of a field.
    pub(super) fn order_of_rows(&self, parts: &Parts, order: &[Order]) -> Result<Option<OrderBy>> {
        let Some(first) = order.first() else {
            return Ok(None);
        };
        // Ties go by id anyway.
        if let Some(second) = order.get(1)
            && (order.len() > 2 || second.column != Some(Column::Id) || second.descending)
        {
            return self.error_at(
                second.at,
                "what is equal comes in the order of the ids; there is no second column to order by",
            );
        }
        if parts.near.is_some() {
            return match (&first.column, first.descending) {
                (Some(Column::Distance), false) | (Some(Column::Score), true) => Ok(None),
                (Some(Column::Distance), true) | (Some(Column::Score), false) => self.error_at(
                    first.at,
                    "a search gives the nearest first: order by distance, or by score DESC",
                ),
                _ => self.error_at(
                    first.at,
                    "a search is ordered by distance, or by score DESC; its hits have no other order",
                ),
            };
        }
        if parts.rows.ids.is_some() {
            return self.error_at(
                first.at,
                "points that are named by id come in the order of their names: there is no other",
            );
        }
        match &first.column {
            Some(Column::Field(field)) => Ok(Some(OrderBy {
                field: field.clone(),
                descending: first.descending,
            })),
            Some(Column::Distance | Column::Score) => self.error_at(
                first.at,
                "only a search has a distance and a score: add WHERE vector NEAR ...",
            ),
            None => self.error_at(first.at, "the order by COUNT(*) is for GROUP BY"),
            Some(_) => self.error_at(first.at, "points are ordered by a metadata field"),
        }
    }

    /// The field whose values are counted, if everything else fits.
    pub(super) fn group_field(&self, name: &Name, table: &Table, parts: &Parts) -> Result<String> {
        if parts.rows.ids.is_some() || !parts.rows.without.is_empty() {
            return self.error_at(
                parts.rows.id_at,
                "GROUP BY counts all points, or those that match by metadata",
            );
        }
        self.field_of_group(name, table)
    }

    /// What is selected of each group: its value, its number.
    pub(super) fn group_columns(
        &self,
        items: Vec<(Item, Option<String>)>,
        group: &Name,
        table: &Table,
    ) -> Result<Vec<(GroupColumn, String)>> {
        let mut names = Vec::new();
        let mut unlike = |name: String, at: Span| match names.contains(&name) {
            true => self.error_at(
                at,
                format_args!("two columns are called {name:?}: give one of them an alias"),
            ),
            false => {
                names.push(name.clone());
                Ok(name)
            }
        };
        let columns = items.into_iter().map(|(item, alias)| match item {
            Item::Count(at) => {
                let name = alias.unwrap_or_else(|| "count".to_owned());
                Ok((GroupColumn::Count, unlike(name, at)?))
            }
            Item::Name(name) if name.column(table) == group.column(table) => {
                let called = alias.unwrap_or_else(|| group.text());
                Ok((GroupColumn::Value, unlike(called, name.at)?))
            }
            Item::Name(name) => self.error_at(
                name.at,
                format_args!(
                    "a group has its value, {}, and COUNT(*), and nothing else",
                    group.text()
                ),
            ),
            Item::All(at) => self.error_at(at, "a group has its value and COUNT(*): name them"),
        });
        columns.collect()
    }

    pub(super) fn group_order(
        &self,
        order: &[Order],
        group: &Name,
        table: &Table,
    ) -> Result<GroupOrder> {
        let by = match order {
            [] => {
                return Ok(GroupOrder {
                    by: GroupColumn::Count,
                    descending: true,
                });
            }
            [one] if one.column.is_none() => GroupColumn::Count,
            [one] if one.column == Some(group.column(table)) => GroupColumn::Value,
            // Groups of the same number go by their values.
            [one, two]
                if one.column.is_none()
                    && two.column == Some(group.column(table))
                    && !two.descending =>
            {
                GroupColumn::Count
            }
            [one, ..] => {
                return self.error_at(
                    one.at,
                    format_args!("groups are ordered by COUNT(*) or by {}", group.text()),
                );
            }
        };
        Ok(GroupOrder {
            by,
            descending: order.first().is_some_and(|one| one.descending),
        })
    }
}
