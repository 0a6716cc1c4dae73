//! `SELECT`.

use vecdb_engine::Result;

use super::Parser;
use super::name::{Name, Table};
use super::order::Order;
use crate::rows::{Condition, Parts};
use crate::source::Span;
use crate::statement::{Action, Column, Count, Explain, Group, NearGroups, Output, Select};
use crate::tokens::Kind;

/// An item of the list behind `SELECT`, before the collection is known.
pub(super) enum Item {
    All(Span),
    Count(Span),
    Name(Name),
}

/// How much of the rows is given.
#[derive(Default)]
struct Page {
    limit: Option<usize>,
    offset: Option<usize>,
    /// `LIMIT n PER GROUP`, and where it stands.
    per_group: Option<(usize, Span)>,
}

impl Parser<'_> {
    pub(super) fn select(&mut self) -> Result<(Action, Span)> {
        self.expect_word("SELECT")?;
        if self.is_word("DISTINCT") || self.is_word("ALL") {
            return Err(self.error("there is no SELECT DISTINCT or SELECT ALL"));
        }
        let mut items = vec![self.item()?];
        while self.eat(",") {
            items.push(self.item()?);
        }
        if !self.eat_word("FROM") {
            return Err(self.unexpected("`,` or FROM"));
        }
        let table = self.table()?;
        let condition = self.condition_if_any(&table)?;
        let mut parts = self.parts(condition)?;
        let group = self.group_by(&table)?;
        let order = self.order(&table, &items)?;
        let page = self.page()?;
        self.set_knobs(&mut parts)?;
        let at = table.at;
        let offset = page.offset.unwrap_or_default();
        if let Some(near) = &mut parts.near {
            near.groups = self.near_groups(group.as_ref(), &page, &table)?;
        } else if let Some((_, at)) = page.per_group {
            return self.error_at(
                at,
                "LIMIT n PER GROUP is for the groups of a search: WHERE vector NEAR ... GROUP BY a field",
            );
        }
        let near = parts.near.is_some();
        let action = match group {
            Some(name) if !near => {
                let columns = self.group_columns(items, &name, &table)?;
                Action::Group(Group {
                    order: self.group_order(&order, &name, &table)?,
                    field: self.group_field(&name, &table, &parts)?,
                    at: name.at,
                    collection: table.name,
                    rows: parts.rows,
                    columns,
                    limit: page.limit,
                    offset,
                })
            }
            _ => match self.counted(&items, near)? {
                Some((name, at)) => {
                    self.check_count(&order, &page, at)?;
                    Action::Count(Count {
                        collection: table.name,
                        rows: parts.rows,
                        name,
                    })
                }
                None => {
                    let order_by = self.order_of_rows(&parts, &order)?;
                    let order_at = order.first().map_or(Span::default(), |order| order.at);
                    if let (Some(_), Some(_)) = (&parts.near, &parts.rows.ids) {
                        return self.error_at(
                            parts.rows.id_at,
                            "a search is over all points, or those that match by metadata; it can leave out ids (id <> \
                             ...), not be among some",
                        );
                    }
                    let columns = items.into_iter();
                    Action::Select(Select {
                        columns: columns
                            .map(|item| self.output(item, &table, near))
                            .collect::<Result<_>>()?,
                        collection: table.name,
                        near: parts.near,
                        order_by,
                        order_at,
                        rows: parts.rows,
                        limit: page.limit,
                        offset,
                    })
                }
            },
        };
        Ok((action, at))
    }

    /// `WITH (...)`, where it is there.
    fn set_knobs(&mut self, parts: &mut Parts) -> Result<()> {
        let at = self.here();
        match (self.knobs()?, &mut parts.near) {
            (None, _) => Ok(()),
            (Some(knobs), Some(near)) => {
                (near.params, near.timeout, near.cache) =
                    (knobs.params, knobs.timeout, knobs.cache);
                Ok(())
            }
            (Some(_), None) => {
                self.error_at(at, "WITH sets the knobs of a search: there is no NEAR here")
            }
        }
    }

    /// `LIMIT`, `LIMIT n PER GROUP` and `OFFSET`, in any order.
    fn page(&mut self) -> Result<Page> {
        let mut page = Page::default();
        loop {
            let at = self.here();
            if self.eat_word("LIMIT") {
                let limit = self.count("LIMIT")?;
                if self.is(",") {
                    return Err(self.error("write LIMIT n OFFSET m"));
                }
                if self.is_word("BY") {
                    return Err(
                        self.error("write GROUP BY and the field, and behind it LIMIT n PER GROUP")
                    );
                }
                let twice = if self.eat_word("PER") {
                    self.expect_word("GROUP")?;
                    let at = at.to(self.before());
                    page.per_group.replace((limit, at)).is_some()
                } else {
                    page.limit.replace(limit).is_some()
                };
                if twice {
                    return self.error_at(at, "the LIMIT is there twice");
                }
            } else if page.offset.is_none() && self.eat_word("OFFSET") {
                page.offset = Some(self.count("OFFSET")?);
                // `OFFSET 5 ROWS`, as the standard says.
                let _ = self.eat_word("ROWS") || self.eat_word("ROW");
            } else {
                return Ok(page);
            }
        }
    }

    /// How the hits of a search are grouped.
    fn near_groups(
        &self,
        group: Option<&Name>,
        page: &Page,
        table: &Table,
    ) -> Result<Option<NearGroups>> {
        match (group, page.per_group) {
            (Some(_), Some((0, at))) => {
                self.error_at(at, "a group has one point at least: LIMIT 1 PER GROUP")
            }
            (Some(name), per_group) => Ok(Some(NearGroups {
                field: self.field_of_group(name, table)?,
                at: name.at,
                size: per_group.map_or(1, |(size, _)| size),
            })),
            (None, Some((_, at))) => self.error_at(
                at,
                "LIMIT n PER GROUP needs groups: put GROUP BY and a field before it",
            ),
            (None, None) => Ok(None),
        }
    }

    /// `EXPLAIN SELECT ...`, `EXPLAIN ANALYZE SELECT ...`.
    pub(super) fn explain(&mut self) -> Result<(Action, Span)> {
        self.expect_word("EXPLAIN")?;
        let analyze = self.eat_word("ANALYZE");
        let at = self.here();
        match self.is_word("SELECT").then(|| self.select()).transpose()? {
            Some((Action::Select(select), name_at)) if select.near.is_some() => {
                let explain = Explain { select, analyze };
                Ok((Action::Explain(explain), name_at))
            }
            _ => self.error_at(
                at,
                "EXPLAIN is about searches: EXPLAIN SELECT ... WHERE vector NEAR ...",
            ),
        }
    }

    fn item(&mut self) -> Result<(Item, Option<String>)> {
        let at = self.here();
        if self.eat("*") {
            return Ok((Item::All(at), None));
        }
        let item = if self.is_word("COUNT") && matches!(self.peek_after(1), Kind::Symbol("(")) {
            self.at += 2;
            if !self.eat("*") {
                return Err(self.unexpected("`*`: COUNT(*) counts points"));
            }
            self.expect(")")?;
            Item::Count(at.to(self.before()))
        } else {
            let is_name = matches!(self.peek(), Kind::Word { .. });
            if !is_name && self.peek() != &Kind::End {
                return Err(self.unexpected("a column, `*` or COUNT(*)"));
            }
            let name = self.name("a column, `*` or COUNT(*)")?;
            if self.is("(") {
                let message = format!("there is no function {}", name.text());
                return self.error_at(name.at, message);
            }
            Item::Name(name)
        };
        let has_alias = self.eat_word("AS")
            || (matches!(self.peek(), Kind::Word { .. }) && !self.is_word("FROM"));
        let alias = has_alias.then(|| self.identifier("an alias")).transpose()?;
        Ok((item, alias))
    }

    /// The name of the count, if that is all that is asked for.
    fn counted(
        &self,
        items: &[(Item, Option<String>)],
        near: bool,
    ) -> Result<Option<(String, Span)>> {
        let mut counts = items.iter().filter_map(|(item, alias)| match item {
            Item::Count(at) => Some((alias.clone().unwrap_or_else(|| "count".to_owned()), *at)),
            _ => None,
        });
        match counts.next() {
            Some((_, at)) if near => self.error_at(
                at,
                "a search has as many hits as LIMIT says: COUNT(*) has no NEAR",
            ),
            Some((_, at)) if items.len() > 1 => {
                self.error_at(at, "COUNT(*) stands alone: SELECT COUNT(*) FROM ...")
            }
            count => Ok(count),
        }
    }

    /// Refuses what has no meaning for a single number.
    fn check_count(&self, order: &[Order], page: &Page, at: Span) -> Result<()> {
        if !order.is_empty() || page.limit.is_some() || page.offset.is_some() {
            return self.error_at(
                at,
                "COUNT(*) gives one row: there is nothing to order or to limit",
            );
        }
        Ok(())
    }

    fn output(
        &self,
        (item, alias): (Item, Option<String>),
        table: &Table,
        near: bool,
    ) -> Result<Output> {
        let (column, name, at) = match item {
            Item::All(at) => (Column::All, "*".to_owned(), at),
            Item::Count(at) => return self.error_at(at, "COUNT(*) stands alone"),
            Item::Name(name) => {
                let column = name.column(table);
                if !near && matches!(column, Column::Distance | Column::Score) {
                    let message = format!(
                        "only a search has a {}: add WHERE vector NEAR ..., or write metadata.{} for a field of that \
                         name",
                        name.text(),
                        name.text()
                    );
                    return self.error_at(name.at, message);
                }
                let own = match &column {
                    Column::Field(field) => field.clone(),
                    Column::Id => "id".to_owned(),
                    Column::Vector => "vector".to_owned(),
                    Column::Distance => "distance".to_owned(),
                    Column::Score => "score".to_owned(),
                    Column::All => "*".to_owned(),
                };
                (column, alias.unwrap_or(own), name.at)
            }
        };
        Ok(Output { column, name, at })
    }

    /// A condition taken apart, none as all points.
    pub(super) fn parts(&self, condition: Option<Condition>) -> Result<Parts> {
        let Some(condition) = condition else {
            return Ok(Parts::default());
        };
        let parts = condition.split(&self.source)?;
        match parts.bound_at {
            Some(at) if parts.near.is_none() => self.error_at(
                at,
                "only a search has a distance and a score: add vector NEAR ..., or write metadata.distance for a field \
                 of that name",
            ),
            _ => Ok(parts),
        }
    }

    /// The rows of an `UPDATE` or `DELETE`, which must say which.
    pub(super) fn rows_to_change(&mut self, table: &Table, verb: &str) -> Result<Parts> {
        let Some(condition) = self.condition_if_any(table)? else {
            if self.peek() != &Kind::End && !self.is(";") {
                return Err(self.unexpected("WHERE"));
            }
            return Err(self.error(format_args!(
                "{verb} without WHERE would change every point; write WHERE TRUE if that is meant"
            )));
        };
        let parts = self.parts(Some(condition))?;
        match &parts.near {
            Some(near) => self.error_at(
                near.at,
                format_args!("{verb} has no NEAR: select the ids first"),
            ),
            None => Ok(parts),
        }
    }
}
