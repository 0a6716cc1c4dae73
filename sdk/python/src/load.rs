//! An upsert of batch after batch: calls of their own to a folder, a stream to a server.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use parking_lot::RwLockReadGuard;
use vecdb_backend::Remote;
use vecdb_engine::{Durability, Point, Result, StopSignal};

use crate::connection::{Connection, Open, closed};
use crate::stop::signal;
use crate::upsert::Batches;

/// Where batches go, and how.
pub(crate) struct Load<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) collection: &'a str,
    pub(crate) durability: Option<Durability>,
    /// How long all batches together may take.
    pub(crate) limit: Option<Duration>,
    /// How long each may take where there is no limit for all; a server's client has its own.
    pub(crate) batch_limit: Option<Duration>,
}

impl Load<'_> {
    /// Writes all batches. To be called without the interpreter lock.
    pub(crate) fn run(&self, batches: &Batches) -> Result<()> {
        // From here on the time counts, which the making of the batches takes as well.
        let whole = signal(self.limit);
        let Some(first) = batches.next() else {
            return Ok(());
        };
        let remote = self.connection.hold().as_ref().and_then(Open::remote);
        // To a server a single batch is a call like any other.
        if let Some(remote) = remote
            && let Some(second) = batches.next()
        {
            return self.stream(&remote, [first, second], batches, &whole);
        }
        let mut ahead = Some(first);
        while let Some(points) = ahead {
            let stop = match self.limit {
                Some(_) => whole.clone(),
                None => signal(self.batch_limit),
            };
            let result = self
                .connection
                .work(|backend| backend.upsert(self.collection, points, self.durability, &stop))?;
            batches.tell(&result);
            ahead = batches.next();
        }
        Ok(())
    }

    /// Several batches under way at a time. Once the connection is closed no more are sent; those that were are answered.
    fn stream(
        &self,
        remote: &Remote,
        begin: [Vec<Point>; 2],
        batches: &Batches,
        stop: &StopSignal,
    ) -> Result<()> {
        let held = Held::new(self.connection)?;
        let refused = Cell::new(false);
        let rest = std::iter::from_fn(|| {
            let batch = held.given_back(|| batches.next())?;
            refused.set(!held.is_open());
            held.is_open().then_some(batch)
        });
        let all = begin.into_iter().chain(rest);
        let tell = &mut |result| held.given_back(|| batches.tell(&result));
        remote.upsert_stream(self.collection, all, self.durability, stop, tell)?;
        if refused.get() { Err(closed()) } else { Ok(()) }
    }
}

/// Keeps a connection from being closed, but not while Python code runs: that may wait for whoever closes it.
struct Held<'a> {
    connection: &'a Connection,
    guard: RefCell<Option<RwLockReadGuard<'a, Option<Open>>>>,
}

impl<'a> Held<'a> {
    fn new(connection: &'a Connection) -> Result<Self> {
        let guard = connection.hold();
        guard.as_ref().ok_or_else(closed)?;
        Ok(Self {
            connection,
            guard: RefCell::new(Some(guard)),
        })
    }

    /// Does `python` while the connection may be closed.
    fn given_back<T>(&self, python: impl FnOnce() -> T) -> T {
        self.guard.replace(None);
        let done = python();
        self.guard.replace(Some(self.connection.hold()));
        done
    }

    fn is_open(&self) -> bool {
        let guard = self.guard.borrow();
        guard.as_ref().is_some_and(|open| open.is_some())
    }
}
