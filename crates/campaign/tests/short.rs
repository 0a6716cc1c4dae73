//! Every campaign in a few seconds. `kill` has its short form among the tests of the command line, which has the program.

use vecdb_campaign::{Report, churn, crash, mutate, random};

#[track_caller]
fn all_well(report: &Report, count: &str, least: u64) {
    assert_eq!(report.failures, 0, "{:#?}", report.first);
    let counted = report.counts.get(count).copied().unwrap_or(0);
    assert!(counted >= least, "{count}: {counted}");
}

#[test]
fn crashes_lose_nothing_that_was_acknowledged() {
    all_well(&crash::run(400, 12, 1), "crash_points", 400);
}

#[test]
fn failing_calls_lose_nothing_that_was_acknowledged() {
    all_well(&crash::run_errors(1, 12, 1), "failed_calls", 100);
}

#[test]
fn changed_bytes_give_errors_or_right_answers() {
    let report = mutate::run(400, 1);
    all_well(&report, "mutations", 400);
    let noticed = report.counts["errors"] + report.counts["found_by_the_check"];
    assert!(noticed > 150, "only {noticed} of 400 changes were noticed");
}

#[test]
fn random_operations_agree_with_a_plain_map() {
    all_well(&random::run(2_000, 1), "operations", 2_000);
}

#[test]
fn churn_leaves_recall_and_size_as_they_were() {
    all_well(&churn::run(1, 1_100, 1), "points", 2);
}
