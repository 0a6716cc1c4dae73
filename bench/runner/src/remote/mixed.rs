//! Searches, upserts and deletes mixed, over gRPC.
//!
//! With a rate, requests start at random times (a Poisson process) whatever becomes of those before them, so that a
//! server which cannot keep up is not spared; a latency counts from the time that a request was due. Without one, each
//! connection sends as fast as it is answered, which finds what the server can sustain.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;
use vecdb_client::{Client, ClientError, v1};

use super::clients::request;
use super::joined;
use super::tally::{Done, Tally};
use crate::Outcome;
use crate::collection::NAME;
use crate::points::{Payloads, point};
use crate::rows::Rows;
use crate::work::Searching;

/// A request without an answer is given up after this.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What to send.
#[derive(Copy, Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mix {
    pub(crate) seconds: f64,
    pub(crate) connections: usize,
    /// Requests per second; as fast as they are answered where none is given.
    pub(crate) rate: Option<f64>,
    /// Of 100 requests so many are searches, and so many upserts of one point; the others delete one.
    pub(crate) searches: u64,
    pub(crate) upserts: u64,
    pub(crate) k: usize,
    pub(crate) seed: u64,
}

/// What requests are made of.
pub(super) struct Load {
    address: String,
    mix: Mix,
    searches: Vec<v1::SearchRequest>,
    points: Vec<v1::Point>,
}

/// A kind of request.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Search,
    Upsert,
    Delete,
}

/// One request of a kind: of which query or point.
#[derive(Copy, Clone)]
struct Task {
    kind: Kind,
    number: u64,
}

impl Load {
    pub(super) fn new(
        address: &str,
        (base, payloads): (&Rows, Option<&Payloads>),
        queries: &Rows,
        mix: Mix,
    ) -> Arc<Self> {
        let searching = Searching {
            clients: 1,
            k: mix.k,
            ef: None,
            with_metadata: true,
            repeat: 1,
        };
        let points = base.iter().enumerate();
        Arc::new(Self {
            address: address.to_owned(),
            mix,
            searches: queries
                .iter()
                .map(|query| request(query, &searching))
                .collect(),
            points: points
                .map(|(row, values)| point(row, values, payloads).into())
                .collect(),
        })
    }

    pub(super) async fn run(self: Arc<Self>) -> Outcome {
        let clients = (0..self.mix.connections)
            .map(|_| {
                let builder = Client::builder(&self.address).retries(0);
                Ok(builder.timeout(TIMEOUT).connect()?)
            })
            .collect::<Outcome<Vec<Client>>>()?;
        match self.mix.rate {
            Some(rate) => self.at_rate(&clients, rate).await,
            None => self.as_answered(clients).await,
        }
    }

    /// Requests when they are due.
    async fn at_rate(self: Arc<Self>, clients: &[Client], rate: f64) -> Outcome {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let counting = tokio::spawn(async move {
            let mut tally = Tally::default();
            while let Some(done) = receiver.recv().await {
                tally.add(done);
            }
            tally
        });
        let mut random = Random::new(self.mix.seed);
        let started = Instant::now();
        let end = Duration::from_secs_f64(self.mix.seconds);
        let mut due = Duration::ZERO;
        let mut clients = clients.iter().cycle();
        loop {
            due += Duration::from_secs_f64(-random.share().ln() / rate);
            if due >= end {
                break;
            }
            let at = started + due;
            // The timer has steps of a millisecond: what is due within one is sent at once.
            if at > Instant::now() {
                tokio::time::sleep_until(at.into()).await;
            }
            let Some(client) = clients.next() else { break };
            let (load, client, sender) = (self.clone(), client.clone(), sender.clone());
            let task = self.task(&mut random);
            tokio::spawn(async move {
                let sent = Instant::now();
                let result = load.send(&client, task).await;
                // Whoever counts goes last.
                let _ = sender.send(Done::new(task.kind, at, sent, result.err()));
            });
        }
        drop(sender);
        let tally = joined(counting.await.map(Ok))?;
        Ok(self.summary(tally, started.elapsed()))
    }

    /// Each connection sends its next request when the one before it is answered.
    async fn as_answered(self: Arc<Self>, clients: Vec<Client>) -> Outcome {
        let started = Instant::now();
        let end = started + Duration::from_secs_f64(self.mix.seconds);
        let tasks: Vec<_> = (0u64..)
            .zip(clients)
            .map(|(number, client)| {
                let load = self.clone();
                let mut random = Random::new(self.mix.seed.wrapping_add(number));
                tokio::spawn(async move {
                    let mut tally = Tally::default();
                    while Instant::now() < end {
                        let task = load.task(&mut random);
                        let sent = Instant::now();
                        let result = load.send(&client, task).await;
                        tally.add(Done::new(task.kind, sent, sent, result.err()));
                    }
                    Ok(tally)
                })
            })
            .collect();
        let mut all = Tally::default();
        for task in tasks {
            all.append(joined(task.await)?);
        }
        Ok(self.summary(all, started.elapsed()))
    }

    fn task(&self, random: &mut Random) -> Task {
        let kind = match random.next() % 100 {
            share if share < self.mix.searches => Kind::Search,
            share if share < self.mix.searches + self.mix.upserts => Kind::Upsert,
            _ => Kind::Delete,
        };
        let among = match kind {
            Kind::Search => self.searches.len(),
            Kind::Upsert | Kind::Delete => self.points.len(),
        };
        Task {
            kind,
            number: random.next() % (among.max(1) as u64),
        }
    }

    async fn send(&self, client: &Client, task: Task) -> Result<(), ClientError> {
        let number = task.number as usize;
        match task.kind {
            Kind::Search => {
                let request = self.searches[number].clone();
                client.search(request).await.map(drop)
            }
            Kind::Upsert => {
                let request = v1::UpsertRequest {
                    collection: NAME.to_owned(),
                    points: vec![self.points[number].clone()],
                    durability: None,
                };
                client.upsert(request).await.map(drop)
            }
            Kind::Delete => {
                let request = v1::DeleteRequest {
                    collection: NAME.to_owned(),
                    ids: self.points[number].id.clone().into_iter().collect(),
                    filter: None,
                };
                client.delete(request).await.map(drop)
            }
        }
    }

    fn summary(&self, tally: Tally, elapsed: Duration) -> Value {
        let mut summary = tally.summary();
        summary["seconds"] = elapsed.as_secs_f64().into();
        summary
    }
}

/// splitmix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// From 0 (never) to 1.
    fn share(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_have_the_mean_they_should() {
        let mut random = Random::new(7);
        let waits: f64 = (0..100_000).map(|_| -random.share().ln()).sum();
        assert!((waits / 1e5 - 1.0).abs() < 0.02, "{waits}");
    }
}
