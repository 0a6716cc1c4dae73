//! `CREATE` and `DROP`, `COLLECTION` and `INDEX`; `SHOW`, `DESCRIBE`.

use serde_json::{Map, Value as Json, json};
use vecdb_engine::{
    CollectionConfig, Durability, ElementType, FieldType, IndexSpec, Metric, Result,
};

use super::Parser;
use super::name::Table;
use crate::source::Span;
use crate::statement::{Action, Column, CreateCollection, DropCollection, FieldIndex};
use crate::tokens::Kind;

/// What is said of a new collection, with the place of each.
#[derive(Default)]
struct Said {
    dimension: Option<u32>,
    metric: Option<Metric>,
    element: Option<ElementType>,
    index: Option<IndexSpec>,
    durability: Option<Durability>,
    fields: Vec<(String, FieldType)>,
    unindexed: Vec<String>,
}

/// The settings by name.
const SETTINGS: &str = "dimension 384, metric cosine, index hnsw (m = 16), element f16, durability every_write, or a \
                        field with its type such as price float or body text UNINDEXED";

/// Names of types in SQL that the schema calls otherwise.
const TYPES: [(&str, &str); 15] = [
    ("varchar", "string"),
    ("char", "string"),
    ("integer", "int"),
    ("bigint", "int"),
    ("smallint", "int"),
    ("int8", "int"),
    ("int4", "int"),
    ("double", "float"),
    ("real", "float"),
    ("float8", "float"),
    ("numeric", "float"),
    ("boolean", "bool"),
    ("timestamp", "datetime"),
    ("timestamptz", "datetime"),
    ("date", "datetime"),
];

impl Parser<'_> {
    pub(super) fn create_collection(&mut self) -> Result<(Action, Span)> {
        self.expect_word("CREATE")?;
        self.collection_or_table()?;
        let if_not_exists = self.eat_words(&["IF", "NOT", "EXISTS"]);
        let (name, at) = self.collection_name()?;
        let mut said = Said::default();
        if !self.is("(") {
            return Err(self.unexpected(&format!("the settings in parentheses: {SETTINGS}")));
        }
        self.list(|parser| parser.said(&mut said))?;
        let Some(dimension) = said.dimension else {
            return self.error_at(
                at,
                "how many values have its vectors? Write (dimension 384, ...)",
            );
        };
        let metric = said.metric.unwrap_or(Metric::Cosine);
        let mut config = CollectionConfig::new(dimension, metric);
        if let Some(element) = said.element {
            config = config.element(element);
        }
        if let Some(index) = said.index {
            config = config.index(index);
        }
        if let Some(durability) = said.durability {
            config = config.durability(durability);
        }
        for (field, kind) in said.fields {
            config = config.field(field, kind);
        }
        for field in said.unindexed {
            config = config.unindexed(field);
        }
        if let Err(error) = config.validate() {
            return Err(self.source.error_of(error.kind(), at, error));
        }
        let create = CreateCollection {
            name,
            config,
            if_not_exists,
        };
        Ok((Action::CreateCollection(create), at))
    }

    fn collection_or_table(&mut self) -> Result<()> {
        match self.eat_word("COLLECTION") || self.eat_word("TABLE") {
            true => Ok(()),
            false => Err(self.unexpected("COLLECTION or INDEX")),
        }
    }

    /// One setting or field.
    fn said(&mut self, said: &mut Said) -> Result<()> {
        let at = self.here();
        let quoted = matches!(self.peek(), Kind::Word { quoted: true, .. });
        let name = self.name(SETTINGS)?;
        let word = match quoted {
            true => String::new(),
            false => name.text().to_ascii_lowercase(),
        };
        let twice = match word.as_str() {
            "dimension" => {
                self.eat("=");
                let (number, at) = (self.here(), self.here());
                let dimension = self.count("dimension")?;
                let Ok(dimension) = u32::try_from(dimension) else {
                    return self.error_at(number.to(at), "the dimension is too large");
                };
                said.dimension.replace(dimension).is_some()
            }
            "metric" => {
                self.eat("=");
                let metric = self.parsed("a metric")?;
                said.metric.replace(metric).is_some()
            }
            "element" => {
                self.eat("=");
                let element = self.parsed("an element type")?;
                said.element.replace(element).is_some()
            }
            "index" => {
                self.eat("=");
                let index = self.index()?;
                said.index.replace(index).is_some()
            }
            "durability" => {
                self.eat("=");
                let durability = self.durability()?;
                said.durability.replace(durability).is_some()
            }
            "id" => {
                return self.error_at(
                    at,
                    "every point has an id, a number or a text; it is not declared",
                );
            }
            "vector" => {
                // As in `CREATE TABLE c (vector VECTOR(384))`.
                self.expect_word("VECTOR")?;
                self.expect("(")?;
                let number = self.here();
                let dimension = self.count("dimension")?;
                let Ok(dimension) = u32::try_from(dimension) else {
                    return self.error_at(number, "the dimension is too large");
                };
                self.expect(")")?;
                said.dimension.replace(dimension).is_some()
            }
            _ => {
                let kind = self.field_type()?;
                let field = name.text();
                let twice = said.fields.iter().any(|(other, _)| *other == field);
                if self.eat_word("UNINDEXED") {
                    said.unindexed.push(field.clone());
                }
                said.fields.push((field, kind));
                twice
            }
        };
        match twice {
            true => self.error_at(at, format_args!("{} is said twice", name.text())),
            false => Ok(()),
        }
    }

    /// A word that names one of several things.
    fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(&mut self, what: &str) -> Result<T> {
        let at = self.here();
        let word = match self.peek() {
            Kind::Word { text, .. } | Kind::Text(text) => text.clone(),
            _ => return Err(self.unexpected(what)),
        };
        self.advance();
        match word.parse() {
            Ok(value) => Ok(value),
            Err(error) => self.error_at(at, error),
        }
    }

    /// `hnsw`, `hnsw (m = 32, ef_construction = 100)`.
    fn index(&mut self) -> Result<IndexSpec> {
        let at = self.here();
        let kind = match self.peek() {
            Kind::Word { text, .. } | Kind::Text(text) => text.to_ascii_lowercase(),
            _ => return Err(self.unexpected("a kind of index")),
        };
        self.advance();
        if !self.is("(") {
            return kind.parse().or_else(|error| self.error_at(at, error));
        }
        let mut form = Map::from_iter([("type".to_owned(), json!(kind))]);
        self.list(|parser| {
            let at = parser.here();
            let name = parser.identifier("a parameter of the index")?;
            parser.expect("=")?;
            let given = parser.given()?;
            let value = parser.setting(given)?;
            match form.insert(name, value) {
                Some(_) => parser.error_at(at, "the parameter is there twice"),
                None => Ok(()),
            }
        })?;
        let form = Json::Object(form).to_string();
        form.parse()
            .or_else(|error| self.error_at(at.to(self.before()), error))
    }

    /// `every_write`, `none`, `interval_ms (100)`.
    fn durability(&mut self) -> Result<Durability> {
        if self.eat_word("every_write") {
            Ok(Durability::EveryWrite)
        } else if self.eat_word("none") {
            Ok(Durability::None)
        } else if self.eat_word("interval_ms") {
            self.expect("(")?;
            let at = self.here();
            let time = self.count("interval_ms")?;
            self.expect(")")?;
            match u32::try_from(time) {
                Ok(time) => Ok(Durability::IntervalMs(time)),
                Err(_) => self.error_at(at, "the interval is too long"),
            }
        } else {
            Err(self.unexpected("every_write, interval_ms (100) or none"))
        }
    }

    /// `float`, `string[]`, `text(english)`, and what SQL calls these.
    fn field_type(&mut self) -> Result<FieldType> {
        let start = self.here();
        let written = self.identifier("a type such as float or string[]")?;
        let lower = written.to_ascii_lowercase();
        if lower == "double" {
            self.eat_word("precision");
        }
        // `varchar(255)`: the length says nothing here.
        if matches!(lower.as_str(), "varchar" | "char" | "numeric") && self.is("(") {
            self.list(Self::given)?;
        }
        let stemmer = match lower == "text" && self.eat("(") {
            true => {
                let stemmer = self.identifier("a stemmer such as english")?;
                self.expect(")")?;
                format!("({})", stemmer.to_ascii_lowercase())
            }
            false => String::new(),
        };
        let known = TYPES.iter().find(|(sql, _)| *sql == lower);
        let mut name = known.map_or(lower.as_str(), |(_, ours)| ours).to_owned();
        name.push_str(&stemmer);
        if self.eat("[") {
            self.expect("]")?;
            name.push_str("[]");
        }
        let at = start.to(self.before());
        name.parse().or_else(|error| self.error_at(at, error))
    }

    pub(super) fn drop_collection(&mut self) -> Result<(Action, Span)> {
        self.expect_word("DROP")?;
        self.collection_or_table()?;
        let if_exists = self.eat_words(&["IF", "EXISTS"]);
        let (name, at) = self.collection_name()?;
        let drop = DropCollection { name, if_exists };
        Ok((Action::DropCollection(drop), at))
    }

    /// `CREATE INDEX ON c (field)`. An index has no name but its field's; of one that is there already nothing is done.
    pub(super) fn create_index(&mut self) -> Result<(Action, Span)> {
        self.expect_word("CREATE")?;
        self.expect_word("INDEX")?;
        self.eat_words(&["IF", "NOT", "EXISTS"]);
        let (index, at) = self.field_index()?;
        Ok((Action::CreateIndex(index), at))
    }

    pub(super) fn drop_index(&mut self) -> Result<(Action, Span)> {
        self.expect_word("DROP")?;
        self.expect_word("INDEX")?;
        self.eat_words(&["IF", "EXISTS"]);
        let (index, at) = self.field_index()?;
        Ok((Action::DropIndex(index), at))
    }

    /// `ON c (field)`.
    fn field_index(&mut self) -> Result<(FieldIndex, Span)> {
        if !self.eat_word("ON") {
            return Err(self.unexpected(
                "ON, the collection and a field in parentheses, as in INDEX ON products (price)",
            ));
        }
        let (collection, collection_at) = self.collection_name()?;
        self.expect("(")?;
        let name = self.name("a metadata field")?;
        let at = name.at;
        if !self.eat(")") {
            return Err(self.unexpected("`)`; an index is of one field"));
        }
        let table = Table {
            name: collection.clone(),
            at: collection_at,
            alias: None,
        };
        let Column::Field(field) = name.column(&table) else {
            return self.error_at(at, "an index is of a metadata field");
        };
        let index = FieldIndex {
            collection,
            field,
            at,
        };
        Ok((index, collection_at))
    }

    pub(super) fn show(&mut self) -> Result<(Action, Span)> {
        self.expect_word("SHOW")?;
        if self.eat_word("COLLECTIONS") || self.eat_word("TABLES") {
            return Ok((Action::ShowCollections, self.before()));
        }
        if self.eat_word("FIELDS") || self.eat_word("COLUMNS") {
            if !self.eat_word("FROM") {
                self.expect_word("IN")?;
            }
            let (collection, at) = self.collection_name()?;
            return Ok((Action::ShowFields { collection }, at));
        }
        Err(self.unexpected("COLLECTIONS or FIELDS FROM a collection"))
    }

    pub(super) fn describe(&mut self) -> Result<(Action, Span)> {
        self.expect_word("DESCRIBE")?;
        let _ = self.eat_word("COLLECTION") || self.eat_word("TABLE");
        let (collection, at) = self.collection_name()?;
        Ok((Action::ShowFields { collection }, at))
    }
}
