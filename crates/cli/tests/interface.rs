//! Help, version, completions and the form of errors.

mod harness;

use harness::{World, stderr};

#[test]
fn completions_know_the_commands() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = world.text(&["completions", shell]);
        assert!(
            script.contains("quickstart") && script.contains("ef-construction"),
            "{shell}"
        );
    }
}

#[test]
fn help_is_a_manual() {
    let world = World::new();
    let help = world.text(&["--help"]);
    for part in [
        "Exit codes:",
        "VECDB_PATH",
        "VECDB_SIMD",
        "quickstart",
        "--threads",
    ] {
        assert!(help.contains(part), "{part:?} is missing in:\n{help}");
    }
    let help = world.text(&["hnsw", "sweep", "--help"]);
    assert!(
        help.contains("Examples:") && help.contains("--plot"),
        "{help}"
    );
    assert!(world.text(&["--version"]).starts_with("vecdb "));
}

#[test]
fn errors_are_a_line_for_people_and_an_object_for_programs() {
    let world = World::new();
    let output = world.run(&["count", "-c", "c"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).starts_with("error: there is no database"),
        "{}",
        stderr(&output)
    );
    assert!(output.stdout.is_empty());
    let (code, kind, message) = world.failure(&["count"]);
    assert_eq!((code, kind.as_str()), (2, "invalid_argument"));
    assert!(message.contains("--collection"), "{message}");
    let output = world.run(&["count"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("Usage:"), "{}", stderr(&output));
}
