//! The Helm chart: what it may hold is checked without helm; where helm is there, it is linted and what it makes is read.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::World;
use crate::harness::running::Running;
use crate::{
    any_ports, as_strs, is_there, list, names, parse, repository, run, settings, tell, text, word,
    yaml,
};

const KEY: &str = "0123456789abcdef0123456789abcdef";
/// The oldest that the chart allows.
const KUBERNETES: &str = "1.25.0";

fn chart(file: &str) -> String {
    format!("helm/vecdb/{file}")
}

fn templates() -> Vec<(String, String)> {
    let folder = repository().join("deploy").join(chart("templates"));
    let files = std::fs::read_dir(folder).unwrap();
    let files = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    files
        .map(|name| {
            let text = text(&chart(&format!("templates/{name}")));
            (name, text)
        })
        .collect()
}

/// The settings that a configuration file of this text makes.
fn load(world: &World, file: &str, environment: &[(String, String)]) -> Value {
    let file = world.write("config.yaml", file);
    settings(world, environment, &["--config", file.to_str().unwrap()])
}

#[test]
fn the_values_are_those_that_the_schema_allows_and_the_templates_use() {
    fn compare(values: &Value, schema: &Value, path: &str) {
        let mut allowed = names(schema, "/properties");
        // What a chart above this one passes down stands in no values of ours.
        let is_own = |name: &&str| !matches!((path, *name), ("values", "global" | "enabled"));
        allowed.retain(is_own);
        assert_eq!(names(values, ""), allowed, "{path}");
        for name in allowed {
            let below = &schema["properties"][name];
            if below["additionalProperties"] == false {
                compare(&values[name], below, &format!("{path}.{name}"));
            }
        }
    }
    let values = yaml(&chart("values.yaml"));
    let schema = serde_json::from_str(&text(&chart("values.schema.json"))).unwrap();
    compare(&values, &schema, "values");

    let mut used = 0;
    for (file, template) in templates() {
        for rest in template.split(".Values.").skip(1) {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'));
            let path = &rest[..end.unwrap_or(rest.len())];
            let pointer = format!("/{}", path.trim_end_matches('.').replace('.', "/"));
            // What is below `config` is the server's.
            let is_there = pointer.starts_with("/config/") || values.pointer(&pointer).is_some();
            assert!(is_there, "{file}: .Values.{path} is not in values.yaml");
            used += 1;
        }
    }
    assert!(used > 30, "{used}");
}

#[test]
fn the_settings_of_the_chart_are_those_of_the_server() {
    let world = World::new();
    let values = yaml(&chart("values.yaml"));
    let now = load(&world, &values["config"].to_string(), &[]);
    let bytes = word(&now, "/limits/memory_bytes_max").trim_end_matches("GiB");
    let limit = word(&values, "/resources/limits/memory").trim_end_matches("Gi");
    assert!(bytes.parse::<u64>().unwrap() < limit.parse::<u64>().unwrap());
    let grace = values["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace * 1_000 > now["limits"]["shutdown_timeout_ms"].as_u64().unwrap());

    let schema: Value = serde_json::from_str(&text(&chart("values.schema.json"))).unwrap();
    let mut sections: Vec<_> = list(&schema, "/properties/config/propertyNames/enum").clone();
    sections.push(json!("tls"));
    sections.sort_unstable_by_key(Value::to_string);
    assert_eq!(json!(sections), json!(names(&now, "")));

    // Every name that the template of the configuration sets is one of the server's.
    let full = json!({"auth": {"keys": [{"name": "a", "key": KEY}], "jwt": {"secret": KEY}}});
    let full = load(&world, &full.to_string(), &[]);
    let mut known = vec!["key_file", "read"];
    let mut left = vec![&full];
    while let Some(value) = left.pop() {
        match value {
            Value::Object(map) => {
                known.extend(map.keys().map(String::as_str));
                left.extend(map.values());
            }
            Value::Array(items) => left.extend(items),
            _ => {}
        }
    }
    let template = text(&chart("templates/_names.tpl"));
    let (_, template) = template.split_once("define \"vecdb.config\"").unwrap();
    let quoted = template.split('"').skip(1).step_by(2);
    let is_word = |text: &&str| text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let set: Vec<_> = quoted.filter(is_word).collect();
    assert!(set.len() > 10, "{set:?}");
    for name in set {
        assert!(known.contains(&name), "{name} is no setting: {known:?}");
    }
}

#[test]
fn the_chart_is_of_this_version_and_has_the_rules() {
    let about = yaml(&chart("Chart.yaml"));
    assert_eq!(word(&about, "/appVersion"), env!("CARGO_PKG_VERSION"));
    let oldest = format!(">={KUBERNETES}-0");
    assert_eq!(word(&about, "/kubeVersion"), oldest);
    assert_eq!(text(&chart("rules.yaml")), text("prometheus/rules.yaml"));
}

/// What helm makes of some values.
struct Made {
    world: World,
    documents: Vec<Value>,
}

impl Made {
    fn new(values: &Value) -> Self {
        let world = World::new();
        let text = run(helm(&world, "template", values).args(["--kube-version", KUBERNETES]));
        let parts = text
            .split("\n---\n")
            .map(|part| part.trim_start_matches("---\n"));
        let documents = parts.map(|part| parse(part, "helm template")).collect();
        Self { world, documents }
    }

    fn of_kind<'m>(&'m self, kind: &'m str) -> impl Iterator<Item = &'m Value> {
        self.documents
            .iter()
            .filter(move |document| document["kind"] == kind)
    }

    fn pod(&self) -> &Value {
        let set = self.of_kind("StatefulSet").next().unwrap();
        &set["spec"]["template"]["spec"]
    }

    fn container(&self) -> &Value {
        &self.pod()["containers"][0]
    }

    /// The environment of the server, as far as it is about settings.
    fn environment(&self) -> Vec<(String, String)> {
        let all = self.container()["env"].as_array().into_iter().flatten();
        all.map(|one| {
            (
                word(one, "/name").to_owned(),
                word(one, "/value").to_owned(),
            )
        })
        .collect()
    }

    /// Its configuration file, with the files that it names.
    fn file(&self) -> String {
        let root = self.world.path("etc");
        std::fs::create_dir_all(root.join("keys")).unwrap();
        let volumes = self.pod()["volumes"].as_array().unwrap().iter();
        let keys = volumes.filter_map(|volume| volume.pointer("/projected/sources"));
        for source in keys.flat_map(|sources| sources.as_array().unwrap()) {
            let file = word(source, "/secret/items/0/path");
            // No two keys may be the same.
            std::fs::write(root.join("keys").join(file), format!("{KEY}{file}")).unwrap();
        }
        let map = self.of_kind("ConfigMap").next().unwrap();
        let args = json!(["--config", "/etc/vecdb/config.yaml"]);
        assert_eq!(self.container()["args"], args);
        word(map, "/data/config.yaml").replace("/etc/vecdb", root.to_str().unwrap())
    }

    /// What holds whatever the values are.
    fn check(&self) -> Value {
        let now = load(&self.world, &self.file(), &self.environment());
        assert_eq!(word(&now, "/storage/path"), "/var/lib/vecdb/data");
        let mut ports = Vec::new();
        for port in list(self.container(), "/ports") {
            let name = word(port, "/name");
            let address = word(&now, &format!("/listen/{name}"));
            assert_eq!(address, format!("0.0.0.0:{}", port["containerPort"]));
            ports.push(name);
        }
        assert_eq!(ports, ["grpc", "http", "metrics"]);
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let port = word(self.container(), &format!("/{probe}/httpGet/port"));
            assert!(ports.contains(&port), "{probe}: {port}");
        }
        let labels = self.of_kind("StatefulSet").next().unwrap();
        let labels = &labels["spec"]["template"]["metadata"]["labels"];
        for service in self.of_kind("Service") {
            for port in list(service, "/spec/ports") {
                assert!(ports.contains(&word(port, "/targetPort")), "{port}");
            }
            for (name, value) in service["spec"]["selector"].as_object().unwrap() {
                assert_eq!(labels[name], *value, "{service}");
            }
        }
        let mut volumes: Vec<_> = list(self.pod(), "/volumes").iter().collect();
        let set = self.of_kind("StatefulSet").next().unwrap();
        let claims = set["spec"]["volumeClaimTemplates"].as_array();
        volumes.extend(claims.into_iter().flatten().map(|claim| &claim["metadata"]));
        for mount in list(self.container(), "/volumeMounts") {
            let is_there = volumes.iter().any(|volume| volume["name"] == mount["name"]);
            assert!(is_there, "no volume for {mount}");
        }
        let headless = set["spec"]["serviceName"].clone();
        assert!(
            self.of_kind("Service")
                .any(|it| it["metadata"]["name"] == headless)
        );
        assert_eq!(self.pod()["enableServiceLinks"], false);
        now
    }
}

fn helm(world: &World, command: &str, values: &Value) -> Command {
    let file = world.write("values.yaml", values.to_string());
    let mut helm = Command::new("helm");
    helm.arg(command);
    if command == "template" {
        helm.arg("here");
    }
    helm.arg(repository().join("deploy/helm/vecdb"));
    helm.arg("--values").arg(file);
    helm
}

/// Values that somebody may have, and how many keys the server then has.
fn values() -> [(Value, usize); 5] {
    let keys = json!([
        {"name": "operations", "access": "admin", "key": KEY},
        {"name": "search", "collections": ["products", "shop-*"], "key": KEY},
        {"name": "ingest", "access": "write", "secretName": "s", "secretKey": "k"},
    ]);
    let operator = json!({
        "port": 9091,
        "serviceMonitor": {"enabled": true, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": true},
    });
    [
        (json!({}), 0),
        (json!({"keys": keys}), 3),
        (
            json!({"tls": {"secretName": "t", "clientCertificates": true}, "metrics": operator}),
            0,
        ),
        (
            json!({
                "config": {"listen": {"allow_insecure": true}, "snapshots": {"location": "s3://b/p"}},
                "persistence": {"enabled": false},
                "env": [{"name": "VECDB_LOG_FORMAT", "value": "text"}],
                "podAnnotations": {"a": "b"},
                "tolerations": [{"operator": "Exists"}],
            }),
            0,
        ),
        (
            json!({
                "config": {"auth": {"jwt": {"public_key": "/etc/issuer.pem", "algorithm": "ES256"}}},
                "persistence": {"storageClass": "fast", "annotations": {"a": "b"}},
                "keys": [keys[0]],
                "podDisruptionBudget": {"enabled": false},
            }),
            1,
        ),
    ]
}

#[test]
fn what_helm_makes_is_right() {
    if !is_there("helm") {
        tell("helm is not there: the chart was checked without it");
        return;
    }
    let world = World::new();
    for (values, keys) in values() {
        run(helm(&world, "lint", &values).arg("--strict"));
        let made = Made::new(&values);
        let now = made.check();
        assert_eq!(list(&now, "/auth/keys").len(), keys, "{values}");
        if keys > 0 && now["auth"]["jwt"].is_null() {
            let file = made.world.write("config.yaml", made.file());
            let args = any_ports(&now);
            let place = ["--config", file.to_str().unwrap(), "--path", "data"];
            let args = [as_strs(&args), place.to_vec()].concat();
            Running::spawn(&mut made.world.server(&args));
        }
        let rules = values.pointer("/metrics/prometheusRule").is_some();
        let made_rules = made.of_kind("PrometheusRule").next();
        assert_eq!(made_rules.is_some(), rules);
        if let Some(made_rules) = made_rules {
            assert_eq!(made_rules["spec"], yaml("prometheus/rules.yaml"));
            // The alarm for a server that does not answer asks for this job.
            let monitor = made.of_kind("ServiceMonitor").next().unwrap();
            let label = word(monitor, "/spec/jobLabel");
            let service = made.of_kind("Service").find(|service| {
                let selector = monitor["spec"]["selector"]["matchLabels"]
                    .as_object()
                    .unwrap();
                let labels = &service["metadata"]["labels"];
                selector.iter().all(|(name, value)| labels[name] == *value)
            });
            let service = service.expect("the monitor selects a service");
            assert_eq!(service["metadata"]["labels"][label], "vecdb");
            assert_eq!(
                monitor["spec"]["endpoints"][0]["port"],
                service["spec"]["ports"][0]["name"]
            );
        }
    }
    for wrong in [
        json!({"persistance": {"enabled": false}}),
        json!({"config": {"listen": {"grpc": "0.0.0.0:1"}}}),
        json!({"config": {"tls": {"key": "a"}}}),
        json!({"metrics": {"port": 6333}}),
        json!({"keys": [{"name": "a", "key": KEY, "secretName": "s", "secretKey": "k"}]}),
        json!({"keys": [{"name": "a", "key": "short"}]}),
    ] {
        let output = helm(&world, "lint", &wrong).output().unwrap();
        assert!(!output.status.success(), "{wrong} was not refused");
    }
    tell("helm lint --strict and helm template were run");
}
