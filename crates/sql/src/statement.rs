//! What a statement asks for.

use std::time::Duration;

use vecdb_engine::{
    CollectionConfig, Error, Filter, Metadata, MetadataSchema, OrderBy, Point, PointId, Result,
    SearchParams,
};

use crate::params::{Bindings, Params};
use crate::parse::Parser;
use crate::rows::Rows;
use crate::source::{Source, Span};

/// A statement with its parameters bound. Errors that come up later can still point into its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// What it asks for.
    pub action: Action,
    pub(crate) source: Source,
    pub(crate) collection_at: Span,
}

/// What a statement needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Look at points and collections.
    Read,
    /// Change points.
    Write,
    /// Change collections.
    Admin,
}

/// The kinds of statements.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Points that match, or the nearest of them.
    Select(Select),
    /// How many points match.
    Count(Count),
    /// How many points have each value of a field.
    Group(Group),
    /// How a search is answered.
    Explain(Explain),
    /// Points to insert, or to put in the place of those of the same ids.
    Insert(Insert),
    /// A change of metadata.
    Update(Update),
    /// Points to delete.
    Delete(Delete),
    /// A new collection.
    CreateCollection(CreateCollection),
    /// A collection to remove with all its points.
    DropCollection(DropCollection),
    /// A metadata field to keep an index of.
    CreateIndex(FieldIndex),
    /// A metadata field to keep no index of.
    DropIndex(FieldIndex),
    /// The collections there are.
    ShowCollections,
    /// The columns of a collection.
    ShowFields {
        /// Whose.
        collection: String,
    },
}

/// `SELECT ... FROM ...`.
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// From where.
    pub collection: String,
    /// What to give of each point.
    pub columns: Vec<Output>,
    /// Nearest to what.
    pub near: Option<Near>,
    /// By the values of which field, without a search; else the points come in no particular order.
    pub order_by: Option<OrderBy>,
    /// Where that stands.
    pub order_at: Span,
    /// Which points.
    pub rows: Rows,
    /// At most so many.
    pub limit: Option<usize>,
    /// So many are passed over first.
    pub offset: usize,
}

/// `vector NEAR ...` with what belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Near {
    /// The query.
    pub target: Target,
    /// Where it stands.
    pub at: Span,
    /// Only hits at most this far: `distance <= x`.
    pub max_distance: Option<f32>,
    /// Only hits of at least this score: `score >= x`.
    pub min_score: Option<f32>,
    /// `GROUP BY brand`: groups of hits in place of hits. The limit and the offset of the statement then count groups.
    pub groups: Option<NearGroups>,
    /// `WITH (ef = 200)`.
    pub params: SearchParams,
    /// `WITH (timeout_ms = 50)`.
    pub timeout: Option<Duration>,
    /// `WITH (cache = TRUE)`.
    pub cache: bool,
}

/// How the hits of a search are grouped: `GROUP BY brand LIMIT 3 PER GROUP`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearGroups {
    /// The metadata field.
    pub field: String,
    /// Where it stands.
    pub at: Span,
    /// Hits of a group at most.
    pub size: usize,
}

/// What to be near to.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A vector.
    Vector(Vec<f32>),
    /// The vector of a point: `(SELECT vector FROM c WHERE id = 'x')`.
    Point {
        /// Its collection.
        collection: String,
        /// Its id.
        id: PointId,
    },
}

/// One column of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// What it holds.
    pub column: Column,
    /// What it is called.
    pub name: String,
    /// Where it stands.
    pub at: Span,
}

/// What a column can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// `*`: the id, distance and score of a search, and every metadata field.
    All,
    /// `id`.
    Id,
    /// `vector`.
    Vector,
    /// `distance`: smaller is nearer.
    Distance,
    /// `score`: larger is better.
    Score,
    /// A metadata field.
    Field(String),
}

/// `SELECT COUNT(*) FROM ...`.
#[derive(Clone, Debug, PartialEq)]
pub struct Count {
    /// Of which collection.
    pub collection: String,
    /// Which points.
    pub rows: Rows,
    /// What the column is called.
    pub name: String,
}

/// `SELECT field, COUNT(*) FROM ... GROUP BY field`.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Of which collection.
    pub collection: String,
    /// The field.
    pub field: String,
    /// Where it stands.
    pub at: Span,
    /// Which points: all or those that match by metadata.
    pub rows: Rows,
    /// The columns in their order, with their names.
    pub columns: Vec<(GroupColumn, String)>,
    /// Which group comes first.
    pub order: GroupOrder,
    /// At most so many.
    pub limit: Option<usize>,
    /// So many are passed over first.
    pub offset: usize,
}

/// A column of [`Group`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupColumn {
    /// The value of the field.
    Value,
    /// How many points have it.
    Count,
}

/// Which group comes first. Groups of the same number go by their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupOrder {
    /// By what.
    pub by: GroupColumn,
    /// The largest first.
    pub descending: bool,
}

/// `EXPLAIN SELECT ...`. The search is run where it is to be analyzed.
#[derive(Clone, Debug, PartialEq)]
pub struct Explain {
    /// What to explain: a search.
    pub select: Select,
    /// `EXPLAIN ANALYZE`: run it and tell what was measured.
    pub analyze: bool,
}

/// `INSERT INTO ...`.
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    /// Into where.
    pub collection: String,
    /// What.
    pub points: Vec<Point>,
}

/// `UPDATE ... SET ...`.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// Of which collection.
    pub collection: String,
    /// The fields that change.
    pub changes: Metadata,
    /// Which points.
    pub rows: Rows,
}

/// `DELETE FROM ...`.
#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    /// From where.
    pub collection: String,
    /// Which points.
    pub rows: Rows,
}

/// `CREATE COLLECTION ...`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateCollection {
    /// Its name.
    pub name: String,
    /// Its settings.
    pub config: CollectionConfig,
    /// Nothing is done where there is one.
    pub if_not_exists: bool,
}

/// `DROP COLLECTION ...`.
#[derive(Clone, Debug, PartialEq)]
pub struct DropCollection {
    /// Its name.
    pub name: String,
    /// Nothing is done where there is none.
    pub if_exists: bool,
}

/// `CREATE INDEX ON c (field)` and `DROP INDEX ON c (field)`.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldIndex {
    /// Of which collection.
    pub collection: String,
    /// The metadata field.
    pub field: String,
    /// Where it stands.
    pub at: Span,
}

impl Statement {
    /// Reads one statement, which may end with a semicolon, and binds its parameters.
    ///
    /// # Errors
    /// `InvalidArgument` with line, column and an excerpt of the text: what is no statement, is not supported, or cannot
    /// be right whatever the collection holds. Placeholders without a parameter, and parameters without a placeholder.
    pub fn parse(text: &str, params: &Params) -> Result<Self> {
        let bindings = Bindings::new(params);
        let mut parser = Parser::new(text, &bindings)?;
        let (action, collection_at) = parser.statement()?;
        bindings.check_all_used()?;
        Ok(Self {
            action,
            source: parser.source().clone(),
            collection_at,
        })
    }

    /// The collection it is about; none: the database.
    pub fn collection(&self) -> Option<&str> {
        match &self.action {
            Action::Select(select) | Action::Explain(Explain { select, .. }) => {
                Some(&select.collection)
            }
            Action::Count(count) => Some(&count.collection),
            Action::Group(group) => Some(&group.collection),
            Action::Insert(insert) => Some(&insert.collection),
            Action::Update(update) => Some(&update.collection),
            Action::Delete(delete) => Some(&delete.collection),
            Action::CreateCollection(create) => Some(&create.name),
            Action::DropCollection(drop) => Some(&drop.name),
            Action::CreateIndex(index) | Action::DropIndex(index) => Some(&index.collection),
            Action::ShowFields { collection } => Some(collection),
            Action::ShowCollections => None,
        }
    }

    /// Another collection that it reads: that of `NEAR (SELECT ...)`.
    pub fn also_reads(&self) -> Option<&str> {
        let (Action::Select(select) | Action::Explain(Explain { select, .. })) = &self.action
        else {
            return None;
        };
        match &select.near.as_ref()?.target {
            Target::Point { collection, .. } => Some(collection),
            Target::Vector(_) => None,
        }
    }

    /// What it takes to run it.
    pub fn right(&self) -> Right {
        match &self.action {
            Action::Select(_)
            | Action::Count(_)
            | Action::Group(_)
            | Action::Explain(_)
            | Action::ShowCollections
            | Action::ShowFields { .. } => Right::Read,
            Action::Insert(_) | Action::Update(_) | Action::Delete(_) => Right::Write,
            Action::CreateCollection(_)
            | Action::DropCollection(_)
            | Action::CreateIndex(_)
            | Action::DropIndex(_) => Right::Admin,
        }
    }

    /// The condition on metadata, where it has one.
    pub fn filter(&self) -> Option<&Filter> {
        let rows = match &self.action {
            Action::Select(select) | Action::Explain(Explain { select, .. }) => &select.rows,
            Action::Count(count) => &count.rows,
            Action::Group(group) => &group.rows,
            Action::Update(update) => &update.rows,
            Action::Delete(delete) => &delete.rows,
            _ => return None,
        };
        rows.filter.as_ref()
    }

    /// An error that points at a place of the text.
    pub fn error(&self, at: Span, message: impl std::fmt::Display) -> Error {
        self.source.error(at, message)
    }

    /// An error of something that the statement names, which points at it.
    pub fn error_of(&self, at: Span, error: &Error) -> Error {
        self.source.error_of(error.kind(), at, error)
    }

    /// An error of the collection, which points at its name: that it does not exist, for example.
    pub fn error_of_collection(&self, error: &Error) -> Error {
        self.source
            .error_of(error.kind(), self.collection_at, error)
    }

    /// Holds the columns of a result against the fields of the collection.
    ///
    /// # Errors
    /// Unknown columns, naming the nearest known, with their place.
    pub fn check_columns(&self, columns: &[Output], fields: &MetadataSchema) -> Result<()> {
        for output in columns {
            if let Column::Field(name) = &output.column {
                // What filters say of a field that nobody knows.
                let known = Filter::exists(name, true).check(fields);
                known.map_err(|error| self.error(output.at, error))?;
            }
        }
        Ok(())
    }

    /// Holds a condition against the fields of the collection.
    ///
    /// # Errors
    /// Unknown fields, comparisons that do not fit the type of their field, with their place.
    pub fn check_rows(&self, rows: &Rows, fields: &MetadataSchema) -> Result<()> {
        rows.check(fields, &self.source)
    }
}
