//! `CREATE`, `DROP`, `SHOW`, `DESCRIBE`.

use vecdb_engine::{ErrorKind, Field, FieldType, Result};
use vecdb_sql::{Cell, CreateCollection, DropCollection, FieldIndex, QueryResult, ResultColumn};

use super::select::field_kind;
use super::{Run, number};

impl Run<'_> {
    pub(super) fn create_collection(&self, create: CreateCollection) -> Result<QueryResult> {
        match self.backend.create_collection(&create.name, create.config) {
            Err(error) if create.if_not_exists && error.kind() == ErrorKind::AlreadyExists => {
                Ok(QueryResult::default())
            }
            made => made
                .map(|_| QueryResult::default())
                .map_err(|error| self.of_collection(error)),
        }
    }

    pub(super) fn drop_collection(&self, drop: &DropCollection) -> Result<QueryResult> {
        match self.backend.drop_collection(&drop.name) {
            Err(error) if drop.if_exists && error.kind() == ErrorKind::NotFound => {
                Ok(QueryResult::default())
            }
            gone => gone
                .map(|()| QueryResult::default())
                .map_err(|error| self.of_collection(error)),
        }
    }

    /// Lets a field have an index, or none.
    pub(super) fn field_index(&self, index: &FieldIndex, indexed: bool) -> Result<QueryResult> {
        let (collection, field) = (&index.collection, &index.field);
        let changed = match indexed {
            true => self
                .backend
                .create_field_index(collection, field, self.stop),
            false => self.backend.drop_field_index(collection, field),
        };
        match changed {
            Ok(_) => Ok(QueryResult::default()),
            Err(error) if error.kind() == ErrorKind::InvalidArgument => {
                Err(self.statement.error_of(index.at, &error))
            }
            Err(error) => Err(self.of_collection(error)),
        }
    }

    pub(super) fn show_collections(&self, visible: &dyn Fn(&str) -> bool) -> Result<QueryResult> {
        let mut rows = Vec::new();
        for summary in self.backend.collections()? {
            self.stop.check()?;
            if !visible(&summary.name) {
                continue;
            }
            let mut row: Vec<Cell> = vec![summary.name.as_str().into(), number(summary.points)];
            match summary.broken {
                Some(reason) => {
                    row.extend([Cell::NULL, Cell::NULL, Cell::NULL, reason.into()]);
                }
                None => match self.backend.collection(&summary.name) {
                    Ok(info) => {
                        let field = info.config.vector()?;
                        row.extend([
                            i64::from(field.dimension).into(),
                            field.metric.to_string().into(),
                            field.index.kind().into(),
                            Cell::NULL,
                        ]);
                    }
                    // Dropped meanwhile.
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                },
            }
            rows.push(row);
        }
        Ok(QueryResult {
            columns: columns([
                ("name", "string"),
                ("points", "int"),
                ("dimension", "int"),
                ("metric", "string"),
                ("index", "string"),
                ("broken", "string"),
            ]),
            rows,
            ..QueryResult::default()
        })
    }

    /// The columns that statements can name, with their types.
    pub(super) fn show_fields(&self, collection: &str) -> Result<QueryResult> {
        let info = self.info(collection)?;
        let vector = info.config.vector()?;
        let vector = format!("{}({})", vector.element, vector.dimension);
        let own = [("id", "id".to_owned()), ("vector", vector)];
        let own = own
            .into_iter()
            .map(|(name, kind)| vec![name.into(), kind.into(), false.into(), Cell::NULL]);
        let fields = info.fields.fields().map(|(name, field)| {
            let (declared, indexed) = (field.declared, !field.unindexed);
            vec![
                name.into(),
                described(field).into(),
                declared.into(),
                indexed.into(),
            ]
        });
        let rows = own.chain(fields);
        Ok(QueryResult {
            columns: columns([
                ("name", "string"),
                ("type", "string"),
                ("declared", "bool"),
                ("indexed", "bool"),
            ]),
            rows: rows.collect(),
            ..QueryResult::default()
        })
    }
}

/// The type of a field as it is declared.
fn described(field: &Field) -> String {
    match (field.kind, field.stemmer) {
        (Some(kind), stemmer @ Some(_)) => FieldType {
            kind,
            array: field.array == Some(true),
            stemmer,
        }
        .to_string(),
        _ => field_kind(field),
    }
}

fn columns<const N: usize>(columns: [(&str, &str); N]) -> Vec<ResultColumn> {
    let columns = columns.into_iter();
    columns
        .map(|(name, kind)| ResultColumn::new(name, kind))
        .collect()
}
