//! A connection that speaks HTTP/1.1 and stays open.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::net::TcpStream;

use super::row;
use crate::Outcome;
use crate::collection::NAME;
use crate::work::Searching;

/// One connection.
pub(super) struct HttpClient {
    address: String,
    sender: SendRequest<Full<Bytes>>,
}

/// What is sent.
#[derive(Serialize)]
struct Search<'a> {
    vector: &'a [f32],
    limit: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<Params>,
    with_metadata: bool,
}

#[derive(Serialize)]
struct Params {
    ef: u32,
}

/// What comes back, as far as a caller wants it.
#[derive(Deserialize)]
pub(super) struct Answer {
    results: Vec<Hit>,
}

#[derive(Deserialize)]
#[allow(
    dead_code,
    reason = "a caller wants all of it read, whatever is looked at here"
)]
struct Hit {
    id: u64,
    score: f32,
    distance: f32,
    metadata: Option<Map<String, Value>>,
}

impl Answer {
    /// The rows found, nearest first.
    pub(super) fn rows(&self) -> impl Iterator<Item = u32> {
        self.results.iter().map(|hit| row(hit.id))
    }
}

impl HttpClient {
    pub(super) async fn connect(address: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends with the sender; a failure is seen by the request that it fails.
        tokio::spawn(connection);
        Ok(Self {
            address: address.to_owned(),
            sender,
        })
    }

    pub(super) async fn search(&mut self, query: &[f32], searching: &Searching) -> Outcome<Answer> {
        let body = serde_json::to_vec(&Search {
            vector: query,
            limit: searching.k,
            params: searching.ef.map(|ef| Params { ef }),
            with_metadata: searching.with_metadata,
        })?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/v1/collections/{NAME}/search"))
            .header(HOST, &self.address)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            let text = String::from_utf8_lossy(&body);
            return Err(format!("the server answered {status}: {text:.200}").into());
        }
        Ok(serde_json::from_slice(&body)?)
    }
}
