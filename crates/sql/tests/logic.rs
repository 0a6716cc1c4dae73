//! Conditions against two oracles: the filter that a builder makes, and SQL's three-valued logic, worked out point by
//! point.

use vecdb_engine::{Filter, Metadata, Value};
use vecdb_sql::{Action, Param, Params, Statement};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Integers, texts, truth values, arrays of texts; each may be null or missing.
const FIELDS: [&str; 4] = ["n", "a text", "flag", "tags"];

fn value(random: &mut Random, field: usize) -> Value {
    match FIELDS[field] {
        "n" => Value::Int(random.below(5) as i64 - 2),
        "flag" => Value::Bool(random.below(2) == 0),
        _ => Value::String(["", "a", "ab", "it's", "b%c"][random.below(5)].to_owned()),
    }
}

fn metadata(random: &mut Random) -> Metadata {
    let mut metadata = Metadata::new();
    for (at, field) in FIELDS.into_iter().enumerate() {
        let value = match (random.below(5), field) {
            (0, _) => continue,
            (1, _) => Value::Null,
            (_, "tags") => {
                let count = random.below(3);
                Value::Array((0..count).map(|_| value(random, at)).collect())
            }
            _ => value(random, at),
        };
        metadata.insert(field.to_owned(), value);
    }
    metadata
}

/// A condition, as it can be written, built and worked out.
enum Condition {
    Compare(usize, &'static str, Value),
    In(usize, bool, Vec<Value>),
    Between(usize, bool, Value, Value),
    Like(usize, bool, &'static str),
    Null(usize, bool),
    Exists(usize),
    Truth(usize),
    Constant(bool),
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
}

fn condition(random: &mut Random, depth: usize, negations: bool) -> Condition {
    if depth > 0 && random.below(2) == 0 {
        let count = 2 + random.below(2);
        let parts: Vec<_> = (0..count)
            .map(|_| condition(random, depth - 1, negations))
            .collect();
        return match random.below(if negations { 3 } else { 2 }) {
            0 => Condition::And(parts),
            1 => Condition::Or(parts),
            _ => Condition::Not(Box::new(condition(random, depth - 1, negations))),
        };
    }
    let field = random.below(FIELDS.len());
    let ordered = FIELDS[field] != "flag";
    let text = field == 1 || field == 3;
    let negated = negations && random.below(2) == 0;
    match random.below(8) {
        0 if ordered => {
            let (low, high) = (value(random, field), value(random, field));
            Condition::Between(field, negated, low, high)
        }
        1 => {
            let count = 1 + random.below(3);
            let values = (0..count).map(|_| value(random, field)).collect();
            Condition::In(field, negated, values)
        }
        2 if text => Condition::Like(
            field,
            negated,
            ["a%", "%b%", "it's", "b\\%c"][random.below(4)],
        ),
        3 => Condition::Null(field, random.below(2) == 0),
        4 => Condition::Exists(field),
        5 if !ordered => Condition::Truth(field),
        6 => Condition::Constant(random.below(2) == 0),
        _ => {
            let comparisons = ["=", "<", "<=", ">", ">=", "<>"];
            let comparison = match (ordered, negations) {
                (false, false) => "=",
                (false, true) => ["=", "<>"][random.below(2)],
                (true, false) => comparisons[random.below(5)],
                (true, true) => comparisons[random.below(6)],
            };
            Condition::Compare(field, comparison, value(random, field))
        }
    }
}

/// How a condition is written: values as literals, or bound.
struct Writer {
    params: Option<Vec<Param>>,
}

impl Writer {
    fn value(&mut self, value: &Value) -> String {
        if let Some(params) = &mut self.params {
            params.push(Param::Value(value.clone()));
            return format!("${}", params.len());
        }
        match value {
            Value::String(text) => format!("'{}'", text.replace('\'', "''")),
            other => other.to_json().to_string(),
        }
    }

    fn write(&mut self, condition: &Condition, random: &mut Random) -> String {
        let name = |field: usize| format!("\"{}\"", FIELDS[field]);
        let not = |negated: bool| if negated { "NOT " } else { "" };
        match condition {
            Condition::Compare(field, comparison, value) => {
                let value = self.value(value);
                match (random.below(3), *comparison) {
                    (0, "=" | "<>") => format!("{value} {comparison} {}", name(*field)),
                    (0, "<") => format!("{value}>{}", name(*field)),
                    _ => format!("{} {comparison} {value}", name(*field)),
                }
            }
            Condition::In(field, negated, values) => {
                let values: Vec<_> = values.iter().map(|value| self.value(value)).collect();
                format!(
                    "{} {}IN ({})",
                    name(*field),
                    not(*negated),
                    values.join(", ")
                )
            }
            Condition::Between(field, negated, low, high) => {
                let (low, high) = (self.value(low), self.value(high));
                format!("{} {}between {low} and {high}", name(*field), not(*negated))
            }
            Condition::Like(field, negated, pattern) => {
                let pattern = self.value(&Value::from(*pattern));
                format!("{} {}LIKE {pattern}", name(*field), not(*negated))
            }
            Condition::Null(field, is) => {
                format!("{} IS {}NULL", name(*field), not(!is))
            }
            Condition::Exists(field) => format!("EXISTS({})", name(*field)),
            Condition::Truth(field) => name(*field),
            Condition::Constant(value) => value.to_string(),
            Condition::And(parts) => self.join(parts, "AND", random),
            Condition::Or(parts) => self.join(parts, "OR", random),
            Condition::Not(part) => format!("NOT ({})", self.write(part, random)),
        }
    }

    fn join(&mut self, parts: &[Condition], word: &str, random: &mut Random) -> String {
        let parts: Vec<_> = parts
            .iter()
            .map(|part| format!("({})", self.write(part, random)))
            .collect();
        parts.join(&format!(" {word} -- and so on\n"))
    }
}

impl Condition {
    /// As a program would build it. Without negations.
    fn build(&self) -> Filter {
        let name = |field: &usize| FIELDS[*field].to_owned();
        match self {
            Condition::Compare(field, comparison, value) => {
                let make = match *comparison {
                    "=" => Filter::Eq,
                    "<" => Filter::Lt,
                    "<=" => Filter::Lte,
                    ">" => Filter::Gt,
                    _ => Filter::Gte,
                };
                make(name(field), value.clone())
            }
            Condition::In(field, _, values) => Filter::In(name(field), values.clone()),
            Condition::Between(field, _, low, high) => Filter::And(vec![
                Filter::Gte(name(field), low.clone()),
                Filter::Lte(name(field), high.clone()),
            ]),
            Condition::Like(field, _, "a%") => Filter::starts_with(name(field), "a"),
            Condition::Like(field, _, "%b%") => Filter::contains(name(field), "b"),
            Condition::Like(field, _, "b\\%c") => Filter::eq(name(field), "b%c"),
            Condition::Like(field, _, text) => Filter::eq(name(field), *text),
            Condition::Null(field, true) => Filter::eq(name(field), Value::Null),
            Condition::Null(field, false) => Filter::ne(name(field), Value::Null),
            Condition::Exists(field) => Filter::exists(name(field), true),
            Condition::Truth(field) => Filter::eq(name(field), true),
            Condition::Constant(true) => Filter::All,
            Condition::Constant(false) => Filter::Or(vec![]),
            Condition::And(parts) => flat(parts, true),
            Condition::Or(parts) => flat(parts, false),
            Condition::Not(_) => panic!("a negation"),
        }
    }

    /// True, false or, in SQL, neither.
    fn truth(&self, metadata: &Metadata) -> Option<bool> {
        let held = |field: usize, holds: &dyn Fn(&Value) -> bool| match metadata.get(FIELDS[field])
        {
            None | Some(Value::Null) => None,
            Some(value) => Some(value.elements().iter().any(holds)),
        };
        let negate = |negated: bool, truth: Option<bool>| truth.map(|truth| truth != negated);
        match self {
            Condition::Compare(field, "<>", value) => {
                held(*field, &|v| order(v, value) == 0).map(|equal| !equal)
            }
            Condition::Compare(field, comparison, value) => held(*field, &|v| {
                let order = order(v, value);
                match *comparison {
                    "=" => order == 0,
                    "<" => order < 0,
                    "<=" => order <= 0,
                    ">" => order > 0,
                    _ => order >= 0,
                }
            }),
            Condition::In(field, negated, values) => {
                let any = held(*field, &|v| values.iter().any(|w| order(v, w) == 0));
                negate(*negated, any)
            }
            Condition::Between(field, negated, low, high) => {
                let low = held(*field, &|v| order(v, low) >= 0)?;
                let high = held(*field, &|v| order(v, high) <= 0)?;
                Some((low && high) != *negated)
            }
            Condition::Like(field, negated, pattern) => {
                let like = held(*field, &|v| {
                    let Value::String(text) = v else { return false };
                    match *pattern {
                        "a%" => text.starts_with('a'),
                        "%b%" => text.contains('b'),
                        "b\\%c" => text == "b%c",
                        same => text == same,
                    }
                });
                negate(*negated, like)
            }
            Condition::Null(field, is) => {
                let null = matches!(metadata.get(FIELDS[*field]), None | Some(Value::Null));
                Some(null == *is)
            }
            Condition::Exists(field) => Some(metadata.contains_key(FIELDS[*field])),
            Condition::Truth(field) => held(*field, &|v| *v == Value::Bool(true)),
            Condition::Constant(value) => Some(*value),
            Condition::And(parts) => {
                let truths: Vec<_> = parts.iter().map(|part| part.truth(metadata)).collect();
                match truths.contains(&Some(false)) {
                    true => Some(false),
                    false => (!truths.contains(&None)).then_some(true),
                }
            }
            Condition::Or(parts) => {
                let truths: Vec<_> = parts.iter().map(|part| part.truth(metadata)).collect();
                match truths.contains(&Some(true)) {
                    true => Some(true),
                    false => (!truths.contains(&None)).then_some(false),
                }
            }
            Condition::Not(part) => part.truth(metadata).map(|truth| !truth),
        }
    }
}

/// `AND` and `OR` are told without the parentheses that change nothing.
fn flat(parts: &[Condition], and: bool) -> Filter {
    let mut all = Vec::new();
    for part in parts {
        match part.build() {
            Filter::All if and => {}
            Filter::And(inner) if and => all.extend(inner),
            Filter::Or(inner) if !and && !inner.is_empty() => all.extend(inner),
            other => all.push(other),
        }
    }
    match (and, all.len()) {
        (true, 0) => Filter::All,
        (true, 1) => all.swap_remove(0),
        (true, _) => Filter::And(all),
        (false, _) => Filter::Or(all),
    }
}

fn order(a: &Value, b: &Value) -> i32 {
    let order = match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        other => panic!("{other:?}"),
    };
    order as i32
}

fn filter_of(condition: &Condition, random: &mut Random) -> (Filter, String) {
    let params = (random.below(2) == 0).then(Vec::new);
    let mut writer = Writer { params };
    let written = writer.write(condition, random);
    let sql = format!("SELECT * FROM c WHERE {written}");
    let params = Params::Positional(writer.params.unwrap_or_default());
    let statement =
        Statement::parse(&sql, &params).unwrap_or_else(|error| panic!("{sql}\n{error}"));
    let Action::Select(select) = statement.action else {
        panic!("no select");
    };
    (select.rows.filter.unwrap_or_default(), sql)
}

#[test]
fn a_condition_is_the_filter_that_a_builder_makes() {
    for seed in 0..3_000 {
        let mut random = Random(seed);
        let condition = condition(&mut random, 3, false);
        let (filter, sql) = filter_of(&condition, &mut random);
        assert_eq!(filter, condition.build(), "seed {seed}: {sql}");
    }
}

#[test]
fn a_condition_means_what_sql_says_of_null() {
    for seed in 0..3_000 {
        let mut random = Random(seed);
        let condition = condition(&mut random, 4, true);
        let (filter, sql) = filter_of(&condition, &mut random);
        for _ in 0..20 {
            let point = metadata(&mut random);
            let expected = condition.truth(&point) == Some(true);
            assert_eq!(
                filter.matches(&point),
                expected,
                "seed {seed}: {sql}\n{point:?}"
            );
        }
    }
}
