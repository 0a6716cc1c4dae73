//! `recommend`: the points most like some examples and least like others.

use vecdb_engine::{Example, PointId, RecommendRequest};

use super::input;
use super::search::{report, request};
use super::session::{Intent, with_collection};
use crate::args::{Globals, RecommendArgs};
use crate::failure::Outcome;
use crate::output::Console;

pub(crate) fn run(console: &Console, globals: &Globals, args: &RecommendArgs) -> Outcome {
    let request = RecommendRequest {
        positive: examples(&args.positive)?,
        negative: examples(&args.negative)?,
        strategy: args.strategy.parse()?,
        search: request(&args.hits, Vec::new())?,
    };
    with_collection(
        console,
        globals,
        Intent::Read,
        &args.name.collection,
        |collection| {
            let response = collection.recommend(&request)?;
            report(console, collection, &args.hits, &response)
        },
    )
}

fn examples(texts: &[String]) -> Outcome<Vec<Example>> {
    let one = |text: &String| match text.starts_with('[') {
        true => Ok(Example::Vector(input::vector(text)?)),
        false => Ok(Example::Id(PointId::parse(text)?)),
    };
    texts.iter().map(one).collect()
}
