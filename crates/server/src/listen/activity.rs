//! What a connection is doing: the bytes and requests on it, and when it has been idle too long.
//!
//! A client that sends the head of a request a byte at a time, or nothing at all, holds a connection without ever
//! getting to a handler, so the time limits are kept here, below HTTP. hyper's own limit for heads also runs between
//! two requests, where a client may rest for longer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::config::Limits;

/// What an HTTP/2 client sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What happened on a connection so far. Times are milliseconds since it was accepted.
#[derive(Debug)]
pub(super) struct Activity {
    accepted: Instant,
    /// Bytes were read or written.
    moved: AtomicU64,
    /// The last request ended.
    rested: AtomicU64,
    /// A head began to come, plus one; 0 if none is due.
    head: AtomicU64,
    /// Requests in their handlers.
    handling: AtomicUsize,
    /// Answers on their way.
    answering: AtomicUsize,
    is_http2: AtomicBool,
}

/// How long a connection may go on as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// So long, then look again.
    For(Duration),
    /// No longer: nothing is under way.
    Idle,
    /// No longer: the client is too slow.
    Over,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            accepted: Instant::now(),
            moved: AtomicU64::new(0),
            rested: AtomicU64::new(0),
            head: AtomicU64::new(1),
            handling: AtomicUsize::new(0),
            answering: AtomicUsize::new(0),
            is_http2: AtomicBool::new(false),
        })
    }

    /// A request is with its handler until the result is dropped.
    pub(super) fn handling(self: &Arc<Self>) -> Busy {
        self.head.store(0, Ordering::Relaxed);
        self.handling.fetch_add(1, Ordering::Relaxed);
        Busy {
            activity: self.clone(),
            counter: |activity| &activity.handling,
        }
    }

    /// An answer is on its way until the result is dropped.
    fn answering(self: &Arc<Self>) -> Busy {
        self.answering.fetch_add(1, Ordering::Relaxed);
        Busy {
            activity: self.clone(),
            counter: |activity| &activity.answering,
        }
    }

    /// What the limits say at this moment.
    pub(super) fn patience(&self, limits: &Limits) -> Patience {
        let now = self.now();
        let head_timeout = limits.header_timeout_ms;
        let (since, timeout, over) = if self.handling.load(Ordering::Relaxed) > 0 {
            // The gateway limits handlers.
            (now, head_timeout, Patience::Over)
        } else if self.answering.load(Ordering::Relaxed) > 0 {
            let moved = self.moved.load(Ordering::Relaxed);
            (moved, limits.idle_timeout_ms, Patience::Over)
        } else {
            match self.head.load(Ordering::Relaxed) {
                0 => {
                    let rested = self.rested.load(Ordering::Relaxed);
                    (rested, limits.idle_timeout_ms, Patience::Idle)
                }
                since => (since - 1, head_timeout, Patience::Over),
            }
        };
        match (since + timeout).saturating_sub(now) {
            0 => over,
            // What begins meanwhile may have less time than what is there now.
            left => {
                let least = left.min(head_timeout).min(limits.idle_timeout_ms);
                Patience::For(Duration::from_millis(least))
            }
        }
    }

    fn read(&self) {
        let now = self.now();
        self.moved.store(now, Ordering::Relaxed);
        let resting = self.handling.load(Ordering::Relaxed) == 0
            && self.answering.load(Ordering::Relaxed) == 0
            && self.head.load(Ordering::Relaxed) == 0;
        // HTTP/2 sends frames of its own between requests.
        if resting && !self.is_http2.load(Ordering::Relaxed) {
            self.head.store(now + 1, Ordering::Relaxed);
        }
    }

    fn spoke_http2(&self) {
        self.is_http2.store(true, Ordering::Relaxed);
        self.head.store(0, Ordering::Relaxed);
    }

    fn wrote(&self) {
        self.moved.store(self.now(), Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        self.accepted.elapsed().as_millis() as u64
    }
}

/// Something is under way on the connection while this exists.
pub(super) struct Busy {
    activity: Arc<Activity>,
    counter: fn(&Activity) -> &AtomicUsize,
}

impl Drop for Busy {
    fn drop(&mut self) {
        let now = self.activity.now();
        self.activity.rested.store(now, Ordering::Relaxed);
        (self.counter)(&self.activity).fetch_sub(1, Ordering::Relaxed);
    }
}

/// The stream of a connection; tells its [`Activity`] what moves.
pub(super) struct Observed<S> {
    stream: S,
    activity: Arc<Activity>,
    /// How much of the HTTP/2 preface was read; `None` once that is decided.
    preface: Option<usize>,
}

impl<S> Observed<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            activity,
            preface: Some(0),
        }
    }

    fn look(&mut self, read: &[u8]) {
        let Some(matched) = self.preface else { return };
        let expected = PREFACE.get(matched..).unwrap_or_default();
        let len = read.len().min(expected.len());
        self.preface = match (read.get(..len) == expected.get(..len), matched + len) {
            (false, _) => None,
            (true, all) if all == PREFACE.len() => {
                self.activity.spoke_http2();
                None
            }
            (true, part) => Some(part),
        };
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Observed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if let Some(read) = buf.filled().get(before..).filter(|read| !read.is_empty()) {
            self.activity.read();
            self.look(read);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Observed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.activity.wrote();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs))?;
        self.activity.wrote();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The body of an answer; the connection is busy until it ends.
pub(super) struct Answer {
    body: axum::body::Body,
    _busy: Busy,
}

impl Answer {
    pub(super) fn new(body: axum::body::Body, activity: &Arc<Activity>) -> Self {
        Self {
            body,
            _busy: activity.answering(),
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    fn limits(head_ms: u64, idle_ms: u64) -> Limits {
        Limits {
            header_timeout_ms: head_ms,
            idle_timeout_ms: idle_ms,
            ..Limits::default()
        }
    }

    /// Reads `sent` as a connection would.
    async fn receive(activity: &Arc<Activity>, sent: &[u8]) {
        let mut stream = Observed::new(sent, activity.clone());
        // In two pieces, so that the preface is put together.
        let mut half = vec![0; sent.len() / 2];
        stream.read_exact(&mut half).await.unwrap();
        stream.read_to_end(&mut half).await.unwrap();
    }

    #[tokio::test]
    async fn what_a_connection_does_decides_how_long_it_may() {
        let long = 60_000;
        // Nothing was sent yet: the time for heads.
        let activity = Activity::new();
        assert_eq!(activity.patience(&limits(0, long)), Patience::Over);
        assert!(matches!(
            activity.patience(&limits(long, 0)),
            Patience::For(_)
        ));
        // A request is with its handler: no limit.
        receive(&activity, b"GET / HTTP/1.1\r\n\r\n").await;
        let busy = activity.handling();
        assert!(matches!(activity.patience(&limits(1, 0)), Patience::For(_)));
        // Its answer is on its way: bytes must move.
        let answer = Answer::new(axum::body::Body::empty(), &activity);
        drop(busy);
        assert_eq!(activity.patience(&limits(long, 0)), Patience::Over);
        assert!(matches!(
            activity.patience(&limits(long, long)),
            Patience::For(_)
        ));
        // Between two requests: idle.
        drop(answer);
        assert_eq!(activity.patience(&limits(long, 0)), Patience::Idle);
        assert!(matches!(
            activity.patience(&limits(1, long)),
            Patience::For(_)
        ));
        // The next head begins.
        receive(&activity, b"GE").await;
        assert_eq!(activity.patience(&limits(0, long)), Patience::Over);
    }

    #[tokio::test]
    async fn http2_may_rest_before_its_first_request() {
        let activity = Activity::new();
        receive(&activity, &PREFACE[..20]).await;
        assert_eq!(activity.patience(&limits(0, 60_000)), Patience::Over);
        let activity = Activity::new();
        receive(&activity, &[PREFACE, b"frames"].concat()).await;
        assert!(matches!(
            activity.patience(&limits(1, 60_000)),
            Patience::For(_)
        ));
        assert_eq!(activity.patience(&limits(1, 0)), Patience::Idle);
    }
}
