//! Words of texts, and what a full-text condition asks for.
//!
//! Words are those of Unicode's text segmentation (UAX #29) in lower case: `Games'` has the word `games`, but `game` does
//! not find it; `game*` does. In a field with a stemmer `game` does as well, since both have one stem; phrases and
//! beginnings are of words as they are there too.

use crate::error::quoted;
use crate::stemmer::Stemmer;
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
    /// Words count by their stems.
    stemmer: Option<Stemmer>,
}

/// One word of a [`TextQuery`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Word {
    pub(crate) text: String,
    /// Words that begin with it count as well.
    pub(crate) prefix: bool,
    /// Words with this stem count.
    pub(crate) stem: Option<String>,
}

/// A word of a text.
struct Met {
    word: String,
    stem: Option<String>,
}

impl Word {
    /// Whether a word is this one, or begins with it.
    fn is_met_by(&self, word: &str) -> bool {
        if self.prefix {
            word.starts_with(&self.text)
        } else {
            word == self.text
        }
    }

    /// The same, or whether it has the stem of this one.
    fn is_met_in_any_form_by(&self, met: &Met) -> bool {
        match (&self.stem, self.prefix) {
            (Some(_), false) => self.stem == met.stem,
            _ => self.is_met_by(&met.word),
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
                stem: None,
            })
            .collect();
        if words.is_empty() {
            return Err(format!("{} has no words to look for", quoted(&text)));
        }
        Ok(TextQuery {
            text,
            words,
            stemmer: None,
        })
    }

    /// The same for a field whose words are stemmed.
    pub(crate) fn stemmed(mut self, stemmer: Option<Stemmer>) -> TextQuery {
        self.stemmer = stemmer;
        for word in &mut self.words {
            word.stem = stemmer.map(|stemmer| stemmer.stem(&word.text));
        }
        self
    }

    /// By which rules words are stemmed, if at all.
    pub(crate) fn stemmer(&self) -> Option<Stemmer> {
        self.stemmer
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
            let stem = self.stemmer.map(|stemmer| stemmer.stem(&word));
            let met = Met { word, stem };
            missing.retain(|wanted| !wanted.is_met_in_any_form_by(&met));
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

    #[test]
    fn stems_find_all_forms_of_a_word_and_phrases_the_words_as_they_are() {
        let text = "Two fast engines were running, and a third ran.";
        let query = |query: &str| {
            let query = TextQuery::new(query).unwrap();
            query.stemmed(Some(Stemmer::English))
        };
        assert!(query("engine runs").all_in(text) && query("TWO engin*").all_in(text));
        assert!(!query("running horse").all_in(text));
        // What begins so as it stands there, not what its stem begins with.
        assert!(query("runni*").all_in(text) && !query("runs*").all_in(text));
        assert!(query("engines were").phrase_in(text) && !query("engine were").phrase_in(text));
        assert!(!TextQuery::new("engine").unwrap().all_in(text));
    }
}
