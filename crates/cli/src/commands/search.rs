//! `search`: the points nearest to a vector, to a row of a file or to another point.

use std::time::Duration;

use serde::Serialize;
use vecdb_engine::{
    Explanation, GroupBy, Hit, PointId, RecommendRequest, SearchRequest, SearchResponse, Value,
};

use super::input;
use super::points::columns;
use super::session::{Collection, Intent, with_collection};
use crate::args::{Globals, HitArgs, SearchArgs};
use crate::failure::{Failure, Outcome};
use crate::measure::micros;
use crate::output::{
    Align, Console, Grid, HitJson, count, duration, explanation, float, metadata_cell, shorten,
};

pub(crate) fn run(console: &Console, globals: &Globals, args: &SearchArgs) -> Outcome {
    let like = args.like.as_deref().map(PointId::parse).transpose()?;
    let typed = args
        .vector
        .as_deref()
        .map(|text| input::query(text, args.row))
        .transpose()?;
    let request = request(&args.hits, typed.clone().unwrap_or_default())?;
    with_collection(
        console,
        globals,
        Intent::Read,
        &args.name.collection,
        |collection| {
            let response = match (&typed, like) {
                (Some(_), _) => collection.search(&request)?,
                (None, Some(id)) => collection.recommend(&RecommendRequest {
                    search: request,
                    ..RecommendRequest::new([id])
                })?,
                (None, None) => return Err(Failure::usage("give a vector or --like")),
            };
            report(console, collection, &args.hits, &response)
        },
    )
}

/// The search that the flags ask for.
pub(super) fn request(args: &HitArgs, vector: Vec<f32>) -> Outcome<SearchRequest> {
    Ok(SearchRequest {
        limit: args.limit,
        offset: args.offset,
        group_by: args.group_by.clone().map(|field| GroupBy {
            field,
            group_size: args.group_size,
        }),
        filter: input::filter(args.filter.as_deref())?,
        params: args.knobs.params(),
        max_distance: args.max_distance,
        min_score: args.min_score,
        with_vector: args.with_vector,
        with_metadata: true,
        explain: args.explain,
        explain_only: args.explain_only,
        cache: args.cache,
        timeout: args.timeout_ms.map(Duration::from_millis),
        ..SearchRequest::new(vector)
    })
}

/// Tells what was found.
pub(super) fn report(
    console: &Console,
    collection: Collection<'_>,
    args: &HitArgs,
    response: &SearchResponse,
) -> Outcome {
    console.json(&Report::new(collection, args, response))?;
    print(console, args, response)
}

#[derive(Serialize)]
struct Report<'a> {
    collection: &'a str,
    hits: Vec<HitJson>,
    /// Where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<GroupJson>>,
    latency_us: f64,
    truncated: bool,
    cached: bool,
    searched_vectors: u64,
    matching: Option<u64>,
    distance_computations: u64,
    nodes_visited: u64,
    segments: u32,
    unindexed: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<&'a Explanation>,
}

#[derive(Serialize)]
struct GroupJson {
    value: serde_json::Value,
    hits: Vec<HitJson>,
}

impl<'a> Report<'a> {
    fn new(collection: Collection<'a>, args: &HitArgs, response: &'a SearchResponse) -> Self {
        let stats = &response.stats;
        let hits = |hits: &[Hit]| hits.iter().map(HitJson::from).collect();
        let groups = response.groups.iter().map(|group| GroupJson {
            value: group.value.to_json(),
            hits: hits(&group.hits),
        });
        Self {
            collection: collection.name(),
            hits: hits(&response.hits),
            groups: args.group_by.is_some().then(|| groups.collect()),
            latency_us: micros(response.elapsed),
            truncated: response.truncated,
            cached: response.cached,
            searched_vectors: stats.searched_vectors,
            matching: stats.matching,
            distance_computations: stats.distance_computations,
            nodes_visited: stats.nodes_visited,
            segments: stats.segments,
            unindexed: &stats.unindexed,
            explanation: response.explanation.as_deref(),
        }
    }
}

fn print(console: &Console, args: &HitArgs, response: &SearchResponse) -> Outcome {
    // Of hits without groups the offset counts some that are not shown.
    let first = if args.group_by.is_some() {
        0
    } else {
        args.offset
    };
    // Hits are one group without a value.
    let groups: Vec<(Option<&Value>, &[Hit])> = match &args.group_by {
        Some(_) => {
            let groups = response.groups.iter();
            groups
                .map(|group| (Some(&group.value), group.hits.as_slice()))
                .collect()
        }
        None => vec![(None, response.hits.as_slice())],
    };
    let hits = || groups.iter().flat_map(|(_, hits)| *hits);
    if hits().next().is_none() {
        console.line("No point fits.")?;
    } else {
        let columns = columns(
            args.columns.as_deref(),
            hits().map(|hit| hit.metadata.as_ref()),
        );
        let fixed = [
            ("Rank", Align::Right),
            ("Id", Align::Left),
            ("Distance", Align::Right),
            ("Score", Align::Right),
        ];
        let fixed = fixed.map(|(title, align)| (title.to_owned(), align));
        let grouped = args
            .group_by
            .iter()
            .map(|field| (shorten(field, 44), Align::Left));
        let fields = columns.iter().map(|name| (shorten(name, 44), Align::Left));
        let mut grid = Grid::new(grouped.chain(fixed).chain(fields));
        for (value, hits) in &groups {
            for (at, hit) in hits.iter().enumerate() {
                let metadata = |name| hit.metadata.as_ref().and_then(|m| m.get(name));
                let cells = columns.iter().map(|name| metadata_cell(metadata(name)));
                let group = value
                    .iter()
                    .map(|value| shorten(&metadata_cell(Some(value)), 44));
                let fixed = [
                    (first + at + 1).to_string(),
                    shorten(&hit.id.to_string(), 44),
                    float(hit.distance),
                    float(hit.score),
                ];
                grid.row(group.chain(fixed).chain(cells));
            }
        }
        console.grid(&grid)?;
    }
    let stats = &response.stats;
    let matching = stats.matching.map_or(String::new(), |matching| {
        format!(", {} of them match", count(matching))
    });
    let cut = if response.truncated {
        " (cut short by the time limit)"
    } else {
        ""
    };
    console.line(format_args!(
        "{} points{matching}; {} distance computations, {} nodes visited, {}{cut}",
        count(stats.searched_vectors),
        count(stats.distance_computations),
        count(stats.nodes_visited),
        duration(response.elapsed)
    ))?;
    if !stats.unindexed.is_empty() {
        console.line(format_args!(
            "Points were read one by one, as there is no index of: {}. `vecdb collection create-index` makes one.",
            stats.unindexed.join(", ")
        ))?;
    }
    match &response.explanation {
        Some(explanation) => explanation::print(console, explanation),
        None => Ok(()),
    }
}
