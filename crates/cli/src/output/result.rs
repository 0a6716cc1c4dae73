//! The result of an SQL statement as a table or as comma-separated values.

use std::fmt::Write as _;

use vecdb_engine::Value;
use vecdb_sql::{Cell, QueryResult};

use super::{Align, Console, Grid, count, duration, float, metadata_cell, plural, shorten};
use crate::failure::Outcome;

/// Values of a vector that a table shows.
const VALUES_SHOWN: usize = 4;
/// Characters of an id or a text that a table shows.
const WIDTH: usize = 44;

/// A result to be shown.
pub(crate) struct Table<'a>(pub(crate) &'a QueryResult);

impl Table<'_> {
    /// For people, with the time it took if that is wanted.
    pub(crate) fn print(&self, console: &Console, timing: bool) -> Outcome {
        let result = self.0;
        if !result.columns.is_empty() {
            let mut grid = Grid::new(result.columns.iter().map(|column| {
                let align = match column.kind.as_str() {
                    "int" | "float" => Align::Right,
                    _ => Align::Left,
                };
                (shorten(&column.name, WIDTH), align)
            }));
            for row in &result.rows {
                grid.row(row.iter().map(shown));
            }
            console.grid(&grid)?;
        }
        let mut said = match result.affected {
            Some(points) => plural(points, "point"),
            None if result.columns.is_empty() => "done".to_owned(),
            None => plural(result.rows.len() as u64, "row"),
        };
        if let Some(points) = result.searched_vectors {
            let _ = write!(said, " of {} points", count(points));
        }
        if timing {
            let _ = write!(said, ", {}", duration(result.elapsed));
        }
        if result.truncated {
            said.push_str(" (cut short by the time limit)");
        }
        console.line(said)
    }

    /// With a header, as RFC 4180 describes; null is empty.
    pub(crate) fn csv(&self) -> String {
        let result = self.0;
        let mut text = String::new();
        let mut line = |cells: &mut dyn Iterator<Item = String>| {
            let cells: Vec<String> = cells.collect();
            text.push_str(&cells.join(","));
            text.push_str("\r\n");
        };
        if let Some(points) = result.affected {
            line(&mut ["affected".to_owned()].into_iter());
            line(&mut [points.to_string()].into_iter());
        }
        if !result.columns.is_empty() {
            let names = result.columns.iter();
            line(&mut names.map(|column| quoted(&column.name)));
        }
        for row in &result.rows {
            line(&mut row.iter().map(written));
        }
        text
    }
}

fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Id(id) => shorten(&id.to_string(), WIDTH),
        Cell::Number(number) => float(*number),
        Cell::Value(value) => metadata_cell(Some(value)),
        Cell::Vector(values) => {
            let first = values.iter().take(VALUES_SHOWN);
            let mut shown: Vec<String> = first.map(|value| float(*value)).collect();
            if values.len() > VALUES_SHOWN {
                shown.push(format!("... {} values", values.len()));
            }
            format!("[{}]", shown.join(", "))
        }
    }
}

fn written(cell: &Cell) -> String {
    match cell {
        Cell::Id(id) => quoted(&id.to_string()),
        Cell::Number(number) => number.to_string(),
        Cell::Value(Value::Null) => String::new(),
        Cell::Value(Value::String(text)) => quoted(text),
        Cell::Value(value) => match value.to_json() {
            serde_json::Value::String(text) => quoted(&text),
            json => quoted(&json.to_string()),
        },
        Cell::Vector(values) => {
            let values: Vec<String> = values.iter().map(f32::to_string).collect();
            quoted(&format!("[{}]", values.join(",")))
        }
    }
}

fn quoted(text: &str) -> String {
    // An empty text is quoted, to be told from null.
    match text.is_empty() || text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use vecdb_sql::ResultColumn;

    use super::*;

    #[test]
    fn values_are_separated_by_commas_and_quoted_where_they_have_to_be() {
        let columns = ["id", "a,b", "vector", "tags", "score"];
        let result = QueryResult {
            columns: columns.map(|name| ResultColumn::new(name, "string")).into(),
            rows: vec![
                vec![
                    Cell::Id("x".into()),
                    "say \"hi\"\n".into(),
                    Cell::Vector(vec![0.1, -2.0]),
                    vec!["p"].into(),
                    Cell::Number(0.25),
                ],
                vec![
                    Cell::Id(7.into()),
                    "".into(),
                    Cell::NULL,
                    true.into(),
                    5_i64.into(),
                ],
            ],
            ..QueryResult::default()
        };
        let expected = "id,\"a,b\",vector,tags,score\r\n\
                        x,\"say \"\"hi\"\"\n\",\"[0.1,-2]\",\"[\"\"p\"\"]\",0.25\r\n\
                        7,\"\",,true,5\r\n";
        assert_eq!(Table(&result).csv(), expected);
        let written = QueryResult {
            affected: Some(3),
            ..QueryResult::default()
        };
        assert_eq!(Table(&written).csv(), "affected\r\n3\r\n");
    }
}
