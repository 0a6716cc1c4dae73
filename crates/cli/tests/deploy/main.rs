//! The files of `deploy/`, held to the programs: their settings are loaded, their commands are run, their ports agree.
//!
//! ```text
//! container  Dockerfile and compose.yaml, without an engine
//! unit       vecdb.service: its steps, then the server that it starts
//! chart      the Helm chart, as far as that goes without helm; with it, what it makes
//! ports      one port for one purpose, everywhere
//! ```
#![cfg(target_os = "linux")]

mod chart;
mod container;
#[path = "../harness/mod.rs"]
mod harness;
mod ports;
mod unit;

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use harness::{World, stderr};
use serde_json::Value;

fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .canonicalize()
        .unwrap()
}

/// The text of a file of `deploy/`.
fn text(name: &str) -> String {
    let path = repository().join("deploy").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A YAML file of `deploy/`.
fn yaml(name: &str) -> Value {
    parse(&text(name), name)
}

fn parse(text: &str, name: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"))
}

/// Text at a JSON pointer.
fn word<'v>(value: &'v Value, pointer: &str) -> &'v str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no text at {pointer} of {value}"))
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v Vec<Value> {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.unwrap_or_else(|| panic!("no list at {pointer} of {value}"))
}

/// The names of the keys at a JSON pointer, in alphabetical order.
fn names<'v>(value: &'v Value, pointer: &str) -> Vec<&'v str> {
    let found = value.pointer(pointer);
    harness::keys(found.unwrap_or_else(|| panic!("nothing at {pointer} of {value}")))
}

/// What `vecdb-server --print-config` says with these variables and flags.
fn settings(world: &World, environment: &[(String, String)], args: &[&str]) -> Value {
    let mut command = world.server(&[args, &["--print-config"]].concat());
    let output = command.envs(environment.iter().cloned()).output().unwrap();
    let told = stderr(&output);
    assert!(output.status.success(), "{args:?} {environment:?}: {told}");
    parse(&String::from_utf8(output.stdout).unwrap(), "--print-config")
}

/// Flags that keep the addresses of these settings and let the system choose the ports.
fn any_ports(settings: &Value) -> Vec<String> {
    let mut flags = vec!["--json".to_owned()];
    for name in ["grpc", "http", "metrics"] {
        let address = word(settings, &format!("/listen/{name}"));
        let (host, _) = address.rsplit_once(':').unwrap();
        flags.extend([format!("--{name}"), format!("{host}:0")]);
    }
    flags
}

fn as_strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// Every variable that the programs read: those of settings, and those that the help names.
fn variables(world: &World) -> Vec<String> {
    let settings = settings(world, &[], &[]);
    let mut all = Vec::new();
    for section in names(&settings, "") {
        for key in names(&settings, &format!("/{section}")) {
            all.push(format!("VECDB_{section}_{key}").to_uppercase());
        }
    }
    let help = world.text(&["serve", "--help"]);
    let rest = help.split("[env: ").skip(1);
    all.extend(rest.filter_map(|rest| Some(rest.split(['=', ']']).next()?.to_owned())));
    all
}

/// Whether a program that not every machine has is on this one.
fn is_there(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(program).is_file())
}

/// Says what was done, whether or not the output of tests is shown.
fn tell(what: &str) {
    let _ = writeln!(std::io::stderr(), "deploy: {what}");
}

/// Standard output of a command that must succeed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let told = stderr(&output);
    assert!(output.status.success(), "{command:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}
