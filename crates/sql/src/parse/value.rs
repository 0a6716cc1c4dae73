//! Literals and parameters, and what they can stand for.

use vecdb_engine::{GeoPoint, PointId, Result, Value};

use super::Parser;
use crate::params::Param;
use crate::source::Span;
use crate::tokens::Kind;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) param: Param,
    pub(super) at: Span,
}

impl Parser<'_> {
    /// A literal or a parameter: `1`, `-2.5`, `'text'`, `TRUE`, `NULL`, `DATE '2026-01-31'`, `[0.1, 0.2]`,
    /// `geo(52.5, 13.4)`, `$q`.
    pub(super) fn given(&mut self) -> Result<Given> {
        let start = self.here();
        let param = self.param()?;
        let at = start.to(self.before());
        Ok(Given { param, at })
    }

    fn param(&mut self) -> Result<Param> {
        match self.peek() {
            Kind::Symbol("[") => return self.array(),
            Kind::Symbol("-" | "+" | "(") | Kind::Number(_) => return self.number(),
            Kind::Word {
                quoted: true, text, ..
            } => {
                let message = format!(
                    "{text:?} is the name of a column; a text stands in single quotes: '{}'",
                    text.replace('\'', "''")
                );
                return Err(self.error(message));
            }
            Kind::Word { .. } => return self.word_value(),
            Kind::Text(_) | Kind::Parameter(_) => {}
            _ => return Err(self.unexpected("a value")),
        }
        let at = self.here();
        match self.take() {
            Kind::Text(text) => Ok(text.into()),
            Kind::Parameter(name) => match self.bindings.bind(&name) {
                Ok(param) => Ok(param.clone()),
                Err(message) => self.error_at(at, message),
            },
            _ => Err(self.unexpected("a value")),
        }
    }

    fn word_value(&mut self) -> Result<Param> {
        let words = [
            ("TRUE", Value::Bool(true)),
            ("FALSE", Value::Bool(false)),
            ("NULL", Value::Null),
        ];
        for (word, value) in words {
            if self.eat_word(word) {
                return Ok(Param::Value(value));
            }
        }
        let typed = ["DATE", "TIMESTAMP", "DATETIME", "UUID"]
            .iter()
            .any(|word| self.is_word(word));
        if typed && matches!(self.peek_after(1), Kind::Text(_)) {
            self.advance();
            if let Kind::Text(text) = self.take() {
                return Ok(text.into());
            }
        }
        if self.is_word("GEO") && matches!(self.peek_after(1), Kind::Symbol("(")) {
            return self.geo();
        }
        if self.is_word("SELECT") {
            return Err(self.error("a SELECT can only stand behind NEAR"));
        }
        let word = self.peek().to_string();
        if matches!(self.peek_after(1), Kind::Symbol("(")) {
            return Err(self.error(format_args!(
                "{word} is no value: what is computed has to be computed before, and bound as a parameter"
            )));
        }
        Err(self.error(format_args!(
            "expected a value, found {word}: columns are compared with values, not with each other, and a text stands \
             in single quotes"
        )))
    }

    /// `geo(52.5, 13.4)`: latitude and longitude.
    fn geo(&mut self) -> Result<Param> {
        let start = self.here();
        self.advance();
        self.expect("(")?;
        let latitude = self.nested(Self::given)?;
        self.expect(",")?;
        let longitude = self.nested(Self::given)?;
        self.expect(")")?;
        let at = start.to(self.before());
        let point = GeoPoint::new(self.float(latitude)?, self.float(longitude)?);
        match point {
            Ok(point) => Ok(Param::Value(Value::Geo(point))),
            Err(error) => self.error_at(at, error),
        }
    }

    fn number(&mut self) -> Result<Param> {
        let start = self.here();
        if self.eat("(") {
            let value = self.nested(Self::param)?;
            self.expect(")")?;
            return Ok(value);
        }
        let negative = self.eat("-");
        if !negative {
            self.eat("+");
        }
        let Kind::Number(text) = self.peek() else {
            return Err(self.unexpected("a number"));
        };
        let text = match negative {
            true => format!("-{text}"),
            false => text.clone(),
        };
        let at = start.to(self.here());
        self.advance();
        if let Ok(int) = text.parse::<i64>() {
            return Ok(int.into());
        }
        if let Ok(large) = text.parse::<u64>() {
            return Ok(Param::Id(large.into()));
        }
        let whole = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-');
        match text.parse::<f64>() {
            Ok(float) if float.is_finite() && !whole => Ok(float.into()),
            _ => self.error_at(
                at,
                format_args!(
                    "the number {text} is out of range: integers have 64 bits, floats go to 1.8e308"
                ),
            ),
        }
    }

    fn array(&mut self) -> Result<Param> {
        self.expect("[")?;
        let mut items = Vec::new();
        if !self.eat("]") {
            loop {
                let item = self.nested(Self::given)?;
                match item.param {
                    Param::Value(Value::Array(_)) | Param::Vector(_) => {
                        return self.error_at(item.at, "an array inside an array");
                    }
                    Param::Value(value) => items.push(value),
                    Param::Id(id) => {
                        return self.error_at(
                            item.at,
                            format_args!("the integer {id} is outside -2^63 to 2^63-1"),
                        );
                    }
                }
                if !self.eat(",") {
                    break;
                }
            }
            if !self.eat("]") {
                return Err(self.unexpected("`,` or `]`"));
            }
        }
        Ok(Param::Value(Value::Array(items)))
    }

    /// A single value to compare a field with.
    pub(super) fn scalar(&self, given: Given) -> Result<Value> {
        match given.param {
            Param::Value(Value::Array(_)) | Param::Vector(_) => self.error_at(
                given.at,
                "expected a single value, not an array; for one of several use IN",
            ),
            Param::Value(Value::Float(x)) if !x.is_finite() => {
                self.error_at(given.at, format_args!("{x} is not a finite number"))
            }
            Param::Value(value) => Ok(value),
            Param::Id(id) => self.error_at(
                given.at,
                format_args!("the integer {id} is outside -2^63 to 2^63-1"),
            ),
        }
    }

    /// [`Self::scalar`] that is not null.
    pub(super) fn not_null(&self, given: Given) -> Result<Value> {
        let at = given.at;
        match self.scalar(given)? {
            Value::Null => self.error_at(
                at,
                "nothing compares with NULL; write IS NULL or IS NOT NULL for fields without a value",
            ),
            value => Ok(value),
        }
    }

    /// What a metadata field is set to.
    pub(super) fn field_value(&self, given: Given) -> Result<Value> {
        match given.param {
            Param::Value(array @ Value::Array(_)) => Ok(array),
            Param::Vector(values) => Ok(Value::Array(
                values.into_iter().map(|x| f64::from(x).into()).collect(),
            )),
            _ => self.scalar(given),
        }
    }

    pub(super) fn vector(&self, given: Given) -> Result<Vec<f32>> {
        let values = match given.param {
            Param::Vector(values) => values,
            Param::Value(Value::Array(items)) => {
                let mut values = Vec::with_capacity(items.len());
                for (at, item) in items.iter().enumerate() {
                    values.push(match item {
                        Value::Int(number) => *number as f32,
                        Value::Float(number) => *number as f32,
                        other => {
                            let other = other.to_json();
                            let message =
                                format!("value {at} of the vector is {other}, not a number");
                            return self.error_at(given.at, message);
                        }
                    });
                }
                values
            }
            Param::Value(other) => {
                let message = format!(
                    "expected a vector such as [0.1, 0.2], not {}",
                    crate::source::shorten(&other.to_json().to_string())
                );
                return self.error_at(given.at, message);
            }
            Param::Id(id) => {
                let message = format!("expected a vector such as [0.1, 0.2], not {id}");
                return self.error_at(given.at, message);
            }
        };
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => self.error_at(
                given.at,
                format_args!("value {at} of the vector is beyond what 32-bit floats hold"),
            ),
            None if values.is_empty() => self.error_at(given.at, "the vector has no values"),
            None => Ok(values),
        }
    }

    pub(super) fn id(&self, given: Given) -> Result<PointId> {
        let id = match &given.param {
            Param::Id(id) => Ok(id.clone()),
            Param::Value(Value::String(text)) => PointId::from_text(text),
            Param::Value(Value::Int(number)) if *number >= 0 => {
                Ok(PointId::U64(number.unsigned_abs()))
            }
            Param::Value(Value::Null) => {
                return self.error_at(given.at, "an id is never NULL");
            }
            _ => {
                return self.error_at(
                    given.at,
                    "an id is a text or a whole number from 0 to 18446744073709551615",
                );
            }
        };
        id.or_else(|error| self.error_at(given.at, error))
    }

    /// The values of a list, in which a parameter may stand for several.
    pub(super) fn values_of(&self, list: Vec<Given>) -> Vec<Given> {
        let mut values = Vec::with_capacity(list.len());
        for given in list {
            match given.param {
                Param::Value(Value::Array(items)) => {
                    values.extend(items.into_iter().map(|item| Given {
                        param: Param::Value(item),
                        at: given.at,
                    }));
                }
                _ => values.push(given),
            }
        }
        values
    }

    /// `LIMIT` and `OFFSET`.
    pub(super) fn count(&mut self, what: &str) -> Result<usize> {
        let given = self.given()?;
        match given.param {
            Param::Value(Value::Int(number)) => match usize::try_from(number) {
                Ok(number) => Ok(number),
                Err(_) => self.error_at(given.at, format_args!("{what} {number} is below 0")),
            },
            _ => self.error_at(given.at, format_args!("{what} is a whole number")),
        }
    }

    pub(super) fn float(&self, given: Given) -> Result<f64> {
        match given.param {
            Param::Value(Value::Int(number)) => Ok(number as f64),
            Param::Value(Value::Float(number)) if number.is_finite() => Ok(number),
            _ => self.error_at(given.at, "expected a finite number"),
        }
    }
}
