//! Loading many batches over a stream.
//!
//! The answers come in the order of the batches. What was sent but not answered is kept, so that it can be sent again
//! over a new stream: upserting the same points twice is the same as once.
//!
//! A load takes as long as there is data: a deadline is one for the whole, and without one the client's time limit bounds
//! the wait for each answer.

use std::collections::VecDeque;
use std::future::Future;
use std::iter::Fuse;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use vecdb_client::{Client, ClientError, UpsertStream};
use vecdb_engine::{Durability, Error, ErrorKind, Point, Result, StopSignal, WriteResult};
use vecdb_protocol::v1;

use super::{Remote, engine_error, part, understood};

/// So many batches are under way at most: enough that the server never waits for this side.
const IN_FLIGHT: usize = 8;

pub(super) struct Load<'a, I> {
    remote: &'a Remote,
    /// With the deadline of the load, if it has one.
    client: Client,
    stop: &'a StopSignal,
    collection: &'a str,
    durability: Option<Durability>,
    batches: Fuse<I>,
    /// Sent or about to be, oldest first.
    unanswered: VecDeque<Arc<v1::UpsertRequest>>,
}

impl<'a, I: Iterator<Item = Vec<Point>>> Load<'a, I> {
    pub(super) fn new(
        remote: &'a Remote,
        collection: &'a str,
        durability: Option<Durability>,
        stop: &'a StopSignal,
        batches: I,
    ) -> Self {
        Self {
            remote,
            client: remote.client_until(stop),
            stop,
            collection,
            durability,
            batches: batches.fuse(),
            unanswered: VecDeque::new(),
        }
    }

    pub(super) fn run(mut self, progress: &mut dyn FnMut(WriteResult)) -> Result<()> {
        let mut attempt = 0;
        loop {
            let answered = &mut |result| {
                attempt = 0;
                progress(result);
            };
            let Err(error) = self.over_one_stream(answered)? else {
                return Ok(());
            };
            let Some(wait) = self.client.wait_before_retry(attempt, &error) else {
                return Err(engine_error(&error));
            };
            let pause = async { tokio::time::sleep(wait).await };
            self.remote.wait(self.stop, pause)?;
            attempt += 1;
        }
    }

    /// Sends until all is answered. The inner error is one of the stream.
    fn over_one_stream(
        &mut self,
        answered: &mut dyn FnMut(WriteResult),
    ) -> Result<Result<(), ClientError>> {
        let (sender, receiver) = mpsc::channel(IN_FLIGHT);
        for batch in &self.unanswered {
            send(&sender, batch);
        }
        let mut sender = Some(sender);
        // Some servers answer nothing at all before the first batch.
        self.fill(&mut sender)?;
        let mut stream = match self.open(receiver)? {
            Ok(stream) => stream,
            Err(error) => return Ok(Err(error)),
        };
        while !self.unanswered.is_empty() {
            let response = match self.wait(stream.next())? {
                Ok(Some(response)) => response,
                Ok(None) => return Err(ended_early(self.unanswered.len())),
                Err(error) => return Ok(Err(error)),
            };
            let result = understood(part(response.result)?.try_into())?;
            self.unanswered.pop_front();
            answered(result);
            self.fill(&mut sender)?;
        }
        Ok(Ok(()))
    }

    fn open(
        &self,
        batches: mpsc::Receiver<Arc<v1::UpsertRequest>>,
    ) -> Result<Result<UpsertStream, ClientError>> {
        let batches = ReceiverStream::new(batches);
        self.wait(self.client.upsert_stream(batches))
    }

    /// Waits for a step of the stream until the load is stopped; without a deadline, for as long as a call may take.
    fn wait<T>(&self, step: impl Future<Output = T>) -> Result<T> {
        let limit = self.client.timeout();
        let patience = limit.and_then(|limit| Instant::now().checked_add(limit));
        let stop = self.stop.clone();
        let stop = match (stop.deadline(), patience) {
            (None, Some(end)) => stop.with_deadline(end),
            _ => stop,
        };
        self.remote.wait(&stop, step)
    }

    /// Takes and sends batches until enough are under way; the sender goes with the last.
    fn fill(&mut self, sender: &mut Option<mpsc::Sender<Arc<v1::UpsertRequest>>>) -> Result<()> {
        while let Some(open) = sender
            && self.unanswered.len() < IN_FLIGHT
        {
            self.stop.check()?;
            let Some(points) = self.batches.next() else {
                *sender = None;
                return Ok(());
            };
            let batch = Arc::new(v1::UpsertRequest {
                collection: self.collection.to_owned(),
                points: points.into_iter().map(Into::into).collect(),
                durability: self.durability.map(Into::into),
            });
            send(open, &batch);
            self.unanswered.push_back(batch);
        }
        Ok(())
    }
}

/// There is always room: the channel holds as many batches as may be under way. One that is closed belongs to a broken
/// stream, which tells why when it is asked for the next answer.
fn send(sender: &mpsc::Sender<Arc<v1::UpsertRequest>>, batch: &Arc<v1::UpsertRequest>) {
    let _ = sender.try_send(batch.clone());
}

fn ended_early(batches: usize) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("the server ended the stream with {batches} batches not answered"),
    )
}
