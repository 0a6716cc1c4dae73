//! `CREATE`, `DROP`, `SHOW`, `DESCRIBE`.

use vecdb_engine::{ErrorKind, Result};
use vecdb_sql::{Cell, CreateCollection, DropCollection, QueryResult, ResultColumn};

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
        let own = own.into_iter().map(|(name, kind)| (name, kind, false));
        let fields = info.fields.fields();
        let fields = fields.map(|(name, field)| (name, field_kind(field), field.declared));
        let rows = own
            .chain(fields)
            .map(|(name, kind, declared)| vec![name.into(), kind.into(), declared.into()]);
        Ok(QueryResult {
            columns: columns([("name", "string"), ("type", "string"), ("declared", "bool")]),
            rows: rows.collect(),
            ..QueryResult::default()
        })
    }
}

fn columns<const N: usize>(columns: [(&str, &str); N]) -> Vec<ResultColumn> {
    let columns = columns.into_iter();
    columns
        .map(|(name, kind)| ResultColumn::new(name, kind))
        .collect()
}
