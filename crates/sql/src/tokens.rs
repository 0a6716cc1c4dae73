//! A text as tokens with their places, without spaces and comments.

use std::fmt;

use sqlparser::dialect::Dialect;
use sqlparser::tokenizer::{Location, Token as SqlToken, Tokenizer};
use vecdb_engine::{Error, ErrorKind, Result};

use crate::source::{Source, Span, shorten};

/// The longest text of a statement, in bytes. Long lists and vectors belong into parameters.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A keyword or a name; quoted: a name.
    Word { text: String, quoted: bool },
    /// `'text'`.
    Text(String),
    /// `1`, `2.5`, `1e-3`.
    Number(String),
    /// `$q`: `q`. `?`: empty.
    Parameter(String),
    /// Punctuation and operators.
    Symbol(&'static str),
    /// Known to SQL, but not here.
    Other(String),
    /// After the last one.
    End,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Word { text, quoted: true } => write!(f, "\"{}\"", shorten(text)),
            Kind::Word { text, .. } | Kind::Number(text) => f.write_str(&shorten(text)),
            Kind::Text(text) => write!(f, "'{}'", shorten(text)),
            Kind::Parameter(name) if name.is_empty() => f.write_str("?"),
            Kind::Parameter(name) => write!(f, "${}", shorten(name)),
            Kind::Symbol(symbol) => write!(f, "`{symbol}`"),
            Kind::Other(text) => write!(f, "`{}`", shorten(text)),
            Kind::End => f.write_str("the end of the statement"),
        }
    }
}

/// A token and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
}

/// How texts are cut into tokens.
#[derive(Debug)]
struct VecDbDialect;

impl Dialect for VecDbDialect {
    fn is_delimited_identifier_start(&self, c: char) -> bool {
        c == '"'
    }

    fn is_identifier_start(&self, c: char) -> bool {
        c.is_alphabetic() || c == '_'
    }

    fn is_identifier_part(&self, c: char) -> bool {
        c.is_alphanumeric() || c == '_'
    }

    /// `$q` is a parameter; there are no `$$texts$$`.
    fn supports_dollar_placeholder(&self) -> bool {
        true
    }
}

/// Cuts a text into tokens.
///
/// # Errors
/// A text that is too long, quotes and comments that do not end.
pub(crate) fn tokenize(source: &Source, text: &str) -> Result<Vec<Token>> {
    let (tokens, error) = read(source, text);
    match error {
        Some(error) => Err(error),
        None => Ok(tokens),
    }
}

/// The tokens up to the first error, and that.
fn read(source: &Source, text: &str) -> (Vec<Token>, Option<Error>) {
    if text.len() > TEXT_BYTES_MAX {
        let error = Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "the statement has {} bytes; at most {TEXT_BYTES_MAX} are allowed. Bind long lists and vectors as \
                 parameters",
                text.len()
            ),
        );
        return (Vec::new(), Some(error));
    }
    let mut raw = Vec::new();
    let outcome = Tokenizer::new(&VecDbDialect, text).tokenize_with_location_into_buf(&mut raw);
    let mut places = Places::new(text);
    let mut tokens = Vec::with_capacity(raw.len());
    for token in raw {
        let start = places.offset(token.span.start);
        let end = places.offset(token.span.end);
        if let Some(kind) = kind(token.token) {
            let span = Span { start, end };
            tokens.push(Token { kind, span });
        }
    }
    let error = outcome.err().map(|error| {
        let place = places.offset(error.location);
        let at = Span {
            start: place,
            end: place,
        };
        let message = error.message;
        source.error(at, format_args!("the text cannot be read: {message}"))
    });
    (tokens, error)
}

/// The statements of a text, which semicolons separate, without these; empty ones are left out. The second value says
/// whether the text ends after a semicolon: if not, the last statement may go on.
pub fn split(text: &str) -> (Vec<&str>, bool) {
    let (tokens, error) = read(&Source::new(""), text);
    let mut statements = Vec::new();
    let (mut begun, mut from) = (false, 0);
    for token in &tokens {
        if token.kind == Kind::Symbol(";") {
            if begun {
                statements.push(text[from..token.span.start].trim());
            }
            (begun, from) = (false, token.span.end);
        } else {
            begun = true;
        }
    }
    let rest = text[from..].trim();
    // What cannot be read counts as begun: a quote may end on the next line.
    let open = begun || error.is_some();
    if open && !rest.is_empty() {
        statements.push(rest);
    }
    (statements, !open)
}

/// From lines and columns, which ascend, to bytes.
struct Places<'a> {
    rest: std::str::Chars<'a>,
    len: usize,
    line: u64,
    column: u64,
}

impl<'a> Places<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text.chars(),
            len: text.len(),
            line: 1,
            column: 1,
        }
    }

    fn offset(&mut self, place: Location) -> usize {
        while (self.line, self.column) < (place.line, place.column) {
            match self.rest.next() {
                Some('\n') => (self.line, self.column) = (self.line + 1, 1),
                Some(_) => self.column += 1,
                None => break,
            }
        }
        self.len - self.rest.as_str().len()
    }
}

/// Nothing for spaces and comments.
fn kind(token: SqlToken) -> Option<Kind> {
    Some(match token {
        SqlToken::Whitespace(_) | SqlToken::EOF => return None,
        SqlToken::Word(word) => Kind::Word {
            quoted: word.quote_style.is_some(),
            text: word.value,
        },
        SqlToken::SingleQuotedString(text) => Kind::Text(text),
        SqlToken::Number(text, false) => Kind::Number(text),
        SqlToken::Placeholder(text) => match text.strip_prefix('$') {
            Some("") => Kind::Other(text),
            Some(name) => Kind::Parameter(name.to_owned()),
            None if text == "?" => Kind::Parameter(String::new()),
            None => Kind::Other(text),
        },
        SqlToken::Comma => Kind::Symbol(","),
        SqlToken::Period => Kind::Symbol("."),
        SqlToken::SemiColon => Kind::Symbol(";"),
        SqlToken::LParen => Kind::Symbol("("),
        SqlToken::RParen => Kind::Symbol(")"),
        SqlToken::LBracket => Kind::Symbol("["),
        SqlToken::RBracket => Kind::Symbol("]"),
        SqlToken::Eq => Kind::Symbol("="),
        SqlToken::Neq => Kind::Symbol("<>"),
        SqlToken::Lt => Kind::Symbol("<"),
        SqlToken::LtEq => Kind::Symbol("<="),
        SqlToken::Gt => Kind::Symbol(">"),
        SqlToken::GtEq => Kind::Symbol(">="),
        SqlToken::Plus => Kind::Symbol("+"),
        SqlToken::Minus => Kind::Symbol("-"),
        SqlToken::Mul => Kind::Symbol("*"),
        other => Kind::Other(other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token> {
        tokenize(&Source::new(text), text).unwrap()
    }

    #[test]
    fn places_are_those_of_the_text() {
        let text = "SELECT \"né\", 'it''s' -- what\n  FROM c /* x */ WHERE $q <= -1.5e3";
        let cut: Vec<_> = tokens(text)
            .iter()
            .map(|token| &text[token.span.start..token.span.end])
            .collect();
        let expected = [
            "SELECT", "\"né\"", ",", "'it''s'", "FROM", "c", "WHERE", "$q", "<=", "-", "1.5e3",
        ];
        assert_eq!(cut, expected);
        assert_eq!(tokens(text)[3].kind, Kind::Text("it's".to_owned()));
        assert_eq!(tokens("?")[0].kind, Kind::Parameter(String::new()));
        assert_eq!(tokens("\"a\"\"b\"")[0].kind.to_string(), "\"a\"b\"");
    }

    #[test]
    fn what_does_not_end_and_what_is_too_long_is_refused() {
        for text in ["SELECT 'abc", "SELECT \"abc", "/* abc"] {
            let error = tokenize(&Source::new(text), text).unwrap_err().to_string();
            assert!(error.starts_with("1:"), "{error}");
        }
        let long = " ".repeat(TEXT_BYTES_MAX + 1);
        let error = tokenize(&Source::new(&long), &long).unwrap_err();
        assert!(error.to_string().contains("at most 1048576"), "{error}");
    }

    #[test]
    fn statements_are_cut_at_semicolons_outside_of_quotes() {
        let text = "SELECT ';' ; ;\n -- ; no\n DELETE FROM c";
        let (statements, ended) = split(text);
        assert_eq!(statements, ["SELECT ';'", "-- ; no\n DELETE FROM c"]);
        assert!(!ended);
        assert_eq!(split("A; B;  "), (vec!["A", "B"], true));
        assert_eq!(split("A 'x;"), (vec!["A 'x;"], false));
        assert_eq!(split(" \n-- nothing"), (vec![], true));
        assert_eq!(split(""), (vec![], true));
    }
}
