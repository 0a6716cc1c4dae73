//! Clients that search one after the other, each over a connection of its own.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;
use vecdb_client::{Client, v1};

use super::http::HttpClient;
use super::{joined, row};
use crate::Outcome;
use crate::collection::NAME;
use crate::work::{Part, Searching, spread};

/// Which protocol is spoken.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Face {
    /// gRPC.
    Grpc,
    /// JSON over HTTP/1.1.
    Http,
}

/// All clients at once, to the end of their queries.
pub(super) async fn search(
    face: Face,
    address: &str,
    queries: Arc<Vec<Vec<f32>>>,
    searching: &Searching,
) -> Outcome<Vec<Part>> {
    let mut tasks = Vec::new();
    for part in spread(queries.len(), searching.clients) {
        let (queries, searching) = (queries.clone(), *searching);
        tasks.push(match face {
            Face::Grpc => {
                let client = Client::builder(address).retries(0).connect()?;
                tokio::spawn(over_grpc(client, queries, part, searching))
            }
            Face::Http => {
                let client = HttpClient::connect(address).await?;
                tokio::spawn(over_http(client, queries, part, searching))
            }
        });
    }
    let mut done = Vec::new();
    for task in tasks {
        done.push(joined(task.await)?);
    }
    Ok(done)
}

async fn over_grpc(
    client: Client,
    queries: Arc<Vec<Vec<f32>>>,
    part: Range<usize>,
    searching: Searching,
) -> Outcome<Part> {
    let mut done = searching.part();
    for (round, query) in searching.order(part) {
        let started = Instant::now();
        let answer = client.search(request(&queries[query], &searching)).await?;
        let elapsed = started.elapsed();
        done.push(round, elapsed, answer.results.iter().map(result_row));
    }
    Ok(done)
}

async fn over_http(
    mut client: HttpClient,
    queries: Arc<Vec<Vec<f32>>>,
    part: Range<usize>,
    searching: Searching,
) -> Outcome<Part> {
    let mut done = searching.part();
    for (round, query) in searching.order(part) {
        let started = Instant::now();
        let answer = client.search(&queries[query], &searching).await?;
        let elapsed = started.elapsed();
        done.push(round, elapsed, answer.rows());
    }
    Ok(done)
}

/// A search as a message.
pub(super) fn request(query: &[f32], searching: &Searching) -> v1::SearchRequest {
    v1::SearchRequest {
        collection: NAME.to_owned(),
        vector: query.to_vec(),
        limit: searching.k as u32,
        params: searching.ef.map(|ef| v1::SearchParams {
            ef: Some(ef),
            ..v1::SearchParams::default()
        }),
        with_metadata: Some(searching.with_metadata),
        ..Default::default()
    }
}

fn result_row(result: &v1::SearchResult) -> u32 {
    match result.id.as_ref().and_then(|id| id.kind.as_ref()) {
        Some(v1::point_id::Kind::Number(number)) => row(*number),
        _ => u32::MAX,
    }
}
