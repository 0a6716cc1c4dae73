//! Parameters: values beside the text. They are bound where the text has a placeholder, and never become text.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use vecdb_engine::{Error, ErrorKind, PointId, Result, Value, did_you_mean};

/// One parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Param {
    /// Null, true or false, a number, a text, or an array of these. An array of numbers can be a vector.
    Value(Value),
    /// A number that only ids have: from 2^63 on.
    Id(PointId),
    /// A vector.
    Vector(Vec<f32>),
}

impl Param {
    /// The parameter that a piece of JSON stands for.
    ///
    /// # Errors
    /// Objects, arrays inside arrays, negative integers below -2^63.
    pub fn from_json(json: &Json) -> Result<Self> {
        if let Json::Number(number) = json
            && let Some(number) = number.as_u64()
            && i64::try_from(number).is_err()
        {
            return Ok(Param::Id(number.into()));
        }
        Ok(Param::Value(Value::from_json(json)?))
    }
}

/// Everything that a [`Value`] is made from.
macro_rules! from_values {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Param {
            fn from(value: $kind) -> Self {
                Param::Value(value.into())
            }
        }
    )*};
}

from_values!(
    Value,
    bool,
    i32,
    i64,
    f64,
    &str,
    String,
    Vec<String>,
    Vec<i64>
);

impl From<Vec<f32>> for Param {
    fn from(vector: Vec<f32>) -> Self {
        Param::Vector(vector)
    }
}

impl From<PointId> for Param {
    fn from(id: PointId) -> Self {
        match id {
            PointId::U64(number) => match i64::try_from(number) {
                Ok(number) => Param::Value(Value::Int(number)),
                Err(_) => Param::Id(number.into()),
            },
            text => Param::Value(Value::String(text.to_string())),
        }
    }
}

/// The parameters of a statement: by position (`?`, or `$1`, `$2`) or by name (`$q`).
#[derive(Clone, Debug, PartialEq)]
pub enum Params {
    /// The first is `$1`.
    Positional(Vec<Param>),
    /// Without the `$`.
    Named(BTreeMap<String, Param>),
}

impl Default for Params {
    fn default() -> Self {
        Params::Positional(Vec::new())
    }
}

impl Params {
    /// From a JSON array (by position), an object (by name) or null (none).
    ///
    /// # Errors
    /// Anything else, and what [`Param::from_json`] refuses; the parameter is named.
    pub fn from_json(json: &Json) -> Result<Self> {
        let one = |name: String, json: &Json| {
            Param::from_json(json).map_err(|error| error.context(format!("parameter {name}")))
        };
        match json {
            Json::Null => Ok(Params::default()),
            Json::Array(items) => items
                .iter()
                .enumerate()
                .map(|(at, item)| one(format!("${}", at + 1), item))
                .collect::<Result<_>>()
                .map(Params::Positional),
            Json::Object(items) => items
                .iter()
                .map(|(name, item)| Ok((name.clone(), one(format!("${name}"), item)?)))
                .collect::<Result<_>>()
                .map(Params::Named),
            _ => Err(invalid(
                "parameters are an array such as [0.5, \"a\"] or an object such as {\"q\": 0.5}",
            )),
        }
    }

    /// Parameters by position.
    pub fn positional<P: Into<Param>>(params: impl IntoIterator<Item = P>) -> Self {
        Params::Positional(params.into_iter().map(Into::into).collect())
    }

    /// Parameters by name.
    pub fn named<N: Into<String>, P: Into<Param>>(
        params: impl IntoIterator<Item = (N, P)>,
    ) -> Self {
        let named = params
            .into_iter()
            .map(|(name, param)| (name.into(), param.into()));
        Params::Named(named.collect())
    }
}

/// What placeholders were bound so far.
pub(crate) struct Bindings<'a> {
    params: &'a Params,
    /// How many `?` there were.
    anonymous: Cell<usize>,
    numbered: Cell<bool>,
    used: RefCell<BTreeSet<String>>,
}

impl<'a> Bindings<'a> {
    pub(crate) fn new(params: &'a Params) -> Self {
        Self {
            params,
            anonymous: Cell::default(),
            numbered: Cell::default(),
            used: RefCell::default(),
        }
    }

    /// The parameter that a placeholder stands for. The error is a message for its place.
    pub(crate) fn bind(&self, placeholder: &str) -> Result<&'a Param, String> {
        let number = match placeholder {
            "" => {
                self.anonymous.set(self.anonymous.get() + 1);
                Some(self.anonymous.get())
            }
            name if name.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.numbered.set(true);
                Some(name.parse().unwrap_or(usize::MAX))
            }
            _ => None,
        };
        if self.anonymous.get() > 0 && self.numbered.get() {
            return Err(
                "a statement has either `?` or `$1` for its parameters, not both".to_owned(),
            );
        }
        match (self.params, number) {
            (Params::Positional(given), Some(number)) => {
                self.used.borrow_mut().insert(number.to_string());
                let at = number.checked_sub(1);
                at.and_then(|at| given.get(at)).ok_or_else(|| {
                    format!(
                        "there is no parameter {number}: {} given, and the first is $1",
                        match given.len() {
                            0 => "none is".to_owned(),
                            1 => "1 is".to_owned(),
                            several => format!("{several} are"),
                        }
                    )
                })
            }
            (Params::Positional(given), None) if given.is_empty() => Err(format!(
                "there is no parameter {placeholder:?}: none is given"
            )),
            (Params::Positional(_), None) => Err(format!(
                "the parameters are given by position: write `?` or `$1` in place of ${placeholder}"
            )),
            (Params::Named(given), None) => {
                self.used.borrow_mut().insert(placeholder.to_owned());
                given.get(placeholder).ok_or_else(|| {
                    let near = did_you_mean(placeholder, given.keys().map(String::as_str));
                    format!("there is no parameter {placeholder:?}{near}")
                })
            }
            (Params::Named(_), Some(_)) => Err(
                "the parameters are given by name: write `$name` in place of `?` or `$1`"
                    .to_owned(),
            ),
        }
    }

    /// Refuses parameters that no placeholder stands for: one of both is misspelled.
    pub(crate) fn check_all_used(&self) -> Result<()> {
        let used = self.used.borrow();
        let unused = match self.params {
            Params::Positional(given) => (1..=given.len())
                .map(|number| number.to_string())
                .find(|number| !used.contains(number)),
            Params::Named(given) => given.keys().find(|name| !used.contains(*name)).cloned(),
        };
        match unused {
            Some(name) => Err(invalid(format!(
                "the parameter ${name} is given, but the statement has no placeholder for it"
            ))),
            None => Ok(()),
        }
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn placeholders_find_their_parameters() {
        let given = Params::from_json(&json!([1, "b", [0.5, 2], u64::MAX])).unwrap();
        let bindings = Bindings::new(&given);
        assert_eq!(bindings.bind("2"), Ok(&Param::from("b")));
        assert_eq!(bindings.bind("4"), Ok(&Param::Id(u64::MAX.into())));
        assert!(bindings.bind("0").unwrap_err().contains("first is $1"));
        assert!(bindings.bind("5").unwrap_err().contains("4 are given"));
        assert!(bindings.bind("q").unwrap_err().contains("by position"));
        assert!(bindings.bind("").unwrap_err().contains("not both"));
        let unused = bindings.check_all_used().unwrap_err().to_string();
        assert!(unused.contains("$1"), "{unused}");

        let questions = Bindings::new(&given);
        for expected in ["1", "2", "3", "4"] {
            assert!(questions.bind("").is_ok(), "{expected}");
        }
        assert!(questions.check_all_used().is_ok());

        let given = Params::from_json(&json!({"query": 1})).unwrap();
        let bindings = Bindings::new(&given);
        assert!(bindings.bind("quary").unwrap_err().contains("query"));
        assert!(bindings.bind("1").unwrap_err().contains("by name"));
        assert!(bindings.check_all_used().is_err());
        assert_eq!(bindings.bind("query"), Ok(&Param::from(1)));
        assert!(bindings.check_all_used().is_ok());
    }

    #[test]
    fn what_no_parameter_can_be_is_refused_by_name() {
        for (json, named) in [
            (json!("x"), "array"),
            (json!([{"a": 1}]), "$1"),
            (json!({"q": [[1]]}), "$q"),
        ] {
            let error = Params::from_json(&json).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
        assert_eq!(Params::from_json(&Json::Null).unwrap(), Params::default());
    }
}
