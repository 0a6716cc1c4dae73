//! `facets`: how many points have each value of a field.

use serde_json::{Value, json};
use vecdb_engine::FacetRequest;

use super::input;
use super::session::{Intent, with_collection};
use crate::args::{FacetsArgs, Globals};
use crate::failure::Outcome;
use crate::output::{Align, Console, Grid, count, metadata_cell, shorten};

pub(crate) fn run(console: &Console, globals: &Globals, args: &FacetsArgs) -> Outcome {
    let mut request = FacetRequest::new(args.field.as_str()).limit(args.limit);
    request.filter = input::filter(args.filter.as_deref())?;
    with_collection(
        console,
        globals,
        Intent::Read,
        &args.name.collection,
        |collection| {
            let facets = collection.facets(&request)?;
            let values = facets
                .values
                .iter()
                .map(|facet| json!({"value": facet.value.to_json(), "count": facet.count}));
            console.json(&json!({
                "collection": collection.name(),
                "field": args.field,
                "values": values.collect::<Vec<Value>>(),
                "distinct": facets.distinct,
                "points": facets.points,
                "missing": facets.missing,
            }))?;
            if !facets.values.is_empty() {
                let titles = [
                    (args.field.clone(), Align::Left),
                    ("Points".to_owned(), Align::Right),
                ];
                let mut grid = Grid::new(titles);
                for facet in &facets.values {
                    let value = shorten(&metadata_cell(Some(&facet.value)), 60);
                    grid.row([value, count(facet.count)]);
                }
                console.grid(&grid)?;
            }
            console.line(format_args!(
                "{} different values in {} points; {} have none",
                count(facets.distinct),
                count(facets.points),
                count(facets.missing)
            ))
        },
    )
}
