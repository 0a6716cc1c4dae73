//! What the dashboard and the alarms of `deploy/` ask for is what a scrape has: metrics, labels and their values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use vecdb_engine::{CollectionConfig, Database, Metric, Options};

use super::*;

/// Labels that Prometheus adds to every series.
const OF_PROMETHEUS: [&str; 2] = ["instance", "job"];

/// A query, and the text in which its labels are shown.
#[derive(Debug)]
struct Query {
    expression: String,
    shown: String,
}

/// One metric of a query with what it must match: label and value.
#[derive(Debug)]
struct Selector<'q> {
    metric: &'q str,
    matchers: Vec<(&'q str, &'q str)>,
}

/// The labels of every metric there is.
fn labels() -> BTreeMap<String, BTreeSet<String>> {
    let metrics = Metrics::new();
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path(), Options::default()).unwrap();
    let config = CollectionConfig::new(2, Metric::L2);
    let collection = database.create_collection("docs", config).unwrap();
    metrics.observe_database(&Overview {
        open: vec![collection.info()],
        ..Overview::default()
    });
    metrics.record(
        Operation::Search,
        "docs",
        Face::Grpc,
        None,
        Duration::from_millis(1),
    );
    metrics.observe_load(&[LaneLoad {
        lane: "read",
        queued: 0,
        running: 0,
        threads: 1,
    }]);
    let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let text = metrics.render();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, rest) = series.split_once('{').unwrap_or((series, ""));
        let names = rest.split(',').filter_map(|pair| pair.split_once('='));
        let known = labels.entry(name.to_owned()).or_default();
        known.extend(names.map(|(name, _)| name.to_owned()));
    }
    labels
}

/// The values that a label can have, where they are a fixed set.
fn values(label: &str) -> Option<Vec<&'static str>> {
    Some(match label {
        "reason" => Refusal::ALL.map(Refusal::name).to_vec(),
        "operation" => Operation::ALL.into_iter().map(Operation::name).collect(),
        "outcome" => std::iter::once("ok")
            .chain(ErrorKind::all().map(ErrorKind::name))
            .collect(),
        "face" => vec!["grpc", "http"],
        "plan" => vec![
            "scan", "walk", "hop", "subset", "check", "index", "sketches",
        ],
        "result" => vec!["hit", "miss"],
        "job" => vec!["vecdb"],
        _ => return None,
    })
}

/// All queries of a file, wherever they stand in it.
fn queries(file: &str) -> Vec<Query> {
    let path = format!("{}/../../deploy/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let root: Value = match file.ends_with(".json") {
        true => serde_json::from_str(&text).unwrap(),
        false => serde_saphyr::from_str(&text).unwrap(),
    };
    let mut found = Vec::new();
    let mut left = vec![&root];
    while let Some(value) = left.pop() {
        match value {
            Value::Array(items) => left.extend(items),
            Value::Object(map) => {
                let expression = map.get("expr").or_else(|| map.get("definition"));
                if let Some(expression) = expression.and_then(Value::as_str) {
                    let shown = [map.get("legendFormat"), map.get("annotations")];
                    let shown = shown.into_iter().flatten().map(Value::to_string);
                    found.push(Query {
                        expression: expression.to_owned(),
                        shown: shown.collect(),
                    });
                }
                left.extend(map.values());
            }
            _ => {}
        }
    }
    found
}

impl Query {
    fn selectors(&self) -> Vec<Selector<'_>> {
        let text = self.expression.as_str();
        let starts = text.match_indices("vecdb_").map(|(at, _)| at);
        let found = starts.map(|at| {
            let rest = &text[at..];
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let (metric, rest) = rest.split_at(end.unwrap_or(rest.len()));
            let inside = rest
                .strip_prefix('{')
                .and_then(|rest| rest.split_once('}'))
                .map_or("", |(inside, _)| inside);
            let matchers = inside.split(',').filter(|matcher| !matcher.is_empty());
            let matchers = matchers.map(|matcher| {
                let (label, value) = matcher.split_once(['=', '!']).unwrap();
                (label.trim(), value.trim_matches(['=', '~', '"', ' ']))
            });
            Selector {
                metric,
                matchers: matchers.collect(),
            }
        });
        found.collect()
    }

    /// The labels that its result is by, where it adds up.
    fn by(&self) -> Option<Vec<&str>> {
        let (_, rest) = self.expression.split_once(" by (")?;
        let (inside, _) = rest.split_once(')')?;
        Some(inside.split(',').map(str::trim).collect())
    }

    /// The labels that are shown: `{{reason}}` in a legend, `{{ $labels.reason }}` in an alarm.
    fn labels_shown(&self) -> Vec<&str> {
        let inside = self.shown.split("{{").skip(1);
        let inside = inside.filter_map(|rest| Some(rest.split_once("}}")?.0.trim()));
        inside
            .map(|name| name.strip_prefix("$labels.").unwrap_or(name))
            .filter(|name| !name.starts_with('$'))
            .collect()
    }
}

#[test]
fn dashboard_and_rules_ask_for_what_there_is() {
    let labels = labels();
    for file in ["grafana/vecdb.json", "prometheus/rules.yaml"] {
        let queries = queries(file);
        let (mut asked, mut compared) = (0, 0);
        for query in &queries {
            let mut known: Vec<&str> = OF_PROMETHEUS.to_vec();
            for Selector { metric, matchers } in query.selectors() {
                let of_metric = labels
                    .get(metric)
                    .unwrap_or_else(|| panic!("{file} asks for {metric}: {query:?}"));
                known.extend(of_metric.iter().map(String::as_str));
                asked += 1;
                for (label, value) in matchers {
                    assert!(
                        of_metric.contains(label) || OF_PROMETHEUS.contains(&label),
                        "{file}: {metric} has no label {label}, it has {of_metric:?}"
                    );
                    let Some(values) = values(label).filter(|_| !value.starts_with('$')) else {
                        continue;
                    };
                    for value in value.split('|') {
                        assert!(
                            values.contains(&value),
                            "{file}: no {metric} has {label}=\"{value}\", there are {values:?}"
                        );
                        compared += 1;
                    }
                }
            }
            let by = query.by();
            for label in by.iter().flatten() {
                assert!(known.contains(label), "{file}: by {label}: {query:?}");
            }
            let left = by.unwrap_or(known);
            for label in query.labels_shown() {
                assert!(left.contains(&label), "{file} shows {label}: {query:?}");
            }
        }
        assert!(asked > 10, "{file} asks for {asked} metrics only");
        assert!(compared > 1, "{file} names {compared} values only");
    }
}

/// The tables above are those of the code that counts.
#[test]
fn the_fixed_values_of_labels_are_those_that_are_counted() {
    let metrics = Metrics::new();
    for face in [Face::Grpc, Face::Http] {
        let kinds = std::iter::once(None).chain(ErrorKind::all().map(Some));
        for outcome in kinds {
            metrics.record(Operation::Search, "", face, outcome, Duration::ZERO);
        }
    }
    for operation in Operation::ALL {
        metrics.record(operation, "", Face::Grpc, None, Duration::ZERO);
    }
    let text = metrics.render();
    for label in ["reason", "operation", "outcome", "face"] {
        let mut seen = BTreeSet::new();
        for rest in text.split(&format!("{label}=\"")).skip(1) {
            seen.extend(rest.split('"').next());
        }
        let known: BTreeSet<_> = values(label).unwrap().into_iter().collect();
        assert_eq!(seen, known, "{label}");
    }
}
