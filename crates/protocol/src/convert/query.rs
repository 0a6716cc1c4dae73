//! SQL: parameters and results.

use std::collections::BTreeMap;
use std::time::Duration;

use vecdb_engine::{Error, Result};
use vecdb_sql::{Cell, Param, Params, QueryResult, ResultColumn};

use super::{invalid, required};
use crate::v1;
use crate::v1::cell::Kind as CellKind;
use crate::v1::parameter::Kind as ParamKind;

/// The parameters of a statement; an error says which of them is at fault.
pub fn params(
    positional: Vec<v1::Parameter>,
    named: BTreeMap<String, v1::Parameter>,
) -> Result<Params> {
    let one = |name: String, message: v1::Parameter| {
        Param::try_from(message).map_err(|error| error.context(format_args!("parameter ${name}")))
    };
    if named.is_empty() {
        let positional = positional.into_iter().enumerate();
        let params = positional.map(|(at, message)| one((at + 1).to_string(), message));
        return params.collect::<Result<_>>().map(Params::Positional);
    }
    if !positional.is_empty() {
        return Err(invalid(
            "the request has parameters by position and by name: a statement takes one of both",
        ));
    }
    let params = named
        .into_iter()
        .map(|(name, message)| Ok((name.clone(), one(name, message)?)));
    params.collect::<Result<_>>().map(Params::Named)
}

impl v1::QueryRequest {
    /// The request of a statement with its parameters.
    pub fn new(sql: impl Into<String>, params: Params) -> Self {
        let mut request = v1::QueryRequest {
            sql: sql.into(),
            ..Self::default()
        };
        match params {
            Params::Positional(params) => {
                request.positional = params.into_iter().map(Into::into).collect();
            }
            Params::Named(params) => {
                let params = params.into_iter();
                request.named = params.map(|(name, param)| (name, param.into())).collect();
            }
        }
        request
    }
}

impl TryFrom<v1::Parameter> for Param {
    type Error = Error;

    fn try_from(message: v1::Parameter) -> Result<Self> {
        Ok(match message.kind {
            Some(ParamKind::Value(value)) => Param::Value(value.try_into()?),
            Some(ParamKind::Id(id)) => Param::Id(id.try_into()?),
            Some(ParamKind::Vector(vector)) => Param::Vector(vector.values),
            None => return Err(invalid("it is neither a value nor an id nor a vector")),
        })
    }
}

impl From<Param> for v1::Parameter {
    fn from(param: Param) -> Self {
        let kind = match param {
            Param::Value(value) => ParamKind::Value(value.into()),
            Param::Id(id) => ParamKind::Id(id.into()),
            Param::Vector(values) => ParamKind::Vector(v1::Vector { values }),
        };
        v1::Parameter { kind: Some(kind) }
    }
}

impl TryFrom<v1::Cell> for Cell {
    type Error = Error;

    fn try_from(message: v1::Cell) -> Result<Self> {
        Ok(match required(message.kind, "the kind of a cell")? {
            CellKind::Id(id) => Cell::Id(id.try_into()?),
            CellKind::Vector(vector) => Cell::Vector(vector.values),
            CellKind::Number(number) => Cell::Number(number),
            CellKind::Value(value) => Cell::Value(value.try_into()?),
        })
    }
}

impl From<Cell> for v1::Cell {
    fn from(cell: Cell) -> Self {
        let kind = match cell {
            Cell::Id(id) => CellKind::Id(id.into()),
            Cell::Vector(values) => CellKind::Vector(v1::Vector { values }),
            Cell::Number(number) => CellKind::Number(number),
            Cell::Value(value) => CellKind::Value(value.into()),
        };
        v1::Cell { kind: Some(kind) }
    }
}

impl TryFrom<v1::QueryResponse> for QueryResult {
    type Error = Error;

    fn try_from(message: v1::QueryResponse) -> Result<Self> {
        let columns = message.columns.into_iter();
        let rows = message.rows.into_iter().map(|row| {
            let cells = row.cells.into_iter();
            cells.map(Cell::try_from).collect::<Result<Vec<_>>>()
        });
        Ok(QueryResult {
            columns: columns
                .map(|column| ResultColumn::new(column.name, column.r#type))
                .collect(),
            rows: rows.collect::<Result<_>>()?,
            affected: message.affected,
            truncated: message.truncated,
            searched_vectors: message.searched_vectors,
            unindexed: message.unindexed,
            elapsed: Duration::try_from_secs_f64(f64::from(message.latency_ms) / 1e3)
                .map_err(|error| invalid(format!("latency_ms {}: {error}", message.latency_ms)))?,
        })
    }
}

impl From<QueryResult> for v1::QueryResponse {
    fn from(result: QueryResult) -> Self {
        let columns = result.columns.into_iter();
        let rows = result.rows.into_iter();
        v1::QueryResponse {
            columns: columns
                .map(|column| v1::QueryColumn {
                    name: column.name,
                    r#type: column.kind,
                })
                .collect(),
            rows: rows
                .map(|row| v1::QueryRow {
                    cells: row.into_iter().map(Into::into).collect(),
                })
                .collect(),
            affected: result.affected,
            searched_vectors: result.searched_vectors,
            latency_ms: (result.elapsed.as_secs_f64() * 1e3) as f32,
            truncated: result.truncated,
            unindexed: result.unindexed,
        }
    }
}
