//! A filter to the mask of its rows.

use super::collector::RowCollector;
use super::directory::Run;
use super::spans::{Comparison, Conjunct, Span, Test};
use super::{FieldIndex, FieldIndexes};
use crate::error::FilterError;
use crate::expression::{DEPTH_MAX, Filter};
use crate::value::decode_field;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use vecdb_vector::{RowId, RowMask};

/// The rows that match a filter, and what it took to know.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The rows, deleted rows of the segment among them.
    pub mask: RowMask,
    /// Rows whose metadata was read because no index could tell.
    pub rows_read: u64,
    /// Fields of the filter that are not indexed.
    pub unindexed: BTreeSet<String>,
}

impl FieldIndexes {
    /// The rows that match a filter, deleted rows of the segment among them. `read` gives the metadata of a row as
    /// [`encode_metadata`](crate::encode_metadata) wrote it, where no index can tell.
    ///
    /// Pass the filter through [`Filter::check`] first: evaluated as it is, a date-time written as
    /// text matches nothing.
    ///
    /// # Errors
    /// Corrupt bytes, nesting deeper than [`DEPTH_MAX`], and those of `read`.
    pub fn evaluate<'a, E: From<FilterError>>(
        &self,
        filter: &Filter,
        read: &dyn Fn(RowId) -> Result<&'a [u8], E>,
    ) -> Result<Evaluation, E> {
        let mut evaluator = Evaluator {
            indexes: self,
            read,
            rows_read: 0,
            unindexed: BTreeSet::new(),
        };
        let mask = evaluator.mask(filter, None, 1)?;
        Ok(Evaluation {
            mask,
            rows_read: evaluator.rows_read,
            unindexed: evaluator.unindexed,
        })
    }
}

struct Evaluator<'e, 'a, E> {
    indexes: &'e FieldIndexes,
    read: &'e dyn Fn(RowId) -> Result<&'a [u8], E>,
    rows_read: u64,
    unindexed: BTreeSet<String>,
}

impl<E: From<FilterError>> Evaluator<'_, '_, E> {
    /// The matching rows, right for the rows `within`, or for all; what it says of others means nothing.
    fn mask(
        &mut self,
        filter: &Filter,
        within: Option<&RowMask>,
        depth: usize,
    ) -> Result<RowMask, E> {
        if depth > DEPTH_MAX {
            return Err(FilterError::TooDeep { limit: DEPTH_MAX }.into());
        }
        let rows = self.indexes.rows;
        match filter {
            Filter::All => Ok(RowMask::all(rows)),
            Filter::Not(part) => Ok(self.mask(part, within, depth + 1)?.not()),
            Filter::And(parts) => {
                let mut all = within.cloned().unwrap_or_else(|| RowMask::all(rows));
                let mut conjuncts = self.indexes.conjuncts(parts)?;
                conjuncts.sort_by_cached_key(|conjunct| match conjunct {
                    Conjunct::Range { index, spans } => (false, index.estimate_spans(spans).likely),
                    Conjunct::Part(part) => self.cost(part),
                });
                for conjunct in conjuncts {
                    let mask = match conjunct {
                        Conjunct::Range { index, spans } => index.rows_of(&spans, rows)?,
                        Conjunct::Part(part) => self.mask(part, Some(&all), depth + 1)?,
                    };
                    all = if all.is_all() { mask } else { all.and(&mask) };
                    if all.is_none() {
                        break;
                    }
                }
                Ok(all)
            }
            Filter::Or(parts) => {
                let mut any = RowMask::none(rows);
                let mut parts: Vec<&Filter> = parts.iter().collect();
                parts.sort_by_cached_key(|part| Reverse(self.cost(part)));
                for part in parts {
                    let mask = self.mask(part, within, depth + 1)?;
                    any = if any.is_none() { mask } else { any.or(&mask) };
                    if any.is_all() {
                        break;
                    }
                }
                Ok(any)
            }
            condition => self.condition(condition, within),
        }
    }

    /// Orders the parts of a conjunction: those first that need no row to be read, of these those with the fewest rows.
    fn cost(&self, part: &Filter) -> (bool, u32) {
        let indexes = self.indexes;
        (indexes.reads_rows(part), indexes.estimate(part).likely)
    }

    fn condition(&mut self, condition: &Filter, within: Option<&RowMask>) -> Result<RowMask, E> {
        let indexes = self.indexes;
        let rows = indexes.rows;
        let name = condition.field().unwrap_or_default();
        if indexes.unindexed.contains(name) {
            self.unindexed.insert(name.to_owned());
            return self.read_rows(
                condition,
                within.cloned().unwrap_or_else(|| RowMask::all(rows)),
            );
        }
        let Some(field) = indexes.fields.get(name) else {
            return Ok(if condition.holds_for(None) {
                RowMask::all(rows)
            } else {
                RowMask::none(rows)
            });
        };
        match condition {
            Filter::Exists(_, exists) => {
                let present = field.present(rows)?;
                Ok(if *exists { present } else { present.not() })
            }
            condition if field.entry.words => self.condition_on_words(field, condition, within),
            Filter::Contains(..) | Filter::Text(..) | Filter::Phrase(..) => {
                Ok(field.rows_of(&field.spans_of_texts(condition)?, rows)?)
            }
            Filter::GeoWithin(_, area) => {
                let mut collector = RowCollector::new(rows, 0);
                for run in &field.entry.runs {
                    if let Run::Numbers(run) = run {
                        run.collect_geo(&field.bytes, area, &mut collector)?;
                    }
                }
                Ok(collector.into_mask())
            }
            condition => match Comparison::of(condition) {
                Some(comparison) => {
                    let mask = field.comparison(comparison.test, rows)?;
                    Ok(if comparison.negated { mask.not() } else { mask })
                }
                None => Ok(RowMask::none(rows)),
            },
        }
    }

    /// A condition on a field of which the words are indexed: those tell which rows are worth reading.
    fn condition_on_words(
        &mut self,
        field: &FieldIndex,
        condition: &Filter,
        within: Option<&RowMask>,
    ) -> Result<RowMask, E> {
        let rows = self.indexes.rows;
        let candidates = match condition {
            Filter::Text(_, query) if field.lacks_stems(query) => Some(field.present(rows)?),
            Filter::Text(_, query) | Filter::Phrase(_, query) => {
                Some(field.rows_of_words(query.words(), rows)?)
            }
            Filter::StartsWith(..) | Filter::Contains(..) => Some(field.present(rows)?),
            _ => None,
        };
        let candidates = match (candidates, within) {
            (Some(candidates), _) if field.tells(condition) => return Ok(candidates),
            (Some(candidates), Some(within)) => candidates.and(within),
            (Some(candidates), None) => candidates,
            (None, within) => within.cloned().unwrap_or_else(|| RowMask::all(rows)),
        };
        self.read_rows(condition, candidates)
    }

    /// Those of the candidates that satisfy a condition, by reading them.
    fn read_rows(&mut self, condition: &Filter, mut candidates: RowMask) -> Result<RowMask, E> {
        let name = condition.field().unwrap_or_default();
        let asked: Vec<RowId> = candidates.iter().collect();
        for row in asked {
            self.rows_read += 1;
            let value = decode_field((self.read)(row)?, name)?;
            if !condition.holds_for(value.as_ref()) {
                candidates.remove(row);
            }
        }
        Ok(candidates)
    }
}

impl FieldIndexes {
    /// What can be told of a filter without reading rows: a filter that holds wherever this one does. None where all of it
    /// can be told.
    pub fn known_of(&self, filter: &Filter) -> Option<Filter> {
        self.reads_rows(filter).then(|| self.loosened(filter))
    }

    fn loosened(&self, filter: &Filter) -> Filter {
        match filter {
            known if !self.reads_rows(known) => known.clone(),
            Filter::And(parts) => {
                let parts = parts.iter().map(|part| self.loosened(part));
                parts.fold(Filter::All, Filter::and)
            }
            Filter::Or(parts) => {
                let parts: Vec<Filter> = parts.iter().map(|part| self.loosened(part)).collect();
                match parts.contains(&Filter::All) {
                    true => Filter::All,
                    false => Filter::Or(parts),
                }
            }
            condition => {
                let field = condition
                    .field()
                    .and_then(|name| self.fields.get_key_value(name));
                match (condition, field) {
                    (Filter::Phrase(_, query), Some((name, field)))
                        if field.entry.words && field.has_one_text_a_row() =>
                    {
                        Filter::Text(name.clone(), query.clone())
                    }
                    (
                        Filter::Phrase(..)
                        | Filter::Text(..)
                        | Filter::StartsWith(..)
                        | Filter::Contains(..),
                        Some((name, _)),
                    ) => Filter::Exists(name.clone(), true),
                    _ => Filter::All,
                }
            }
        }
    }

    /// Whether the evaluation of a filter will read rows.
    fn reads_rows(&self, filter: &Filter) -> bool {
        match filter {
            Filter::All => false,
            Filter::And(parts) | Filter::Or(parts) => {
                parts.iter().any(|part| self.reads_rows(part))
            }
            Filter::Not(part) => self.reads_rows(part),
            condition => {
                let name = condition.field().unwrap_or_default();
                self.unindexed.contains(name)
                    || self
                        .fields
                        .get(name)
                        .is_some_and(|field| field.entry.words && !field.tells(condition))
            }
        }
    }
}

impl FieldIndex {
    fn has_one_text_a_row(&self) -> bool {
        self.entry.elements_max == 1
    }

    /// Whether words tell which rows satisfy a condition, so that none is to be read.
    fn tells(&self, condition: &Filter) -> bool {
        match condition {
            Filter::Exists(..) => true,
            Filter::Text(_, query) => self.has_one_text_a_row() && !self.lacks_stems(query),
            Filter::Phrase(_, query) => self.has_one_text_a_row() && query.words().len() == 1,
            _ => false,
        }
    }
}

impl FieldIndex {
    fn present(&self, rows: u32) -> Result<RowMask, FilterError> {
        self.entry.present.mask(&self.bytes, rows)
    }

    /// The rows of a comparison without its negation.
    fn comparison(&self, test: Test<'_>, rows: u32) -> Result<RowMask, FilterError> {
        let spans = self.spans(test)?;
        if let (Test::Order(..), [span]) = (test, spans.as_slice())
            && let Some(mask) = self.complement(*span, rows)?
        {
            return Ok(mask);
        }
        let mask = self.rows_of(&spans, rows)?;
        if !test.holds_for_null() {
            return Ok(mask);
        }
        let null = self.entry.nulls.mask(&self.bytes, rows)?;
        Ok(mask.or(&null).or(&self.present(rows)?.not()))
    }

    /// The rows of some spans.
    pub(super) fn rows_of(&self, spans: &[Span], rows: u32) -> Result<RowMask, FilterError> {
        let mut expected = 0u64;
        for span in spans {
            expected = expected.saturating_add(self.count(*span)?);
        }
        let mut collector = RowCollector::new(rows, expected);
        for span in spans {
            self.collect(*span, rows, &mut collector)?;
        }
        Ok(collector.into_mask())
    }

    /// A range that covers most rows, from the fewer rows it leaves out. None where that is not
    /// cheaper, or where a row could be on both sides.
    fn complement(&self, span: Span, rows: u32) -> Result<Option<RowMask>, FilterError> {
        let [run] = self.entry.runs.as_slice() else {
            return Ok(None);
        };
        let len = match run {
            Run::Numbers(run) if run.prefixes.is_some() => return Ok(None),
            Run::Numbers(run) => run.entries,
            Run::Terms(run) => run.distinct,
        };
        let one_value_a_row =
            self.entry.elements_max == 1 && run.entries() == u64::from(self.entry.present.count);
        let inside = self.count(span)?;
        let outside = run.entries().saturating_sub(inside);
        if !one_value_a_row || inside <= outside {
            return Ok(None);
        }
        let mut collector = RowCollector::new(rows, outside);
        for (first, last) in [(0, span.first), (span.last, len)] {
            let rest = Span {
                run: span.run,
                first,
                last,
            };
            self.collect(rest, rows, &mut collector)?;
        }
        let present = self.present(rows)?;
        Ok(Some(present.and_not(&collector.into_mask())))
    }
}
