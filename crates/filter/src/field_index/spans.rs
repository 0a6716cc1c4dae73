//! From a comparison to the parts of a field's runs that satisfy it.

use super::collector::RowCollector;
use super::directory::Run;
use super::{FieldIndex, FieldIndexes};
use crate::error::FilterError;
use crate::expression::{Bound, Filter};
use crate::schema::FieldKind;
use crate::value::Value;
use std::collections::BTreeMap;

/// The positive part of a comparison.
#[derive(Clone, Copy, Debug)]
pub(super) enum Test<'a> {
    /// An element equals one of these.
    In(&'a [Value]),
    /// An element lies on one side of this.
    Order(Bound, &'a Value),
    /// An element is a text that begins with this.
    Prefix(&'a str),
}

/// A comparison of one field, and whether it is negated.
pub(super) struct Comparison<'a> {
    pub(super) field: &'a str,
    pub(super) test: Test<'a>,
    pub(super) negated: bool,
}

/// Neighbouring entries of a number run or terms of a term run: `first..last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) run: usize,
    pub(super) first: u64,
    pub(super) last: u64,
}

impl<'a> Comparison<'a> {
    /// The comparison that a filter is, if it is one.
    pub(super) fn of(filter: &'a Filter) -> Option<Comparison<'a>> {
        use std::slice::from_ref;
        let (field, test, negated) = match filter {
            Filter::Eq(field, value) => (field, Test::In(from_ref(value)), false),
            Filter::Ne(field, value) => (field, Test::In(from_ref(value)), true),
            Filter::In(field, values) => (field, Test::In(values), false),
            Filter::Nin(field, values) => (field, Test::In(values), true),
            Filter::Gt(field, value) => (field, Test::Order(Bound::Gt, value), false),
            Filter::Gte(field, value) => (field, Test::Order(Bound::Gte, value), false),
            Filter::Lt(field, value) => (field, Test::Order(Bound::Lt, value), false),
            Filter::Lte(field, value) => (field, Test::Order(Bound::Lte, value), false),
            Filter::StartsWith(field, prefix) => (field, Test::Prefix(prefix), false),
            Filter::All
            | Filter::Contains(..)
            | Filter::Text(..)
            | Filter::Phrase(..)
            | Filter::GeoWithin(..)
            | Filter::Exists(..)
            | Filter::And(_)
            | Filter::Or(_)
            | Filter::Not(_) => return None,
        };
        Some(Comparison {
            field,
            test,
            negated,
        })
    }
}

impl Test<'_> {
    /// Whether rows that are null or miss the field satisfy it.
    pub(super) fn holds_for_null(self) -> bool {
        match self {
            Test::In(values) => values.contains(&Value::Null),
            Test::Order(..) | Test::Prefix(_) => false,
        }
    }
}

/// A part of a conjunction.
pub(super) enum Conjunct<'f, 'i> {
    /// Bounds of one field, in which no row has two values, from both sides: where all of them hold.
    Range {
        index: &'i FieldIndex,
        spans: Vec<Span>,
    },
    /// Any other part.
    Part(&'f Filter),
}

impl FieldIndexes {
    /// The parts of a conjunction, with several bounds of one field brought together: each alone holds for many rows where
    /// all hold for few.
    pub(super) fn conjuncts<'f>(
        &self,
        parts: &'f [Filter],
    ) -> Result<Vec<Conjunct<'f, '_>>, FilterError> {
        let mut conjuncts = Vec::new();
        let mut bounds: BTreeMap<&str, Vec<&Filter>> = BTreeMap::new();
        for part in parts {
            match part {
                Filter::Gt(name, _)
                | Filter::Gte(name, _)
                | Filter::Lt(name, _)
                | Filter::Lte(name, _) => bounds.entry(name).or_default().push(part),
                _ => conjuncts.push(Conjunct::Part(part)),
            }
        }
        for (name, parts) in bounds {
            let index = self.fields.get(name).filter(|index| {
                parts.len() > 1 && index.entry.elements_max == 1 && !index.entry.words
            });
            match index {
                Some(index) => {
                    let spans = index.spans_of_all(&parts)?;
                    conjuncts.push(Conjunct::Range { index, spans });
                }
                None => conjuncts.extend(parts.into_iter().map(Conjunct::Part)),
            }
        }
        Ok(conjuncts)
    }
}

impl FieldIndex {
    /// The parts of the runs that satisfy each of some comparisons, in order.
    fn spans_of_all(&self, comparisons: &[&Filter]) -> Result<Vec<Span>, FilterError> {
        let mut all: Option<Vec<Span>> = None;
        for comparison in comparisons.iter().filter_map(|part| Comparison::of(part)) {
            let spans = self.spans(comparison.test)?;
            all = Some(match all {
                None => spans,
                Some(all) => all
                    .iter()
                    .flat_map(|span| spans.iter().filter_map(|other| span.overlap(*other)))
                    .collect(),
            });
        }
        Ok(all.unwrap_or_default())
    }
}

impl Span {
    /// What two spans share.
    fn overlap(self, other: Span) -> Option<Span> {
        let span = Span {
            run: self.run,
            first: self.first.max(other.first),
            last: self.last.min(other.last),
        };
        (self.run == other.run && span.first < span.last).then_some(span)
    }
}

impl FieldIndex {
    /// The parts of the runs that satisfy a test: not empty, disjoint, in order.
    pub(super) fn spans(&self, test: Test<'_>) -> Result<Vec<Span>, FilterError> {
        let mut spans = Vec::new();
        for (at, run) in self.entry.runs.iter().enumerate() {
            let len = match run {
                Run::Numbers(run) => run.entries,
                Run::Terms(run) => run.distinct,
            };
            let mut push = |first, last| {
                if first < last {
                    spans.push(Span {
                        run: at,
                        first,
                        last,
                    });
                }
            };
            match test {
                Test::In(values) => {
                    for value in values {
                        if let Some((first, last)) = self.equal_range(run, value)? {
                            push(first, last);
                        }
                    }
                }
                Test::Prefix(prefix) => {
                    if let Run::Terms(run) = run
                        && run.kind == FieldKind::String
                    {
                        let (first, last) = run.prefix_range(&self.bytes, prefix.as_bytes())?;
                        push(first, last);
                    }
                }
                Test::Order(_, Value::Bool(_)) => {}
                Test::Order(bound, value) => {
                    if let Some((first, last)) = self.equal_range(run, value)? {
                        match bound {
                            Bound::Gt => push(last, len),
                            Bound::Gte => push(first, len),
                            Bound::Lt => push(0, first),
                            Bound::Lte => push(0, last),
                        }
                    }
                }
            }
        }
        spans.sort_unstable();
        spans.dedup();
        Ok(spans)
    }

    /// The parts of the dictionary whose texts a condition holds for: not empty, disjoint, in order.
    pub(super) fn spans_of_texts(&self, condition: &Filter) -> Result<Vec<Span>, FilterError> {
        let mut spans: Vec<Span> = Vec::new();
        for (at, run) in self.entry.runs.iter().enumerate() {
            let Run::Terms(terms) = run else { continue };
            if terms.kind != FieldKind::String {
                continue;
            }
            for index in 0..terms.distinct {
                if !condition.holds_for_text(terms.text(&self.bytes, index)?) {
                    continue;
                }
                match spans.last_mut() {
                    Some(span) if span.run == at && span.last == index => span.last += 1,
                    _ => spans.push(Span {
                        run: at,
                        first: index,
                        last: index + 1,
                    }),
                }
            }
        }
        Ok(spans)
    }

    /// Pairs of row and value in a span.
    pub(super) fn count(&self, span: Span) -> Result<u64, FilterError> {
        match self.entry.runs.get(span.run) {
            Some(Run::Terms(run)) => run.count(&self.bytes, span.first, span.last),
            _ => Ok(span.last.saturating_sub(span.first)),
        }
    }

    /// Whether a span holds a single value.
    pub(super) fn is_single_value(&self, span: Span, test: Test<'_>) -> bool {
        match self.entry.runs.get(span.run) {
            Some(Run::Terms(_)) => span.last - span.first == 1,
            _ => matches!(test, Test::In(_)),
        }
    }

    /// Adds the rows of a span.
    pub(super) fn collect(
        &self,
        span: Span,
        rows: u32,
        collector: &mut RowCollector,
    ) -> Result<(), FilterError> {
        let Span { run, first, last } = span;
        match self.entry.runs.get(run) {
            Some(Run::Numbers(run)) => run.collect(&self.bytes, first, last, collector),
            Some(Run::Terms(run)) => run.collect(&self.bytes, rows, first, last, collector),
            None => Ok(()),
        }
    }

    pub(super) fn equal_range(
        &self,
        run: &Run,
        value: &Value,
    ) -> Result<Option<(u64, u64)>, FilterError> {
        match run {
            Run::Numbers(run) => run.equal_range(&self.bytes, value),
            Run::Terms(run) => run.equal_range(&self.bytes, value),
        }
    }
}
