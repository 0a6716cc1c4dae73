//! Whether there is room for a call: memory for its request, and a place in the queue of its lane.
//!
//! Most calls are refused at once where there is none. The batches of a stream wait instead, and the stream is not read on
//! meanwhile: its sender has to stop sending, and sends nothing twice.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use vecdb_backend::Backend;
use vecdb_engine::{Error, ErrorKind, Result};

use super::lane::Job;
use super::memory::Reservation;
use super::{Access, Call, Gateway, Operation};
use crate::observe::Refusal;

/// How often a stream looks whether there is room for its next write.
const ROOM_EVERY: Duration = Duration::from_millis(5);

type Admitted = (Arc<dyn Backend>, Reservation);

impl Gateway {
    /// Waits until there is room for another write, but not beyond the time that a call may take: a stream stops reading
    /// meanwhile, and so its sender stops sending.
    pub(crate) async fn room_for_write(&self) {
        let timeout = Duration::from_millis(self.timeout_ms.load(Ordering::Relaxed));
        let begun = Instant::now();
        while self.has_room().is_err() && begun.elapsed() < timeout {
            tokio::time::sleep(ROOM_EVERY).await;
        }
    }

    fn has_room(&self) -> Result<()> {
        // Refusals other than for want of room are for the call itself to give.
        if let Ok(backend) = self.phase.load().backend() {
            self.admit_write(backend)?;
            self.memory.has_room()?;
            self.write.has_room()?;
        }
        Ok(())
    }

    /// The database, and room for the request.
    pub(super) async fn admit(
        &self,
        call: &Call,
        operation: Operation,
        request_bytes: usize,
        deadline: Option<Instant>,
    ) -> Result<Admitted> {
        loop {
            let (error, reason) = match self.admit_now(operation, request_bytes) {
                Ok(admitted) => return Ok(admitted),
                Err(refusal) => refusal,
            };
            if !waits(call, &error, deadline) {
                self.metrics.refuse(reason);
                return Err(error);
            }
            tokio::time::sleep(ROOM_EVERY).await;
        }
    }

    fn admit_now(
        &self,
        operation: Operation,
        request_bytes: usize,
    ) -> Result<Admitted, (Error, Refusal)> {
        let refused = |reason| move |error| (error, reason);
        let phase = self.phase.load();
        let backend = phase.backend().map_err(refused(Refusal::NotServing))?;
        if operation.access() == Access::Write {
            self.admit_write(backend)
                .map_err(refused(Refusal::Memory))?;
        }
        let reservation = self
            .memory
            .reserve(request_bytes)
            .map_err(refused(Refusal::Memory))?;
        Ok((backend.clone(), reservation))
    }

    /// Puts the work of a call into the queue of its lane. It has waited for `late` already.
    pub(super) async fn push(
        &self,
        call: &Call,
        operation: Operation,
        mut job: Job,
        late: Duration,
        deadline: Option<Instant>,
    ) -> Result<()> {
        let lane = self.lane(operation);
        while let Err((refused, error)) = lane.push(job, late) {
            if !waits(call, &error, deadline) {
                self.metrics.refuse(Refusal::Queue);
                return Err(error);
            }
            job = refused;
            tokio::time::sleep(ROOM_EVERY).await;
        }
        Ok(())
    }

    /// Refuses a write for want of memory, and has memtables written to segments meanwhile.
    fn admit_write(&self, backend: &Arc<dyn Backend>) -> Result<()> {
        self.memory
            .admit_write()
            .inspect_err(|_| self.relieve(backend))
    }
}

/// Whether the call waits for what it was refused for.
fn waits(call: &Call, error: &Error, deadline: Option<Instant>) -> bool {
    call.waits_for_room
        && error.kind() == ErrorKind::ResourceExhausted
        && deadline.is_none_or(|deadline| Instant::now() < deadline)
}
