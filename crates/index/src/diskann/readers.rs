//! The readers of searches that have ended, for the next ones.

use std::fmt;

use parking_lot::Mutex;
use vecdb_storage::disk::{PageReader, PageSource};

use super::search::DEPTH;
use crate::IndexError;

/// As many readers as searches ran at once.
#[derive(Default)]
pub(super) struct Readers {
    free: Mutex<Vec<Box<dyn PageReader>>>,
}

impl Readers {
    pub(super) fn take(&self, source: &dyn PageSource) -> Result<Box<dyn PageReader>, IndexError> {
        if let Some(reader) = self.free.lock().pop() {
            return Ok(reader);
        }
        source
            .reader(DEPTH)
            .map_err(|source| IndexError::Reader { source })
    }

    /// Keeps a reader, once all that it was asked for has come.
    pub(super) fn give_back(&self, mut reader: Box<dyn PageReader>) {
        loop {
            match reader.wait() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        self.free.lock().push(reader);
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers")
            .field("free", &self.free.lock().len())
            .finish()
    }
}
