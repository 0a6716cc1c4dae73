//! How many points have each value of a metadata field.
//!
//! Every part gives its values in ascending order with counts, and equal values of all parts are added up: in memory are
//! only the most frequent ones. A segment counts by the postings of its field index; where few of its rows match, and in
//! the memtable, the rows are read instead.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::vec;

use vecdb_filter::{FieldIndexes, Filter, OrderedValues, SortValue, Value};
use vecdb_vector::{RowId, RowMask};

use super::Collection;
use super::read::ROWS_PER_CHECK;
use super::search::{LIMIT_MAX, limit_out_of_range};
use super::state::{AnyView, State};
use crate::error::Result;
use crate::part::Part;
use crate::stop::StopSignal;

/// What is to be counted.
#[derive(Clone, Debug)]
pub struct FacetRequest {
    /// The field whose values are counted.
    pub field: String,
    /// Only points that match.
    pub filter: Option<Filter>,
    /// How many values at most, the most frequent ones. Default: 10; at most [`LIMIT_MAX`].
    pub limit: usize,
    /// Ends the count with an error.
    pub stop: StopSignal,
}

impl FacetRequest {
    /// The ten most frequent values of `field`.
    pub fn new(field: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            filter: None,
            limit: 10,
            stop: StopSignal::default(),
        }
    }

    /// At most `limit` values.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Only points that match `filter`.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }
}

/// A value and how many points have it.
#[derive(Clone, Debug, PartialEq)]
pub struct Facet {
    /// The value: a scalar.
    pub value: Value,
    /// Points that have it; of those with an array, all that have it as an element.
    pub count: u64,
}

/// The values of a field.
#[derive(Clone, Debug, PartialEq)]
pub struct Facets {
    /// The most frequent values: by count descending, then by value ascending.
    pub values: Vec<Facet>,
    /// How many different values there are.
    pub distinct: u64,
    /// How many points match the filter, or are there.
    pub points: u64,
    /// How many of these have no value: they miss the field, or it is null or an array without elements.
    pub missing: u64,
}

impl Collection {
    /// The most frequent values of a field with the number of live points that have them. Exact.
    pub fn facets(&self, request: &FacetRequest) -> Result<Facets> {
        self.inner.check_usable()?;
        facets_of(&self.inner.snapshot(), request)
    }
}

/// [`Collection::facets`] of one state.
pub(super) fn facets_of(state: &State, request: &FacetRequest) -> Result<Facets> {
    if request.limit == 0 || request.limit > LIMIT_MAX {
        return Err(limit_out_of_range(request.limit));
    }
    // Knows which fields there are, and which name is near.
    Filter::exists(request.field.as_str(), true).check(&state.fields)?;
    let filter = request.filter.as_ref();
    let filter = filter
        .map(|filter| filter.check(&state.fields))
        .transpose()?;
    let mut facets = Facets {
        values: Vec::new(),
        distinct: 0,
        points: 0,
        missing: 0,
    };
    let mut sources = Vec::new();
    for view in state.parts() {
        request.stop.check()?;
        let Some(mut source) = Source::new(&view, filter.as_ref(), request)? else {
            continue;
        };
        facets.points += source.points;
        facets.missing += source.missing;
        source.advance(&request.stop)?;
        sources.push(source);
    }
    // The greatest is the first to go: the rarest, of those the largest.
    let mut frequent = BinaryHeap::new();
    while let Some((value, count)) = next(&mut sources, &request.stop)? {
        facets.distinct += 1;
        frequent.push((Reverse(count), value));
        if frequent.len() > request.limit {
            frequent.pop();
        }
    }
    let field = state.fields.field(&request.field);
    let of_field = |value| match field {
        Some(field) => field.widened(value),
        None => value,
    };
    let frequent = frequent.into_sorted_vec().into_iter();
    facets.values = frequent
        .map(|(Reverse(count), value)| Facet {
            value: of_field(value.into_value()),
            count,
        })
        .collect();
    Ok(facets)
}

/// The least value of all sources, with its count in all of them.
fn next(sources: &mut [Source<'_>], stop: &StopSignal) -> Result<Option<(SortValue, u64)>> {
    let heads = sources.iter().filter_map(|source| source.head.as_ref());
    let Some(least) = heads.map(|(value, _)| value).min().cloned() else {
        return Ok(None);
    };
    let mut sum = 0;
    for source in sources {
        if let Some((_, count)) = source.head.take_if(|(value, _)| *value == least) {
            sum += count;
            source.advance(stop)?;
        }
    }
    Ok(Some((least, sum)))
}

/// The values of one part in ascending order.
struct Source<'a> {
    points: u64,
    missing: u64,
    head: Option<(SortValue, u64)>,
    rest: Rest<'a>,
}

/// Where they come from.
enum Rest<'a> {
    /// The field index, and which of its rows count.
    Indexed {
        values: OrderedValues<'a>,
        mask: Option<RowMask>,
        rows: Vec<RowId>,
        passed: u32,
    },
    /// The rows.
    Listed(vec::IntoIter<(SortValue, u64)>),
}

/// Reading a row's value costs about as much as looking up this many entries of a field index in a mask.
const ENTRIES_PER_ROW: u64 = 128;

impl<'a> Source<'a> {
    /// `None` where no row counts.
    fn new(
        view: &AnyView<'a>,
        filter: Option<&Filter>,
        request: &FacetRequest,
    ) -> Result<Option<Self>> {
        let part = view.part();
        let allowed = filter
            .map(|filter| part.evaluate(filter, &request.stop))
            .transpose()?;
        let mask = view.live_and(allowed.map(|evaluation| evaluation.mask));
        let count = mask.as_ref().map_or(part.rows(), RowMask::count);
        if count == 0 {
            return Ok(None);
        }
        let field = request.field.as_str();
        let walked = u64::from(count).saturating_mul(ENTRIES_PER_ROW);
        match part.field_indexes(field) {
            Some(indexes) if mask.is_none() || indexes.entries(field) < walked => {
                Self::indexed(indexes, mask, count, field).map(Some)
            }
            _ => Self::listed(part, mask.as_ref(), count, request).map(Some),
        }
    }

    fn indexed(
        indexes: &'a FieldIndexes,
        mask: Option<RowMask>,
        count: u32,
        field: &str,
    ) -> Result<Self> {
        let with_value = indexes.with_value(field)?;
        let with_value = match &mask {
            Some(mask) => mask.and(&with_value).count(),
            None => with_value.count(),
        };
        Ok(Self {
            points: count.into(),
            missing: u64::from(count - with_value),
            head: None,
            rest: Rest::Indexed {
                values: indexes.ordered_values(field, false, None)?,
                mask,
                rows: Vec::new(),
                passed: 0,
            },
        })
    }

    fn listed(
        part: &dyn Part,
        mask: Option<&RowMask>,
        count: u32,
        request: &FacetRequest,
    ) -> Result<Self> {
        let rows: Box<dyn Iterator<Item = RowId> + '_> = match mask {
            Some(mask) => Box::new(mask.iter()),
            None => Box::new((0..part.rows()).map(RowId)),
        };
        let mut values = Vec::new();
        let mut missing = 0;
        for (at, row) in rows.enumerate() {
            if at.is_multiple_of(ROWS_PER_CHECK as usize) {
                request.stop.check()?;
            }
            let value = part.value(row, &request.field)?;
            let of_row = value.as_ref().map(SortValue::all_of).unwrap_or_default();
            missing += u64::from(of_row.is_empty());
            values.extend(of_row);
        }
        values.sort_unstable();
        let counted: Vec<_> = values
            .chunk_by(|a, b| a == b)
            .filter_map(|same| Some((same.first()?.clone(), same.len() as u64)))
            .collect();
        Ok(Self {
            points: count.into(),
            missing,
            head: None,
            rest: Rest::Listed(counted.into_iter()),
        })
    }

    /// Moves to the next value that some row has.
    fn advance(&mut self, stop: &StopSignal) -> Result<()> {
        match &mut self.rest {
            Rest::Listed(counted) => self.head = counted.next(),
            Rest::Indexed {
                values,
                mask,
                rows,
                passed,
            } => loop {
                if passed.is_multiple_of(ROWS_PER_CHECK) {
                    stop.check()?;
                }
                *passed = passed.wrapping_add(1);
                self.head = match mask {
                    None => values.advance(None)?,
                    Some(mask) => values.advance(Some(rows))?.map(|(value, _)| {
                        let counted = rows.iter().filter(|row| mask.contains(**row));
                        (value, counted.count() as u64)
                    }),
                };
                if self.head.as_ref().is_none_or(|(_, count)| *count > 0) {
                    break;
                }
            },
        }
        Ok(())
    }
}
