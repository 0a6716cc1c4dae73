//! One route: which operation, where, what goes in and comes out. The router and the document are made from the same
//! list, so that neither has what the other lacks.
//!
//! Parameters stand in the query of GET and DELETE, in the body of all else. An empty body is `{}`.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{Extension, Query, RawPathParams, Request, State};
use axum::http::{Response, StatusCode, Uri};
use axum::routing::{self, MethodRouter};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{HttpMethod, Ref, RefOr};
use vecdb_backend::Backend;
use vecdb_engine::{Durability, Error, ErrorKind, Result, StopSignal};

use super::body::{self, ContentType, Incoming};
use super::failure::{Failure, Outcome};
use super::json::{Empty, UpsertOptions};
use super::{answer, lines};
use crate::auth::Caller;
use crate::gateway::{About, Call, Gateway, Operation};

/// An operation on its path, before its types are forgotten.
pub(super) struct Endpoint<I, O> {
    operation: Operation,
    verb: Verb,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    status: StatusCode,
    takes_lines: bool,
    /// Which collection the parameters name, where the path names none.
    covers: Option<fn(&I) -> &str>,
    work: fn(&Job<'_>, I) -> Result<O>,
}

/// The methods there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Put,
    Post,
    Delete,
}

impl Verb {
    /// Whether parameters stand in the query.
    pub(super) fn has_query(self) -> bool {
        matches!(self, Verb::Get | Verb::Delete)
    }

    pub(super) fn method(self) -> HttpMethod {
        match self {
            Verb::Get => HttpMethod::Get,
            Verb::Put => HttpMethod::Put,
            Verb::Post => HttpMethod::Post,
            Verb::Delete => HttpMethod::Delete,
        }
    }
}

/// What an operation works on. It runs on the gateway's threads.
pub(super) struct Job<'a> {
    pub(super) backend: &'a dyn Backend,
    pub(super) stop: &'a StopSignal,
    pub(super) caller: &'a Caller,
    pub(super) target: &'a Target,
    /// What the query of the address says of it.
    pub(super) durability: Option<Durability>,
    /// When the request arrived.
    pub(super) received: Instant,
    /// For the logs.
    pub(super) about: &'a About,
}

/// What the path names.
#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    /// Empty: the database as a whole.
    pub(super) collection: String,
    /// A point's id, a metadata field or a snapshot's name.
    pub(super) name: String,
}

impl<I, O> Endpoint<I, O>
where
    I: DeserializeOwned + ToSchema + Send + 'static,
    O: Serialize + ToSchema + 'static,
{
    pub(super) fn new(
        operation: Operation,
        verb: Verb,
        path: &'static str,
        summary: &'static str,
        work: fn(&Job<'_>, I) -> Result<O>,
    ) -> Self {
        Self {
            operation,
            verb,
            path,
            id: operation.name(),
            summary,
            status: StatusCode::OK,
            takes_lines: false,
            covers: None,
            work,
        }
    }

    /// Answers 201.
    pub(super) fn created(self) -> Self {
        let status = StatusCode::CREATED;
        Self { status, ..self }
    }

    /// Has another name in the document than its operation.
    pub(super) fn called(self, id: &'static str) -> Self {
        Self { id, ..self }
    }

    /// Takes points as lines, too.
    pub(super) fn or_lines(self) -> Self {
        Self {
            takes_lines: true,
            ..self
        }
    }

    /// Takes the right on the collection that the parameters name; empty: the database as a whole.
    pub(super) fn covering(self, covers: fn(&I) -> &str) -> Self {
        let covers = Some(covers);
        Self { covers, ..self }
    }

    pub(super) fn route(self) -> Route {
        let endpoint = Arc::new(self);
        let shared = endpoint.clone();
        let handler = move |State(gateway): State<Arc<Gateway>>,
                            Extension(call): Extension<Call>,
                            path: Result<RawPathParams, RawPathParamsRejection>,
                            request: Request| {
            let endpoint = shared.clone();
            async move {
                let answered = endpoint.answer(&gateway, &call, path, request).await;
                answered.unwrap_or_else(|failure| failure.answer(&call.request_id))
            }
        };
        let handler = match endpoint.verb {
            Verb::Get => routing::get(handler),
            Verb::Put => routing::put(handler),
            Verb::Post => routing::post(handler),
            Verb::Delete => routing::delete(handler),
        };
        Route {
            verb: endpoint.verb,
            path: endpoint.path,
            id: endpoint.id,
            summary: endpoint.summary,
            status: endpoint.status,
            takes_lines: endpoint.takes_lines,
            request: Shape::of::<I>(),
            needs_request: serde_json::from_str::<I>("{}").is_err(),
            response: Shape::of::<O>(),
            handler,
        }
    }

    async fn answer(
        &self,
        gateway: &Arc<Gateway>,
        call: &Call,
        path: Result<RawPathParams, RawPathParamsRejection>,
        request: Request,
    ) -> Outcome<Response<Body>> {
        // From `run_as` on the gateway writes down how a call ends.
        let refused = |collection: &str, failure: Failure| {
            gateway.record_refusal(call, self.operation, collection, &failure.error);
            failure
        };
        let target = Target::of(path).map_err(|failure| refused("", failure))?;
        let read = self.read(gateway, call, &target, request).await;
        let (read, durability) = read.map_err(|failure| refused(&target.collection, failure))?;
        let given = match read {
            Read::Given(given) => given,
            Read::Lines(body) => {
                return lines::upsert(gateway, call, &target.collection, durability, body).await;
            }
        };
        let work = self.work;
        let collection = match self.covers {
            // A body that cannot be read names nothing; the error is given by the work.
            Some(covers) => given
                .read()
                .map_or_else(|_| String::new(), |i| covers(&i).to_owned()),
            None => target.collection.clone(),
        };
        let (received, about) = (call.received, call.about.clone());
        let request_bytes = given.bytes();
        let (operation, holder) = (self.operation, gateway.clone());
        let run = move |backend: &dyn Backend, stop: &StopSignal, caller: &Caller| {
            let job = Job {
                backend,
                stop,
                caller,
                target: &target,
                durability,
                received,
                about: &about,
            };
            let output = work(&job, given.read()?)?;
            let text = answer::text(&output)?;
            let held = holder.hold(operation, text.len())?;
            Ok((text, held))
        };
        let (text, held) = gateway
            .run_as(call, operation, &collection, request_bytes, run)
            .await?;
        let mut response = answer::of_type(self.status, answer::JSON, text);
        response.extensions_mut().insert(held);
        Ok(response)
    }

    /// What was sent, as far as its caller may send it, and the durability that the address asks for.
    async fn read(
        &self,
        gateway: &Gateway,
        call: &Call,
        target: &Target,
        request: Request,
    ) -> Outcome<(Read, Option<Durability>)> {
        let (parts, body) = request.into_parts();
        let mut durability = None;
        let given = if self.verb.has_query() {
            Given::Query(parts.uri)
        } else {
            if self.takes_lines {
                durability = query::<UpsertOptions>(&parts.uri)?.durability()?;
            } else {
                query::<Empty>(&parts.uri)?;
            }
            let content_type = ContentType::of(&parts.headers)?;
            let allowed = match self.covers {
                // What it takes is known once the body was read.
                Some(_) => gateway.check_in(call, Operation::GetStatus, ""),
                None => gateway.check_in(call, self.operation, &target.collection),
            };
            if allowed.is_err() {
                // Nothing is read from strangers. The gateway gives the refusal.
                Given::Body(Bytes::new())
            } else if self.takes_lines && content_type == ContentType::Lines {
                return Ok((Read::Lines(body), durability));
            } else {
                // Long operations have the time of others for their bodies.
                let deadline = gateway.deadline(call, Operation::Search);
                let mut incoming = Incoming::new(gateway, body, deadline);
                let body = incoming.whole(gateway.request_bytes_max()).await?;
                content_type.must_be_json(&body)?;
                // From here on the call itself counts the bytes.
                incoming.meter().take();
                Given::Body(body)
            }
        };
        Ok((Read::Given(given), durability))
    }
}

/// What came with a request.
enum Read {
    Given(Given),
    /// Points, one a line.
    Lines(Body),
}

/// Parameters as they came.
enum Given {
    Query(Uri),
    Body(Bytes),
}

impl Given {
    fn bytes(&self) -> usize {
        match self {
            Given::Query(_) => 0,
            Given::Body(body) => body.len(),
        }
    }

    fn read<I: DeserializeOwned>(&self) -> Result<I> {
        match self {
            Given::Query(uri) => query(uri),
            Given::Body(body) if body.is_empty() => body::parse(b"{}"),
            Given::Body(body) => body::parse(body),
        }
    }
}

pub(super) fn query<I: DeserializeOwned>(uri: &Uri) -> Result<I> {
    Query::try_from_uri(uri)
        .map(|Query(input)| input)
        .map_err(|error| {
            let cause = std::error::Error::source(&error)
                .map_or_else(|| error.to_string(), ToString::to_string);
            Error::new(
                ErrorKind::InvalidArgument,
                format!("the query of the address: {}", body::with_nearest(cause)),
            )
        })
}

impl Target {
    fn of(path: Result<RawPathParams, RawPathParamsRejection>) -> Outcome<Self> {
        let path = path.map_err(|error| {
            Failure::invalid(format!("the path of the address is not UTF-8: {error}"))
        })?;
        let mut target = Self::default();
        for (name, value) in &path {
            // The router lets empty segments pass, and an empty name would be the database as a whole.
            if value.is_empty() {
                return Err(Failure::new(
                    StatusCode::NOT_FOUND,
                    ErrorKind::NotFound,
                    format!("the path names no {name}: there is an empty segment in its place"),
                ));
            }
            match name {
                "collection" => target.collection = value.to_owned(),
                _ => target.name = value.to_owned(),
            }
        }
        Ok(target)
    }
}

/// One method of one path, as the router and the document need it.
pub(super) struct Route {
    pub(super) verb: Verb,
    pub(super) path: &'static str,
    /// Its name in the document.
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) status: StatusCode,
    pub(super) takes_lines: bool,
    pub(super) request: Shape,
    /// Without a request there are parameters missing.
    pub(super) needs_request: bool,
    pub(super) response: Shape,
    pub(super) handler: MethodRouter<Arc<Gateway>>,
}

/// A type as the document describes it.
pub(super) struct Shape {
    pub(super) name: String,
    /// It and all it refers to, by name.
    pub(super) schemas: Vec<(String, RefOr<Schema>)>,
}

impl Shape {
    pub(super) fn of<T: ToSchema>() -> Self {
        let name = T::name().into_owned();
        let mut schemas = vec![(name.clone(), T::schema())];
        T::schemas(&mut schemas);
        Self { name, schemas }
    }

    pub(super) fn reference(&self) -> Ref {
        Ref::from_schema_name(&self.name)
    }
}
