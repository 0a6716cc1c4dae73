//! The text of a statement, and errors that point into it.

use std::fmt::{Display, Write as _};
use std::sync::Arc;

use vecdb_engine::{Error, ErrorKind};

/// A stretch of a text, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    /// From the start of this one to the end of the other.
    pub(crate) fn to(self, other: Span) -> Span {
        Span {
            start: self.start,
            end: other.end,
        }
    }
}

/// The text of a statement. Clones share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source(Arc<str>);

/// Characters shown before and from the place of an error.
const SHOWN_BEFORE: usize = 50;
const SHOWN_AFTER: usize = 60;

impl Source {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// An error of kind `InvalidArgument` that says `line:column`, `message`, and shows the place:
    ///
    /// ```text
    /// 1:31: unknown field "prise" (did you mean price?)
    ///   SELECT id FROM products WHERE prise < 5
    ///                                 ^^^^^
    /// ```
    pub fn error(&self, at: Span, message: impl Display) -> Error {
        self.error_of(ErrorKind::InvalidArgument, at, message)
    }

    /// [`Self::error`] of another kind.
    pub fn error_of(&self, kind: ErrorKind, at: Span, message: impl Display) -> Error {
        let text = &*self.0;
        let start = text.floor_char_boundary(at.start.min(text.len()));
        let end = text.floor_char_boundary(at.end.clamp(start, text.len()));
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |n| start + n);
        let line = text[..start].matches('\n').count() + 1;
        let before: Vec<char> = text[line_start..start].chars().collect();
        let shown_from = before.len().saturating_sub(SHOWN_BEFORE);
        let mut shown = String::from(if shown_from > 0 { "..." } else { "" });
        shown.extend(before[shown_from..].iter().map(|c| printable(*c)));
        let indent = shown.chars().count();
        let mut after = text[start..line_end].chars();
        shown.extend(after.by_ref().take(SHOWN_AFTER).map(printable));
        if after.next().is_some() {
            shown.push_str("...");
        }
        let marked = text[start..end.min(line_end)].chars().count();
        let mut said = format!("{line}:{}: {message}", before.len() + 1);
        // Writing to a string cannot fail.
        let _ = write!(
            said,
            "\n  {}\n  {}{}",
            shown.trim_end(),
            " ".repeat(indent),
            "^".repeat(marked.clamp(1, SHOWN_AFTER))
        );
        Error::new(kind, said)
    }
}

/// The first characters of a text.
pub(crate) fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    match text.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

/// A control character would move what stands below it.
fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, start: usize, end: usize) -> String {
        let source = Source::new(text);
        source.error(Span { start, end }, "wrong").to_string()
    }

    #[test]
    fn the_place_is_shown_under_its_line() {
        assert_eq!(
            shown("SELECT a\nFROM b WHERE c", 14, 15),
            "2:6: wrong\n  FROM b WHERE c\n       ^"
        );
        assert_eq!(shown("ab", 2, 2), "1:3: wrong\n  ab\n    ^");
        assert_eq!(shown("é\tx", 3, 4), "1:3: wrong\n  é x\n    ^");
        assert_eq!(shown("", 0, 0), "1:1: wrong\n  \n  ^");
        assert_eq!(shown("a", 7, 3), "1:2: wrong\n  a\n   ^");
    }

    #[test]
    fn long_lines_are_cut_on_both_sides() {
        let text = format!("{}HERE{}", "x".repeat(500), "y".repeat(500));
        let said = shown(&text, 500, 504);
        let lines: Vec<_> = said.lines().collect();
        assert!(lines[0].starts_with("1:501: "), "{said}");
        assert!(lines[1].starts_with("  ...x") && lines[1].ends_with("y..."));
        assert_eq!(lines[1].find("HERE"), lines[2].find("^^^^"));
        assert!(said.len() < 300);
    }
}
