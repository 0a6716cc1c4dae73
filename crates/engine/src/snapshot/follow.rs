//! Following the archived log from a snapshot.

use std::collections::BTreeMap;
use std::path::Path;

use super::plan::{Along, Planned};
use crate::batch::WriteBatch;
use crate::collection::{Inner, Manifest};
use crate::database::Database;
use crate::error::Result;
use crate::schema::CollectionConfig;
use crate::stop::StopSignal;

/// What following the log came to.
pub(super) struct Followed {
    /// Live points of each collection, in their order.
    pub(super) points: Vec<u64>,
    /// Of the last write.
    pub(super) time: Option<i64>,
}

impl Database {
    /// An empty collection in the new folder `target`.
    pub(super) fn stage_empty(
        &self,
        name: &str,
        config: &CollectionConfig,
        target: &Path,
    ) -> Result<()> {
        Inner::create(self.shared().clone(), name, 0, target, config.clone()).map(drop)
    }

    /// Adds to the collections in their folders what the log has for them.
    pub(super) fn follow_log<'a>(
        &self,
        along: &Along,
        collections: impl Iterator<Item = (&'a Planned, &'a Path)>,
        stop: &StopSignal,
    ) -> Result<Followed> {
        let mut order = Vec::new();
        let mut open = BTreeMap::new();
        for (planned, folder) in collections {
            let inner = Inner::open(self.shared().clone(), &planned.name, planned.id, folder)?;
            // A position of another log: this one is durable up to there, whatever it is.
            inner.attach(self.log().clone());
            open.insert(planned.id, (inner, planned.after, folder));
            order.push(planned.id);
        }
        let mut last = None;
        along
            .archive
            .replay(along.after, along.to, stop, &mut |position, bytes| {
                let (id, time) = WriteBatch::head(bytes)?;
                last = last.max(i64::try_from(time).ok());
                let Some((inner, _, _)) = open.get(&id).filter(|(_, after, _)| position > *after)
                else {
                    return Ok(());
                };
                inner.replay(position, bytes)?;
                match inner.has_frozen() {
                    true => inner.flush_frozen(),
                    false => Ok(()),
                }
            })?;
        let mut points = Vec::with_capacity(order.len());
        for id in order {
            let Some((inner, _, folder)) = open.remove(&id) else {
                continue;
            };
            inner.flush()?;
            points.push(inner.snapshot().live_rows());
            drop(inner);
            // Nothing of it is in this database's log.
            let disk = self.disk().as_ref();
            let manifest = Manifest::read(disk, folder)?;
            let manifest = Manifest {
                generation: manifest.generation + 1,
                flushed: 0,
                ..manifest
            };
            manifest.write(disk, folder)?;
        }
        Ok(Followed { points, time: last })
    }
}
