//! Scrolls in the order of a metadata field.
//!
//! Every part gives its rows in the order of (value, id), and the least of all parts comes next. A segment walks the
//! sorted values of its field index from where the page begins, so that a page costs about what is on it; where few of
//! its rows match, and in the memtable, the rows are sorted instead. Rows without a value come after all others.

use std::cmp::Ordering;
use std::collections::VecDeque;

use vecdb_filter::{
    FieldIndexes, Filter, Metadata, OrderedValues, SortValue, Value, decode_metadata,
    encode_metadata,
};
use vecdb_storage::bytes::{BytesError, Reader, Writer};
use vecdb_vector::{RowId, RowMask};

use super::read::ROWS_PER_CHECK;
use super::state::{AnyView, State};
use super::{Collection, ScrollPage, ScrollRequest};
use crate::error::{Error, Result};
use crate::hex::{from_hex, to_hex};
use crate::part::Part;
use crate::point::PointId;
use crate::stop::StopSignal;

/// The order of a scroll: by the values of a metadata field, points of the same value by their ids.
///
/// Points that miss the field come last in either direction; so do those where it is null or an empty array. An array
/// counts as its smallest element, or as its largest where the order descends. False comes before true, texts are
/// compared byte by byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderBy {
    /// The field.
    pub field: String,
    /// The largest value first. Default: the smallest.
    pub descending: bool,
}

impl OrderBy {
    /// Smallest value first.
    pub fn ascending(field: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            descending: false,
        }
    }

    /// Largest value first.
    pub fn descending(field: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            descending: true,
        }
    }

    fn direction(&self) -> &'static str {
        match self.descending {
            true => "descending",
            false => "ascending",
        }
    }
}

/// What texts of these cursors begin with; those of other scrolls begin with a hexadecimal digit.
pub(super) const CURSOR_PREFIX: &str = "by-";

/// Where a point stands in the order. No value: after all that have one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    value: Option<SortValue>,
    id: PointId,
}

impl Place {
    fn cmp(&self, other: &Self, descending: bool) -> Ordering {
        let by_value = match (&self.value, &other.value) {
            (Some(a), Some(b)) if descending => b.cmp(a),
            (Some(a), Some(b)) => a.cmp(b),
            (a, b) => a.is_none().cmp(&b.is_none()),
        };
        by_value.then_with(|| self.id.cmp(&other.id))
    }
}

impl Collection {
    /// A page of [`Self::scroll`] by `order`; the request is checked but for what concerns the order.
    pub(super) fn scroll_by(
        &self,
        state: &State,
        filter: Option<&Filter>,
        request: &ScrollRequest,
        order: &OrderBy,
    ) -> Result<ScrollPage> {
        // Knows which fields there are, and which name is near.
        Filter::exists(order.field.as_str(), true).check(&state.fields)?;
        let after = request
            .cursor
            .as_deref()
            .map(|cursor| parse_cursor(cursor, order))
            .transpose()?;
        let walk = Walk {
            order,
            after: after.as_ref(),
            // One more, to know whether there is a next page.
            most: request.limit + 1,
            stop: &request.stop,
        };
        let mut sources = Vec::new();
        for view in state.parts() {
            request.stop.check()?;
            if let Some(source) = Source::new(&walk, view, filter)? {
                sources.push(source);
            }
        }
        let mut points = Vec::new();
        let mut last = None;
        while let Some((place, part, row)) = next(&walk, &mut sources)? {
            if points.len() == request.limit {
                return Ok(ScrollPage {
                    points,
                    next_cursor: last.map(|place| format_cursor(place, order)),
                });
            }
            points.push(self.inner.record(
                part,
                row,
                request.with_vector,
                request.with_metadata,
            )?);
            last = Some(place);
        }
        Ok(ScrollPage {
            points,
            next_cursor: None,
        })
    }
}

/// What all sources of a page share.
struct Walk<'a> {
    order: &'a OrderBy,
    after: Option<&'a Place>,
    /// Rows that a source can be asked for.
    most: usize,
    stop: &'a StopSignal,
}

impl Walk<'_> {
    fn is_after_cursor(&self, place: &Place) -> bool {
        self.after
            .is_none_or(|after| place.cmp(after, self.order.descending) == Ordering::Greater)
    }
}

/// The least of all sources.
fn next<'a>(
    walk: &Walk<'a>,
    sources: &mut [Source<'a>],
) -> Result<Option<(Place, &'a dyn Part, RowId)>> {
    let heads = sources
        .iter()
        .enumerate()
        .filter_map(|(at, source)| source.ready.front().map(|(place, _)| (at, place)));
    let Some((at, _)) = heads.min_by(|(_, a), (_, b)| a.cmp(b, walk.order.descending)) else {
        return Ok(None);
    };
    let source = &mut sources[at];
    let Some((place, row)) = source.ready.pop_front() else {
        return Ok(None);
    };
    let part = source.view.part();
    source.fill(walk)?;
    Ok(Some((place, part, row)))
}

/// The rows of one part in order.
struct Source<'a> {
    view: AnyView<'a>,
    /// Alive and matching; `None`: every row.
    mask: Option<RowMask>,
    /// The next rows, in order.
    ready: VecDeque<(Place, RowId)>,
    rest: Rest<'a>,
}

/// What comes after the rows that are ready.
enum Rest<'a> {
    /// The values of the field from here on, then the rows without one.
    Values(&'a FieldIndexes, OrderedValues<'a>),
    /// The rows without a value.
    Missing(&'a FieldIndexes),
    Nothing,
}

/// Reading a row's value costs about as much as passing over this many entries of a field index.
const ENTRIES_PER_ROW: u64 = 16;

impl<'a> Source<'a> {
    /// `None` where no row matches.
    fn new(walk: &Walk<'a>, view: AnyView<'a>, filter: Option<&Filter>) -> Result<Option<Self>> {
        let part = view.part();
        let allowed = filter
            .map(|filter| part.evaluate(filter, walk.stop))
            .transpose()?;
        let mask = view.live_and(allowed.map(|evaluation| evaluation.mask));
        let count = mask.as_ref().map_or(part.rows(), RowMask::count);
        if count == 0 {
            return Ok(None);
        }
        let mut source = Self {
            view,
            mask,
            ready: VecDeque::new(),
            rest: Rest::Nothing,
        };
        match part.field_indexes(&walk.order.field) {
            Some(indexes) if walking_is_cheaper(part.rows(), count, walk.most) => {
                source.rest = match walk.after {
                    Some(Place { value: None, .. }) => Rest::Missing(indexes),
                    after => {
                        let from = after.and_then(|after| after.value.as_ref());
                        let order = walk.order;
                        let values =
                            indexes.ordered_values(&order.field, order.descending, from)?;
                        Rest::Values(indexes, values)
                    }
                };
            }
            _ => source.list(walk)?,
        }
        source.fill(walk)?;
        Ok(Some(source))
    }

    fn rows(&self) -> Box<dyn Iterator<Item = RowId> + '_> {
        match &self.mask {
            Some(mask) => Box::new(mask.iter()),
            None => Box::new((0..self.view.part().rows()).map(RowId)),
        }
    }

    /// Makes all rows ready by sorting them.
    fn list(&mut self, walk: &Walk<'_>) -> Result<()> {
        let part = self.view.part();
        let order = walk.order;
        let mut first = First::new(walk);
        for row in self.rows() {
            let value = part.value(row, &order.field)?;
            let value = SortValue::of(value.as_ref(), order.descending);
            first.take(part, row, value)?;
        }
        self.ready = first.sorted();
        Ok(())
    }

    /// Reads on where no row is ready.
    fn fill(&mut self, walk: &Walk<'_>) -> Result<()> {
        let mut rows = Vec::new();
        while self.ready.is_empty() {
            walk.stop.check()?;
            match &mut self.rest {
                Rest::Values(indexes, values) => match values.advance(Some(&mut rows))? {
                    Some((value, _)) => {
                        let has_arrays = values.has_arrays();
                        self.of_value(walk, &value, &rows, has_arrays)?;
                    }
                    None => self.rest = Rest::Missing(indexes),
                },
                Rest::Missing(indexes) => {
                    let with_value = indexes.with_value(&walk.order.field)?;
                    self.rest = Rest::Nothing;
                    let mut first = First::new(walk);
                    for row in self.rows().filter(|row| !with_value.contains(*row)) {
                        first.take(self.view.part(), row, None)?;
                    }
                    self.ready = first.sorted();
                }
                Rest::Nothing => return Ok(()),
            }
        }
        Ok(())
    }

    /// Makes those of the rows ready that stand in the order by `value`.
    fn of_value(
        &mut self,
        walk: &Walk<'_>,
        value: &SortValue,
        rows: &[RowId],
        has_arrays: bool,
    ) -> Result<()> {
        let (part, order) = (self.view.part(), walk.order);
        let mut first = First::new(walk);
        for &row in rows {
            if self.mask.as_ref().is_some_and(|mask| !mask.contains(row)) {
                continue;
            }
            if has_arrays {
                // The row may have come already, or before the page, by another of its elements.
                let of_row = part.value(row, &order.field)?;
                if SortValue::of(of_row.as_ref(), order.descending).as_ref() != Some(value) {
                    continue;
                }
            }
            first.take(part, row, Some(value.clone()))?;
        }
        self.ready = first.sorted();
        Ok(())
    }
}

/// Whether a walk over sorted values meets `most` rows of the `count` that are wanted, out of `rows`, sooner than these
/// are read and sorted.
fn walking_is_cheaper(rows: u32, count: u32, most: usize) -> bool {
    let (rows, count) = (u64::from(rows), u64::from(count));
    let passed = rows.min((most as u64).saturating_mul(rows) / count.max(1));
    passed <= count * ENTRIES_PER_ROW
}

/// The first rows after the cursor of any that are taken, as many as a page can need.
struct First<'a> {
    walk: &'a Walk<'a>,
    taken: u32,
    found: Vec<(Place, RowId)>,
}

impl<'a> First<'a> {
    fn new(walk: &'a Walk<'a>) -> Self {
        Self {
            walk,
            taken: 0,
            found: Vec::new(),
        }
    }

    fn take(&mut self, part: &dyn Part, row: RowId, value: Option<SortValue>) -> Result<()> {
        if self.taken.is_multiple_of(ROWS_PER_CHECK) {
            self.walk.stop.check()?;
        }
        self.taken = self.taken.wrapping_add(1);
        let id = part.id(row)?;
        let place = Place { value, id };
        if self.walk.is_after_cursor(&place) {
            self.found.push((place, row));
            // Twice as many as are needed are cut to half: in all, about linear.
            if self.found.len() >= self.walk.most.saturating_mul(2).max(1024) {
                self.cut();
            }
        }
        Ok(())
    }

    fn cut(&mut self) {
        let (most, descending) = (self.walk.most, self.walk.order.descending);
        if self.found.len() > most && most > 0 {
            self.found
                .select_nth_unstable_by(most - 1, |a, b| a.0.cmp(&b.0, descending));
            self.found.truncate(most);
        }
    }

    fn sorted(mut self) -> VecDeque<(Place, RowId)> {
        self.cut();
        let descending = self.walk.order.descending;
        self.found
            .sort_unstable_by(|a, b| a.0.cmp(&b.0, descending));
        self.found.into()
    }
}

/// The direction, the field with the value, the id.
fn format_cursor(place: Place, order: &OrderBy) -> String {
    let value = place.value.map_or(Value::Null, SortValue::into_value);
    let mut metadata = Vec::new();
    encode_metadata(
        &Metadata::from([(order.field.clone(), value)]),
        &mut metadata,
    );
    let mut writer = Writer::new();
    writer
        .u8(order.descending.into())
        .sized_bytes(&metadata)
        .sized_bytes(&place.id.to_bytes());
    format!("{CURSOR_PREFIX}{}", to_hex(&writer.into_vec()))
}

fn parse_cursor(text: &str, order: &OrderBy) -> Result<Place> {
    let parsed = || {
        let bytes = from_hex(text.strip_prefix(CURSOR_PREFIX)?)?;
        let (descending, metadata, id) = read_cursor(&bytes).ok()?;
        let (field, value) = decode_metadata(metadata).ok()?.pop_first()?;
        let value = match value {
            Value::Null => None,
            value => Some(SortValue::new(value)?),
        };
        let id = PointId::decode(id)?;
        Some((OrderBy { field, descending }, Place { value, id }))
    };
    let (of, place) = parsed().ok_or_else(|| {
        Error::invalid(format!(
            "{text:?} is not a cursor of a scroll with order_by; pass the next_cursor of the page before"
        ))
    })?;
    if of != *order {
        return Err(Error::invalid(format!(
            "the cursor is of a scroll by {} {}, not by {} {}; keep order_by from page to page",
            of.field,
            of.direction(),
            order.field,
            order.direction()
        )));
    }
    Ok(place)
}

fn read_cursor(bytes: &[u8]) -> std::result::Result<(bool, &[u8], &[u8]), BytesError> {
    let mut reader = Reader::new(bytes);
    let descending = match reader.u8()? {
        0 => false,
        1 => true,
        other => return Err(reader.error(format!("direction {other}"))),
    };
    let (metadata, id) = (reader.sized_bytes()?, reader.sized_bytes()?);
    reader.finish()?;
    Ok((descending, metadata, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_those_of_other_orders_are_refused() {
        let values = [
            None,
            SortValue::new(Value::from("é")),
            SortValue::new(Value::Float(-0.5)),
        ];
        for value in values {
            for order in [OrderBy::ascending("a"), OrderBy::descending("a")] {
                let place = Place {
                    value: value.clone(),
                    id: PointId::from("x"),
                };
                let text = format_cursor(place.clone(), &order);
                assert_eq!(parse_cursor(&text, &order).unwrap(), place);
                let other = OrderBy {
                    descending: !order.descending,
                    field: order.field.clone(),
                };
                let error = parse_cursor(&text, &other).unwrap_err().to_string();
                assert!(error.contains("keep order_by"), "{error}");
                for cut in 0..text.len() {
                    assert!(parse_cursor(&text[..cut.min(text.len())], &order).is_err());
                }
            }
        }
        assert!(parse_cursor("0123-01", &OrderBy::ascending("a")).is_err());
        assert!(parse_cursor("by-é", &OrderBy::ascending("a")).is_err());
    }

    #[test]
    fn few_rows_are_sorted_and_many_are_walked() {
        assert!(walking_is_cheaper(1_000_000, 1_000_000, 11));
        assert!(walking_is_cheaper(1_000_000, 10_000, 11));
        assert!(!walking_is_cheaper(1_000_000, 10, 11));
        assert!(!walking_is_cheaper(1_000_000, 1_000, 101));
    }
}
