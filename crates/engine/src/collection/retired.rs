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
