//! Which column of a Parquet file is what.

use std::path::Path;

use arrow_schema::{DataType, Schema};

use super::values;
use crate::{DatasetError, PointOptions};

/// Names looked for where the caller gives none.
const VECTOR_NAMES: [&str; 2] = ["vector", "embedding"];
const ID_NAME: &str = "id";

/// The chosen columns; positions count within the batch, which holds only `roots`.
#[derive(Debug)]
pub(super) struct Columns {
    roots: Vec<usize>,
    pub(super) vector: Option<usize>,
    pub(super) id: Option<usize>,
    pub(super) metadata: Vec<(usize, String)>,
}

impl Columns {
    pub(super) fn choose(
        path: &Path,
        schema: &Schema,
        options: &PointOptions,
    ) -> Result<Self, DatasetError> {
        let vector_root = vector_column(path, schema, options)?;
        let id_root = match &options.id_field {
            Some(name) => Some(
                schema
                    .index_of(name)
                    .map_err(|_| no_column(path, schema, name))?,
            ),
            None => schema.index_of(ID_NAME).ok(),
        };
        let mut columns = Self {
            roots: Vec::new(),
            vector: None,
            id: None,
            metadata: Vec::new(),
        };
        for (root, field) in schema.fields().iter().enumerate() {
            let at = columns.roots.len();
            if vector_root
                .as_ref()
                .is_some_and(|(vector, _)| *vector == root)
            {
                columns.vector = Some(at);
            } else if options.skip.contains(field.name()) {
                continue;
            } else if !values::is_supported(field.data_type()) {
                let what = format!(
                    "column '{}' has type {}; metadata is text, numbers, booleans, dates, or lists of \
                     these: leave the column out (skip)",
                    field.name(),
                    field.data_type()
                );
                return Err(DatasetError::unsupported(path, what));
            } else if id_root == Some(root) {
                columns.id = Some(at);
            } else {
                columns.metadata.push((at, field.name().clone()));
            }
            columns.roots.push(root);
        }
        Ok(columns)
    }

    /// Top-level columns to read, ascending.
    pub(super) fn roots(&self) -> &[usize] {
        &self.roots
    }
}

/// The vector column: position in the schema and name; `None` where no column can be one.
pub(super) fn vector_column(
    path: &Path,
    schema: &Schema,
    options: &PointOptions,
) -> Result<Option<(usize, String)>, DatasetError> {
    if let Some(name) = &options.vector_field {
        let at = schema
            .index_of(name)
            .map_err(|_| no_column(path, schema, name))?;
        if !is_vector(schema.field(at).data_type()) {
            let what = format!(
                "column '{name}' has type {}; a vector is a list of floats, or of 8-bit integers",
                schema.field(at).data_type()
            );
            return Err(DatasetError::unsupported(path, what));
        }
        return Ok(Some((at, name.to_string())));
    }
    for name in VECTOR_NAMES {
        match schema.index_of(name) {
            Ok(at) if is_vector(schema.field(at).data_type()) => {
                return Ok(Some((at, name.to_string())));
            }
            _ => {}
        }
    }
    let candidates: Vec<usize> = (0..schema.fields().len())
        .filter(|&at| is_vector(schema.field(at).data_type()))
        .filter(|&at| !options.skip.contains(schema.field(at).name()))
        .collect();
    match candidates[..] {
        [] => Ok(None),
        [only] => Ok(Some((only, schema.field(only).name().clone()))),
        _ => {
            let names: Vec<&str> = candidates
                .iter()
                .map(|&at| schema.field(at).name().as_str())
                .collect();
            let what = format!(
                "several columns could be the vector: {}; name one",
                names.join(", ")
            );
            Err(DatasetError::unsupported(path, what))
        }
    }
}

pub(super) fn no_vector_column(path: &Path, schema: &Schema) -> DatasetError {
    let what = format!(
        "no column is a list of floats or of 8-bit integers; columns: {}",
        list(schema)
    );
    DatasetError::unsupported(path, what)
}

fn no_column(path: &Path, schema: &Schema, name: &str) -> DatasetError {
    let what = format!("no column '{name}'; columns: {}", list(schema));
    DatasetError::unsupported(path, what)
}

fn list(schema: &Schema) -> String {
    let columns: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| format!("{} ({})", field.name(), field.data_type()))
        .collect();
    columns.join(", ")
}

fn is_vector(data_type: &DataType) -> bool {
    use DataType::{Float16, Float32, Float64, Int8, List, UInt8};
    match data_type {
        List(item) => matches!(item.data_type(), Float16 | Float32 | Float64 | Int8 | UInt8),
        _ => false,
    }
}
