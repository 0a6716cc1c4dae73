//! Conditions on texts and places: `LIKE`, and what is written like a function.

use vecdb_engine::{Filter, GeoArea, GeoPoint, Result, Value, did_you_mean};

use super::Parser;
use super::name::{Name, Table};
use super::value::Given;
use crate::params::Param;
use crate::rows::{Condition, Test};
use crate::source::Span;
use crate::statement::Column;

/// The conditions that are written like a function.
const FUNCTIONS: [&str; 5] = ["starts_with", "contains", "match", "phrase", "geo_within"];

impl Parser<'_> {
    /// `contains(name, 'x')`: behind the name of the function.
    pub(super) fn function(&mut self, name: &Name, table: &Table) -> Result<Condition> {
        let function = name.text().to_ascii_lowercase();
        if !FUNCTIONS.contains(&function.as_str()) {
            let near = did_you_mean(&function, FUNCTIONS);
            let message = format!(
                "there is no function {}{near}; as a condition there are {}, exists",
                name.text(),
                FUNCTIONS.join(", ")
            );
            return self.error_at(name.at, message);
        }
        self.expect("(")?;
        let field = self.name("a metadata field")?;
        let Column::Field(field) = field.column(table) else {
            let message = format!("{function} is about metadata fields");
            return self.error_at(field.at, message);
        };
        let mut values = Vec::new();
        while self.eat(",") {
            values.push(self.given()?);
        }
        if !self.eat(")") {
            return Err(self.unexpected("`,` or `)`"));
        }
        let at = name.at.to(self.before());
        let filter = match (function.as_str(), values.len()) {
            ("geo_within", 3 | 4) => {
                let area = self.area(values, at)?;
                Filter::geo_within(field.clone(), area)
            }
            ("geo_within", _) => {
                return self.error_at(
                    at,
                    "an area is geo_within(field, latitude, longitude, radius in metres) or geo_within(field, south, west, \
                     north, east)",
                );
            }
            (_, 1) => {
                let value = values.into_iter().next().map(|value| self.text(value));
                let text = value.transpose()?.unwrap_or_default();
                let made = match function.as_str() {
                    "starts_with" => Ok(Filter::starts_with(field.clone(), text)),
                    "contains" => Ok(Filter::contains(field.clone(), text)),
                    "match" => Filter::text(field.clone(), text),
                    _ => Filter::phrase(field.clone(), text),
                };
                made.or_else(|error| self.error_at(at, error))?
            }
            _ => {
                let message =
                    format!("{function} takes a field and a text: {function}(name, 'words')");
                return self.error_at(at, message);
            }
        };
        Ok(Condition::Test(Test::Field(field, filter), at))
    }

    /// Degrees and metres.
    fn area(&self, values: Vec<Given>, at: Span) -> Result<GeoArea> {
        let numbers = values.into_iter().map(|value| self.float(value));
        let numbers = numbers.collect::<Result<Vec<f64>>>()?;
        let area = match numbers.as_slice() {
            [latitude, longitude, radius_m] => GeoPoint::new(*latitude, *longitude)
                .and_then(|center| GeoArea::circle(center, *radius_m)),
            [south, west, north, east] => GeoPoint::new(*south, *west)
                .and_then(|south_west| GeoArea::bounds(south_west, GeoPoint::new(*north, *east)?)),
            _ => Err("an area has a centre and a radius, or four sides".to_owned()),
        };
        area.or_else(|error| self.error_at(at, error))
    }

    /// Behind `LIKE`: `'abc'`, `'abc%'` or `'%abc%'`.
    pub(super) fn like(&mut self, column: Column, start: Span) -> Result<Condition> {
        let given = self.given()?;
        let pattern_at = given.at;
        let pattern = self.text(given)?;
        if self.is_word("ESCAPE") {
            return Err(
                self.error("there is no ESCAPE: a backslash makes % and _ ordinary characters")
            );
        }
        let at = start.to(self.before());
        let Column::Field(field) = column else {
            return self.error_at(at, "LIKE is about metadata fields");
        };
        let Some(pattern) = Pattern::of(&pattern) else {
            return self.error_at(
                pattern_at,
                "LIKE takes 'abc%' (begins with), '%abc%' (contains) or 'abc' (equals); for words there is match(field, \
                 'words')",
            );
        };
        let filter = match pattern {
            Pattern::Equals(text) => Filter::eq(field.clone(), text),
            Pattern::StartsWith(text) => Filter::starts_with(field.clone(), text),
            Pattern::Contains(text) => Filter::contains(field.clone(), text),
        };
        Ok(Condition::Test(Test::Field(field, filter), at))
    }

    fn text(&self, given: Given) -> Result<String> {
        match given.param {
            Param::Value(Value::String(text)) => Ok(text),
            _ => self.error_at(given.at, "expected a text in single quotes"),
        }
    }
}

/// A pattern of `LIKE` that a filter can say.
#[derive(Debug, PartialEq)]
enum Pattern {
    Equals(String),
    StartsWith(String),
    Contains(String),
}

impl Pattern {
    fn of(pattern: &str) -> Option<Self> {
        let (open, rest) = match pattern.strip_prefix('%') {
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        let mut text = String::with_capacity(rest.len());
        let mut chars = rest.chars().peekable();
        let mut ends_open = false;
        while let Some(c) = chars.next() {
            match c {
                '\\' if matches!(chars.peek(), Some('%' | '_' | '\\')) => text.extend(chars.next()),
                '%' if chars.peek().is_none() => ends_open = true,
                '%' | '_' => return None,
                c => text.push(c),
            }
        }
        match (open, ends_open) {
            (true, true) => Some(Self::Contains(text)),
            (false, true) => Some(Self::StartsWith(text)),
            (false, false) => Some(Self::Equals(text)),
            // `%` alone: every text.
            (true, false) if text.is_empty() => Some(Self::StartsWith(text)),
            (true, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern::{Contains, Equals, StartsWith};
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, expected) in [
            ("abc", Some(Equals("abc".into()))),
            ("abc%", Some(StartsWith("abc".into()))),
            ("%abc%", Some(Contains("abc".into()))),
            ("%", Some(StartsWith(String::new()))),
            ("50\\%", Some(Equals("50%".into()))),
            ("%a\\_b\\\\%", Some(Contains("a_b\\".into()))),
            ("a\\b", Some(Equals("a\\b".into()))),
            ("", Some(Equals(String::new()))),
            ("%abc", None),
            ("a%c", None),
            ("a_c", None),
            ("%a%b%", None),
        ] {
            assert_eq!(Pattern::of(pattern), expected, "{pattern}");
        }
    }
}
