//! Reading points by id, in pages and by count.

use vecdb_filter::Filter;
use vecdb_vector::{RowId, RowMask, decode_row};

use super::order::{CURSOR_PREFIX, OrderBy};
use super::state::{AnyView, State};
use super::{Collection, Inner};
use crate::error::{Error, Result};
use crate::hex::{from_hex, to_hex};
use crate::part::Part;
use crate::point::{PointId, Record};
use crate::stop::StopSignal;

/// The most points of one page or one `get`.
pub const READ_POINTS_MAX: usize = 100_000;

/// A page of a scroll over all points.
#[derive(Clone, Debug)]
pub struct ScrollRequest {
    /// Where the last page ended; `None` to begin.
    pub cursor: Option<String>,
    /// How many points at most. Default: 100.
    pub limit: usize,
    /// Only points that match.
    pub filter: Option<Filter>,
    /// By the values of a field. Default: in the order of the ids' hashes. The same from page to page.
    pub order_by: Option<OrderBy>,
    /// Give the vectors. Default: no.
    pub with_vector: bool,
    /// Give the metadata. Default: yes.
    pub with_metadata: bool,
    /// Ends the scroll with an error.
    pub stop: StopSignal,
}

impl Default for ScrollRequest {
    fn default() -> Self {
        Self {
            cursor: None,
            limit: 100,
            filter: None,
            order_by: None,
            with_vector: false,
            with_metadata: true,
            stop: StopSignal::default(),
        }
    }
}

/// Points in the order that was asked for, and where to go on.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrollPage {
    /// The points.
    pub points: Vec<Record>,
    /// For the next request; `None` at the end. Stays valid through writes and merges: points that exist all the time
    /// come exactly once, by the values of a field those whose value stays the same.
    pub next_cursor: Option<String>,
}

impl Collection {
    /// The points of these ids, in the order of `ids`; `None` for those that do not exist.
    pub fn get(
        &self,
        ids: &[PointId],
        with_vector: bool,
        with_metadata: bool,
    ) -> Result<Vec<Option<Record>>> {
        self.get_with(ids, with_vector, with_metadata, &StopSignal::default())
    }

    /// [`Self::get`] until `stop` is given.
    pub fn get_with(
        &self,
        ids: &[PointId],
        with_vector: bool,
        with_metadata: bool,
        stop: &StopSignal,
    ) -> Result<Vec<Option<Record>>> {
        self.inner.check_usable()?;
        check_limit(ids.len())?;
        let state = self.inner.snapshot();
        let parts: Vec<_> = state.parts().collect();
        let mut records = Vec::with_capacity(ids.len());
        for (done, id) in ids.iter().enumerate() {
            if done.is_multiple_of(ROWS_PER_CHECK as usize) {
                stop.check()?;
            }
            let at = state.find(id)?;
            let record = at.map(|at| {
                let part = parts[at.part].part();
                self.inner.record(part, at.row, with_vector, with_metadata)
            });
            records.push(record.transpose()?);
        }
        Ok(records)
    }

    /// How many points there are, or match `filter`.
    pub fn count(&self, filter: Option<&Filter>) -> Result<u64> {
        self.count_with(filter, &StopSignal::default())
    }

    /// [`Self::count`] until `stop` is given, which is looked at before each part and while rows are read.
    pub fn count_with(&self, filter: Option<&Filter>, stop: &StopSignal) -> Result<u64> {
        self.inner.check_usable()?;
        let state = self.inner.snapshot();
        let Some(filter) = filter else {
            return Ok(state.live_rows());
        };
        let filter = filter.check(&state.fields)?;
        let mut count = 0;
        for view in state.parts() {
            stop.check()?;
            let matching = view.part().evaluate(&filter, stop)?.mask;
            count += view
                .live_and(Some(matching))
                .map_or(0, |mask| u64::from(mask.count()));
        }
        Ok(count)
    }

    /// One page of all points, or of those that match the filter.
    pub fn scroll(&self, request: &ScrollRequest) -> Result<ScrollPage> {
        self.inner.check_usable()?;
        check_limit(request.limit)?;
        if request.limit == 0 {
            return Err(Error::invalid("limit 0 asks for no points; use 1 or more"));
        }
        let state = self.inner.snapshot();
        let filter = request
            .filter
            .as_ref()
            .map(|filter| filter.check(&state.fields))
            .transpose()?;
        if let Some(order) = &request.order_by {
            return self.scroll_by(&state, filter.as_ref(), request, order);
        }
        let after = request.cursor.as_deref().map(parse_cursor).transpose()?;
        let mut merge = Merge::new(&state, filter.as_ref(), after.as_ref(), &request.stop)?;
        let mut points = Vec::new();
        let mut last = None;
        while points.len() < request.limit {
            let Some((hash, id, view, row)) = merge.next()? else {
                return Ok(ScrollPage {
                    points,
                    next_cursor: None,
                });
            };
            points.push(self.inner.record(
                view.part(),
                row,
                request.with_vector,
                request.with_metadata,
            )?);
            last = Some((hash, id));
        }
        let next_cursor = match merge.next()? {
            Some(_) => last.map(|(hash, id)| format_cursor(hash, &id)),
            None => None,
        };
        Ok(ScrollPage {
            points,
            next_cursor,
        })
    }
}

fn check_limit(count: usize) -> Result<()> {
    if count > READ_POINTS_MAX {
        return Err(Error::invalid(format!(
            "{count} points in one call; at most {READ_POINTS_MAX} are allowed"
        )));
    }
    Ok(())
}

/// Rows passed over between two looks at the stop signal.
pub(super) const ROWS_PER_CHECK: u32 = 256;

/// The live rows of all parts in the order of (id hash, id). An id is alive in one part at most.
pub(super) struct Merge<'a> {
    sources: Vec<Source<'a>>,
}

struct Source<'a> {
    stop: &'a StopSignal,
    view: AnyView<'a>,
    allowed: Option<RowMask>,
    at: u32,
    head: Option<(u64, PointId, RowId)>,
}

impl<'a> Source<'a> {
    fn advance(&mut self) -> Result<()> {
        self.head = None;
        let part = self.view.part();
        while self.at < part.rows() {
            if self.at.is_multiple_of(ROWS_PER_CHECK) {
                self.stop.check()?;
            }
            let (hash, row) = part.in_id_order(self.at)?;
            self.at += 1;
            if self.allowed.as_ref().is_none_or(|mask| mask.contains(row)) && self.view.is_live(row)
            {
                self.head = Some((hash, part.id(row)?, row));
                break;
            }
        }
        Ok(())
    }
}

impl<'a> Merge<'a> {
    pub(super) fn new(
        state: &'a State,
        filter: Option<&Filter>,
        after: Option<&(u64, PointId)>,
        stop: &'a StopSignal,
    ) -> Result<Self> {
        let mut sources = Vec::new();
        for view in state.parts() {
            stop.check()?;
            let allowed = filter
                .map(|filter| view.part().evaluate(filter, stop))
                .transpose()?
                .map(|evaluation| evaluation.mask);
            let at = after.map_or(Ok(0), |(hash, _)| view.part().rank_of_hash(*hash))?;
            let mut source = Source {
                stop,
                view,
                allowed,
                at,
                head: None,
            };
            source.advance()?;
            while let (Some(after), Some((hash, id, _))) = (after, &source.head) {
                if (*hash, id) > (after.0, &after.1) {
                    break;
                }
                source.advance()?;
            }
            sources.push(source);
        }
        Ok(Self { sources })
    }

    pub(super) fn next(&mut self) -> Result<Option<(u64, PointId, AnyView<'a>, RowId)>> {
        let heads = self
            .sources
            .iter()
            .enumerate()
            .filter_map(|(at, s)| s.head.as_ref().map(|h| (at, h)));
        let Some((at, _)) = heads.min_by(|(_, a), (_, b)| (a.0, &a.1).cmp(&(b.0, &b.1))) else {
            return Ok(None);
        };
        let source = &mut self.sources[at];
        let Some((hash, id, row)) = source.head.take() else {
            return Ok(None);
        };
        source.advance()?;
        Ok(Some((hash, id, source.view, row)))
    }
}

/// `hash-idbytes`, both in hexadecimal.
fn format_cursor(hash: u64, id: &PointId) -> String {
    format!("{hash:016x}-{}", to_hex(&id.to_bytes()))
}

fn parse_cursor(text: &str) -> Result<(u64, PointId)> {
    let parsed = || {
        let (hash, hex) = text.split_once('-')?;
        Some((
            u64::from_str_radix(hash, 16).ok()?,
            PointId::decode(&from_hex(hex)?)?,
        ))
    };
    if text.starts_with(CURSOR_PREFIX) {
        return Err(Error::invalid(
            "the cursor is of a scroll with order_by; keep order_by from page to page",
        ));
    }
    parsed().ok_or_else(|| {
        Error::invalid(format!(
            "{text:?} is not a cursor; pass the next_cursor of the page before"
        ))
    })
}

impl Inner {
    pub(super) fn record(
        &self,
        part: &dyn Part,
        row: RowId,
        with_vector: bool,
        with_metadata: bool,
    ) -> Result<Record> {
        Ok(Record {
            id: part.id(row)?,
            vector: with_vector
                .then(|| self.decode_vector(part, row))
                .transpose()?,
            metadata: with_metadata.then(|| part.metadata(row)).transpose()?,
        })
    }

    pub(super) fn decode_vector(&self, part: &dyn Part, row: RowId) -> Result<Vec<f32>> {
        let mut values = Vec::with_capacity(self.layout.dimension);
        part.check_row(row)?;
        decode_row(
            self.layout.element,
            self.layout.dimension,
            part.vectors()?.row_bytes(row),
            &mut values,
        );
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_nonsense_is_refused() {
        for id in [
            PointId::from(5),
            PointId::from("naïve"),
            PointId::Uuid(uuid::Uuid::from_u128(1)),
        ] {
            let text = format_cursor(77, &id);
            assert_eq!(parse_cursor(&text).unwrap(), (77, id));
        }
        for bad in ["", "-", "xyz", "00-0", "1-ff", "0123-é"] {
            assert!(parse_cursor(bad).is_err(), "{bad}");
        }
    }
}
