//! `diskann bench`: many searches, from as many threads as asked for.

use super::search::measure;
use crate::args::{DiskAnnBenchArgs, Globals};
use crate::failure::{Failure, Outcome};
use crate::output::{Console, count};

pub(super) fn run(console: &Console, globals: &Globals, args: &DiskAnnBenchArgs) -> Outcome {
    if args.queries == 0 {
        return Err(Failure::usage(
            "--queries 0 measures nothing; use 1 or more",
        ));
    }
    let (report, ..) = measure(console, globals, &args.search, Some(args.queries))?;
    console.json(&report)?;
    console.line(format_args!(
        "DiskANN bench (ef={}): {} searches with {} queries",
        args.search.ef,
        count(report.searches),
        count(report.queries as u64)
    ))?;
    report.print(console)
}
