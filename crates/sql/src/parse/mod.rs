//! The grammar: a cursor over the tokens, and one function for each thing that can stand in a statement.

mod collection;
mod condition;
mod function;
mod knobs;
mod name;
mod order;
mod select;
#[cfg(test)]
mod tests;
mod value;
mod write;

use std::fmt::Display;

use vecdb_engine::{Error, Result, did_you_mean};

use crate::params::Bindings;
use crate::source::{Source, Span};
use crate::statement::Action;
use crate::tokens::{Kind, Token, tokenize};

/// Words that begin a statement.
const STATEMENTS: [&str; 9] = [
    "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "SHOW", "DESCRIBE", "EXPLAIN",
];

/// The words of the language. As names they have to stand in double quotes where they could be taken for keywords.
pub const KEYWORDS: &[&str] = &[
    "ALL",
    "ANALYZE",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "COLLECTION",
    "COLLECTIONS",
    "COUNT",
    "CREATE",
    "DELETE",
    "DESC",
    "DESCRIBE",
    "DROP",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FIELDS",
    "FROM",
    "GROUP",
    "IF",
    "IN",
    "INDEX",
    "INSERT",
    "INTO",
    "IS",
    "LIKE",
    "LIMIT",
    "NEAR",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "PER",
    "SELECT",
    "SET",
    "SHOW",
    "TRUE",
    "UNINDEXED",
    "UPDATE",
    "VALUES",
    "WHERE",
    "WITH",
];

/// Words that name no column unless they are quoted.
const RESERVED: &[&str] = &[
    "AND", "AS", "ASC", "BETWEEN", "BY", "DESC", "DISTINCT", "EXISTS", "FALSE", "FROM", "GROUP",
    "HAVING", "IN", "INTO", "IS", "JOIN", "LIKE", "LIMIT", "NEAR", "NOT", "NULL", "OFFSET", "ON",
    "OR", "ORDER", "SELECT", "SET", "TRUE", "UNION", "VALUES", "WHERE", "WITH",
];

/// Deepest nesting of parentheses and `NOT`.
pub const NESTING_MAX: usize = 64;

/// The tokens of one statement and how far they were read.
pub(crate) struct Parser<'a> {
    source: Source,
    tokens: Vec<Token>,
    at: usize,
    bindings: &'a Bindings<'a>,
    depth: usize,
}

impl<'a> Parser<'a> {
    pub(crate) fn new(text: &str, bindings: &'a Bindings<'a>) -> Result<Self> {
        let source = Source::new(text);
        let mut tokens = tokenize(&source, text)?;
        let end = text.trim_end().len();
        let span = Span { start: end, end };
        tokens.push(Token {
            kind: Kind::End,
            span,
        });
        Ok(Self {
            source,
            tokens,
            at: 0,
            bindings,
            depth: 0,
        })
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// A whole statement, and where the name of its collection stands.
    pub(crate) fn statement(&mut self) -> Result<(Action, Span)> {
        let begun = self.word().map(str::to_ascii_uppercase);
        let parsed = match begun.as_deref() {
            Some("SELECT") => self.select()?,
            Some("INSERT") => self.insert()?,
            Some("UPDATE") => self.update()?,
            Some("DELETE") => self.delete()?,
            Some("CREATE") if self.are_words(&["CREATE", "INDEX"]) => self.create_index()?,
            Some("DROP") if self.are_words(&["DROP", "INDEX"]) => self.drop_index()?,
            Some("CREATE") => self.create_collection()?,
            Some("DROP") => self.drop_collection()?,
            Some("SHOW") => self.show()?,
            Some("DESCRIBE") => self.describe()?,
            Some("EXPLAIN") => self.explain()?,
            Some(other) => {
                let near = did_you_mean(other, STATEMENTS);
                let message = format!(
                    "{other} begins no statement{near}; these do: {}",
                    STATEMENTS.join(", ")
                );
                return Err(self.error(message));
            }
            None if self.peek() == &Kind::End => {
                return Err(self.error(format_args!(
                    "there is no statement; it begins with one of {}",
                    STATEMENTS.join(", ")
                )));
            }
            None => return Err(self.unexpected(&STATEMENTS.join(", "))),
        };
        self.eat(";");
        match self.peek() {
            Kind::End => Ok(parsed),
            _ if self.previous_is(";") => {
                Err(self.error("there is a second statement; one can be run at a time"))
            }
            _ => Err(self.unexpected("the end of the statement")),
        }
    }

    fn peek(&self) -> &Kind {
        // The last token is `End`, which is never passed.
        self.tokens.get(self.at).map_or(&Kind::End, |t| &t.kind)
    }

    fn peek_after(&self, ahead: usize) -> &Kind {
        let token = self.tokens.get(self.at.saturating_add(ahead));
        token.map_or(&Kind::End, |t| &t.kind)
    }

    /// Where the next token stands.
    fn here(&self) -> Span {
        let token = self.tokens.get(self.at).or(self.tokens.last());
        token.map_or(Span::default(), |t| t.span)
    }

    /// Where the token before stands.
    fn before(&self) -> Span {
        let token = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        token.map_or(Span::default(), |t| t.span)
    }

    fn previous_is(&self, symbol: &'static str) -> bool {
        let token = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        token.is_some_and(|t| t.kind == Kind::Symbol(symbol))
    }

    fn advance(&mut self) {
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
    }

    /// The next token taken out of the list, which is passed.
    fn take(&mut self) -> Kind {
        let kind = match self.tokens.get_mut(self.at) {
            Some(token) if token.kind != Kind::End => {
                std::mem::replace(&mut token.kind, Kind::Symbol(""))
            }
            _ => Kind::End,
        };
        self.advance();
        kind
    }

    /// The next token if it is a word without quotes.
    fn word(&self) -> Option<&str> {
        word_of(self.peek())
    }

    fn is_word(&self, word: &str) -> bool {
        self.word().is_some_and(|w| w.eq_ignore_ascii_case(word))
    }

    /// Whether the tokens from here are these words.
    fn are_words(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(ahead, word)| {
            word_of(self.peek_after(ahead)).is_some_and(|w| w.eq_ignore_ascii_case(word))
        })
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let is = self.is_word(word);
        if is {
            self.advance();
        }
        is
    }

    fn eat_words(&mut self, words: &[&str]) -> bool {
        let are = self.are_words(words);
        if are {
            self.at += words.len();
        }
        are
    }

    fn expect_word(&mut self, word: &str) -> Result<()> {
        match self.eat_word(word) {
            true => Ok(()),
            false => Err(self.unexpected(word)),
        }
    }

    fn is(&self, symbol: &'static str) -> bool {
        self.peek() == &Kind::Symbol(symbol)
    }

    fn eat(&mut self, symbol: &'static str) -> bool {
        let is = self.is(symbol);
        if is {
            self.advance();
        }
        is
    }

    fn expect(&mut self, symbol: &'static str) -> Result<()> {
        match self.eat(symbol) {
            true => Ok(()),
            false => Err(self.unexpected(&format!("`{symbol}`"))),
        }
    }

    /// `(a, b, c)`: what `one` reads, at least once.
    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.expect("(")?;
        let mut items = vec![one(self)?];
        while self.eat(",") {
            items.push(one(self)?);
        }
        match self.eat(")") {
            true => Ok(items),
            false => Err(self.unexpected("`,` or `)`")),
        }
    }

    /// Reads something that may hold itself.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= NESTING_MAX {
            return Err(self.error(format_args!(
                "the condition is nested more than {NESTING_MAX} levels deep"
            )));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// An error at the next token.
    fn error(&self, message: impl Display) -> Error {
        self.source.error(self.here(), message)
    }

    fn error_at<T>(&self, at: Span, message: impl Display) -> Result<T> {
        Err(self.source.error(at, message))
    }

    /// The next token is not what has to come.
    fn unexpected(&self, expected: &str) -> Error {
        let found = self.peek();
        let hint = match self.word().map(str::to_ascii_uppercase).as_deref() {
            Some("JOIN" | "INNER" | "LEFT" | "RIGHT" | "FULL" | "CROSS" | "NATURAL") => {
                "; a statement is about one collection, there are no joins"
            }
            Some("UNION" | "INTERSECT" | "EXCEPT") => "; run one statement after the other",
            Some("HAVING") => "; there is no HAVING",
            Some("RETURNING") => "; there is no RETURNING, a SELECT reads what was written",
            Some(word) if RESERVED.contains(&word) => {
                "; a name that is a keyword stands in double quotes"
            }
            _ => "",
        };
        self.error(format_args!("expected {expected}, found {found}{hint}"))
    }
}

fn word_of(kind: &Kind) -> Option<&str> {
    match kind {
        Kind::Word {
            text,
            quoted: false,
        } => Some(text),
        _ => None,
    }
}
