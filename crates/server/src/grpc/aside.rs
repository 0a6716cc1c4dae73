//! Decoding large messages aside. The gRPC library decodes on the threads that serve connections; a message of 64 MiB takes
//! long enough for others to notice.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::gateway::Meter;

/// From so many bytes on the other tasks of the thread are moved to another one: that takes a few microseconds for every
/// further piece, and pays where decoding takes milliseconds.
const LARGE: u64 = 4 << 20;

/// A future that reads and decodes what `meter` counts.
pub(super) struct Aside<F> {
    future: F,
    meter: Option<Meter>,
}

impl<F> Aside<F> {
    pub(super) fn new(future: F, meter: Option<Meter>) -> Self {
        Self { future, meter }
    }
}

impl<F: Future + Unpin> Future for Aside<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let is_large = self
            .meter
            .as_ref()
            .is_some_and(|meter| meter.bytes() >= LARGE);
        let future = Pin::new(&mut self.future);
        if is_large && Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
            return tokio::task::block_in_place(|| future.poll(context));
        }
        future.poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc;
    use std::time::Duration;

    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};

    use super::*;
    use crate::auth::Authority;
    use crate::config::Config;
    use crate::gateway::Gateway;
    use crate::observe::Metrics;

    /// Whether another task of the only thread runs while a message of so many bytes is decoded.
    async fn others_run(bytes: u64) -> bool {
        let config = Config::default();
        let authority = Arc::new(Authority::new(&config.auth).unwrap());
        let gateway = Gateway::new(&config, authority, Arc::new(Metrics::new())).unwrap();
        let body = gateway.intake(Full::new(Bytes::from(vec![0; bytes as usize])));
        let meter = body.meter();
        body.collect().await.unwrap();
        let (sender, receiver) = mpsc::channel();
        let mut sender = Some(sender);
        let decoding = std::future::poll_fn(move |_| {
            let sender = sender.take();
            tokio::spawn(async move { sender.map(|sender| sender.send(())) });
            let limit = Duration::from_millis(if bytes < LARGE { 50 } else { 5_000 });
            Poll::Ready(receiver.recv_timeout(limit).is_ok())
        });
        Aside::new(decoding, Some(meter)).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_large_message_does_not_hold_up_other_tasks() {
        // In this order: once its tasks were moved, a thread goes on without them.
        let tasks = async { (others_run(LARGE - 1).await, others_run(LARGE).await) };
        assert_eq!(tokio::spawn(tasks).await.unwrap(), (false, true));
    }
}
