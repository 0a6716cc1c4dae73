//! How a search was answered, as a person reads it.

use vecdb_engine::{Explanation, MatchEstimate, PartExplanation};

use super::{Align, Console, Grid, count, percent};
use crate::failure::Outcome;

/// Prints the plan of each part, the conditions of the filter, and the times.
pub(crate) fn print(console: &Console, explanation: &Explanation) -> Outcome {
    let parts = &explanation.parts;
    let points: u64 = parts.iter().map(|part| part.points).sum();
    let matching: u64 = parts.iter().map(|part| part.matching).sum();
    if parts.iter().any(|part| part.estimate.is_some()) {
        // A check ends when it has found enough.
        let checked = |part: &PartExplanation| part.plan == "check" && !part.switched;
        let least = match parts.iter().any(checked) {
            true => "at least ",
            false => "",
        };
        console.line(format_args!(
            "Selectivity: {least}{} ({} of {} points match)",
            share(matching, points),
            count(matching),
            count(points)
        ))?;
    }
    if !explanation.conditions.is_empty() {
        let mut grid = Grid::new([
            ("Condition".to_owned(), Align::Left),
            ("Expected".to_owned(), Align::Right),
            ("Matched".to_owned(), Align::Right),
            ("Index".to_owned(), Align::Left),
        ]);
        for condition in &explanation.conditions {
            grid.row([
                super::shorten(&condition.condition, 60),
                expected(condition.estimate),
                count(condition.matching),
                if condition.indexed { "yes" } else { "no" }.to_owned(),
            ]);
        }
        console.grid(&grid)?;
    }
    let mut grid = Grid::new([
        ("Part".to_owned(), Align::Left),
        ("Points".to_owned(), Align::Right),
        ("Matching".to_owned(), Align::Right),
        ("Near".to_owned(), Align::Right),
        ("Plan".to_owned(), Align::Left),
        ("Expected work, time us".to_owned(), Align::Left),
        ("Distances".to_owned(), Align::Right),
        ("Checked".to_owned(), Align::Right),
        ("Read".to_owned(), Align::Right),
        ("Filter us".to_owned(), Align::Right),
        ("Search us".to_owned(), Align::Right),
    ]);
    for part in parts {
        grid.row([
            part.part.clone(),
            count(part.points),
            count(part.matching),
            part.share_near
                .map_or_else(String::new, |share| percent(f64::from(share))),
            plan(part),
            works(part),
            count(part.distance_computations),
            count(part.rows_checked),
            count(part.rows_read),
            format!("{:.0}", part.filter_us),
            format!("{:.0}", part.search_us),
        ]);
    }
    console.grid(&grid)?;
    console.line(format_args!(
        "Steps: filter {:.0} us, search {:.0} us, reading hits {:.0} us",
        explanation.filter_us, explanation.search_us, explanation.read_us
    ))
}

fn share(part: u64, whole: u64) -> String {
    percent(part as f64 / whole.max(1) as f64)
}

fn expected(estimate: MatchEstimate) -> String {
    match estimate {
        MatchEstimate { min, max, .. } if min == max => count(min),
        MatchEstimate { likely, max, .. } => format!("{}, at most {}", count(likely), count(max)),
    }
}

fn plan(part: &PartExplanation) -> String {
    match part.switched {
        true => format!("{}, given up", part.plan),
        false => part.plan.clone(),
    }
}

fn works(part: &PartExplanation) -> String {
    let works = part.plans.iter();
    let works = works.map(|plan| format!("{} {:.0}, {:.0}", plan.plan, plan.work, plan.time_us));
    works.collect::<Vec<_>>().join("; ")
}
