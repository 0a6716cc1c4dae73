//! A request body whose bytes count as in flight while they arrive, before anybody knows how many there will be: many
//! slow senders of large requests cannot fill the memory.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tower::BoxError;

use super::memory::{Memory, Reservation};

/// A body that takes room for its bytes as they come, and fails with an `Error` of the engine when there is none.
pub(crate) struct Intake<B> {
    body: B,
    meter: Meter,
}

/// What an [`Intake`] has read. Clones share it; the room is given back when the last is dropped.
#[derive(Clone)]
pub(crate) struct Meter(Arc<Mutex<Reservation>>);

impl<B> Intake<B> {
    pub(super) fn new(body: B, memory: &Arc<Memory>) -> Self {
        Self {
            body,
            meter: Meter(Arc::new(Mutex::new(memory.no_bytes()))),
        }
    }

    pub(crate) fn meter(&self) -> Meter {
        self.meter.clone()
    }
}

impl Meter {
    /// The bytes that came since the last [`Self::take`].
    pub(crate) fn bytes(&self) -> u64 {
        self.0.lock().bytes()
    }

    /// The bytes that came since the last time. Their room is given back: the call that they make takes it.
    pub(crate) fn take(&self) -> usize {
        let mut reservation = self.0.lock();
        let bytes = reservation.bytes();
        reservation.shrink(0);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

impl<B> Body for Intake<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => return Poll::Ready(None),
        };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let room = self.meter.0.lock().grow(bytes);
        Poll::Ready(Some(room.map(|()| frame).map_err(Into::into)))
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
    use http_body_util::{BodyExt, Full};
    use vecdb_engine::{Error, ErrorKind};

    use super::*;

    #[test]
    fn bytes_count_from_their_arrival_until_they_are_taken() {
        let memory = Arc::new(Memory::new(Some(40)));
        let body = || {
            let bytes = Full::new(Bytes::from_static(b"12345678"));
            Intake::new(bytes, &memory)
        };
        let run = |body: Intake<Full<Bytes>>| futures_util::FutureExt::now_or_never(body.collect());

        let first = body();
        let meter = first.meter();
        assert!(run(first).unwrap().is_ok());
        assert_eq!(memory.requests(), 8);
        let refused = run(body()).unwrap().unwrap_err();
        let refused = refused.downcast::<Error>().unwrap();
        assert_eq!(refused.kind(), ErrorKind::ResourceExhausted);
        assert_eq!(memory.requests(), 8);

        assert_eq!((meter.take(), meter.take()), (8, 0));
        assert_eq!(memory.requests(), 0);
        assert!(run(body()).unwrap().is_ok());
    }
}
