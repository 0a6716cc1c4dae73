//! Points as lines of JSON (`application/x-ndjson`), of any number: read and written batch after batch.
//!
//! While one batch is written the next is read, and no more than that: the sender has to wait. A batch is written as a
//! whole or not at all; an error ends the request, and says how many points of earlier batches are written.

use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::http::{Response, StatusCode};
use bytes::BytesMut;
use futures_util::future::join;
use vecdb_engine::{Durability, Error, ErrorKind, Point, Result, WriteResult};

use super::body::{Incoming, parse};
use super::failure::{Failure, Outcome};
use super::{answer, json};
use crate::gateway::{Call, Gateway, Operation};

/// A batch is written once it has this many bytes.
const BATCH_BYTES: usize = 2 << 20;
/// Twice a vector of the largest dimension with every number written at full length.
const LINE_BYTES_MAX: usize = 4 << 20;

/// Answers with the totals of all batches.
pub(super) async fn upsert(
    gateway: &Gateway,
    call: &Call,
    collection: &str,
    durability: Option<Durability>,
    body: Body,
) -> Outcome<Response<Body>> {
    // Each batch is a call that the gateway writes down; what cannot be read never gets there.
    let unread = |failure: Failure| {
        gateway.record_refusal(call, Operation::Upsert, collection, &failure.error);
        failure
    };
    let mut lines = Lines::new(Incoming::new(gateway, body, call.deadline));
    // Without a line there still is an answer: that of a write of no points.
    let first = lines.batch().await.map_err(unread)?;
    let mut next = Ok(Some(first.unwrap_or_default()));
    let mut total: Option<WriteResult> = None;
    loop {
        let batch = match next {
            Ok(Some(batch)) => batch,
            Ok(None) => break,
            Err(failure) => return Err(after(unread(failure), total)),
        };
        let write = write(gateway, call, collection, durability, batch);
        let (written, read) = join(write, lines.batch()).await;
        match written {
            Ok(result) => total = Some(add(total, result)),
            Err(error) => return Err(after(error.into(), total)),
        }
        next = read;
    }
    let Some(total) = total else {
        return Err(Failure::invalid("the body holds no points"));
    };
    let response = json::WriteResponse::new(total, call.received.elapsed());
    Ok(answer::json(StatusCode::OK, &response))
}

async fn write(
    gateway: &Gateway,
    call: &Call,
    collection: &str,
    durability: Option<Durability>,
    batch: Batch,
) -> Result<WriteResult> {
    gateway.room_for_write().await;
    // The time limit of the server is one for each batch; that of the caller is one for all.
    let call = Call {
        received: Instant::now(),
        waits_for_room: true,
        ..call.clone()
    };
    let name = collection.to_owned();
    let bytes = batch.text.len();
    gateway
        .run(
            &call,
            Operation::Upsert,
            collection,
            bytes,
            move |backend, stop| backend.upsert(&name, batch.points()?, durability, stop),
        )
        .await
}

fn after(failure: Failure, total: Option<WriteResult>) -> Failure {
    let written = total.map_or(0, |total| total.inserted + total.updated);
    Failure {
        written: Some(written),
        ..failure
    }
}

fn add(total: Option<WriteResult>, last: WriteResult) -> WriteResult {
    let Some(total) = total else { return last };
    WriteResult {
        inserted: total.inserted + last.inserted,
        updated: total.updated + last.updated,
        deleted: total.deleted + last.deleted,
        ..last
    }
}

/// Whole lines.
#[derive(Default)]
struct Batch {
    text: Bytes,
    /// Lines before it.
    lines_before: u64,
}

impl Batch {
    fn points(&self) -> Result<Vec<Point>> {
        let lines = (self.lines_before + 1..).zip(self.text.split(|byte| *byte == b'\n'));
        let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
        lines
            .map(|(number, line)| {
                let point: json::Point = parse(line).map_err(|error| in_line(number, &error))?;
                Ok(point.into())
            })
            .collect()
    }
}

/// The parser sees one line at a time: its "line 1" would mislead.
fn in_line(number: u64, error: &Error) -> Error {
    let text = error.to_string();
    let what = match text.rsplit_once(" at line 1 column ") {
        Some((what, column)) => format!("{what} (column {column})"),
        None => text,
    };
    Error::new(ErrorKind::InvalidArgument, format!("line {number}: {what}"))
}

/// A body cut into batches.
struct Lines {
    incoming: Incoming,
    /// What is not in a batch yet.
    buffer: BytesMut,
    lines: u64,
    ended: bool,
}

impl Lines {
    fn new(incoming: Incoming) -> Self {
        Self {
            incoming,
            buffer: BytesMut::new(),
            lines: 0,
            ended: false,
        }
    }

    /// The next lines; none at the end.
    async fn batch(&mut self) -> Outcome<Option<Batch>> {
        while !self.ended && self.buffer.len() < BATCH_BYTES {
            self.read().await?;
        }
        loop {
            let line_end = self.buffer.iter().rposition(|byte| *byte == b'\n');
            let length = match line_end {
                Some(at) => at + 1,
                None if self.ended => self.buffer.len(),
                None if self.buffer.len() > LINE_BYTES_MAX => {
                    return Err(Failure::invalid(format!(
                        "line {} has more than {LINE_BYTES_MAX} bytes; each line is one point",
                        self.lines + 1
                    )));
                }
                None => {
                    self.read().await?;
                    continue;
                }
            };
            if length == 0 {
                return Ok(None);
            }
            let batch = Batch {
                text: self.buffer.split_to(length).freeze(),
                lines_before: self.lines,
            };
            self.lines += batch.text.iter().filter(|byte| **byte == b'\n').count() as u64;
            // From here on the call that writes it counts the bytes.
            self.incoming.meter().take();
            return Ok(Some(batch));
        }
    }

    async fn read(&mut self) -> Outcome<()> {
        match self.incoming.next().await? {
            Some(piece) => self.buffer.extend_from_slice(&piece),
            None => self.ended = true,
        }
        Ok(())
    }
}
