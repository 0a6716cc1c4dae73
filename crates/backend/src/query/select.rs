//! `SELECT`: columns, and points without a search.

use std::collections::HashSet;

use vecdb_engine::{
    CollectionInfo, Error, ErrorKind, Field, Filter, Metadata, MetadataSchema, PointId,
    READ_POINTS_MAX, Record, Result, Value,
};
use vecdb_sql::{Cell, Column, Count, Output, QueryResult, ResultColumn, Select};

use super::rows::{Wanted, left_out};
use super::{Run, number};

/// The columns of a result, `*` written out.
pub(super) struct Columns {
    columns: Vec<(Column, ResultColumn)>,
}

/// What a point gives to its row.
pub(super) struct Found {
    pub(super) id: PointId,
    pub(super) vector: Option<Vec<f32>>,
    pub(super) metadata: Option<Metadata>,
    /// Distance and score.
    pub(super) near: Option<(f32, f32)>,
}

impl From<Record> for Found {
    fn from(record: Record) -> Self {
        Self {
            id: record.id,
            vector: record.vector,
            metadata: record.metadata,
            near: None,
        }
    }
}

impl Columns {
    /// # Errors
    /// Two columns of one name: a row could not be told as an object.
    pub(super) fn of(
        run: &Run<'_>,
        outputs: &[Output],
        searching: bool,
        fields: &MetadataSchema,
    ) -> Result<Self> {
        let mut columns = Vec::new();
        let mut names = HashSet::new();
        for output in outputs {
            let mut push = |column: Column, name: &str| {
                if !names.insert(name.to_owned()) {
                    let message =
                        format!("two columns are called {name:?}: give one of them an alias");
                    return Err(run.statement.error(output.at, message));
                }
                let kind = kind_of(&column, fields);
                columns.push((column, ResultColumn::new(name, kind)));
                Ok(())
            };
            if output.column != Column::All {
                push(output.column.clone(), &output.name)?;
                continue;
            }
            push(Column::Id, "id")?;
            if searching {
                push(Column::Distance, "distance")?;
                push(Column::Score, "score")?;
            }
            for (field, _) in fields.fields() {
                // A field of the name of another column has to be asked for, with an alias.
                if !matches!(field, "id" | "distance" | "score") {
                    push(Column::Field(field.to_owned()), field)?;
                }
            }
        }
        Ok(Self { columns })
    }

    /// What of each point has to be read.
    pub(super) fn wanted(&self) -> Wanted {
        let any = |is: fn(&Column) -> bool| self.columns.iter().any(|(column, _)| is(column));
        Wanted {
            vector: any(|column| *column == Column::Vector),
            metadata: any(|column| matches!(column, Column::Field(_))),
        }
    }

    /// What groups have in common is a single value, be the field an array.
    pub(super) fn of_groups(mut self, field: &str, fields: &MetadataSchema) -> Self {
        let kind = fields.field(field).map_or("null", element_kind);
        for (column, told) in &mut self.columns {
            if matches!(column, Column::Field(name) if name == field) {
                *told = ResultColumn::new(&told.name, kind);
            }
        }
        self
    }

    pub(super) fn row(&self, found: &Found) -> Vec<Cell> {
        let cells = self.columns.iter().map(|(column, _)| match column {
            Column::Id => Cell::Id(found.id.clone()),
            Column::Vector => found.vector.clone().map_or(Cell::NULL, Cell::Vector),
            Column::Distance => found.near.map_or(Cell::NULL, |near| Cell::Number(near.0)),
            Column::Score => found.near.map_or(Cell::NULL, |near| Cell::Number(near.1)),
            Column::Field(field) => {
                let value = found.metadata.as_ref().and_then(|all| all.get(field));
                Cell::Value(value.cloned().unwrap_or(Value::Null))
            }
            Column::All => Cell::NULL,
        });
        cells.collect()
    }

    pub(super) fn result(self, rows: Vec<Vec<Cell>>) -> QueryResult {
        QueryResult {
            columns: self.columns.into_iter().map(|(_, column)| column).collect(),
            rows,
            ..QueryResult::default()
        }
    }
}

fn kind_of(column: &Column, fields: &MetadataSchema) -> String {
    match column {
        Column::Id => "id".to_owned(),
        Column::Vector => "vector".to_owned(),
        Column::Distance | Column::Score => "float".to_owned(),
        Column::Field(name) => fields
            .field(name)
            .map_or_else(|| "null".to_owned(), field_kind),
        Column::All => String::new(),
    }
}

/// `int`, `string[]`, or `null` where no value was seen.
pub(super) fn field_kind(field: &Field) -> String {
    let kind = element_kind(field);
    match field.array {
        Some(true) => format!("{kind}[]"),
        _ => kind.to_owned(),
    }
}

/// What a field holds, arrays apart.
pub(super) fn element_kind(field: &Field) -> &'static str {
    field.kind.map_or("null", |kind| kind.name())
}

impl Run<'_> {
    pub(super) fn select(&self, mut select: Select) -> Result<QueryResult> {
        let info = self.info(&select.collection)?;
        self.check(&select, &info.fields)?;
        match select.near.take() {
            Some(near) => self.nearest(select, near, &info),
            None => self.scan(select, &info),
        }
    }

    /// Holds everything that a statement names against the fields of the collection.
    pub(super) fn check(&self, select: &Select, fields: &MetadataSchema) -> Result<()> {
        self.statement.check_columns(&select.columns, fields)?;
        self.statement.check_rows(&select.rows, fields)?;
        let order = select.order_by.as_ref();
        let order = order.map(|order| (&order.field, select.order_at));
        let groups = select.near.as_ref().and_then(|near| near.groups.as_ref());
        let groups = groups.map(|groups| (&groups.field, groups.at));
        for (field, at) in order.into_iter().chain(groups) {
            let known = Filter::exists(field, true).check(fields);
            known.map_err(|error| self.statement.error(at, error))?;
        }
        Ok(())
    }

    pub(super) fn count(&self, count: Count) -> Result<QueryResult> {
        let info = self.info(&count.collection)?;
        self.statement.check_rows(&count.rows, &info.fields)?;
        let points = self.count_rows(&count.collection, &count.rows, &info.fields)?;
        Ok(QueryResult {
            columns: vec![ResultColumn::new(count.name, "int")],
            rows: vec![vec![number(points)]],
            ..QueryResult::default()
        })
    }

    /// Points by id, or all that match.
    fn scan(&self, select: Select, info: &CollectionInfo) -> Result<QueryResult> {
        let columns = Columns::of(self, &select.columns, false, &info.fields)?;
        let wanted = columns.wanted();
        let limit = select.limit.unwrap_or(usize::MAX);
        if let Some(ids) = &select.rows.ids {
            let filter = select.rows.filter.as_ref();
            let found = self.by_id(&select.collection, ids, filter, &info.fields, wanted)?;
            let found = found.into_iter().skip(select.offset).take(limit);
            let rows = found.map(|record| columns.row(&record.into())).collect();
            return Ok(columns.result(rows));
        }
        let limit = match select.limit {
            Some(0) => return Ok(columns.result(Vec::new())),
            Some(limit) if limit > READ_POINTS_MAX => return Err(too_many()),
            Some(limit) => limit,
            // One more tells whether there are too many.
            None => READ_POINTS_MAX + 1,
        };
        let without = left_out(&select.rows);
        let mut pages = self.pages(
            &select.collection,
            select.rows.filter.clone(),
            select.order_by.clone(),
        );
        let (mut rows, mut skip) = (Vec::new(), select.offset);
        while rows.len() < limit {
            // Points that are passed over are not read.
            let page = match skip {
                0 => pages.next(limit - rows.len(), wanted)?,
                skip => pages.next(skip, Wanted::default())?,
            };
            let Some(page) = page else { break };
            for record in page {
                if without.contains(&record.id) {
                    continue;
                }
                match skip {
                    0 => rows.push(columns.row(&record.into())),
                    _ => skip -= 1,
                }
            }
        }
        match select.limit.is_none() && rows.len() == limit {
            true => Err(too_many()),
            false => Ok(columns.result(rows)),
        }
    }
}

fn too_many() -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "a statement gives {READ_POINTS_MAX} rows at most: write a smaller LIMIT, or scroll through the collection"
        ),
    )
}
