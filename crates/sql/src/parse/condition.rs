//! `WHERE`: comparisons joined by `AND`, `OR` and `NOT`.

use vecdb_engine::{Filter, Result, SearchParams, Value};

use super::Parser;
use super::name::Table;
use super::value::Given;
use crate::rows::{Condition, Test};
use crate::source::Span;
use crate::statement::{Column, Near, Target};
use crate::tokens::Kind;

/// The six comparisons.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Eq,
    Ne,
    Lt,
    Lte,
    Gt,
    Gte,
}

impl Comparison {
    fn of(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "=" => Self::Eq,
            "<>" => Self::Ne,
            "<" => Self::Lt,
            "<=" => Self::Lte,
            ">" => Self::Gt,
            ">=" => Self::Gte,
            _ => return None,
        })
    }

    /// With both sides exchanged.
    fn flipped(self) -> Self {
        match self {
            Self::Eq | Self::Ne => self,
            Self::Lt => Self::Gt,
            Self::Lte => Self::Gte,
            Self::Gt => Self::Lt,
            Self::Gte => Self::Lte,
        }
    }
}

impl Parser<'_> {
    /// `WHERE` and its condition, if there is one.
    pub(super) fn condition_if_any(&mut self, table: &Table) -> Result<Option<Condition>> {
        match self.eat_word("WHERE") {
            true => self.any(table).map(Some),
            false => Ok(None),
        }
    }

    fn any(&mut self, table: &Table) -> Result<Condition> {
        let first = self.all(table)?;
        if !self.is_word("OR") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.eat_word("OR") {
            parts.push(self.all(table)?);
        }
        Ok(Condition::Or(parts))
    }

    fn all(&mut self, table: &Table) -> Result<Condition> {
        let first = self.not(table)?;
        if !self.is_word("AND") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.eat_word("AND") {
            parts.push(self.not(table)?);
        }
        Ok(Condition::And(parts))
    }

    fn not(&mut self, table: &Table) -> Result<Condition> {
        if self.eat_word("NOT") {
            let part = self.nested(|parser| parser.not(table))?;
            return Ok(Condition::Not(Box::new(part)));
        }
        if self.is("(") {
            return self.nested(|parser| {
                parser.advance();
                let inner = parser.any(table)?;
                match parser.eat(")") {
                    true => Ok(inner),
                    false => Err(parser.unexpected("AND, OR or `)`")),
                }
            });
        }
        self.test(table)
    }

    fn test(&mut self, table: &Table) -> Result<Condition> {
        for (word, value) in [("TRUE", true), ("FALSE", false)] {
            if self.is_word(word)
                && !matches!(self.peek_after(1), Kind::Symbol(symbol) if Comparison::of(symbol).is_some())
            {
                self.advance();
                return Ok(Condition::Constant(value));
            }
        }
        if self.is_word("EXISTS") {
            return self.exists(table);
        }
        let start = self.here();
        if self.begins_value() {
            let value = self.given()?;
            let Some(comparison) = self.comparison() else {
                return Err(self.unexpected("a comparison such as `=` or `<`"));
            };
            let name = self.name("a column")?;
            let at = start.to(self.before());
            return self.compare(name.column(table), comparison.flipped(), value, at);
        }
        let name = self.name("a condition")?;
        let column = name.column(table);
        if self.is("(") {
            return self.function(&name, table);
        }
        if let Some(comparison) = self.comparison() {
            let value = self.given()?;
            return self.compare(column, comparison, value, start.to(self.before()));
        }
        if self.eat_word("IS") {
            let negated = self.eat_word("NOT");
            self.expect_word("NULL")?;
            let at = start.to(self.before());
            let test = match column {
                Column::Field(field) => Condition::Test(Test::Null(field), at),
                _ => return self.error_at(at, "only metadata fields can be NULL"),
            };
            return Ok(negate_if(negated, test));
        }
        if self.eat_word("NEAR") {
            let near = self.near()?;
            let at = start.to(self.before());
            return match column {
                Column::Vector => Ok(Condition::Test(Test::Near(Box::new(near)), at)),
                _ => self.error_at(name.at, "NEAR is about the vector: write vector NEAR ..."),
            };
        }
        let negated = self.eat_word("NOT");
        if self.eat_word("IN") {
            let test = self.is_in(column, start)?;
            return Ok(negate_if(negated, test));
        }
        if self.eat_word("BETWEEN") {
            let low = self.given()?;
            self.expect_word("AND")?;
            let high = self.given()?;
            let at = start.to(self.before());
            let test = Condition::And(vec![
                self.compare(column.clone(), Comparison::Gte, low, at)?,
                self.compare(column, Comparison::Lte, high, at)?,
            ]);
            return Ok(negate_if(negated, test));
        }
        if self.eat_word("LIKE") {
            let test = self.like(column, start)?;
            return Ok(negate_if(negated, test));
        }
        match column {
            // A truth value is a condition by itself.
            Column::Field(field) if !negated && self.ends_test() => {
                let filter = Filter::eq(field.clone(), true);
                Ok(Condition::Test(Test::Field(field, filter), name.at))
            }
            _ => {
                Err(self.unexpected("a comparison such as `=`, IN, BETWEEN, LIKE, IS NULL or NEAR"))
            }
        }
    }

    fn begins_value(&self) -> bool {
        match self.peek() {
            Kind::Text(_) | Kind::Number(_) | Kind::Parameter(_) | Kind::Symbol("-" | "+") => true,
            Kind::Word {
                quoted: false,
                text,
            } => {
                ["TRUE", "FALSE", "NULL"]
                    .iter()
                    .any(|word| text.eq_ignore_ascii_case(word))
                    || matches!(self.peek_after(1), Kind::Text(_))
            }
            _ => false,
        }
    }

    /// Whether a condition ends here.
    fn ends_test(&self) -> bool {
        match self.peek() {
            Kind::End | Kind::Symbol(")" | ";") => true,
            _ => ["AND", "OR", "ORDER", "GROUP", "LIMIT", "OFFSET", "WITH"]
                .iter()
                .any(|word| self.is_word(word)),
        }
    }

    fn comparison(&mut self) -> Option<Comparison> {
        let Kind::Symbol(symbol) = self.peek() else {
            return None;
        };
        let comparison = Comparison::of(symbol)?;
        self.advance();
        Some(comparison)
    }

    fn compare(
        &self,
        column: Column,
        comparison: Comparison,
        value: Given,
        at: Span,
    ) -> Result<Condition> {
        match column {
            Column::Field(field) => {
                let value = self.not_null(value)?;
                let make = match comparison {
                    Comparison::Eq | Comparison::Ne => Filter::Eq,
                    Comparison::Lt => Filter::Lt,
                    Comparison::Lte => Filter::Lte,
                    Comparison::Gt => Filter::Gt,
                    Comparison::Gte => Filter::Gte,
                };
                let test = Condition::Test(Test::Field(field.clone(), make(field, value)), at);
                Ok(negate_if(comparison == Comparison::Ne, test))
            }
            Column::Id => match comparison {
                Comparison::Eq | Comparison::Ne => {
                    let test = Condition::Test(Test::Id(vec![self.id(value)?]), at);
                    Ok(negate_if(comparison == Comparison::Ne, test))
                }
                _ => self.error_at(at, "ids have no order here: compare them by =, <>, IN or NOT IN"),
            },
            Column::Distance => {
                let bound = self.bound(value)?;
                match comparison {
                    Comparison::Lte => Ok(Condition::Test(Test::MaxDistance(bound), at)),
                    Comparison::Lt => {
                        Ok(Condition::Test(Test::MaxDistance(bound.next_down()), at))
                    }
                    _ => self.error_at(at, "a search can bound the distance from above only: distance < x or <= x"),
                }
            }
            Column::Score => {
                let bound = self.bound(value)?;
                match comparison {
                    Comparison::Gte => Ok(Condition::Test(Test::MinScore(bound), at)),
                    Comparison::Gt => Ok(Condition::Test(Test::MinScore(bound.next_up()), at)),
                    _ => self.error_at(at, "a search can bound the score from below only: score > x or >= x"),
                }
            }
            Column::Vector => self.error_at(
                at,
                "vectors are not compared: write vector NEAR [0.1, 0.2], and distance < x for a bound",
            ),
            Column::All => self.error_at(at, "`*` is no column"),
        }
    }

    fn bound(&self, value: Given) -> Result<f32> {
        let at = value.at;
        let bound = self.float(value)? as f32;
        match bound.is_finite() {
            true => Ok(bound),
            false => self.error_at(at, "the number is beyond what 32-bit floats hold"),
        }
    }

    /// Behind `IN`.
    fn is_in(&mut self, column: Column, start: Span) -> Result<Condition> {
        if !self.is("(") {
            return Err(self.unexpected("a list in parentheses, such as (1, 2) or ($list)"));
        }
        if matches!(self.peek_after(1), Kind::Symbol(")")) {
            return Err(self.error(
                "an empty list; bind an array as a parameter where it may be empty: IN ($list)",
            ));
        }
        let list = self.list(Self::given)?;
        let at = start.to(self.before());
        let values = self.values_of(list);
        let test = match column {
            Column::Field(field) => {
                let values = values.into_iter().map(|value| self.not_null(value));
                let filter = Filter::In(field.clone(), values.collect::<Result<Vec<Value>>>()?);
                Test::Field(field, filter)
            }
            Column::Id => {
                let ids = values.into_iter().map(|value| self.id(value));
                Test::Id(ids.collect::<Result<_>>()?)
            }
            _ => return self.error_at(at, "IN is about metadata fields and id"),
        };
        Ok(Condition::Test(test, at))
    }

    fn exists(&mut self, table: &Table) -> Result<Condition> {
        let start = self.here();
        self.advance();
        self.expect("(")?;
        if self.is_word("SELECT") {
            return Err(self.error("EXISTS takes a field: whether it is there, be it NULL"));
        }
        let name = self.name("a metadata field")?;
        self.expect(")")?;
        match name.column(table) {
            Column::Field(field) => Ok(Condition::Test(
                Test::Exists(field),
                start.to(self.before()),
            )),
            _ => self.error_at(name.at, "EXISTS is about metadata fields"),
        }
    }

    /// Behind `NEAR`.
    fn near(&mut self) -> Result<Near> {
        let start = self.here();
        let target = if self.is("(") && self.peek_after_is_select() {
            self.advance();
            let target = self.vector_of_point()?;
            self.expect(")")?;
            target
        } else {
            let given = self.given()?;
            Target::Vector(self.vector(given)?)
        };
        Ok(Near {
            target,
            at: start.to(self.before()),
            max_distance: None,
            min_score: None,
            groups: None,
            params: SearchParams::default(),
            timeout: None,
            cache: false,
        })
    }

    fn peek_after_is_select(&self) -> bool {
        matches!(self.peek_after(1), Kind::Word { quoted: false, text } if text.eq_ignore_ascii_case("SELECT"))
    }

    /// `SELECT vector FROM c WHERE id = 'x'`.
    fn vector_of_point(&mut self) -> Result<Target> {
        const FORM: &str = "the vector of a point is (SELECT vector FROM c WHERE id = 'x')";
        let start = self.here();
        self.expect_word("SELECT")?;
        let name = self.name("vector")?;
        self.expect_word("FROM")?;
        let table = self.table()?;
        self.expect_word("WHERE")?;
        let id = self.name("id")?;
        let is_id = name.column(&table) == Column::Vector && id.column(&table) == Column::Id;
        if !is_id || !self.eat("=") {
            return self.error_at(start.to(self.before()), FORM);
        }
        let given = self.given()?;
        let id = self.id(given)?;
        if !self.is(")") {
            return Err(self.error(FORM));
        }
        let collection = table.name;
        Ok(Target::Point { collection, id })
    }
}

fn negate_if(negated: bool, condition: Condition) -> Condition {
    match negated {
        true => Condition::Not(Box::new(condition)),
        false => condition,
    }
}
