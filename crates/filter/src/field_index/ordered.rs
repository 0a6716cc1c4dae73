//! The different values of a field in their order, each with its rows: for sorting and for counting.

use super::collector::RowCollector;
use super::directory::Run;
use super::field_bytes::FieldBytes;
use super::spans::Span;
use super::{FieldIndex, FieldIndexes};
use crate::error::FilterError;
use crate::value::{SortValue, class_of};
use std::cmp::Ordering;
use vecdb_vector::{RowId, RowMask};

/// The values of a field from one end to the other. Nulls are none. Of the runs only what is asked for is read.
#[derive(Debug)]
pub struct OrderedValues<'a> {
    rows: u32,
    descending: bool,
    has_arrays: bool,
    heads: Vec<Head<'a>>,
}

/// What is left of a run, as entries of numbers or terms: `first..last`.
#[derive(Debug)]
struct Head<'a> {
    run: &'a Run,
    bytes: &'a FieldBytes,
    first: u64,
    last: u64,
    /// The value at the end that is next.
    value: Option<SortValue>,
}

impl FieldIndexes {
    /// The values of a field in order, beginning with `from` or, where there is no such value, with the next one.
    /// Empty for a field that no row has.
    ///
    /// # Errors
    /// Corrupt bytes; so for the calls on what is returned.
    pub fn ordered_values(
        &self,
        field: &str,
        descending: bool,
        from: Option<&SortValue>,
    ) -> Result<OrderedValues<'_>, FilterError> {
        let mut ordered = OrderedValues {
            rows: self.rows,
            descending,
            has_arrays: false,
            heads: Vec::new(),
        };
        let Some(field) = self.fields.get(field) else {
            return Ok(ordered);
        };
        ordered.has_arrays = field.entry.elements_max > 1;
        for run in &field.entry.runs {
            let mut head = field.head(run, descending, from)?;
            head.look(descending)?;
            ordered.heads.push(head);
        }
        Ok(ordered)
    }

    /// The rows that have a value: not those that miss the field, are null, or have an array of nothing but nulls.
    ///
    /// # Errors
    /// Corrupt bytes.
    pub fn with_value(&self, field: &str) -> Result<RowMask, FilterError> {
        let Some(field) = self.fields.get(field) else {
            return Ok(RowMask::none(self.rows));
        };
        let entry = &field.entry;
        let entries: u64 = entry.runs.iter().map(Run::entries).sum();
        // A value a row at most, and as many values as rows.
        if entry.elements_max == 1 && entries == u64::from(entry.present.count) {
            return entry.present.mask(&field.bytes, self.rows);
        }
        let mut collector = RowCollector::new(self.rows, entries);
        for (at, run) in entry.runs.iter().enumerate() {
            let whole = Span {
                run: at,
                first: 0,
                last: run.places(),
            };
            field.collect(whole, self.rows, &mut collector)?;
        }
        Ok(collector.into_mask())
    }

    /// Pairs of row and value of a field: what a walk over all its values reads.
    pub fn entries(&self, field: &str) -> u64 {
        let field = self.fields.get(field);
        field.map_or(0, |field| field.entry.runs.iter().map(Run::entries).sum())
    }
}

impl FieldIndex {
    /// The part of a run from `from` on.
    fn head<'a>(
        &'a self,
        run: &'a Run,
        descending: bool,
        from: Option<&SortValue>,
    ) -> Result<Head<'a>, FilterError> {
        let mut head = Head {
            run,
            bytes: &self.bytes,
            first: 0,
            last: run.places(),
            value: None,
        };
        let Some(from) = from else {
            return Ok(head);
        };
        let (first, last) = match self.equal_range(run, from.value())? {
            Some(range) => range,
            // Another class: all its values lie on one side.
            None if class_of(run.kind()) < from.class() => (head.last, head.last),
            None => (0, 0),
        };
        if descending {
            head.last = last;
        } else {
            head.first = first;
        }
        Ok(head)
    }
}

impl Head<'_> {
    fn look(&mut self, descending: bool) -> Result<(), FilterError> {
        self.value = None;
        if self.first < self.last {
            let place = if descending {
                self.last - 1
            } else {
                self.first
            };
            let value = self.run.value(self.bytes, place)?;
            let Some(value) = SortValue::new(value) else {
                return Err(self.bytes.corrupt(place, "a value that has no order"));
            };
            self.value = Some(value);
        }
        Ok(())
    }

    /// Passes over the next value; how many rows have it.
    fn pass(
        &mut self,
        descending: bool,
        rows: u32,
        out: Option<&mut Vec<RowId>>,
    ) -> Result<u64, FilterError> {
        let (first, last) = match self.run {
            Run::Numbers(run) => run.same_value(self.bytes, self.first, self.last, descending)?,
            Run::Terms(_) if descending => (self.last - 1, self.last),
            Run::Terms(_) => (self.first, self.first + 1),
        };
        if let Some(out) = out {
            match self.run {
                Run::Numbers(run) => run.append_rows(self.bytes, rows, first, last, out)?,
                Run::Terms(run) => run.append_rows(self.bytes, rows, first, out)?,
            }
        }
        if descending {
            self.last = first;
        } else {
            self.first = last;
        }
        match self.run {
            Run::Numbers(_) => Ok(last - first),
            Run::Terms(run) => run.count(self.bytes, first, last),
        }
    }
}

impl OrderedValues<'_> {
    /// Whether a row may have several values, and so come several times.
    pub fn has_arrays(&self) -> bool {
        self.has_arrays
    }

    /// The next value and how many rows have it. Where `rows` is given it then holds these rows, in no order.
    ///
    /// # Errors
    /// Corrupt bytes.
    pub fn advance(
        &mut self,
        mut rows: Option<&mut Vec<RowId>>,
    ) -> Result<Option<(SortValue, u64)>, FilterError> {
        if let Some(rows) = &mut rows {
            rows.clear();
        }
        let descending = self.descending;
        let sooner = |a: &SortValue, b: &SortValue| match descending {
            true => b.cmp(a),
            false => a.cmp(b),
        };
        let values = self.heads.iter().filter_map(|head| head.value.as_ref());
        let Some(next) = values.min_by(|a, b| sooner(a, b)).cloned() else {
            return Ok(None);
        };
        let mut count = 0;
        // An integer and a float may be the same number; no row has both.
        for head in &mut self.heads {
            let same = |value: &SortValue| value.cmp(&next) == Ordering::Equal;
            if head.value.as_ref().is_some_and(same) {
                count += head.pass(descending, self.rows, rows.as_deref_mut())?;
                head.look(descending)?;
            }
        }
        Ok(Some((next, count)))
    }
}

impl Run {
    /// Entries of numbers, or terms.
    fn places(&self) -> u64 {
        match self {
            Run::Numbers(run) => run.entries,
            Run::Terms(run) => run.distinct,
        }
    }
}
