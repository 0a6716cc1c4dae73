//! `storage compact`: segments merged, deleted rows dropped, and what that gave back.

use serde::Serialize;
use serde_json::json;
use vecdb_engine::CollectionInfo;

use super::super::collection::with_build_bar;
use super::super::session::{Intent, Session};
use crate::args::Globals;
use crate::failure::Outcome;
use crate::output::{Align, Console, Grid, bytes, count, decimal, plural};

/// Segments of a collection.
#[derive(Clone, Copy, Default, Serialize)]
struct Size {
    segments: u64,
    bytes: u64,
    rows: u64,
    deleted_rows: u64,
}

impl Size {
    fn of(info: &CollectionInfo) -> Self {
        let mut size = Self::default();
        for segment in &info.segments {
            size.segments += 1;
            size.bytes += segment.bytes;
            size.rows += u64::from(segment.rows);
            size.deleted_rows += u64::from(segment.rows - segment.live_rows);
        }
        size
    }

    fn add(&mut self, other: Self) {
        self.segments += other.segments;
        self.bytes += other.bytes;
        self.rows += other.rows;
        self.deleted_rows += other.deleted_rows;
    }
}

pub(super) fn run(console: &Console, globals: &Globals, name: Option<&str>) -> Outcome {
    Session::open(console, globals, Intent::Write)?.run(|session| compact(console, session, name))
}

fn compact(console: &Console, session: &Session, name: Option<&str>) -> Outcome {
    let names = match name {
        Some(name) => vec![name.to_owned()],
        None => {
            let all = session.backend().collections()?.into_iter();
            let usable = all.filter(|collection| collection.broken.is_none());
            usable.map(|collection| collection.name).collect()
        }
    };
    let (mut before, mut after) = (Size::default(), Size::default());
    let mut grid = Grid::new([
        ("Collection", Align::Left),
        ("Before", Align::Right),
        ("After", Align::Right),
        ("Deleted rows dropped", Align::Right),
    ]);
    let mut each = Vec::new();
    let shown = |size: Size| {
        format!(
            "{}, {}",
            plural(size.segments, "segment"),
            bytes(size.bytes)
        )
    };
    for name in &names {
        // So that sizes before and after are of the same points.
        session.backend().flush(name)?;
        let collection = session.collection(name);
        let was = Size::of(&collection.info()?);
        with_build_bar(console, collection, || collection.compact())?;
        let is = Size::of(&collection.info()?);
        grid.row([
            name.clone(),
            shown(was),
            shown(is),
            count(was.deleted_rows.saturating_sub(is.deleted_rows)),
        ]);
        each.push(json!({"collection": name, "before": was, "after": is}));
        before.add(was);
        after.add(is);
    }
    let reclaimed = before.bytes as i64 - after.bytes as i64;
    console.json(&json!({
        "collections": each,
        "before": before,
        "after": after,
        "reclaimed_bytes": reclaimed,
    }))?;
    console.grid(&grid)?;
    match u64::try_from(reclaimed) {
        Ok(reclaimed) => console.line(format_args!(
            "Space reclaimed: {} ({} %).",
            bytes(reclaimed),
            decimal(100.0 * reclaimed as f64 / before.bytes.max(1) as f64)
        )),
        Err(_) => console.line(format_args!(
            "Space taken: {}, for indexes that were missing.",
            bytes(reclaimed.unsigned_abs())
        )),
    }
}
