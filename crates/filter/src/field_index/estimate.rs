//! How many rows a filter will match, from counts alone: no posting is read.
//!
//! Comparisons are exact where no row has more than one element of the field. Bounds combine by worst
//! cases, the likely count as if the parts were independent of one another.

use super::FieldIndex;
use super::FieldIndexes;
use super::directory::Run;
use super::spans::{Comparison, Conjunct, Span, Test};
use crate::error::FilterError;
use crate::expression::{DEPTH_MAX, Filter};

/// One in so many of the rows that have a field is taken to satisfy a condition of which nothing is known.
const LIKELY_SHARE: u32 = 10;

/// Bounds on the number of rows that match, and a guess between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// No fewer rows match.
    pub min: u32,
    /// No more rows match.
    pub max: u32,
    /// The guess.
    pub likely: u32,
}

impl Estimate {
    /// A count that is known.
    pub fn exact(count: u32) -> Estimate {
        Estimate {
            min: count,
            max: count,
            likely: count,
        }
    }

    /// Whether the count is known.
    pub fn is_exact(&self) -> bool {
        self.min == self.max
    }

    fn unknown(rows: u32) -> Estimate {
        Estimate {
            min: 0,
            max: rows,
            likely: rows / 2,
        }
    }

    fn not(self, rows: u32) -> Estimate {
        Estimate {
            min: rows.saturating_sub(self.max),
            max: rows.saturating_sub(self.min),
            likely: rows.saturating_sub(self.likely),
        }
    }

    fn within_bounds(min: u32, max: u32, likely: f64) -> Estimate {
        let max = max.max(min);
        // The conversion saturates.
        let likely = (likely.round() as u32).clamp(min, max);
        Estimate { min, max, likely }
    }
}

impl FieldIndexes {
    /// Bounds and a guess for the number of rows that [`FieldIndexes::evaluate`] would give. Where the
    /// bytes are corrupt nothing is known; evaluation will tell.
    pub fn estimate(&self, filter: &Filter) -> Estimate {
        self.estimate_at(filter, 1)
    }

    fn estimate_at(&self, filter: &Filter, depth: usize) -> Estimate {
        let rows = self.rows;
        if depth > DEPTH_MAX {
            return Estimate::unknown(rows);
        }
        if filter
            .field()
            .is_some_and(|field| self.unindexed.contains(field))
        {
            return Estimate::unknown(rows);
        }
        if let Some(estimate) = self.estimate_condition(filter) {
            return estimate;
        }
        if let Some(comparison) = Comparison::of(filter) {
            let estimate = match self.fields.get(comparison.field) {
                Some(field) => field
                    .estimate(comparison.test, rows)
                    .unwrap_or_else(|_| Estimate::unknown(rows)),
                None if comparison.test.holds_for_null() => Estimate::exact(rows),
                None => Estimate::exact(0),
            };
            return if comparison.negated {
                estimate.not(rows)
            } else {
                estimate
            };
        }
        let share = |estimate: &Estimate| f64::from(estimate.likely) / f64::from(rows.max(1));
        match filter {
            Filter::Exists(field, exists) => {
                let present = self
                    .fields
                    .get(field)
                    .map_or(0, |field| field.entry.present.count);
                let present = Estimate::exact(present);
                if *exists { present } else { present.not(rows) }
            }
            Filter::Not(part) => self.estimate_at(part, depth + 1).not(rows),
            Filter::And(all) => {
                let Ok(all) = self.conjuncts(all) else {
                    return Estimate::unknown(rows);
                };
                let all: Vec<Estimate> = all
                    .iter()
                    .map(|conjunct| match conjunct {
                        Conjunct::Range { index, spans } => index.estimate_spans(spans),
                        Conjunct::Part(part) => self.estimate_at(part, depth + 1),
                    })
                    .collect();
                let missing = all
                    .iter()
                    .map(|part| u64::from(rows.saturating_sub(part.min)))
                    .sum();
                Estimate::within_bounds(
                    u32::try_from(u64::from(rows).saturating_sub(missing)).unwrap_or(rows),
                    all.iter().map(|part| part.max).min().unwrap_or(rows),
                    f64::from(rows) * all.iter().map(share).product::<f64>(),
                )
            }
            Filter::Or(any) => {
                let any: Vec<Estimate> = any
                    .iter()
                    .map(|part| self.estimate_at(part, depth + 1))
                    .collect();
                let sum: u64 = any.iter().map(|part| u64::from(part.max)).sum();
                Estimate::within_bounds(
                    any.iter().map(|part| part.min).max().unwrap_or(0),
                    u32::try_from(sum).unwrap_or(rows).min(rows),
                    f64::from(rows) * (1.0 - any.iter().map(|e| 1.0 - share(e)).product::<f64>()),
                )
            }
            // All; comparisons were answered above.
            _ => Estimate::exact(rows),
        }
    }
}

impl FieldIndexes {
    /// The estimate of a condition that is no comparison of values, or asks a field for more than its words.
    fn estimate_condition(&self, filter: &Filter) -> Option<Estimate> {
        let field = self.fields.get(filter.field()?);
        let Some(field) = field else {
            let count = if filter.holds_for(None) { self.rows } else { 0 };
            return Some(Estimate::exact(count));
        };
        let present = field.entry.present.count;
        let some_of = |most: u32| Estimate {
            min: 0,
            max: most,
            // A guess: such conditions are asked to find little.
            likely: most.min(present / LIKELY_SHARE),
        };
        match filter {
            Filter::Exists(..) => None,
            Filter::GeoWithin(_, area) => {
                let most = field.entry.runs.iter().map(|run| match run {
                    Run::Numbers(run) => run.geo_count_max(&field.bytes, area).unwrap_or(u64::MAX),
                    Run::Terms(_) => 0,
                });
                let most = most.fold(0, u64::saturating_add);
                let most = u32::try_from(most).unwrap_or(present).min(present);
                Some(Estimate {
                    likely: most,
                    ..some_of(most)
                })
            }
            Filter::Text(_, query) if field.lacks_stems(query) => Some(some_of(present)),
            Filter::Text(_, query) | Filter::Phrase(_, query) if field.entry.words => {
                let most = field.words_count_max(query.words()).unwrap_or(present);
                Some(Estimate {
                    likely: most / 2,
                    ..some_of(most)
                })
            }
            Filter::Contains(..) | Filter::Text(..) | Filter::Phrase(..) => Some(some_of(present)),
            _ if field.entry.words => Some(Estimate::unknown(self.rows)),
            _ => None,
        }
    }
}

impl FieldIndex {
    /// Rows of some spans of a field in which no row has two values: a row for every entry.
    pub(super) fn estimate_spans(&self, spans: &[Span]) -> Estimate {
        let counts = spans.iter().map(|span| self.count(*span));
        let count = counts.sum::<Result<u64, FilterError>>();
        match count.map(u32::try_from) {
            Ok(Ok(count)) => Estimate::exact(count),
            _ => Estimate::unknown(self.entry.present.count),
        }
    }

    fn estimate(&self, test: Test<'_>, rows: u32) -> Result<Estimate, FilterError> {
        let present = self.entry.present.count;
        let elements_max = u64::from(self.entry.elements_max);
        let (mut pairs, mut min) = (0u64, 0u64);
        let mut without = 1.0;
        for span in self.spans(test)? {
            let count = self.count(span)?;
            pairs = pairs.saturating_add(count);
            if self.is_single_value(span, test) {
                min = min.max(count);
            }
            without *= 1.0 - (count as f64 / f64::from(present.max(1))).min(1.0);
        }
        let null = test.holds_for_null();
        if null {
            let nulls = u64::from(self.entry.nulls.count);
            pairs = pairs.saturating_add(nulls);
            min = min.max(nulls);
            without *= 1.0 - nulls as f64 / f64::from(present.max(1));
        }
        // A row stands in the spans at most once per element.
        let max = pairs.min(present.into());
        let min = min.max(pairs.div_ceil(elements_max)).min(max);
        let missing = if null {
            rows.saturating_sub(present)
        } else {
            0
        };
        Ok(Estimate::within_bounds(
            u32::try_from(min).unwrap_or(present) + missing,
            u32::try_from(max).unwrap_or(present) + missing,
            f64::from(present) * (1.0 - without) + f64::from(missing),
        ))
    }
}
