//! What a statement gives.

use std::time::Duration;

use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};
use vecdb_engine::{PointId, Value};

/// The answer to a statement: a table, a number of points that changed, or neither.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryResult {
    /// The columns; none for a statement that gives no rows.
    pub columns: Vec<ResultColumn>,
    /// The rows, each with one cell a column.
    pub rows: Vec<Vec<Cell>>,
    /// Points that an `INSERT`, `UPDATE` or `DELETE` changed.
    pub affected: Option<u64>,
    /// The time limit of a search came first: better hits may exist.
    pub truncated: bool,
    /// Live points that a search was over.
    pub searched_vectors: Option<u64>,
    /// Fields of the condition that are not indexed, so that points had to be read.
    pub unindexed: Vec<String>,
    /// Time it took, without what lies between caller and database.
    pub elapsed: Duration,
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResultColumn {
    /// Its name or alias.
    pub name: String,
    /// `id`, `vector`, `float`, `int`, `string`, `bool`, `datetime`, one of these with `[]` for arrays, or `null` where
    /// no value was seen.
    #[serde(rename = "type")]
    pub kind: String,
}

impl ResultColumn {
    /// A column of this name and type.
    pub fn new(name: impl Into<String>, kind: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
        }
    }
}

/// One value of a result.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// The id of a point.
    Id(PointId),
    /// A vector.
    Vector(Vec<f32>),
    /// A distance or score.
    Number(f32),
    /// A value of metadata, a number or a text; null for what is missing.
    Value(Value),
}

impl<V: Into<Value>> From<V> for Cell {
    fn from(value: V) -> Self {
        Cell::Value(value.into())
    }
}

impl Cell {
    /// Null.
    pub const NULL: Cell = Cell::Value(Value::Null);
}

/// As JSON: ids are numbers or strings, vectors arrays, date-times RFC 3339 texts. JSON has no name for NaN and the
/// infinities: overflown distances become the largest number there is.
impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Cell::Id(PointId::U64(number)) => serializer.serialize_u64(*number),
            Cell::Id(text) => serializer.collect_str(text),
            Cell::Vector(values) => values.serialize(serializer),
            Cell::Number(number) if number.is_nan() => serializer.serialize_f32(f32::MAX),
            Cell::Number(number) => serializer.serialize_f32(number.clamp(f32::MIN, f32::MAX)),
            Cell::Value(value) => value.to_json().serialize(serializer),
        }
    }
}

/// As a JSON object: `columns`, `rows` (each an object with the columns as keys, in their order), `affected` and
/// `searched_vectors` where there are such numbers, `unindexed` where there are such fields, `truncated`, `latency_ms`.
impl Serialize for QueryResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("QueryResult", 7)?;
        object.serialize_field("columns", &self.columns)?;
        object.serialize_field("rows", &RowObjects(self))?;
        match self.affected {
            Some(points) => object.serialize_field("affected", &points)?,
            None => object.skip_field("affected")?,
        }
        match self.searched_vectors {
            Some(points) => object.serialize_field("searched_vectors", &points)?,
            None => object.skip_field("searched_vectors")?,
        }
        match self.unindexed.is_empty() {
            true => object.skip_field("unindexed")?,
            false => object.serialize_field("unindexed", &self.unindexed)?,
        }
        object.serialize_field("truncated", &self.truncated)?;
        let latency_ms = self.elapsed.as_secs_f32() * 1_000.0;
        object.serialize_field("latency_ms", &latency_ms)?;
        object.end()
    }
}

struct RowObjects<'a>(&'a QueryResult);

impl Serialize for RowObjects<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let columns = &self.0.columns;
        serializer.collect_seq(self.0.rows.iter().map(|cells| RowObject { columns, cells }))
    }
}

struct RowObject<'a> {
    columns: &'a [ResultColumn],
    cells: &'a [Cell],
}

impl Serialize for RowObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.columns.len()))?;
        for (column, cell) in self.columns.iter().zip(self.cells) {
            object.serialize_entry(&column.name, cell)?;
        }
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_the_order_of_the_columns() {
        let result = QueryResult {
            columns: vec![
                ResultColumn::new("name", "string"),
                ResultColumn::new("id", "id"),
                ResultColumn::new("distance", "float"),
                ResultColumn::new("vector", "vector"),
            ],
            rows: vec![vec![
                "x".into(),
                Cell::Id(u64::MAX.into()),
                Cell::Number(f32::INFINITY),
                Cell::Vector(vec![0.1, 2.0]),
            ]],
            searched_vectors: Some(7),
            ..QueryResult::default()
        };
        let text = serde_json::to_string(&result).unwrap();
        let row =
            r#"{"name":"x","id":18446744073709551615,"distance":3.4028235e+38,"vector":[0.1,2.0]}"#;
        assert!(text.contains(row), "{text}");
        assert!(
            text.ends_with(r#""searched_vectors":7,"truncated":false,"latency_ms":0.0}"#),
            "{text}"
        );
        assert!(!text.contains("affected"), "{text}");
    }
}
