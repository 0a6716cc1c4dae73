//! `shell` with statements from a pipe, and the prompt at a terminal.

mod harness;

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use harness::running::Running;
use harness::{World, stderr};

const SCRIPT: &str = "\
-- Products.
CREATE COLLECTION products
  (dimension 2, metric l2);
INSERT INTO products (id, vector, name) VALUES (1, [1, 0], 'a;b'); SELECT name
FROM products;
\\d
\\d products
\\timing
SELECT COUNT(*) FROM products";

#[test]
fn statements_of_a_pipe_are_run_one_after_the_other() {
    let here = World::new();
    let there = World::new();
    let running = Running::start(&there, &[]);
    for (world, place) in [(&here, vec![]), (&there, vec!["--url", running.address()])] {
        let output = world.feed(&[&["shell"], place.as_slice()].concat(), SCRIPT.as_bytes());
        assert!(output.status.success(), "{}", stderr(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        let said = [
            "done, ",
            "1 point, ",
            "a;b",
            "products",
            "vector",
            "timing is off",
            "1 row\n",
        ];
        let mut from = 0;
        for part in said {
            let at = text[from..].find(part);
            from += at.unwrap_or_else(|| panic!("no {part} behind {from} of {text}"));
        }
        let lines = world.feed(
            &[&["shell", "--json"], place.as_slice()].concat(),
            b"SHOW COLLECTIONS; SELECT id FROM products;",
        );
        let text = String::from_utf8(lines.stdout).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(
            text.lines().all(|line| line.starts_with("{\"columns\":")),
            "{text}"
        );
        let csv = world.feed(
            &[&["shell", "--csv"], place.as_slice()].concat(),
            b"SELECT id, name FROM products;",
        );
        assert_eq!(
            String::from_utf8(csv.stdout).unwrap(),
            "id,name\r\n1,a;b\r\n"
        );
    }
}

#[test]
fn the_first_error_of_a_pipe_ends_it_with_its_code() {
    let world = World::new();
    for (script, code, said) in [
        (
            "SHOW COLLECTIONS; SELECT * FROM none; CREATE COLLECTION c (dimension 1);",
            3,
            "1:15: ",
        ),
        ("SELEC;", 2, "did you mean SELECT?"),
        ("\\x", 2, "there is no command \\x"),
        ("SELECT 'abc", 2, "1:"),
    ] {
        let output = world.feed(&["shell"], script.as_bytes());
        assert_eq!(output.status.code(), Some(code), "{script}");
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    }
    let output = world.feed(&["shell", "--json"], b"SHOW COLLECTIONS;");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\"rows\":[]"), "{text}");
}

/// Through `script` of util-linux, which gives a program a terminal; where there is none, nothing is tested.
#[test]
fn a_prompt_takes_lines_and_keeps_a_history() {
    let world = World::new();
    let program = env!("CARGO_BIN_EXE_vecdb");
    let history = world.path("state/history");
    let mut command = Command::new("script");
    command
        .args(["--quiet", "--return", "--command"])
        .arg(format!(
            "{program} shell --path {}",
            world.path("data").display()
        ))
        .arg("/dev/null")
        .env("VECDB_HISTORY", &history)
        .env("TERM", "xterm")
        .env_remove("VECDB_URL")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else {
        return;
    };
    let mut stdin = child.stdin.take().unwrap();
    let (tell, told) = mpsc::channel();
    let mut stdout = child.stdout.take().unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = stdout.read(&mut bytes) {
            let _ = tell.send(String::from_utf8_lossy(&bytes[..read]).into_owned());
        }
    });
    let (mut text, mut from) = (String::new(), 0);
    // What is typed before the prompt is there may be thrown away.
    let mut wait_for = |part: &str| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !text[from..].contains(part) {
            let left = deadline.saturating_duration_since(Instant::now());
            match told.recv_timeout(left) {
                Ok(more) => text.push_str(&more),
                Err(_) => panic!("no {part} in {text}"),
            }
        }
        from += text[from..].find(part).unwrap() + part.len();
    };
    for (prompt, typed, said) in [
        ("vecdb> ", "CREATE COLLECTION c", ""),
        ("    -> ", "(dimension 1);", "done, "),
        ("vecdb> ", "SELEC;", "did you mean SELECT?"),
        ("vecdb> ", "\\d", "1 row, "),
        ("vecdb> ", "\\q", ""),
    ] {
        wait_for(prompt);
        stdin.write_all(format!("{typed}\r").as_bytes()).unwrap();
        wait_for(said);
    }
    child.wait().unwrap();
    let kept = std::fs::read_to_string(history).unwrap();
    assert!(kept.contains("CREATE COLLECTION c"), "{kept}");
}
