//! The standard health service: serving while the gateway is ready, for the server as a whole and for `vecdb.v1.VecDB`.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{self, SERVICE_NAME};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use vecdb_protocol::v1::vec_db_server::SERVICE_NAME as VECDB;

use crate::gateway::{Gateway, GatewayState};

pub(super) struct Health {
    gateway: Arc<Gateway>,
}

impl Health {
    pub(super) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
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

    /// The state now and whenever it changes. Ends when the server does, for it would keep its connection open.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        if !is_known(&request.get_ref().service) {
            // The protocol wants the call to stay, as the service may come; none does here.
            let unknown = stream::iter([Ok(response(ServingStatus::ServiceUnknown))]);
            return Ok(Response::new(Box::pin(unknown)));
        }
        let mut states = self.gateway.watch();
        states.mark_changed();
        let changes = stream::unfold(Some(states), |states| async {
            let mut states = states?;
            states.changed().await.ok()?;
            let state = states.borrow_and_update().clone();
            let goes_on = (state != GatewayState::Draining).then_some(states);
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
