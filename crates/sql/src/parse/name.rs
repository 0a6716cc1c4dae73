//! Names: of collections, of columns, of aliases.

use vecdb_engine::Result;

use super::{Parser, RESERVED};
use crate::source::Span;
use crate::statement::Column;
use crate::tokens::Kind;

/// A name with dots as it was written; what it means depends on the collection, which may stand behind it.
#[derive(Clone, Debug)]
pub(super) struct Name {
    parts: Vec<String>,
    pub(super) at: Span,
}

/// The collection of a statement and what it is called in it.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) at: Span,
    pub(super) alias: Option<String>,
}

impl Name {
    /// The name as one.
    pub(super) fn text(&self) -> String {
        self.parts.join(".")
    }

    /// The column it means. `metadata.x` is the field `x` even where `x` alone would be something else.
    pub(super) fn column(&self, table: &Table) -> Column {
        let mut parts = self.parts.as_slice();
        if let [first, rest @ ..] = parts
            && !rest.is_empty()
            && (*first == table.name || Some(first) == table.alias.as_ref())
        {
            parts = rest;
        }
        match parts {
            [only] => match only.to_ascii_lowercase().as_str() {
                "id" => Column::Id,
                "vector" => Column::Vector,
                "distance" => Column::Distance,
                "score" => Column::Score,
                _ => Column::Field(only.clone()),
            },
            [first, rest @ ..] if first.eq_ignore_ascii_case("metadata") => {
                Column::Field(rest.join("."))
            }
            parts => Column::Field(parts.join(".")),
        }
    }
}

impl Parser<'_> {
    /// A column or field, with dots: `price`, `p.price`, `"two words"`, `size.kb`.
    pub(super) fn name(&mut self, expected: &str) -> Result<Name> {
        let start = self.here();
        let mut parts = vec![self.identifier(expected)?];
        while self.eat(".") {
            parts.push(self.part_after_dot()?);
        }
        let at = start.to(self.before());
        Ok(Name { parts, at })
    }

    /// A single name without dots. Keywords have to be quoted.
    pub(super) fn identifier(&mut self, expected: &str) -> Result<String> {
        let is_name = match self.peek() {
            Kind::Word { quoted: true, text } => !text.is_empty(),
            Kind::Word { text, .. } => {
                let text = text.to_ascii_uppercase();
                !RESERVED.contains(&text.as_str())
            }
            _ => false,
        };
        match (is_name, self.peek()) {
            (true, _) => match self.take() {
                Kind::Word { text, .. } => Ok(text),
                _ => Err(self.unexpected(expected)),
            },
            (false, Kind::Word { quoted: true, .. }) => Err(self.error("a name must not be empty")),
            (false, _) => Err(self.unexpected(expected)),
        }
    }

    /// Keywords are names behind a dot.
    fn part_after_dot(&mut self) -> Result<String> {
        match self.peek() {
            Kind::Word { text, .. } if !text.is_empty() => match self.take() {
                Kind::Word { text, .. } => Ok(text),
                _ => Err(self.unexpected("a name")),
            },
            _ => Err(self.unexpected("a name after the dot")),
        }
    }

    /// The name of a collection, which may hold dots.
    pub(super) fn collection_name(&mut self) -> Result<(String, Span)> {
        let name = self.name("the name of a collection")?;
        Ok((name.text(), name.at))
    }

    /// The name of a collection and what it is called here: `products`, `products AS p`, `products p`.
    pub(super) fn table(&mut self) -> Result<Table> {
        let (name, at) = self.collection_name()?;
        if self.is(",") {
            return Err(self.error("a statement is about one collection, there are no joins"));
        }
        let has_alias = self.eat_word("AS")
            || match self.peek() {
                Kind::Word { quoted: true, .. } => true,
                Kind::Word { text, .. } => {
                    !FOLLOWS_TABLE.contains(&text.to_ascii_uppercase().as_str())
                }
                _ => false,
            };
        let alias = has_alias.then(|| self.identifier("an alias")).transpose()?;
        Ok(Table { name, at, alias })
    }
}

/// Words behind the name of a collection that are no alias of it.
const FOLLOWS_TABLE: &[&str] = &[
    "WHERE",
    "ORDER",
    "GROUP",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "WITH",
    "SET",
    "JOIN",
    "INNER",
    "LEFT",
    "RIGHT",
    "FULL",
    "CROSS",
    "NATURAL",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "RETURNING",
    "NEAR",
    "VALUES",
    "FETCH",
    "FOR",
];
