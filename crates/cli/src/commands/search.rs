//! `search`: the points nearest to a vector, to a row of a file or to another point.

use std::time::Duration;

use serde::Serialize;
use vecdb_engine::{ErrorKind, Explanation, PointId, SearchRequest, SearchResponse};

use super::input;
use super::points::columns;
use super::session::{Collection, Intent, with_collection};
use crate::args::{Globals, SearchArgs};
use crate::failure::{Failure, Outcome};
use crate::measure::micros;
use crate::output::{
    Align, Console, Grid, HitJson, count, duration, explanation, float, metadata_cell, shorten,
};

pub(crate) fn run(console: &Console, globals: &Globals, args: &SearchArgs) -> Outcome {
    let filter = input::filter(args.filter.as_deref())?;
    let like = args.like.as_deref().map(PointId::parse).transpose()?;
    let typed = args
        .vector
        .as_deref()
        .map(|text| input::query(text, args.row))
        .transpose()?;
    with_collection(
        console,
        globals,
        Intent::Read,
        &args.name.collection,
        |collection| {
            let vector = match (&typed, &like) {
                (Some(vector), _) => vector.clone(),
                (None, Some(id)) => vector_of(collection, id)?,
                (None, None) => return Err(Failure::usage("give a vector or --like")),
            };
            let request = SearchRequest {
                // One more, for the point itself.
                limit: args
                    .limit
                    .saturating_add(usize::from(like.is_some() && args.limit > 0)),
                filter,
                params: args.knobs.params(),
                max_distance: args.max_distance,
                min_score: args.min_score,
                with_vector: args.with_vector,
                with_metadata: true,
                explain: args.explain,
                timeout: args.timeout_ms.map(Duration::from_millis),
                ..SearchRequest::new(vector)
            };
            let mut response = collection.search(&request)?;
            response.hits.retain(|hit| Some(&hit.id) != like.as_ref());
            response.hits.truncate(args.limit);
            console.json(&Report::new(collection, &response))?;
            print(console, args.columns.as_deref(), &response)
        },
    )
}

fn vector_of(collection: Collection<'_>, id: &PointId) -> Outcome<Vec<f32>> {
    let record = collection
        .get(std::slice::from_ref(id), true)?
        .pop()
        .flatten();
    record.and_then(|record| record.vector).ok_or_else(|| {
        Failure::new(
            ErrorKind::NotFound,
            format!(
                "no point of collection {:?} has the id {id}",
                collection.name()
            ),
        )
    })
}

#[derive(Serialize)]
struct Report<'a> {
    collection: &'a str,
    hits: Vec<HitJson>,
    latency_us: f64,
    truncated: bool,
    searched_vectors: u64,
    matching: Option<u64>,
    distance_computations: u64,
    nodes_visited: u64,
    segments: u32,
    unindexed: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<&'a Explanation>,
}

impl<'a> Report<'a> {
    fn new(collection: Collection<'a>, response: &'a SearchResponse) -> Self {
        let stats = &response.stats;
        Self {
            collection: collection.name(),
            hits: response.hits.iter().map(HitJson::from).collect(),
            latency_us: micros(response.elapsed),
            truncated: response.truncated,
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

fn print(console: &Console, asked: Option<&[String]>, response: &SearchResponse) -> Outcome {
    if response.hits.is_empty() {
        console.line("No point fits.")?;
    } else {
        let columns = columns(asked, response.hits.iter().map(|hit| hit.metadata.as_ref()));
        let fixed = [
            ("Rank", Align::Right),
            ("Id", Align::Left),
            ("Distance", Align::Right),
            ("Score", Align::Right),
        ];
        let fixed = fixed
            .map(|(title, align)| (title.to_owned(), align))
            .into_iter();
        let mut grid =
            Grid::new(fixed.chain(columns.iter().map(|name| (shorten(name, 44), Align::Left))));
        for (at, hit) in response.hits.iter().enumerate() {
            let cells = columns
                .iter()
                .map(|name| metadata_cell(hit.metadata.as_ref().and_then(|m| m.get(name))));
            let fixed = [
                (at + 1).to_string(),
                shorten(&hit.id.to_string(), 44),
                float(hit.distance),
                float(hit.score),
            ];
            grid.row(fixed.into_iter().chain(cells));
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
            "Points were read one by one, as there is no index of: {}. An index would help.",
            stats.unindexed.join(", ")
        ))?;
    }
    match &response.explanation {
        Some(explanation) => explanation::print(console, explanation),
        None => Ok(()),
    }
}
