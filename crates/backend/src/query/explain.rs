//! `EXPLAIN SELECT ...`: how a search is answered, as a table.

use vecdb_engine::{
    ConditionExplanation, Error, ErrorKind, Explanation, MatchEstimate, PartExplanation, Result,
};
use vecdb_sql::{Cell, Explain, QueryResult, ResultColumn};

use super::rows::Wanted;
use super::search::Explained;
use super::{Run, number};

/// What is told of each step, with its type and whether it was measured.
const COLUMNS: [(&str, &str, bool); 13] = [
    ("step", "string", false),
    ("plan", "string", false),
    ("points", "int", false),
    ("estimated", "int", false),
    ("indexed", "bool", false),
    ("plans", "string", false),
    ("matching", "int", true),
    ("distance_computations", "int", true),
    ("estimated_distances", "int", true),
    ("nodes_visited", "int", true),
    ("rows_checked", "int", true),
    ("rows_read", "int", true),
    ("time_us", "float", true),
];

impl Run<'_> {
    pub(super) fn explain(&self, explain: Explain) -> Result<QueryResult> {
        let Explain {
            mut select,
            analyze,
        } = explain;
        let info = self.info(&select.collection)?;
        self.check(&select, &info.fields)?;
        let near = select.near.take().ok_or_else(nothing)?;
        let how = match analyze {
            true => Explained::Run,
            false => Explained::Only,
        };
        let response = self.search(&select, near, Wanted::default(), how)?;
        let explanation = response.explanation.ok_or_else(nothing)?;
        let rows = rows(&explanation).into_iter().map(|row| {
            let cells = row.into_iter().zip(COLUMNS);
            let told = cells.filter(|(_, (_, _, measured))| analyze || !measured);
            told.map(|(cell, _)| cell).collect()
        });
        let columns = COLUMNS.iter().filter(|column| analyze || !column.2);
        Ok(QueryResult {
            columns: columns
                .map(|(name, kind, _)| ResultColumn::new(*name, *kind))
                .collect(),
            rows: rows.collect(),
            truncated: response.truncated,
            searched_vectors: Some(response.stats.searched_vectors),
            unindexed: response.stats.unindexed,
            ..QueryResult::default()
        })
    }
}

fn nothing() -> Error {
    Error::new(ErrorKind::Io, "the search was not explained")
}

fn rows(explanation: &Explanation) -> Vec<[Cell; COLUMNS.len()]> {
    let conditions = explanation.conditions.iter().map(condition);
    let parts = explanation.parts.iter().map(part);
    conditions
        .chain(parts)
        .chain([read(explanation.read_us)])
        .collect()
}

/// A condition of the filter, over all parts.
fn condition(condition: &ConditionExplanation) -> [Cell; COLUMNS.len()] {
    let mut row = [Cell::NULL; COLUMNS.len()];
    let [step, plan, _, estimated, indexed, _, matching, ..] = &mut row;
    *step = condition.condition.as_str().into();
    *plan = "filter".into();
    *estimated = likely(&condition.estimate);
    *indexed = condition.indexed.into();
    *matching = number(condition.matching);
    row
}

/// A segment, or the memtable.
fn part(part: &PartExplanation) -> [Cell; COLUMNS.len()] {
    let plans = part.plans.iter();
    let plans = plans.map(|plan| format!("{} {:.0}, {:.0} us", plan.plan, plan.work, plan.time_us));
    let plans: Vec<String> = plans.collect();
    let plan = match part.switched {
        true => format!("{}, given up on the way", part.plan),
        false => part.plan.clone(),
    };
    [
        part.part.as_str().into(),
        plan.into(),
        number(part.points),
        part.estimate.as_ref().map_or(Cell::NULL, likely),
        Cell::NULL,
        match plans.is_empty() {
            true => Cell::NULL,
            false => plans.join("; ").into(),
        },
        number(part.matching),
        number(part.distance_computations),
        number(part.estimated_distances),
        number(part.nodes_visited),
        number(part.rows_checked),
        number(part.rows_read),
        (part.filter_us + part.search_us).into(),
    ]
}

/// Reading the hits.
fn read(time_us: f64) -> [Cell; COLUMNS.len()] {
    let mut row = [Cell::NULL; COLUMNS.len()];
    let [step, .., time] = &mut row;
    *step = "read the hits".into();
    *time = time_us.into();
    row
}

fn likely(estimate: &MatchEstimate) -> Cell {
    number(estimate.likely)
}
