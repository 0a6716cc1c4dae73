//! A `vecdb serve` of its own.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use vecdb_backend::{Remote, RemoteOptions};

use super::{World, stderr};

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server process; killed when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    /// What it said about itself.
    pub(crate) about: Value,
}

impl Running {
    /// `serve` with ports of the system's choice.
    pub(crate) fn start(world: &World, args: &[&str]) -> Self {
        let any = "127.0.0.1:0";
        let base = [
            "serve",
            "--json",
            "--grpc",
            any,
            "--http",
            any,
            "--metrics",
            any,
        ];
        Self::spawn(&mut world.command(&[&base, args].concat()))
    }

    /// A server by a command of any kind that has `--json`.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        if line.is_empty() {
            let output = child.wait_with_output().unwrap();
            panic!("the server ended: {}", stderr(&output));
        }
        let about = serde_json::from_str(&line).unwrap();
        Self { child, about }
    }

    /// `HOST:PORT` for gRPC.
    pub(crate) fn address(&self) -> &str {
        self.about["grpc"].as_str().unwrap()
    }

    pub(crate) fn remote(&self) -> Remote {
        let options = RemoteOptions {
            timeout: Some(PATIENCE),
            retries: Some(0),
            ..RemoteOptions::default()
        };
        Remote::connect(self.address(), options).unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for the end; exit code and log.
    pub(crate) fn end(&mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        (status.code(), log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What systemd listens to.
pub(crate) struct Notifications {
    socket: UnixDatagram,
    pub(crate) path: PathBuf,
}

impl Notifications {
    pub(crate) fn new(world: &World) -> Self {
        let path = world.path("notify.socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, path }
    }

    /// Waits for the next one.
    pub(crate) fn next(&self) -> String {
        let mut text = [0; 256];
        let count = self.socket.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..count]).into_owned()
    }
}
