//! The stream of upserts: several batches under way at a time, answered in their order.
//!
//! Batches under way at the same time may be written in any order, so a batch waits while one before it has one of its
//! ids: of two writes of a point the later one stays. The stream is not read on while enough batches are under way or
//! the server has no room, which stops its sender.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, FuturesOrdered, StreamExt};
use tokio::sync::watch;
use tonic::{Status, Streaming};
use vecdb_engine::{Error, ErrorKind, Result};
use vecdb_protocol::convert::{error_of, status_of};
use vecdb_protocol::v1;
use vecdb_protocol::v1::point_id::Kind;

use super::aside::Aside;
use super::front::complete;
use super::service::upsert;
use crate::gateway::{Call, Gateway, GatewayState, Meter, Operation};

/// What the caller gets.
pub(super) type Answers = BoxStream<'static, Answer>;
type Answer = std::result::Result<v1::UpsertResponse, Status>;

/// Batches under way. Enough that while some wait for the disk others are read and prepared.
const BATCHES_MAX: usize = 8;

pub(super) fn answers(
    gateway: Arc<Gateway>,
    call: Call,
    meter: Option<Meter>,
    requests: Streaming<v1::UpsertRequest>,
) -> Answers {
    let states = gateway.watch();
    let upserts = Upserts {
        gateway,
        call,
        meter,
        requests,
        states,
        collection: String::new(),
        next: None,
        under_way: FuturesOrdered::new(),
        ids: VecDeque::new(),
        hasher: RandomState::new(),
        end: None,
    };
    stream::unfold(Some(upserts), |upserts| async {
        let mut upserts = upserts?;
        let answer = upserts.answer().await?;
        // After an error nothing comes; dropping the rest stops it.
        let goes_on = answer.is_ok().then_some(upserts);
        Some((answer, goes_on))
    })
    .boxed()
}

struct Upserts {
    gateway: Arc<Gateway>,
    call: Call,
    meter: Option<Meter>,
    requests: Streaming<v1::UpsertRequest>,
    states: watch::Receiver<GatewayState>,
    /// The last that was named.
    collection: String,
    /// Read, and not under way yet.
    next: Option<Batch>,
    under_way: FuturesOrdered<BoxFuture<'static, Result<v1::UpsertResponse>>>,
    /// Of each batch under way, in the same order.
    ids: VecDeque<HashSet<u64>>,
    hasher: RandomState,
    /// Nothing more is read, because of an error or because there is no more.
    end: Option<std::result::Result<(), Status>>,
}

struct Batch {
    request: v1::UpsertRequest,
    bytes: usize,
    /// Hashes of its ids.
    ids: HashSet<u64>,
}

impl Upserts {
    /// The next answer; `None` after the last.
    async fn answer(&mut self) -> Option<Answer> {
        loop {
            self.begin_next();
            let may_read =
                self.end.is_none() && self.next.is_none() && self.under_way.len() < BATCHES_MAX;
            tokio::select! {
                biased;
                Some(answer) = self.under_way.next() => {
                    self.ids.pop_front();
                    return Some(answer.map_err(|error| status_of(&error)));
                }
                () = draining(&mut self.states), if self.end.is_none() => {
                    self.next = None;
                    self.end = Some(Err(status_of(&Error::new(
                        ErrorKind::Unavailable,
                        "the server is shutting down; the batches that were answered are written",
                    ))));
                }
                message = read(&self.gateway, &mut self.requests, self.meter.clone()), if may_read => match message {
                    Ok(Some(request)) => self.next = Some(self.batch(request)),
                    Ok(None) => self.end = Some(Ok(())),
                    Err(status) => self.end = Some(Err(self.unread(status))),
                },
                // Nothing is under way, so nothing holds back a batch: the end was reached.
                else => return self.end.replace(Ok(()))?.err().map(Err),
            }
        }
    }

    /// A batch that cannot be read.
    fn unread(&self, status: Status) -> Status {
        let status = complete(status);
        let error = error_of(&status);
        self.gateway
            .record_refusal(&self.call, Operation::Upsert, &self.collection, &error);
        status
    }

    /// Begins the batch that was read, unless one that has an id of it is under way.
    fn begin_next(&mut self) {
        let clash = |batch: &mut Batch| self.ids.iter().all(|ids| ids.is_disjoint(&batch.ids));
        let Some(batch) = self.next.take_if(clash) else {
            return;
        };
        let (gateway, mut call) = (self.gateway.clone(), self.call.clone());
        call.received = Instant::now();
        call.waits_for_room = true;
        let (request, collection) = (batch.request, self.collection.clone());
        self.ids.push_back(batch.ids);
        self.under_way.push_back(
            async move {
                let received = call.received;
                let work = move |backend: &_, stop: &_| upsert(backend, request, stop, received);
                gateway
                    .run(&call, Operation::Upsert, &collection, batch.bytes, work)
                    .await
            }
            .boxed(),
        );
    }

    fn batch(&mut self, mut request: v1::UpsertRequest) -> Batch {
        if request.collection.is_empty() {
            request.collection.clone_from(&self.collection);
        } else {
            self.collection.clone_from(&request.collection);
        }
        let ids = request.points.iter().filter_map(|point| point.id.as_ref());
        Batch {
            bytes: self.meter.as_ref().map_or(0, Meter::take),
            ids: ids.map(|id| hash(&self.hasher, id)).collect(),
            request,
        }
    }
}

async fn read(
    gateway: &Gateway,
    requests: &mut Streaming<v1::UpsertRequest>,
    meter: Option<Meter>,
) -> std::result::Result<Option<v1::UpsertRequest>, Status> {
    gateway.room_for_write().await;
    Aside::new(requests.message().boxed(), meter).await
}

/// An open stream would keep an ending server waiting.
async fn draining(states: &mut watch::Receiver<GatewayState>) {
    // An error means that the gateway is gone, which is no different.
    let _ = states
        .wait_for(|state| *state == GatewayState::Draining)
        .await;
}

/// The same for ids that are the same to the engine, to which a UUID has no case.
fn hash(hasher: &RandomState, id: &v1::PointId) -> u64 {
    let mut hasher = hasher.build_hasher();
    match &id.kind {
        Some(Kind::Number(number)) => number.hash(&mut hasher),
        Some(Kind::Text(text)) => {
            for byte in text.bytes() {
                hasher.write_u8(byte.to_ascii_lowercase());
            }
        }
        None => {}
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_are_the_same_have_the_same_hash() {
        let hasher = RandomState::new();
        let text = |text: &str| {
            let kind = Some(Kind::Text(text.to_owned()));
            hash(&hasher, &v1::PointId { kind })
        };
        assert_eq!(
            text("67E55044-10B1-426F-9247-BB680E5FE0C8"),
            text("67e55044-10b1-426f-9247-bb680e5fe0c8")
        );
        assert_ne!(text("5"), text("6"));
    }
}
