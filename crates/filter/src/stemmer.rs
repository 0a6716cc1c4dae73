//! Stems of words, so that `engines` finds `engine`: the Snowball algorithms (Porter, 2001, snowballstem.org).

use std::fmt;
use std::str::FromStr;

use rust_stemmers::Algorithm;
use serde::{Deserialize, Serialize};

use crate::error::{FilterError, quoted};
use crate::nearest::did_you_mean;

/// The language whose rules reduce words to their stems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "languages")]
pub enum Stemmer {
    Arabic,
    Danish,
    Dutch,
    English,
    Finnish,
    French,
    German,
    Greek,
    Hungarian,
    Italian,
    Norwegian,
    Portuguese,
    Romanian,
    Russian,
    Spanish,
    Swedish,
    Tamil,
    Turkish,
}

/// A stemmer with its name and its algorithm. The place in the table is the number on disk: never to be changed.
const TABLE: [(Stemmer, &str, Algorithm); 18] = [
    (Stemmer::Arabic, "arabic", Algorithm::Arabic),
    (Stemmer::Danish, "danish", Algorithm::Danish),
    (Stemmer::Dutch, "dutch", Algorithm::Dutch),
    (Stemmer::English, "english", Algorithm::English),
    (Stemmer::Finnish, "finnish", Algorithm::Finnish),
    (Stemmer::French, "french", Algorithm::French),
    (Stemmer::German, "german", Algorithm::German),
    (Stemmer::Greek, "greek", Algorithm::Greek),
    (Stemmer::Hungarian, "hungarian", Algorithm::Hungarian),
    (Stemmer::Italian, "italian", Algorithm::Italian),
    (Stemmer::Norwegian, "norwegian", Algorithm::Norwegian),
    (Stemmer::Portuguese, "portuguese", Algorithm::Portuguese),
    (Stemmer::Romanian, "romanian", Algorithm::Romanian),
    (Stemmer::Russian, "russian", Algorithm::Russian),
    (Stemmer::Spanish, "spanish", Algorithm::Spanish),
    (Stemmer::Swedish, "swedish", Algorithm::Swedish),
    (Stemmer::Tamil, "tamil", Algorithm::Tamil),
    (Stemmer::Turkish, "turkish", Algorithm::Turkish),
];

impl Stemmer {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Stemmer> {
        TABLE.iter().map(|(stemmer, ..)| *stemmer)
    }

    /// The name in text: `english`.
    pub fn name(self) -> &'static str {
        let (_, name, _) = TABLE[self as usize];
        name
    }

    /// The stem of a word in lower case.
    pub(crate) fn stem(self, word: &str) -> String {
        let (.., algorithm) = TABLE[self as usize];
        let stemmer = rust_stemmers::Stemmer::create(algorithm);
        stemmer.stem(word).into_owned()
    }

    /// The number on disk.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    pub(crate) fn of_number(number: u8) -> Option<Stemmer> {
        TABLE.get(usize::from(number)).map(|(stemmer, ..)| *stemmer)
    }
}

impl fmt::Display for Stemmer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Stemmer {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let names = TABLE.map(|(_, name, _)| name);
        Stemmer::all()
            .find(|stemmer| stemmer.name() == text)
            .ok_or_else(|| FilterError::BadMetadata {
                path: "type".to_owned(),
                what: format!(
                    "there is no stemmer {}{}; known: {}",
                    quoted(text),
                    did_you_mean(text, names),
                    names.join(", ")
                ),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stemmer_has_a_name_a_number_and_stems() {
        for (at, stemmer) in Stemmer::all().enumerate() {
            assert_eq!(usize::from(stemmer.number()), at);
            assert_eq!(Stemmer::of_number(stemmer.number()), Some(stemmer));
            assert_eq!(stemmer.name().parse::<Stemmer>().unwrap(), stemmer);
            assert_eq!(
                serde_json::to_value(stemmer).unwrap(),
                serde_json::json!(stemmer.name())
            );
        }
        assert_eq!(Stemmer::of_number(18), None);
        let stem = |word| Stemmer::English.stem(word);
        assert_eq!(stem("engines"), stem("engine"));
        assert_eq!(
            (stem("running").as_str(), stem("café").as_str()),
            ("run", "café")
        );
        assert_eq!(Stemmer::German.stem("häuser"), Stemmer::German.stem("haus"));
        let error = "englisch".parse::<Stemmer>().unwrap_err().to_string();
        assert!(error.contains("did you mean english?"), "{error}");
    }
}
