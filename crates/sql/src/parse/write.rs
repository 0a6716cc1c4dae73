//! `INSERT`, `UPDATE`, `DELETE`.

use vecdb_engine::{Metadata, Point, PointId, Result, Value};

use super::Parser;
use super::name::Table;
use super::value::Given;
use crate::params::Param;
use crate::source::Span;
use crate::statement::{Action, Column, Delete, Insert, Update};

impl Parser<'_> {
    pub(super) fn insert(&mut self) -> Result<(Action, Span)> {
        self.expect_word("INSERT")?;
        self.expect_word("INTO")?;
        let (name, at) = self.collection_name()?;
        let table = Table {
            name,
            at,
            alias: None,
        };
        if !self.is("(") {
            return Err(self.unexpected("the columns, such as (id, vector, price)"));
        }
        let columns_at = self.here();
        let columns = self.list(|parser| {
            let name = parser.name("a column")?;
            Ok((name.column(&table), name.at))
        })?;
        let columns_at = columns_at.to(self.before());
        self.check_insert(&columns, columns_at)?;
        if self.is_word("SELECT") {
            return Err(self.error("INSERT takes VALUES; there is no INSERT ... SELECT"));
        }
        self.expect_word("VALUES")?;
        let mut points = Vec::new();
        loop {
            let start = self.here();
            let values = self.list(Self::given)?;
            let row_at = start.to(self.before());
            if values.len() != columns.len() {
                let message = format!("{} values for {} columns", values.len(), columns.len());
                return self.error_at(row_at, message);
            }
            points.push(self.point(&columns, values)?);
            if !self.eat(",") {
                break;
            }
        }
        let collection = table.name;
        let insert = Insert { collection, points };
        Ok((Action::Insert(insert), at))
    }

    fn check_insert(&self, columns: &[(Column, Span)], at: Span) -> Result<()> {
        for (i, (column, at)) in columns.iter().enumerate() {
            if matches!(column, Column::Distance | Column::Score) {
                return self.error_at(
                    *at,
                    "distance and score are results of a search; write metadata.distance for a field of that name",
                );
            }
            if columns.iter().take(i).any(|(other, _)| other == column) {
                return self.error_at(*at, "the column is there twice");
            }
        }
        for (needed, name) in [(Column::Id, "id"), (Column::Vector, "vector")] {
            if columns.iter().all(|(column, _)| *column != needed) {
                return self.error_at(
                    at,
                    format_args!("every point needs an id and a vector: {name} is missing"),
                );
            }
        }
        Ok(())
    }

    fn point(&self, columns: &[(Column, Span)], values: Vec<Given>) -> Result<Point> {
        let (mut id, mut vector) = (PointId::U64(0), Vec::new());
        let mut metadata = Metadata::new();
        for ((column, _), value) in columns.iter().zip(values) {
            match column {
                Column::Id => id = self.id(value)?,
                Column::Vector => vector = self.vector(value)?,
                Column::Field(field) => {
                    metadata.insert(field.clone(), self.field_value(value)?);
                }
                Column::All | Column::Distance | Column::Score => {}
            }
        }
        Ok(Point {
            id,
            vector,
            metadata,
        })
    }

    pub(super) fn update(&mut self) -> Result<(Action, Span)> {
        self.expect_word("UPDATE")?;
        let table = self.table()?;
        self.expect_word("SET")?;
        let mut changes = Metadata::new();
        loop {
            let name = self.name("a metadata field")?;
            self.expect("=")?;
            let value = self.given()?;
            if self.is("+") || self.is("-") || self.is("*") {
                return Err(self.error("nothing is computed here: give the new value"));
            }
            let field = match name.column(&table) {
                Column::Field(field) => field,
                Column::Vector => {
                    return self.error_at(
                        name.at,
                        "UPDATE changes metadata; INSERT puts a point with another vector",
                    );
                }
                Column::Id => return self.error_at(name.at, "the id of a point does not change"),
                _ => {
                    return self.error_at(
                        name.at,
                        "distance and score are results of a search; write metadata.distance for a field of that name",
                    );
                }
            };
            let value = self.field_value(value)?;
            if changes.insert(field, value).is_some() {
                return self.error_at(name.at, "the field is set twice");
            }
            if !self.eat(",") {
                break;
            }
        }
        let parts = self.rows_to_change(&table, "UPDATE")?;
        let update = Update {
            collection: table.name,
            changes,
            rows: parts.rows,
        };
        Ok((Action::Update(update), table.at))
    }

    pub(super) fn delete(&mut self) -> Result<(Action, Span)> {
        self.expect_word("DELETE")?;
        self.expect_word("FROM")?;
        let table = self.table()?;
        let parts = self.rows_to_change(&table, "DELETE")?;
        let delete = Delete {
            collection: table.name,
            rows: parts.rows,
        };
        Ok((Action::Delete(delete), table.at))
    }

    /// A value as JSON, for settings.
    pub(super) fn setting(&self, given: Given) -> Result<serde_json::Value> {
        match given.param {
            Param::Value(
                value @ (Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_)),
            ) => Ok(value.to_json()),
            _ => self.error_at(given.at, "expected a number, a text, TRUE or FALSE"),
        }
    }
}
