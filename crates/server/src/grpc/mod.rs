//! The gRPC face: the service of `vecdb-protocol`, health and reflection.
//!
//! ```text
//! service  one method for each rpc: a message in, a message out, the gateway in between
//! upserts  the stream of upserts
//! aside    decoding large messages without holding up other tasks
//! front    before and behind every rpc: what headers say, request ids, errors that gRPC itself gives
//! open     what callers that nobody knows may hold
//! health   grpc.health.v1, by the state of the gateway
//! ```
//! Messages are converted on the threads that do the work, not on those that serve connections.

mod aside;
mod front;
mod health;
mod open;
mod service;
#[cfg(test)]
mod tests;
mod upserts;

use std::sync::Arc;

use axum::Router;
use tonic_health::pb::health_server::{HealthServer, SERVICE_NAME as HEALTH};
use tonic_reflection::server::Builder as Reflection;
use vecdb_protocol::v1::vec_db_server::{SERVICE_NAME as VECDB, VecDbServer};

use crate::gateway::Gateway;
use front::Front;
use health::Health;
use open::Open;
use service::Service;

/// Calls of a reflection service at a time: each is a tool that somebody looks at.
const REFLECTIONS_MAX: usize = 64;

/// All services, at their paths.
pub(crate) fn routes(gateway: Arc<Gateway>) -> Router {
    let vecdb = VecDbServer::new(Service::new(gateway.clone()))
        .max_decoding_message_size(gateway.request_bytes_max());
    let health = HealthServer::new(Health::new(gateway.clone()));
    let mut router = Router::new()
        .route_service(&at(VECDB), Front::new(vecdb, gateway.clone()))
        .route_service(&at(HEALTH), Open::new(health, gateway.clone()));
    // The descriptors are part of the program, so this fails for all servers or for none: see the test.
    match reflection().build_v1() {
        Ok(service) => {
            let service = Open::new(service, gateway.clone()).at_a_time(REFLECTIONS_MAX);
            router = router.route_service(&at("grpc.reflection.v1.ServerReflection"), service);
        }
        Err(error) => tracing::error!(%error, "no reflection"),
    }
    match reflection().build_v1alpha() {
        Ok(service) => {
            let service = Open::new(service, gateway).at_a_time(REFLECTIONS_MAX);
            router = router.route_service(&at("grpc.reflection.v1alpha.ServerReflection"), service);
        }
        Err(error) => tracing::error!(%error, "no reflection for older clients"),
    }
    router
}

fn at(service: &str) -> String {
    format!("/{service}/{{*method}}")
}

fn reflection() -> Reflection<'static> {
    Reflection::configure()
        .register_encoded_file_descriptor_set(vecdb_protocol::DESCRIPTOR)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
