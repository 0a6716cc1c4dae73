//! vecdb.service, followed to the letter in a folder that stands for `/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::running::{Notifications, Running};
use crate::harness::{World, stderr};
use crate::{any_ports, as_strs, is_there, repository, run, settings, tell, text, word};

/// Places that the unit speaks of.
const PLACES: [&str; 3] = ["/etc/", "/usr/local/bin/", "/var/"];

/// A machine with nothing on it.
struct Machine {
    world: World,
    root: PathBuf,
}

impl Machine {
    fn new() -> Self {
        let world = World::new();
        let root = world.path("root");
        let machine = Self { world, root };
        for folder in ["etc/systemd/system", "usr/local/bin"] {
            std::fs::create_dir_all(machine.root.join(folder)).unwrap();
        }
        machine
    }

    /// The same text with the paths of this machine.
    fn place(&self, text: &str) -> String {
        PLACES.iter().fold(text.to_owned(), |text, place| {
            text.replace(place, &format!("{}{place}", self.root.display()))
        })
    }

    /// Does steps, but for what needs a real root: accounts and the service manager.
    fn follow(&self, steps: &[String]) {
        let programs = Path::new(env!("CARGO_BIN_EXE_vecdb")).parent().unwrap();
        let shims = "useradd() { :; }; chgrp() { :; }; systemctl() { :; }\n";
        let steps = self.place(&steps.join("\n"));
        let steps = steps
            .replace(" -g vecdb", "")
            .replace("target/release", programs.to_str().unwrap());
        let mut shell = self
            .world
            .program("sh", &["-euc", &format!("{shims}{steps}")]);
        let path = std::env::var("PATH").unwrap();
        let own = self.root.join("usr/local/bin");
        run(shell
            .current_dir(repository())
            .env("PATH", format!("{}:{path}", own.display())));
        let settings = self.settings();
        if settings.exists() {
            let text = std::fs::read_to_string(&settings).unwrap();
            let root = self.root.to_str().unwrap();
            if !text.contains(root) {
                std::fs::write(&settings, self.place(&text)).unwrap();
            }
        }
    }

    fn settings(&self) -> PathBuf {
        self.root.join("etc/vecdb/config.yaml")
    }

    /// What systemd does at a start: the folders, then the program; ports are the system's choice.
    fn start(&self, told: &Notifications) -> Command {
        let unit = service();
        for (kind, place) in [("StateDirectory", "var/lib"), ("LogsDirectory", "var/log")] {
            std::fs::create_dir_all(self.root.join(place).join(&unit[kind])).unwrap();
        }
        let line = self.place(&unit["ExecStart"]);
        let words: Vec<&str> = line.split(' ').collect();
        let program = words[0];
        assert!(program.ends_with("/usr/local/bin/vecdb-server"), "{line}");
        let flags = any_ports(&settings(&self.world, &[], &words[1..]));
        let args = [&words[1..], &as_strs(&flags)].concat();
        let mut command = self.world.program(program, &args);
        command.env("NOTIFY_SOCKET", &told.path);
        command
    }
}

/// The commands at the top of the unit, by paragraph.
fn steps() -> Vec<Vec<String>> {
    let text = text("vecdb.service");
    let (comment, _) = text.split_once("[Unit]").unwrap();
    let paragraphs = comment.split("\n#\n");
    paragraphs
        .map(|paragraph| {
            let lines = paragraph.lines();
            let steps = lines.filter_map(|line| line.strip_prefix("#   "));
            steps.map(str::to_owned).collect()
        })
        .collect()
}

/// The keys of `[Service]`.
fn service() -> BTreeMap<String, String> {
    let text = text("vecdb.service");
    let (_, section) = text.split_once("[Service]").unwrap();
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    let pairs = lines.filter(|line| !line.starts_with('#'));
    pairs
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Starts the server after some steps, and does those behind `systemctl`, which ask it.
fn serve(machine: &Machine, told: &Notifications, steps: &[String]) {
    let start = steps.iter().position(|step| step.starts_with("systemctl"));
    let (before, after) = steps.split_at(start.unwrap());
    machine.follow(before);
    let mut running = Running::spawn(&mut machine.start(told));
    assert_eq!(told.next(), "READY=1");
    let (_, port) = running.address().rsplit_once(':').unwrap();
    let after: Vec<String> = after
        .iter()
        .map(|step| step.replace(":6333", &format!(":{port}")))
        .collect();
    assert!(
        after.iter().any(|step| step.contains("vecdb status")),
        "{after:?}"
    );
    machine.follow(&after);
    running.signal("TERM");
    assert_eq!(told.next(), "STOPPING=1");
    let (code, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
}

/// Without openssl: what its steps would have made.
fn without_openssl(machine: &Machine, steps: &[String]) -> Vec<String> {
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let params = rcgen::CertificateParams::new(names).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    for (file, text) in [
        ("tls.crt", certificate),
        ("tls.key", key.serialize_pem()),
        ("admin.key", "0123456789abcdef0123456789abcdef\n".to_owned()),
    ] {
        std::fs::write(machine.root.join("etc/vecdb").join(file), text).unwrap();
    }
    let others = steps.iter().filter(|step| !step.starts_with("openssl"));
    others.cloned().collect()
}

#[test]
fn the_steps_of_the_unit_lead_to_a_server() {
    let machine = Machine::new();
    let told = Notifications::new(&machine.world);
    let [install, others, alone] = &steps()[..] else {
        panic!("three paragraphs of steps: {:?}", steps());
    };
    machine.follow(install);
    let is_complete = is_there("openssl");
    let with = if is_complete {
        "openssl"
    } else {
        "files in place of what openssl makes, which is not there"
    };
    tell(&format!("followed the steps of vecdb.service with {with}"));
    let others = match is_complete {
        true => others.clone(),
        false => without_openssl(&machine, others),
    };
    serve(&machine, &told, &others);
    assert!(machine.root.join("var/log/vecdb/audit.jsonl").exists());

    // A file that is missing ends it with a code that systemd does not answer with another start.
    let unit = service();
    let final_codes: Vec<&str> = unit["RestartPreventExitStatus"].split(' ').collect();
    std::fs::remove_file(machine.root.join("etc/vecdb/tls.key")).unwrap();
    let output = machine.start(&told).output().unwrap();
    let code = output.status.code().unwrap().to_string();
    assert!(
        final_codes.contains(&code.as_str()),
        "{code}: {}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("tls.key"), "{}", stderr(&output));

    serve(&machine, &told, alone);
    let file = machine.settings();
    let now = settings(&machine.world, &[], &["--config", file.to_str().unwrap()]);
    assert_eq!(word(&now, "/listen/grpc"), "127.0.0.1:6333");
    assert!(word(&now, "/storage/path").ends_with("/var/lib/vecdb"));
}

#[test]
fn the_unit_leaves_the_server_time_and_room() {
    let unit = service();
    assert_eq!(unit["Type"], "notify");
    assert_eq!(unit["ExecReload"], "/bin/kill -HUP $MAINPID");
    let example = crate::yaml("production.yaml");
    let drain = example["limits"]["shutdown_timeout_ms"].as_u64().unwrap();
    assert!(unit["TimeoutStopSec"].parse::<u64>().unwrap() * 1_000 > drain);
    // ProtectSystem=strict leaves these writable, and no others.
    assert_eq!(
        word(&example, "/storage/path"),
        format!("/var/lib/{}", unit["StateDirectory"])
    );
    let logs = format!("/var/log/{}/", unit["LogsDirectory"]);
    assert!(word(&example, "/log/audit").starts_with(&logs));
    assert!(
        !unit.contains_key("Environment"),
        "it would overrule the file"
    );
}

#[test]
fn systemd_understands_the_unit() {
    let machine = Machine::new();
    let program = machine.root.join("vecdb-server");
    std::fs::copy("/bin/true", &program).unwrap();
    let text =
        text("vecdb.service").replace("/usr/local/bin/vecdb-server", program.to_str().unwrap());
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines.clone() {
        assert!(line.starts_with('[') || line.contains('='), "{line}");
    }
    if !is_there("systemd-analyze") {
        tell("systemd-analyze is not there: the form of vecdb.service was checked without it");
        return;
    }
    let file = machine.world.write("vecdb.service", &text);
    let output = Command::new("systemd-analyze")
        .arg("verify")
        .arg(file)
        .output()
        .unwrap();
    let told = stderr(&output);
    assert!(!told.contains("vecdb"), "{told}");
    tell("systemd-analyze verified vecdb.service");
}
