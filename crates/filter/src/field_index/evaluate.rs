//! A filter to the mask of its rows.

use super::collector::RowCollector;
use super::directory::Run;
use super::spans::{Comparison, Span, Test};
use super::{FieldIndex, FieldIndexes};
use crate::error::FilterError;
use crate::expression::{DEPTH_MAX, Filter};
use vecdb_vector::RowMask;

impl FieldIndexes {
    /// The rows that match a filter, deleted rows of the segment among them.
    ///
    /// Pass the filter through [`Filter::check`] first: evaluated as it is, a date-time written as
    /// text matches nothing.
    ///
    /// # Errors
    /// Corrupt bytes, and nesting deeper than [`DEPTH_MAX`].
    pub fn evaluate(&self, filter: &Filter) -> Result<RowMask, FilterError> {
        self.mask(filter, 1)
    }

    fn mask(&self, filter: &Filter, depth: usize) -> Result<RowMask, FilterError> {
        if depth > DEPTH_MAX {
            return Err(FilterError::TooDeep { limit: DEPTH_MAX });
        }
        if let Some(comparison) = Comparison::of(filter) {
            let mask = self.comparison(&comparison)?;
            return Ok(if comparison.negated { mask.not() } else { mask });
        }
        match filter {
            Filter::Exists(field, exists) => {
                let present = match self.fields.get(field) {
                    Some(field) => field.present(self.rows)?,
                    None => RowMask::none(self.rows),
                };
                Ok(if *exists { present } else { present.not() })
            }
            Filter::Not(part) => Ok(self.mask(part, depth + 1)?.not()),
            Filter::And(parts) => {
                let mut all = RowMask::all(self.rows);
                for part in self.by_size(parts) {
                    let mask = self.mask(part, depth + 1)?;
                    all = if all.is_all() { mask } else { all.and(&mask) };
                    if all.is_none() {
                        break;
                    }
                }
                Ok(all)
            }
            Filter::Or(parts) => {
                let mut any = RowMask::none(self.rows);
                for part in self.by_size(parts).into_iter().rev() {
                    let mask = self.mask(part, depth + 1)?;
                    any = if any.is_none() { mask } else { any.or(&mask) };
                    if any.is_all() {
                        break;
                    }
                }
                Ok(any)
            }
            // All; comparisons were answered above.
            _ => Ok(RowMask::all(self.rows)),
        }
    }

    /// The parts, those with the fewest rows first.
    fn by_size<'a>(&self, parts: &'a [Filter]) -> Vec<&'a Filter> {
        let mut ordered: Vec<&Filter> = parts.iter().collect();
        if parts.len() > 1 {
            ordered.sort_by_cached_key(|part| self.estimate(part).likely);
        }
        ordered
    }

    /// The rows of a comparison without its negation.
    fn comparison(&self, comparison: &Comparison<'_>) -> Result<RowMask, FilterError> {
        let test = comparison.test;
        let Some(field) = self.fields.get(comparison.field) else {
            return Ok(if test.holds_for_null() {
                RowMask::all(self.rows)
            } else {
                RowMask::none(self.rows)
            });
        };
        let spans = field.spans(test)?;
        if let (Test::Order(..), [span]) = (test, spans.as_slice())
            && let Some(mask) = field.complement(*span, self.rows)?
        {
            return Ok(mask);
        }
        let mut expected = 0u64;
        for span in &spans {
            expected = expected.saturating_add(field.count(*span)?);
        }
        let mut collector = RowCollector::new(self.rows, expected);
        for span in spans {
            field.collect(span, self.rows, &mut collector)?;
        }
        let mask = collector.into_mask();
        if !test.holds_for_null() {
            return Ok(mask);
        }
        let null = field.entry.nulls.mask(&field.bytes, self.rows)?;
        Ok(mask.or(&null).or(&field.present(self.rows)?.not()))
    }
}

impl FieldIndex {
    fn present(&self, rows: u32) -> Result<RowMask, FilterError> {
        self.entry.present.mask(&self.bytes, rows)
    }

    /// A range that covers most rows, from the fewer rows it leaves out. None where that is not
    /// cheaper, or where a row could be on both sides.
    fn complement(&self, span: Span, rows: u32) -> Result<Option<RowMask>, FilterError> {
        let [run] = self.entry.runs.as_slice() else {
            return Ok(None);
        };
        let len = match run {
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
