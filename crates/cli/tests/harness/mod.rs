//! Running the real binary in a folder of its own.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod running;
pub(crate) mod small;

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A temporary folder and the binary.
pub(crate) struct World {
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The binary, run in the folder, without the settings of whoever runs the tests.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.program(env!("CARGO_BIN_EXE_vecdb"), args)
    }

    /// The other binary, likewise.
    pub(crate) fn server(&self, args: &[&str]) -> Command {
        self.program(env!("CARGO_BIN_EXE_vecdb-server"), args)
    }

    pub(crate) fn program(&self, program: impl AsRef<OsStr>, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(self.folder.path())
            // A killed process leaves its temporary files behind.
            .env("TMPDIR", self.folder.path())
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null());
        let ours = |name: &str| name.starts_with("VECDB_") && name != "VECDB_SIMD";
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(ours) {
                command.env_remove(name);
            }
        }
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the binary runs")
    }

    /// Runs with `input` on stdin.
    pub(crate) fn feed(&self, args: &[&str], input: &[u8]) -> Output {
        let mut child = self.spawn(args);
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        let input = input.to_vec();
        let writer = std::thread::spawn(move || {
            // The binary may stop reading at an error.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().expect("the binary ends");
        writer.join().expect("the writer ends");
        output
    }

    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        self.command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts")
    }

    /// The standard output of a command that must succeed.
    pub(crate) fn text(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(
            output.status.success(),
            "vecdb {args:?} failed: {}",
            stderr(&output)
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// The one JSON object of a command that must succeed.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let text = self.text(&[args, &["--json"]].concat());
        assert_eq!(text.lines().count(), 1, "one object on stdout: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// A command that must fail: exit code, kind and message.
    pub(crate) fn failure(&self, args: &[&str]) -> (i32, String, String) {
        failure_of(&self.run(&[args, &["--json"]].concat()), args)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("the file is written");
        path
    }

    /// A collection `c` of three dimensions under L2 with `points` numbered points.
    pub(crate) fn with_points(points: usize) -> Self {
        let world = Self::new();
        world.text(&[
            "collection",
            "create",
            "c",
            "--dimension",
            "3",
            "--metric",
            "l2",
        ]);
        let lines: String = (0..points).map(point_line).collect();
        let output = world.feed(&["insert", "-c", "c", "-"], lines.as_bytes());
        assert!(output.status.success(), "{}", stderr(&output));
        world
    }
}

/// Point `at` of a collection of three dimensions.
pub(crate) fn point_line(at: usize) -> String {
    let parity = if at.is_multiple_of(2) { "even" } else { "odd" };
    format!(
        "{{\"id\": {at}, \"vector\": [{at}, 1, 0.5], \"metadata\": {{\"parity\": \"{parity}\", \"price\": {at}}}}}\n"
    )
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn failure_of(output: &Output, args: &[&str]) -> (i32, String, String) {
    let text = stderr(output);
    assert!(
        !output.status.success(),
        "vecdb {args:?} succeeded: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    let last = text.lines().last().unwrap_or_default();
    let error: Value = serde_json::from_str(last)
        .unwrap_or_else(|error| panic!("vecdb {args:?}: {error}: {text}"));
    let word = |key: &str| error["error"][key].as_str().unwrap_or_default().to_owned();
    (
        output.status.code().unwrap_or(-1),
        word("kind"),
        word("message"),
    )
}

/// An .npy file of f32.
pub(crate) fn npy(rows: usize, dim: usize, values: impl Iterator<Item = f32>) -> Vec<u8> {
    let mut bytes = npy_header("<f4", rows, dim);
    let before = bytes.len();
    bytes.extend(values.flat_map(f32::to_le_bytes));
    assert_eq!(bytes.len() - before, rows * dim * 4);
    bytes
}

pub(crate) fn npy_header(descr: &str, rows: usize, dim: usize) -> Vec<u8> {
    let mut text =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    while (10 + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

/// Numbers that look random, from 0 to 1, the same at every run.
pub(crate) fn noise(seed: u64) -> impl Iterator<Item = f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32
    })
}

/// The names of an object's keys, in alphabetical order.
pub(crate) fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = object
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

/// Each fails with this code and kind, and its message names these things.
pub(crate) fn check(world: &World, cases: &[(&[&str], i32, &str, &[&str])]) {
    for (args, code, kind, named) in cases {
        let (got_code, got_kind, message) = world.failure(args);
        assert_eq!(
            (got_code, got_kind.as_str()),
            (*code, *kind),
            "vecdb {args:?}: {message}"
        );
        for name in *named {
            assert!(
                message.contains(name),
                "vecdb {args:?}: {name:?} is missing in: {message}"
            );
        }
    }
}
