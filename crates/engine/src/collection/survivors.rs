//! Which rows of a new segment are alive: those whose sources still are.

use std::cell::RefCell;

use vecdb_vector::{RowId, RowMask};

use crate::segment::SourceRow;

/// Asked twice by each install, the second time under the lock that writers wait for. So the first answer looks at every
/// row, and those after it only at what has died since.
pub(super) struct Survivors<'a> {
    /// Ascending by part and row.
    order: &'a [SourceRow],
    known: RefCell<Option<Known>>,
}

struct Known {
    sources: Vec<Option<RowMask>>,
    live: Option<RowMask>,
}

impl<'a> Survivors<'a> {
    pub(super) fn new(order: &'a [SourceRow]) -> Self {
        debug_assert!(order.is_sorted_by_key(key));
        Self {
            order,
            known: RefCell::new(None),
        }
    }

    /// The rows that are alive, `None` when all are; `sources` are those of each part, `None` for all of a part.
    pub(super) fn among(&self, sources: &[Option<&RowMask>]) -> Option<RowMask> {
        let mut known = self.known.borrow_mut();
        let live = match known.take() {
            Some(Known {
                sources: before,
                live,
            }) if before.len() == sources.len() => self.without_died(live, &before, sources),
            _ => self.count_all(sources),
        };
        *known = Some(Known {
            sources: sources.iter().map(|source| source.cloned()).collect(),
            live: live.clone(),
        });
        live
    }

    fn count_all(&self, sources: &[Option<&RowMask>]) -> Option<RowMask> {
        let is_live = |source: &SourceRow| match sources.get(source.part as usize) {
            Some(Some(mask)) => mask.contains(source.row),
            Some(None) => true,
            None => false,
        };
        let mut live = None;
        for (row, source) in self.order.iter().enumerate() {
            if !is_live(source) {
                self.kill(&mut live, row);
            }
        }
        live
    }

    fn without_died(
        &self,
        mut live: Option<RowMask>,
        before: &[Option<RowMask>],
        sources: &[Option<&RowMask>],
    ) -> Option<RowMask> {
        for (part, (before, now)) in before.iter().zip(sources).enumerate() {
            let Some(now) = now else {
                continue;
            };
            let all;
            let before = match before {
                Some(before) => before,
                None => {
                    all = RowMask::all(now.rows());
                    &all
                }
            };
            for row in now.removed_since(before) {
                let died = (part as u32, row);
                if let Ok(at) = self.order.binary_search_by_key(&died, key) {
                    self.kill(&mut live, at);
                }
            }
        }
        live
    }

    fn kill(&self, live: &mut Option<RowMask>, row: usize) {
        live.get_or_insert_with(|| RowMask::all(self.order.len() as u32))
            .remove(RowId(row as u32));
    }
}

fn key(source: &SourceRow) -> (u32, RowId) {
    (source.part, source.row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_died_between_two_answers_is_what_a_full_look_finds() {
        let mut state = 7u64;
        let mut random = |below: u32| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32 % below
        };
        for rows in [1u32, 100, 70_000] {
            // Of three parts the first is whole, of the second every third row was dead, of the third nothing is taken.
            let mut parts = [
                None,
                Some(RowMask::from_rows(
                    rows,
                    (0..rows).filter(|row| row % 3 > 0).map(RowId),
                )),
                Some(RowMask::all(rows)),
            ];
            let taken = |part: u32, mask: &Option<RowMask>| {
                let mask = mask.clone().unwrap_or_else(|| RowMask::all(rows));
                let rows: Vec<_> = mask.iter().map(|row| SourceRow { part, row }).collect();
                rows
            };
            let order = [taken(0, &parts[0]), taken(1, &parts[1])].concat();
            let kept = Survivors::new(&order);
            for round in 0..6 {
                let sources: Vec<_> = parts.iter().map(Option::as_ref).collect();
                let found = kept.among(&sources);
                assert_eq!(
                    found,
                    kept.count_all(&sources),
                    "{rows} rows, round {round}"
                );
                for part in &mut parts {
                    for _ in 0..round * 10 {
                        let mask = part.get_or_insert_with(|| RowMask::all(rows));
                        mask.remove(RowId(random(rows)));
                    }
                }
            }
            // Parts that are gone.
            assert_eq!(kept.among(&[]).map(|live| live.count()), Some(0));
        }
    }
}
