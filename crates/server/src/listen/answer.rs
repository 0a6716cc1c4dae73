//! Answers on their way to clients, and since when a client has taken nothing of one.
//!
//! An HTTP/2 client may take what it likes of an answer, or nothing, while it asks and is pinged as usual. So each answer
//! is followed until the protocol has written its last byte: what the protocol holds of it counts like what it has not
//! asked for yet.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

use super::activity::Activity;
use crate::gateway::Held;

/// The answers of a connection that were not sent to their end.
#[derive(Debug, Default)]
pub(super) struct Answers {
    next: AtomicU64,
    all: Mutex<HashMap<u64, Weak<Progress>>>,
}

/// How far an answer has come.
#[derive(Debug)]
struct Progress {
    activity: Arc<Activity>,
    number: u64,
    /// When the client took something of it last, or when there began to be something.
    taken: AtomicU64,
    /// Pieces that the protocol holds.
    pieces: AtomicUsize,
    /// All there was to give was asked for: the client waits for us.
    is_dry: AtomicBool,
}

impl Answers {
    pub(super) fn is_empty(&self) -> bool {
        self.all.lock().is_empty()
    }

    /// Since when a client owes it to take something; of several answers the longest.
    pub(super) fn untaken_since(&self) -> Option<u64> {
        // The last of an answer takes it out, and so must not be dropped under the lock.
        let all: Vec<_> = self.all.lock().values().filter_map(Weak::upgrade).collect();
        all.iter().filter_map(|progress| progress.since()).min()
    }

    fn begin(activity: &Arc<Activity>) -> Arc<Progress> {
        let answers = &activity.answers;
        let progress = Arc::new(Progress {
            activity: activity.clone(),
            number: answers.next.fetch_add(1, Ordering::Relaxed),
            taken: AtomicU64::new(activity.now()),
            pieces: AtomicUsize::new(0),
            is_dry: AtomicBool::new(false),
        });
        let weak = Arc::downgrade(&progress);
        answers.all.lock().insert(progress.number, weak);
        progress
    }
}

impl Progress {
    fn since(&self) -> Option<u64> {
        let waits = self.pieces.load(Ordering::Relaxed) > 0 || !self.is_dry.load(Ordering::Relaxed);
        waits.then(|| self.taken.load(Ordering::Relaxed))
    }

    fn took(&self) {
        self.taken.store(self.activity.now(), Ordering::Relaxed);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.activity.rest();
        self.activity.answers.all.lock().remove(&self.number);
    }
}

/// The body of an answer.
pub(super) struct Answer {
    body: axum::body::Body,
    progress: Arc<Progress>,
    held: Option<Held>,
}

impl Answer {
    /// `held` is the room that the answer takes; it is given back when the last byte is written.
    pub(super) fn new(
        body: axum::body::Body,
        held: Option<Held>,
        activity: &Arc<Activity>,
    ) -> Self {
        Self {
            body,
            progress: Answers::begin(activity),
            held,
        }
    }
}

impl Body for Answer {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(context);
        let is_dry = polled.is_pending();
        if this.progress.is_dry.swap(is_dry, Ordering::Relaxed) && !is_dry {
            this.progress.took();
        }
        polled.map_ok(|frame| {
            frame.map_data(|bytes| Piece::new(bytes, &this.progress, this.held.clone()))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes of an answer in the hands of the protocol.
pub(super) struct Piece {
    bytes: Bytes,
    progress: Arc<Progress>,
    _held: Option<Held>,
}

impl Piece {
    fn new(bytes: Bytes, progress: &Arc<Progress>, held: Option<Held>) -> Self {
        progress.pieces.fetch_add(1, Ordering::Relaxed);
        Self {
            bytes,
            progress: progress.clone(),
            _held: held,
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.progress.took();
        self.bytes.advance(count);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.progress.took();
        self.progress.pieces.fetch_sub(1, Ordering::Relaxed);
    }
}
