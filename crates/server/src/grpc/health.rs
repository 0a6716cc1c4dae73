//! The standard health service: serving while the gateway is ready, for the server as a whole and for `vecdb.v1.VecDB`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{self, SERVICE_NAME};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use vecdb_protocol::v1::vec_db_server::SERVICE_NAME as VECDB;

use super::open::busy;
use crate::gateway::{Gateway, GatewayState};

/// Watchers at a time. A stranger keeps a connection with one.
const WATCHES_MAX: usize = 1_000;
/// A watcher that wants to go on asks again.
const WATCH_MAX: Duration = Duration::from_secs(60 * 60);

pub(super) struct Health {
    gateway: Arc<Gateway>,
    watches: Arc<Semaphore>,
}

impl Health {
    pub(super) fn new(gateway: Arc<Gateway>) -> Self {
        Self {
            gateway,
            watches: Arc::new(Semaphore::new(WATCHES_MAX)),
        }
    }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = &request.get_ref().service;
        if !is_known(service) {
            return Err(Status::not_found(format!(
                "no service is named {service:?} (there are: {VECDB}, {SERVICE_NAME})"
            )));
        }
        Ok(Response::new(response(serving(&self.gateway.state()))))
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    /// The state now and whenever it changes. Ends when the server does, for it would keep its connection open, and after
    /// [`WATCH_MAX`].
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        if !is_known(&request.get_ref().service) {
            // The protocol wants the call to stay, as the service may come; none does here.
            let unknown = stream::iter([Ok(response(ServingStatus::ServiceUnknown))]);
            return Ok(Response::new(Box::pin(unknown)));
        }
        let place = self.watches.clone().try_acquire_owned();
        let place = place.map_err(|_| busy())?;
        let until = Instant::now() + WATCH_MAX;
        let mut states = self.gateway.watch();
        states.mark_changed();
        let changes = stream::unfold(Some((states, place)), move |watch| async move {
            let (mut states, place) = watch?;
            timeout_at(until, states.changed()).await.ok()?.ok()?;
            let state = states.borrow_and_update().clone();
            let goes_on = (state != GatewayState::Draining).then_some((states, place));
            Some((Ok(response(serving(&state))), goes_on))
        });
        Ok(Response::new(Box::pin(changes)))
    }
}

fn is_known(service: &str) -> bool {
    service.is_empty() || service == VECDB || service == SERVICE_NAME
}

fn serving(state: &GatewayState) -> ServingStatus {
    match state {
        GatewayState::Ready => ServingStatus::Serving,
        GatewayState::Opening | GatewayState::Draining | GatewayState::Failed(_) => {
            ServingStatus::NotServing
        }
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}
