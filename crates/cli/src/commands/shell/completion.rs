//! Completion of words: keywords, collections, fields.

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};
use vecdb_sql::KEYWORDS;

/// The names that a word can become, in order and each once.
#[derive(Default)]
pub(super) struct Names(Vec<String>);

impl Names {
    /// Collections whose fields are asked for.
    pub(super) const DESCRIBED_MAX: usize = 20;

    pub(super) fn new(mut names: Vec<String>) -> Self {
        names.sort();
        names.dedup();
        Self(names)
    }

    /// Where the word before the cursor begins, and what it can become. Keywords come as the word was begun, in capitals
    /// or not; names that are no plain words come in quotes.
    fn complete(&self, line: &str, cursor: usize) -> (usize, Vec<String>) {
        let typed = line.get(..cursor).unwrap_or(line);
        let start = typed
            .char_indices()
            .rev()
            .take_while(|(_, c)| is_word(*c) || *c == '"')
            .last()
            .map_or(typed.len(), |(at, _)| at);
        let word = &typed[start..];
        let bare = word.trim_start_matches('"');
        if word.is_empty() {
            return (start, Vec::new());
        }
        let names = self.0.iter().filter(|name| begins(name, bare));
        let mut candidates: Vec<String> = names.map(|name| as_name(name)).collect();
        if word == bare {
            let lower = word.chars().all(|c| !c.is_ascii_uppercase());
            let keywords = KEYWORDS.iter().filter(|keyword| begins(keyword, bare));
            candidates.extend(keywords.map(|keyword| match lower {
                true => keyword.to_ascii_lowercase(),
                false => (*keyword).to_owned(),
            }));
        }
        (start, candidates)
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '.'
}

fn begins(name: &str, word: &str) -> bool {
    name.to_lowercase().starts_with(&word.to_lowercase())
}

fn as_name(name: &str) -> String {
    let plain =
        name.chars().all(is_word) && !name.starts_with(|c: char| c.is_numeric() || c == '.');
    let keyword = KEYWORDS
        .iter()
        .any(|keyword| keyword.eq_ignore_ascii_case(name));
    match plain && !keyword {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

impl Completer for Names {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(Names::complete(self, line, cursor))
    }
}

impl Hinter for Names {
    type Hint = String;
}

impl Highlighter for Names {}
impl Validator for Names {}
impl Helper for Names {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_completed_in_their_case_and_names_quoted_where_they_have_to_be() {
        let names = ["products", "price", "two words", "size.kb", "order"];
        let names = Names::new(names.map(str::to_owned).into());
        let complete = |line: &str| names.complete(line, line.len());
        assert_eq!(complete("sel"), (0, vec!["select".to_owned()]));
        assert_eq!(complete("SEL"), (0, vec!["SELECT".to_owned()]));
        assert_eq!(complete("SELECT * FROM pr").1, ["price", "products"]);
        assert_eq!(complete("WHERE a=si"), (8, vec!["size.kb".to_owned()]));
        assert_eq!(complete("x two"), (2, vec!["\"two words\"".to_owned()]));
        assert_eq!(complete("x \"tw"), (2, vec!["\"two words\"".to_owned()]));
        assert_eq!(complete("ord").1, ["\"order\"", "order"]);
        assert_eq!(complete("x ").1, Vec::<String>::new());
        assert_eq!(complete("é").1, Vec::<String>::new());
    }
}
