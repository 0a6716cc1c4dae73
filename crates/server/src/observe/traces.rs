//! Spans for an OpenTelemetry collector, by OTLP over HTTP: one for each call that is sampled.
//!
//! A call that belongs to a trace (`traceparent`) is sampled as its caller decided, any other by `trace.sample_share`. Spans
//! are sent in batches by a thread of the library; if the collector is slow or away, spans are dropped and calls go on.

#[cfg(all(test, feature = "otlp"))]
mod tests;

use std::time::Duration;

use vecdb_engine::Result;

use super::Ended;
use crate::config::Trace;

/// Sends spans, where the settings name a collector.
#[derive(Debug)]
pub struct Traces {
    #[cfg(feature = "otlp")]
    sender: Option<otlp::Sender>,
}

#[cfg(feature = "otlp")]
impl Traces {
    /// Begins to send to `trace.otlp_endpoint`. Whether anybody listens there shows later, in the log.
    pub fn new(settings: &Trace) -> Result<Self> {
        let endpoint = settings.otlp_endpoint.as_deref();
        let sender = endpoint.map(|endpoint| otlp::Sender::new(endpoint, settings.sample_share));
        Ok(Self {
            sender: sender.transpose()?,
        })
    }

    pub(super) fn record(&self, ended: &Ended<'_>, elapsed: Duration) {
        if let Some(sender) = &self.sender {
            sender.record(ended, elapsed);
        }
    }

    /// Sends what waits, for at most `limit`.
    pub fn shutdown(&self, limit: Duration) {
        if let Some(sender) = &self.sender {
            sender.shutdown(limit);
        }
    }
}

#[cfg(not(feature = "otlp"))]
impl Traces {
    /// Refuses settings that name a collector: this build cannot send spans.
    pub fn new(settings: &Trace) -> Result<Self> {
        match &settings.otlp_endpoint {
            None => Ok(Self {}),
            Some(_) => Err(vecdb_engine::Error::new(
                vecdb_engine::ErrorKind::Unsupported,
                "trace.otlp_endpoint: this build sends no traces; build it with the feature \"otlp\"",
            )),
        }
    }

    pub(super) fn record(&self, _ended: &Ended<'_>, _elapsed: Duration) {}

    /// Nothing waits.
    pub fn shutdown(&self, _limit: Duration) {}
}

#[cfg(feature = "otlp")]
mod otlp {
    use std::collections::HashMap;
    use std::time::{Duration, SystemTime};

    use opentelemetry::propagation::TextMapPropagator;
    use opentelemetry::trace::{Span, SpanKind, Status, Tracer, TracerProvider};
    use opentelemetry::{Context, KeyValue};
    use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
    use vecdb_engine::{Error, ErrorKind, Result};

    use crate::gateway::Face;
    use crate::observe::Ended;

    #[derive(Debug)]
    pub(super) struct Sender {
        provider: SdkTracerProvider,
        tracer: SdkTracer,
        propagator: TraceContextPropagator,
    }

    impl Sender {
        pub(super) fn new(endpoint: &str, sample_share: f64) -> Result<Self> {
            let wrong =
                |what: String| Error::new(ErrorKind::InvalidArgument, format!("trace.{what}"));
            if !(0.0..=1.0).contains(&sample_share) {
                return Err(wrong(format!(
                    "sample_share: {sample_share} is not a share; it goes from 0 to 1"
                )));
            }
            let url = endpoint.trim_end_matches('/');
            let url = match url.strip_suffix("/v1/traces") {
                Some(_) => url.to_owned(),
                None => format!("{url}/v1/traces"),
            };
            // The HTTP client takes the cryptography that the process has chosen; if it has, this changes nothing.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let exporter = SpanExporter::builder()
                .with_http()
                .with_protocol(Protocol::HttpBinary)
                .with_endpoint(&url)
                .build()
                .map_err(|error| wrong(format!("otlp_endpoint: {endpoint:?}: {error}")))?;
            let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(sample_share)));
            let resource = Resource::builder()
                .with_service_name("vecdb")
                .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
                .build();
            let provider = SdkTracerProvider::builder()
                .with_batch_exporter(exporter)
                .with_sampler(sampler)
                .with_resource(resource)
                .build();
            Ok(Self {
                tracer: provider.tracer("vecdb"),
                provider,
                propagator: TraceContextPropagator::new(),
            })
        }

        pub(super) fn record(&self, ended: &Ended<'_>, elapsed: Duration) {
            let call = ended.call;
            let parent = match &call.traceparent {
                Some(traceparent) => {
                    let header = HashMap::from([("traceparent".to_owned(), traceparent.clone())]);
                    self.propagator
                        .extract_with_context(&Context::new(), &header)
                }
                None => Context::new(),
            };
            let end = SystemTime::now();
            let start = end.checked_sub(elapsed).unwrap_or(end);
            let mut span = self
                .tracer
                .span_builder(ended.operation.name())
                .with_kind(SpanKind::Server)
                .with_start_time(start)
                .start_with_context(&self.tracer, &parent);
            if span.is_recording() {
                span.set_attribute(KeyValue::new("db.system.name", "vecdb"));
                span.set_attribute(KeyValue::new("db.operation.name", ended.operation.name()));
                if !ended.collection.is_empty() {
                    let name = ended.collection.to_owned();
                    span.set_attribute(KeyValue::new("db.collection.name", name));
                }
                let face = match call.face {
                    Face::Grpc => "grpc",
                    Face::Http => "http",
                };
                span.set_attribute(KeyValue::new("vecdb.face", face));
                span.set_attribute(KeyValue::new("vecdb.request_id", call.request_id.clone()));
                let queued_ms = ended.queued.as_secs_f64() * 1_000.0;
                span.set_attribute(KeyValue::new("vecdb.queued_ms", queued_ms));
                if let Some(caller) = ended.caller {
                    span.set_attribute(KeyValue::new("enduser.id", caller.name().to_owned()));
                }
                if let Some(peer) = call.peer {
                    span.set_attribute(KeyValue::new("client.address", peer.to_string()));
                }
                if let Some(error) = ended.error {
                    span.set_attribute(KeyValue::new("error.type", error.kind().name()));
                    span.set_status(Status::error(error.to_string()));
                }
            }
            span.end_with_timestamp(end);
        }

        pub(super) fn shutdown(&self, limit: Duration) {
            if let Err(error) = self.provider.shutdown_with_timeout(limit) {
                tracing::warn!(%error, "not all spans could be sent");
            }
        }
    }
}
