//! Words of texts: which rows have all of them.

use super::FieldIndex;
use super::directory::Run;
use super::spans::Span;
use super::terms::{TermRun, stem_term};
use crate::error::FilterError;
use crate::schema::FieldKind;
use crate::text::{TextQuery, Word};
use vecdb_vector::RowMask;

impl FieldIndex {
    /// Whether stems are asked for that are not indexed.
    pub(super) fn lacks_stems(&self, query: &TextQuery) -> bool {
        self.entry.words && query.stemmer().is_some() && query.stemmer() != self.entry.stemmer
    }

    /// The rows that have all the words, in whichever of their texts; those with a stem in any of its forms.
    pub(super) fn rows_of_words(&self, words: &[Word], rows: u32) -> Result<RowMask, FilterError> {
        let mut spans = self.spans_of_words(words)?;
        spans.sort_by_key(|(count, _)| *count);
        let mut all: Option<RowMask> = None;
        for (count, span) in spans {
            if count == 0 || all.as_ref().is_some_and(RowMask::is_none) {
                return Ok(RowMask::none(rows));
            }
            let mask = self.rows_of(&[span], rows)?;
            all = Some(match all {
                Some(all) => all.and(&mask),
                None => mask,
            });
        }
        Ok(all.unwrap_or_else(|| RowMask::none(rows)))
    }

    /// No more rows have all the words.
    pub(super) fn words_count_max(&self, words: &[Word]) -> Result<u32, FilterError> {
        let spans = self.spans_of_words(words)?;
        let fewest = spans.iter().map(|(count, _)| *count).min().unwrap_or(0);
        let present = self.entry.present.count;
        Ok(u32::try_from(fewest).unwrap_or(present).min(present))
    }

    /// Per word the number of (word, row) pairs and where they lie.
    fn spans_of_words(&self, words: &[Word]) -> Result<Vec<(u64, Span)>, FilterError> {
        let runs = self.entry.runs.iter().enumerate();
        let mut dictionaries = runs.filter_map(|(at, run)| match run {
            Run::Terms(run) if run.kind == FieldKind::Text => Some((at, run)),
            _ => None,
        });
        let Some((at, run)) = dictionaries.next() else {
            // No text has a word.
            let none = Span {
                run: 0,
                first: 0,
                last: 0,
            };
            return Ok(vec![(0, none); words.len()]);
        };
        words
            .iter()
            .map(|word| self.span_of_word(at, run, word))
            .collect()
    }

    fn span_of_word(
        &self,
        at: usize,
        run: &TermRun,
        word: &Word,
    ) -> Result<(u64, Span), FilterError> {
        let (first, last) = match (&word.stem, word.prefix) {
            (_, true) => run.prefix_range(&self.bytes, word.text.as_bytes())?,
            (Some(stem), false) => run.term_range(&self.bytes, stem_term(stem).as_bytes())?,
            (None, false) => run.term_range(&self.bytes, word.text.as_bytes())?,
        };
        let span = Span {
            run: at,
            first,
            last,
        };
        Ok((run.count(&self.bytes, first, last)?, span))
    }
}
