//! `query`: one SQL statement.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use vecdb_engine::StopSignal;
use vecdb_sql::{Action, Param, Params, Right, Statement};

use super::input;
use super::session::{Intent, Session};
use super::strategies;
use crate::args::{Globals, SqlArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{Console, Table};

pub(crate) fn run(console: &Console, globals: &Globals, args: &SqlArgs) -> Outcome {
    let params = params(&args.param)?;
    if args.strategies.analyze_strategies {
        return strategies::run(console, globals, args, &params);
    }
    let sql = args.sql.as_deref().unwrap_or_default();
    let intent = intent_of(&Statement::parse(sql, &params)?);
    Session::open(console, globals, intent)?.run(|session| {
        let stop = StopSignal::default();
        let result = session.backend().query(sql, &params, &stop)?;
        console.json(&result)?;
        match args.csv {
            true => console.raw(Table(&result).csv()),
            false => Table(&result).print(console, true),
        }
    })
}

/// How a folder has to be opened for a statement.
pub(super) fn intent_of(statement: &Statement) -> Intent {
    match (&statement.action, statement.right()) {
        (Action::CreateCollection(_), _) => Intent::Create,
        (_, Right::Read) => Intent::Read,
        (_, Right::Write | Right::Admin) => Intent::Write,
    }
}

fn params(typed: &[String]) -> Outcome<Params> {
    let mut params = BTreeMap::new();
    for text in typed {
        let Some((name, value)) = text.split_once('=') else {
            return Err(Failure::usage(format!(
                "--param {text}: write NAME=VALUE, such as q=@query.npy, category=games or 1=[0.1, 0.2]"
            )));
        };
        let name = name.trim_start_matches('$');
        let value = param(value).map_err(|failure| failure.context(format!("--param {name}")))?;
        if params.insert(name.to_owned(), value).is_some() {
            return Err(Failure::usage(format!("--param {name} is given twice")));
        }
    }
    // Without any there are none by position.
    if !params.keys().all(|name| is_number(name)) {
        return Ok(Params::Named(params));
    }
    let mut positional = Vec::with_capacity(params.len());
    for number in 1..=params.len() {
        match params.remove(&number.to_string()) {
            Some(value) => positional.push(value),
            None => {
                return Err(Failure::usage(format!(
                    "--param {number} is missing: parameters by position are counted from 1"
                )));
            }
        }
    }
    Ok(Params::Positional(positional))
}

fn is_number(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// JSON, a row of a file, or a text as it stands.
fn param(text: &str) -> Outcome<Param> {
    if let Some(file) = text.strip_prefix('@') {
        let (file, row) = match file.rsplit_once(':') {
            Some((file, row)) if is_number(row) => (file, row.parse().unwrap_or(usize::MAX)),
            _ => (file, 0),
        };
        return Ok(Param::Vector(input::query(&format!("@{file}"), row)?));
    }
    match serde_json::from_str::<Json>(text) {
        Ok(json) => Ok(Param::from_json(&json)?),
        Err(_) if text.starts_with(['[', '{', '"']) => Err(Failure::usage(format!(
            "{text} is not valid JSON; a text that begins so stands in double quotes"
        ))),
        Err(_) => Ok(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_as_typed() {
        let typed = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            params(&texts).map_err(|failure| match failure {
                Failure::Error(error) => error.to_string(),
                Failure::ClosedPipe => String::new(),
            })
        };
        assert_eq!(typed(&[]), Ok(Params::default()));
        let named = typed(&["$a=5", "b=x=y", "c=\"5\"", "d=-1.5"]).unwrap();
        let expected = Params::named([
            ("a", Param::from(5)),
            ("b", "x=y".into()),
            ("c", "5".into()),
            ("d", (-1.5).into()),
        ]);
        assert_eq!(named, expected);
        let positional = typed(&["2=b", "1=[1, 2]"]).unwrap();
        let list = Param::from(vec![1_i64, 2]);
        assert_eq!(positional, Params::positional([list, "b".into()]));
        for (texts, named) in [
            (["a", "b=1"], "NAME=VALUE"),
            (["1=a", "3=b"], "--param 2 is missing"),
            (["a=1", "a=2"], "twice"),
            (["a=[1", "b=1"], "not valid JSON"),
            (["a=@none.npy", "b=1"], "none.npy"),
        ] {
            let error = typed(&texts).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
