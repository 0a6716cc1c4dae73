//! Words of texts, and what a full-text condition asks for.
//!
//! Words are those of Unicode's text segmentation (UAX #29) in lower case, without stemming: `Games'` has the word
//! `games`, but `game` does not find it; `game*` does.

use crate::error::quoted;
use unicode_segmentation::UnicodeSegmentation;

/// The words of a text, in order.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.unicode_words().map(str::to_lowercase)
}

/// Words to be found in a text.
#[derive(Clone, Debug, PartialEq)]
pub struct TextQuery {
    text: String,
    words: Vec<Word>,
}

/// One word of a [`TextQuery`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Word {
    pub(crate) text: String,
    /// Words that begin with it count as well.
    pub(crate) prefix: bool,
}

impl Word {
    fn is_met_by(&self, word: &str) -> bool {
        if self.prefix {
            word.starts_with(&self.text)
        } else {
            word == self.text
        }
    }
}

impl TextQuery {
    /// The words of `text`; one with a `*` behind it stands for all words that begin with it.
    ///
    /// # Errors
    /// What is wrong with a text without words.
    pub fn new(text: impl Into<String>) -> Result<TextQuery, String> {
        let text = text.into();
        let words: Vec<Word> = text
            .unicode_word_indices()
            .map(|(at, word)| Word {
                text: word.to_lowercase(),
                prefix: text.as_bytes().get(at + word.len()) == Some(&b'*'),
            })
            .collect();
        if words.is_empty() {
            return Err(format!("{} has no words to look for", quoted(&text)));
        }
        Ok(TextQuery { text, words })
    }

    /// The text as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn words(&self) -> &[Word] {
        &self.words
    }

    /// Whether the text has all the words, in any order.
    pub(crate) fn all_in(&self, text: &str) -> bool {
        let mut missing: Vec<&Word> = self.words.iter().collect();
        for word in words(text) {
            missing.retain(|wanted| !wanted.is_met_by(&word));
            if missing.is_empty() {
                return true;
            }
        }
        false
    }

    /// Whether the text has the words one after the other.
    pub(crate) fn phrase_in(&self, text: &str) -> bool {
        let words: Vec<String> = words(text).collect();
        words.windows(self.words.len()).any(|window| {
            window
                .iter()
                .zip(&self.words)
                .all(|(word, wanted)| wanted.is_met_by(word))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_phrases() {
        let text = "A chess engine, free (GPL-3) and fast: naïve café.";
        let all = |query: &str| TextQuery::new(query).unwrap().all_in(text);
        let phrase = |query: &str| TextQuery::new(query).unwrap().phrase_in(text);
        assert!(all("engine CHESS") && all("Naïve") && all("eng* fr*") && !all("engines"));
        assert!(phrase("chess engine free") && phrase("chess eng*") && !phrase("engine chess"));
        assert!(!phrase(
            "a chess engine free gpl 3 and fast naïve café and more"
        ));
        assert!(TextQuery::new("?! ...").unwrap_err().contains("no words"));
    }
}
