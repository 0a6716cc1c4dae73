//! What a connection is doing: the heads and requests on it, and when it has been idle too long.
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

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answer::Answers;
use super::frames::{Frames, Owed};
use crate::config::Limits;

/// What an HTTP/2 client sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What happened on a connection so far. Times are milliseconds since it was accepted.
#[derive(Debug)]
pub(super) struct Activity {
    accepted: Instant,
    /// The last request or answer ended.
    rested: AtomicU64,
    /// A head began to come, plus one; 0 if none is due.
    head: AtomicU64,
    /// Requests in their handlers.
    handling: AtomicUsize,
    pub(super) answers: Answers,
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
            rested: AtomicU64::new(0),
            head: AtomicU64::new(1),
            handling: AtomicUsize::new(0),
            answers: Answers::default(),
            is_http2: AtomicBool::new(false),
        })
    }

    /// A request is with its handler until the result is dropped.
    pub(super) fn handling(self: &Arc<Self>) -> Busy {
        // Another head of HTTP/2 may be on its way already.
        if !self.is_http2.load(Ordering::Relaxed) {
            self.head.store(0, Ordering::Relaxed);
        }
        self.handling.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// What the limits say at this moment.
    pub(super) fn patience(&self, limits: &Limits) -> Patience {
        let now = self.now();
        let (head_timeout, idle_timeout) = (limits.header_timeout_ms, limits.idle_timeout_ms);
        // What begins meanwhile may have less time than what is there now.
        let mut wait = head_timeout.min(idle_timeout).max(1);
        let untaken = self.answers.untaken_since();
        let head = self.head.load(Ordering::Relaxed).checked_sub(1);
        let dues = [
            untaken.map(|since| (since, idle_timeout, Patience::Over)),
            head.map(|since| (since, head_timeout, Patience::Over)),
            (head.is_none() && !self.is_busy()).then(|| {
                let rested = self.rested.load(Ordering::Relaxed);
                (rested, idle_timeout, Patience::Idle)
            }),
            // The gateway limits handlers; a stream may go on as long as its client likes.
        ];
        for (since, timeout, over) in dues.into_iter().flatten() {
            match (since + timeout).saturating_sub(now) {
                0 => return over,
                left => wait = wait.min(left),
            }
        }
        Patience::For(Duration::from_millis(wait))
    }

    /// A request is with its handler, or its answer on its way.
    fn is_busy(&self) -> bool {
        self.handling.load(Ordering::Relaxed) > 0 || !self.answers.is_empty()
    }

    /// Bytes came.
    fn read(&self) {
        // HTTP/2 sends frames of its own between requests; see `frames`.
        let begins = !self.is_http2.load(Ordering::Relaxed)
            && self.head.load(Ordering::Relaxed) == 0
            && !self.is_busy();
        if begins {
            self.head.store(self.now() + 1, Ordering::Relaxed);
        }
    }

    fn spoke_http2(&self) {
        self.is_http2.store(true, Ordering::Relaxed);
        self.head.store(0, Ordering::Relaxed);
    }

    fn owes(&self, owed: Owed) {
        match owed {
            Owed::Nothing => self.head.store(0, Ordering::Relaxed),
            Owed::New => self.head.store(self.now() + 1, Ordering::Relaxed),
            Owed::Still => {}
        }
    }

    /// Something has ended: from now on the connection rests, if nothing else is under way.
    pub(super) fn rest(&self) {
        self.rested.store(self.now(), Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> u64 {
        self.accepted.elapsed().as_millis() as u64
    }
}

/// A request is with its handler while this exists.
pub(super) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.rest();
        self.0.handling.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The stream of a connection; tells its [`Activity`] what moves.
pub(super) struct Observed<S> {
    stream: S,
    activity: Arc<Activity>,
    reading: Reading,
}

/// What is read.
enum Reading {
    /// So much of the HTTP/2 preface, so far.
    Preface(usize),
    Http1,
    Http2(Frames),
}

impl<S> Observed<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            activity,
            reading: Reading::Preface(0),
        }
    }

    fn look(&mut self, read: &[u8]) {
        match &mut self.reading {
            Reading::Http1 => self.activity.read(),
            Reading::Http2(frames) => self.activity.owes(frames.read(read)),
            Reading::Preface(matched) => {
                let expected = PREFACE.get(*matched..).unwrap_or_default();
                let (begin, rest) = read.split_at(read.len().min(expected.len()));
                *matched += begin.len();
                if !expected.starts_with(begin) {
                    self.reading = Reading::Http1;
                } else if *matched == PREFACE.len() {
                    self.activity.spoke_http2();
                    self.reading = Reading::Http2(Frames::default());
                    return self.look(rest);
                }
                self.activity.read();
            }
        }
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
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
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

#[cfg(test)]
mod tests {
    use bytes::Buf;
    use http_body_util::BodyExt;
    use tokio::io::AsyncReadExt;

    use super::super::answer::Answer;
    use super::*;

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
        let answer = Answer::new(axum::body::Body::empty(), None, &activity);
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
        // With the frame of settings that comes after it.
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        receive(&activity, &[PREFACE, &settings].concat()).await;
        assert!(matches!(
            activity.patience(&limits(1, 60_000)),
            Patience::For(_)
        ));
        assert_eq!(activity.patience(&limits(1, 0)), Patience::Idle);
    }

    #[tokio::test]
    async fn http2_owes_the_rest_of_a_head_also_beside_other_requests() {
        let activity = Activity::new();
        let begun = [PREFACE, &[0, 0, 20, 1, 4, 0, 0, 0, 1, 7]].concat();
        let mut stream = Observed::new(begun.as_slice(), activity.clone());
        stream.read_exact(&mut vec![0; begun.len()]).await.unwrap();
        let _busy = activity.handling();
        assert_eq!(activity.patience(&limits(0, 60_000)), Patience::Over);
        assert!(matches!(
            activity.patience(&limits(60_000, 0)),
            Patience::For(_)
        ));
    }

    #[tokio::test]
    async fn an_answer_that_nobody_takes_is_over_whatever_else_goes_on() {
        let activity = Activity::new();
        receive(&activity, PREFACE).await;
        let (sender, receiver) = tokio::sync::mpsc::channel::<Result<&str, axum::Error>>(2);
        let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let body = axum::body::Body::from_stream(stream);
        let mut answer = Answer::new(body, None, &activity);
        let _another = activity.handling();
        let is_over = || activity.patience(&limits(60_000, 0)) == Patience::Over;
        // The protocol has not asked for it.
        assert!(is_over());
        // There is nothing to take.
        assert!(futures_util::poll!(answer.frame()).is_pending());
        assert!(!is_over());
        // The protocol holds what nobody takes.
        sender.send(Ok("twelve bytes")).await.unwrap();
        let frame = answer.frame().await.unwrap().unwrap();
        let mut piece = frame.into_data().ok().unwrap();
        assert!(futures_util::poll!(answer.frame()).is_pending());
        assert!(is_over());
        tokio::time::sleep(Duration::from_millis(20)).await;
        piece.advance(5);
        assert!(matches!(
            activity.patience(&limits(60_000, 15)),
            Patience::For(_)
        ));
        drop(answer);
        assert!(is_over(), "the end of a body is not the end of its answer");
        drop(piece);
        assert!(!is_over());
    }
}
