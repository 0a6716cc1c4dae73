//! `query --analyze-strategies`: which plan is the best for which share of matching points, measured on the collection
//! itself: filters of its own fields, every plan forced, and the plan that a search chooses beside them.

mod filters;
mod measure;
mod report;

use std::collections::BTreeSet;

use vecdb_engine::{Filter, GroupBy, Plan, ScrollRequest, SearchParams};
use vecdb_sql::{Action, Params, Statement};

use super::session::{Collection, Intent, with_collection};
use crate::args::{Globals, SqlArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{Bar, Console};
use filters::{SAMPLE_POINTS, candidates};
use measure::{FilterReport, Search};
use report::Report;

/// Points searched for at most: what a page of points may hold.
const QUERIES_MAX: usize = 10_000;

/// What is to be measured.
struct Wanted {
    collection: String,
    filters: Vec<Filter>,
    limit: usize,
    /// The limit counts groups then.
    groups: Option<GroupBy>,
}

pub(crate) fn run(
    console: &Console,
    globals: &Globals,
    args: &SqlArgs,
    params: &Params,
) -> Outcome {
    let wanted = wanted(args, params)?;
    let queries = args.strategies.queries;
    if !(1..=QUERIES_MAX).contains(&queries) {
        return Err(Failure::usage(format!(
            "--queries {queries} is not between 1 and {QUERIES_MAX}"
        )));
    }
    let name = &wanted.collection;
    with_collection(console, globals, Intent::Read, name, |collection| {
        let report = analyze(console, collection, &wanted, queries)?;
        console.json(&report)?;
        report.print(console)
    })
}

/// From the statement, or from the flags.
fn wanted(args: &SqlArgs, params: &Params) -> Outcome<Wanted> {
    let given = &args.strategies;
    let typed = given.filter.iter();
    let mut filters = typed
        .map(|text| Ok(Filter::parse_str(text)?))
        .collect::<Outcome<Vec<_>>>()?;
    let (collection, limit, groups) = match (&args.sql, &given.collection) {
        (Some(sql), _) => {
            let statement = Statement::parse(sql, params)?;
            filters.extend(statement.filter().cloned());
            let Action::Select(select) = statement.action else {
                return Err(not_a_search());
            };
            let Some(near) = select.near else {
                return Err(not_a_search());
            };
            let groups = near.groups.map(|groups| GroupBy {
                field: groups.field,
                group_size: groups.size,
            });
            (select.collection, given.limit.or(select.limit), groups)
        }
        (None, Some(collection)) => (collection.clone(), given.limit, None),
        (None, None) => {
            return Err(Failure::usage(
                "--analyze-strategies takes a search in SQL or a --collection",
            ));
        }
    };
    Ok(Wanted {
        collection,
        filters,
        limit: limit.unwrap_or(10),
        groups,
    })
}

fn not_a_search() -> Failure {
    Failure::usage(
        "--analyze-strategies takes a search: SELECT ... WHERE vector NEAR ..., or a --collection without a statement",
    )
}

fn analyze(
    console: &Console,
    collection: Collection<'_>,
    wanted: &Wanted,
    queries: usize,
) -> Outcome<Report> {
    let info = collection.info()?;
    if info.points == 0 {
        return Err(Failure::usage(format!(
            "collection {} has no points to measure with",
            collection.name()
        )));
    }
    // Pages come in the order of the hashes of the ids: their beginning is a sample.
    let sample = collection.scroll(&ScrollRequest {
        limit: SAMPLE_POINTS,
        ..ScrollRequest::default()
    })?;
    let searched = collection.scroll(&ScrollRequest {
        limit: queries,
        with_vector: true,
        with_metadata: false,
        ..ScrollRequest::default()
    })?;
    let vectors: Vec<Vec<f32>> = searched
        .points
        .into_iter()
        .filter_map(|point| point.vector)
        .collect();
    let candidates = candidates(collection, &info, &sample.points, &wanted.filters)?;
    let index = &info.config.vector()?.index;
    // A check is for filters that no index answers.
    let plans: BTreeSet<Plan> = Plan::MASKED
        .into_iter()
        .filter(|plan| {
            let params = SearchParams {
                plan: Some(*plan),
                ..SearchParams::default()
            };
            index.check_params(&params).is_ok()
        })
        .collect();
    let bar = Bar::new(console, "measuring", Some(candidates.len() as u64));
    let search = Search {
        collection,
        vectors: &vectors,
        limit: wanted.limit,
        groups: wanted.groups.as_ref(),
        plans: &plans,
    };
    let mut filters: Vec<FilterReport> = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        filters.push(search.measure(candidate, info.points)?);
        bar.set(filters.len() as u64);
    }
    drop(bar);
    Ok(Report::new(
        collection.name(),
        &info,
        wanted,
        vectors.len(),
        filters,
    ))
}
