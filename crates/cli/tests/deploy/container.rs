//! Dockerfile and compose.yaml.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::harness::running::Running;
use crate::harness::{World, stderr};
use crate::{
    any_ports, as_strs, list, names, parse, repository, run, settings, text, variables, word, yaml,
};

/// Where settings are in the image.
const SETTINGS: &str = "/etc/vecdb/config.yaml";
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The instructions of the image itself, those of the last stage.
fn instructions() -> Vec<(String, String)> {
    let text = text("Dockerfile").replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let all: Vec<_> = lines
        .filter_map(|line| line.split_once(' '))
        .map(|(instruction, rest)| (instruction.to_owned(), rest.trim().to_owned()))
        .collect();
    let last = all
        .iter()
        .rposition(|(instruction, _)| instruction == "FROM");
    all[last.unwrap()..].to_vec()
}

fn instruction(name: &str) -> String {
    let mut found = instructions().into_iter().filter(|(it, _)| it == name);
    let (_, rest) = found.next().unwrap_or_else(|| panic!("no {name}"));
    assert!(found.next().is_none(), "{name} stands there twice");
    rest
}

/// What the environment and a file at [`SETTINGS`] make of the image: its variables, as on this machine.
fn environment(
    world: &World,
    file: &str,
    given: &BTreeMap<String, String>,
) -> Vec<(String, String)> {
    let mut all: BTreeMap<String, String> = instruction("ENV")
        .split_whitespace()
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let place = world.write("config.yaml", file);
    assert_eq!(all["VECDB_CONFIG"], SETTINGS);
    all.insert(
        "VECDB_CONFIG".to_owned(),
        place.to_str().unwrap().to_owned(),
    );
    all.extend(given.clone());
    let known = variables(world);
    for name in all.keys().filter(|name| name.starts_with("VECDB_")) {
        assert!(known.contains(name), "nothing reads {name}: {known:?}");
    }
    all.into_iter().collect()
}

/// Starts the server as the image does, but on free ports and in a folder of the test.
fn start(world: &World, environment: &[(String, String)]) -> Running {
    let flags = any_ports(&settings(world, environment, &[]));
    let args = [as_strs(&flags), vec!["--path", "data"]].concat();
    Running::spawn(world.server(&args).envs(environment.iter().cloned()))
}

/// `docker run` as the Dockerfile shows it.
#[derive(Debug, Default)]
struct DockerRun {
    environment: BTreeMap<String, String>,
    mounts: Vec<(String, String)>,
    ports: Vec<(String, String)>,
    image: Vec<String>,
}

/// Every `docker run` of the Dockerfile, its words as a shell would pass them.
fn documented() -> Vec<DockerRun> {
    let text = text("Dockerfile");
    let lines = text.lines().filter_map(|line| line.strip_prefix("#   "));
    let runs = lines.filter(|line| line.starts_with("docker run "));
    runs.map(|line| {
        let script = format!("docker() {{ printf '%s\\n' \"$@\"; }}\n{line}");
        let mut shell = Command::new("sh");
        let words = run(shell.args(["-euc", &script]).env("VECDB_KEY", KEY));
        let mut words = words.lines().map(str::to_owned);
        assert_eq!(words.next().as_deref(), Some("run"));
        let mut docker = DockerRun::default();
        while let Some(word) = words.next() {
            let mut pair = |sign: char| {
                let pair = words.next().unwrap();
                let (a, b) = pair.split_once(sign).unwrap();
                (a.to_owned(), b.to_owned())
            };
            match word.as_str() {
                "-e" => docker.environment.extend([pair('=')]),
                "-v" => docker.mounts.push(pair(':')),
                "-p" => docker.ports.push(pair(':')),
                _ => docker.image.push(word),
            }
        }
        docker
    })
    .collect()
}

#[test]
fn the_image_holds_its_settings_where_the_server_looks() {
    let all = instructions();
    let copies: Vec<_> = all.iter().filter(|(it, _)| it == "COPY").collect();
    let settings_copied = format!("deploy/container.yaml {SETTINGS}");
    assert!(
        copies.iter().any(|(_, rest)| *rest == settings_copied),
        "{copies:?}"
    );
    let programs = "/out/vecdb /out/vecdb-server /usr/local/bin/";
    assert!(
        copies.iter().any(|(_, rest)| rest.ends_with(programs)),
        "{copies:?}"
    );
    let entry = parse(&instruction("ENTRYPOINT"), "ENTRYPOINT");
    assert_eq!(entry, serde_json::json!(["/usr/local/bin/vecdb-server"]));
    let world = World::new();
    let none = BTreeMap::new();
    let environment = environment(&world, &text("container.yaml"), &none);
    let now = settings(&world, &environment, &[]);
    assert_eq!(word(&now, "/storage/path"), instruction("VOLUME"));
    let ports: Vec<_> = ["grpc", "http", "metrics"]
        .map(|name| word(&now, &format!("/listen/{name}")).replace("0.0.0.0:", ""))
        .into();
    assert_eq!(ports.join(" "), instruction("EXPOSE"));

    // Open to other machines and without keys: it says so and ends.
    let args = ["--json", "--path", "data"];
    let output = world.server(&args).envs(environment).output().unwrap();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("auth.keys"), "{told}");
}

#[test]
fn the_image_is_built_with_the_rust_that_is_asked_for() {
    let manifest = std::fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let mut lines = manifest.lines();
    let version = lines
        .find_map(|line| line.strip_prefix("rust-version = "))
        .unwrap();
    let image = format!(
        "FROM rust:{}-slim-bookworm AS build",
        version.trim_matches('"')
    );
    assert!(text("Dockerfile").contains(&image), "{image}");
}

#[test]
fn the_documented_runs_start_a_server() {
    let runs = documented();
    assert_eq!(runs.len(), 2, "{runs:?}");
    for docker in runs {
        let world = World::new();
        assert_eq!(docker.image, ["vecdb"], "{docker:?}");
        let mounted = |at: &str| {
            let mut mounts = docker.mounts.iter();
            mounts.find(|(_, to)| to.trim_end_matches(":ro") == at)
        };
        assert!(mounted(&instruction("VOLUME")).is_some(), "{docker:?}");
        let exposed = instruction("EXPOSE");
        for (outside, inside) in &docker.ports {
            assert_eq!(outside, inside);
            assert!(exposed.split(' ').any(|port| port == inside), "{docker:?}");
        }
        let own = text("container.yaml");
        let file = match mounted(SETTINGS) {
            None => own,
            // What the comment says: a copy with keys, and whatever else.
            Some(_) => format!(
                "{}  slow_query_ms: 7\nauth:\n  keys:\n    - {{name: a, key: {KEY}, access: admin}}\n",
                own.replace("0.0.0.0:6333", "0.0.0.0:7000")
            ),
        };
        let environment = environment(&world, &file, &docker.environment);
        let now = settings(&world, &environment, &[]);
        assert_eq!(list(&now, "/auth/keys").len(), 1, "{docker:?}");
        if mounted(SETTINGS).is_some() {
            assert_eq!(
                word(&now, "/listen/grpc"),
                "0.0.0.0:7000",
                "nothing overrules the file"
            );
            assert_eq!(now["log"]["slow_query_ms"], 7);
        }
        let running = start(&world, &environment);
        assert_eq!(running.about["ready"], true);
    }
}

/// `${NAME}`, `${NAME:-default}` and `${NAME:?message}` filled in.
fn interpolate(text: &str, variables: &[(&str, &str)]) -> String {
    let mut parts = text.split("${");
    let mut filled = parts.next().unwrap().to_owned();
    for part in parts {
        let (inside, after) = part.split_once('}').unwrap();
        let name = inside.split(':').next().unwrap();
        let given = variables.iter().find(|(known, _)| *known == name);
        let value = match given {
            Some((_, value)) => value,
            None => {
                inside
                    .split_once(":-")
                    .unwrap_or_else(|| panic!("{name} is not set and has no default"))
                    .1
            }
        };
        filled.extend([value, after]);
    }
    filled
}

#[test]
fn the_server_of_compose_starts_and_its_health_check_tells() {
    let compose = yaml("compose.yaml");
    let service = &compose["services"]["vecdb"];
    let given: BTreeMap<_, _> = names(service, "/environment")
        .into_iter()
        .map(|name| {
            let value = word(&service["environment"], &format!("/{name}"));
            (name.to_owned(), interpolate(value, &[("VECDB_KEY", KEY)]))
        })
        .collect();
    let world = World::new();
    let environment = environment(&world, &text("container.yaml"), &given);
    let now = settings(&world, &environment, &[]);
    assert_eq!(word(&now, "/auth/keys/0/access"), "admin");
    assert_eq!(word(&now, "/limits/memory_bytes_max"), "2GiB");
    let grace = word(service, "/stop_grace_period").trim_end_matches('s');
    let drain = now["limits"]["shutdown_timeout_ms"].as_u64().unwrap();
    assert!(grace.parse::<u64>().unwrap() * 1_000 > drain, "{grace} s");

    let check: Vec<&str> = list(service, "/healthcheck/test")
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect();
    assert_eq!(check[..2], ["CMD", "/usr/local/bin/vecdb"]);
    let mut running = start(&world, &environment);
    let (_, port) = running.address().rsplit_once(':').unwrap();
    let args: Vec<String> = check[2..]
        .iter()
        .map(|word| word.replace(":6333", &format!(":{port}")))
        .collect();
    assert!(args.iter().any(|word| word.ends_with(port)), "{args:?}");
    let healthy = |key: &str| {
        let mut command = world.command(&as_strs(&args));
        command.envs(environment.clone()).env("VECDB_API_KEY", key);
        command.output().unwrap().status.success()
    };
    assert!(healthy(&given["VECDB_API_KEY"]));
    assert!(!healthy("of somebody else"));
    running.signal("TERM");
    assert_eq!(running.end().0, Some(0));
    assert!(!healthy(&given["VECDB_API_KEY"]));
}

/// What compose.yaml, Prometheus and Grafana say about each other.
#[test]
fn the_services_of_compose_find_each_other() {
    let compose = yaml("compose.yaml");
    let deploy = repository().join("deploy");
    let services = names(&compose, "/services");
    let mut mounts = BTreeMap::new();
    for service in &services {
        for volume in list(&compose["services"][*service], "/volumes") {
            let mut parts = volume.as_str().unwrap().split(':');
            let (from, to) = (parts.next().unwrap(), parts.next().unwrap());
            match from.strip_prefix("./") {
                Some(file) => assert!(deploy.join(file).exists(), "{from}"),
                None => assert!(names(&compose, "/volumes").contains(&from), "{from}"),
            }
            mounts.insert(to.to_owned(), from.to_owned());
        }
        for needed in compose["services"][*service]["depends_on"]
            .as_array()
            .into_iter()
            .flatten()
        {
            assert!(services.contains(&needed.as_str().unwrap()), "{needed}");
        }
    }
    let build = &compose["services"]["vecdb"]["build"];
    let context = deploy.join(word(build, "/context"));
    assert!(context.join(word(build, "/dockerfile")).exists());
    assert!(mounts.contains_key(&instruction("VOLUME")));

    let prometheus = yaml("prometheus/prometheus.yaml");
    for file in list(&prometheus, "/rule_files") {
        let place = format!("/etc/prometheus/{}", file.as_str().unwrap());
        assert!(mounts.contains_key(&place), "{place}");
    }
    let job = &prometheus["scrape_configs"][0];
    assert_eq!(word(job, "/static_configs/0/targets/0"), "vecdb:9090");
    // The alarm for a server that does not answer asks for the job by name.
    let down = format!("up{{job=\"{}\"}} == 0", word(job, "/job_name"));
    assert_eq!(
        word(&yaml("prometheus/rules.yaml"), "/groups/0/rules/0/expr"),
        down
    );

    let source = yaml("grafana/provisioning/datasources/prometheus.yaml");
    let url = word(&source, "/datasources/0/url");
    let host = url.trim_start_matches("http://").split(':').next().unwrap();
    assert!(services.contains(&host), "{url}");
    let dashboards = yaml("grafana/provisioning/dashboards/vecdb.yaml");
    let folder = word(&dashboards, "/providers/0/options/path");
    let dashboard = &mounts[&format!("{folder}/vecdb.json")];
    let dashboard: Value = serde_json::from_str(&text(dashboard.trim_start_matches("./"))).unwrap();
    assert_eq!(
        word(&dashboard, "/templating/list/0/query"),
        word(&source, "/datasources/0/type")
    );
}
