//! What the server is doing: opening its database, serving it, ending, or broken.

use std::sync::Arc;
use std::time::Duration;

use vecdb_backend::Backend;
use vecdb_engine::{Error, ErrorKind, Result};

/// What the server is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayState {
    /// It opens the database; calls are refused for the moment.
    Opening,
    /// It serves.
    Ready,
    /// It was told to end: running calls do so, new ones are refused.
    Draining,
    /// The database cannot be opened, for this reason.
    Failed(String),
}

/// The state with what belongs to it.
pub(super) enum Phase {
    Opening,
    Ready(Arc<dyn Backend>),
    Draining,
    Failed(String),
}

impl Phase {
    pub(super) fn state(&self) -> GatewayState {
        match self {
            Phase::Opening => GatewayState::Opening,
            Phase::Ready(_) => GatewayState::Ready,
            Phase::Draining => GatewayState::Draining,
            Phase::Failed(reason) => GatewayState::Failed(reason.clone()),
        }
    }

    /// The database, where it serves.
    pub(super) fn backend(&self) -> Result<&Arc<dyn Backend>> {
        match self {
            Phase::Ready(backend) => Ok(backend),
            Phase::Opening => Err(Error::new(
                ErrorKind::Unavailable,
                "the server has just started and still opens its database",
            )
            .with_retry_after(Duration::from_millis(500))),
            Phase::Draining => Err(Error::new(
                ErrorKind::Unavailable,
                "the server is shutting down and takes no more calls",
            )
            .with_retry_after(Duration::from_secs(1))),
            // Waiting does not help: somebody has to look at it.
            Phase::Failed(reason) => Err(Error::new(
                ErrorKind::Unavailable,
                format!("the server could not open its database: {reason}"),
            )),
        }
    }
}
