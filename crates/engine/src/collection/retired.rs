//! Parts that the newest state no longer names, until the last reader has let go of them.
//!
//! Freeing a memtable or unlinking a segment takes milliseconds. Without this list that would fall to whoever drops the
//! last state that holds the part: a search.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use super::state::State;
use crate::part::Part;

#[derive(Default)]
pub(crate) struct Retired {
    parts: Mutex<Vec<Arc<dyn Part>>>,
}

impl Retired {
    /// Keeps the parts of `before` that `after` is without.
    pub(super) fn keep(&self, before: &State, after: &State) {
        let kept: HashSet<*const ()> = after.shared_parts().map(|part| address(&part)).collect();
        let gone = before
            .shared_parts()
            .filter(|part| !kept.contains(&address(part)));
        self.parts.lock().extend(gone);
    }

    /// Lets go of the parts that nobody reads any more.
    pub(super) fn sweep(&self) {
        // Nobody can come by a part again that only this list holds.
        let unread: Vec<_> = self
            .parts
            .lock()
            .extract_if(.., |part| Arc::strong_count(part) == 1)
            .collect();
        drop(unread);
    }
}

fn address(part: &Arc<dyn Part>) -> *const () {
    Arc::as_ptr(part).cast()
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use super::*;
    use crate::collection::Collection;
    use crate::{CollectionConfig, Database, Metric, Options, Point};

    fn parts(collection: &Collection) -> Vec<Weak<dyn Part>> {
        let state = collection.inner.snapshot();
        state.shared_parts().map(|p| Arc::downgrade(&p)).collect()
    }

    fn alive(parts: &[Weak<dyn Part>]) -> usize {
        parts.iter().filter(|part| part.strong_count() > 0).count()
    }

    fn files(folder: &std::path::Path) -> usize {
        let rows = |path: &std::path::Path| path.extension().is_some_and(|e| e == "rows");
        let all = std::fs::read_dir(folder).unwrap();
        all.filter(|entry| rows(&entry.as_ref().unwrap().path()))
            .count()
    }

    #[test]
    fn readers_free_nothing_and_fresh_segments_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            background: false,
            ..Options::default()
        };
        let db = Database::open(folder.path(), options).unwrap();
        let config = CollectionConfig::new(2, Metric::L2);
        let collection = db.create_collection("points", config).unwrap();
        let inner = &collection.inner;
        let write = |first: u64| {
            let points = (first..first + 50).map(|id| Point::new(id, vec![id as f32, 0.0]));
            collection.upsert(points.collect()).unwrap();
        };

        write(0);
        let blocks = parts(&collection);
        let reader = inner.snapshot();
        collection.flush().unwrap();
        assert_eq!(alive(&blocks), blocks.len(), "a reader holds the memtable");
        drop(reader);
        assert_eq!(
            alive(&blocks),
            blocks.len(),
            "it was not the reader's to free"
        );
        inner.sweep();
        assert_eq!(alive(&blocks), 0);

        write(100);
        collection.flush().unwrap();
        let segments = parts(&collection);
        assert_eq!((segments.len(), files(&inner.folder)), (2, 2));
        let reader = inner.snapshot();
        collection.compact().unwrap();
        drop(reader);
        assert_eq!(
            files(&inner.folder),
            3,
            "two merged ones wait beside the new one"
        );
        inner.sweep();
        assert_eq!((alive(&segments), files(&inner.folder)), (0, 1));

        let state = inner.snapshot();
        assert!(state.segments.iter().all(|view| view.part.is_checked()));
    }
}
