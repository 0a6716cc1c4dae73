//! The OpenAPI document, made from the list of routes and the types of their bodies.

use axum::body::Bytes;
use utoipa::openapi::path::{
    OperationBuilder, ParameterBuilder, ParameterIn, PathItem, PathsBuilder,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Components, ComponentsBuilder, ContentBuilder, Header, HttpMethod, InfoBuilder, LicenseBuilder,
    OpenApi, OpenApiBuilder, Ref, RefOr, Required, Response, ResponseBuilder,
};

use vecdb_engine::{FIELD_NAME_BYTES_MAX, NAME_BYTES_MAX};

use super::answer;
use super::failure::ErrorResponse;
use super::json::UpsertOptions;
use super::route::{Route, Shape};
use super::service::Service;
use crate::gateway::REQUEST_ID;

const ABOUT: &str = "Collections of vectors with metadata, and search for the nearest of them.\n\n\
    Every answer has the header x-request-id: the request's own, or one made for it. With the header x-timeout-ms a \
    request says after how many milliseconds its caller no longer waits: the work then ends, with 504. Bodies refuse \
    unknown keys. Answers of 429 and 503 have the header retry-after, in seconds, where waiting helps.";

/// Errors that any operation can end with.
const ERRORS: [(u16, &str); 13] = [
    (400, "The request is wrong"),
    (401, "No credentials, or not known ones"),
    (403, "The caller may not do this"),
    (404, "There is no such collection, point or snapshot"),
    (409, "The name is taken"),
    (413, "The body is too large"),
    (415, "The body is of a type or encoding that is not taken"),
    (
        429,
        "Memory, disk or threads are used up; try again after the time in retry-after, if there is one",
    ),
    (499, "The call was cancelled"),
    (
        500,
        "Bytes on disk are not what was written, or the operating system refused an operation",
    ),
    (
        501,
        "Not set up on this server, or written by a newer version",
    ),
    (
        503,
        "Starting, ending, or refusing writes after one failed; try again after the time in retry-after, if there is one",
    ),
    (504, "The time limit of the call has passed"),
];

/// The document as JSON.
pub(super) fn write(routes: &[Route], services: &[Service]) -> Bytes {
    // A document is a tree of maps with texts as keys, which can always be written.
    answer::text(&document(routes, services))
        .unwrap_or_default()
        .into()
}

fn document(routes: &[Route], services: &[Service]) -> OpenApi {
    let mut paths = PathsBuilder::new();
    for service in services {
        paths = paths.path(
            service.path,
            PathItem::new(HttpMethod::Get, of_service(service)),
        );
    }
    for route in routes {
        paths = paths.path(
            route.path,
            PathItem::new(route.verb.method(), of_route(route)),
        );
    }
    let info = InfoBuilder::new()
        .title("VecDB")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(
            LicenseBuilder::new()
                .name("Apache-2.0")
                .identifier(Some("Apache-2.0"))
                .build(),
        ));
    // Without keys in the server's settings nobody needs one.
    let anyone = SecurityRequirement::default();
    let scheme = |name: &str| SecurityRequirement::new(name, Vec::<String>::new());
    OpenApiBuilder::new()
        .info(info.build())
        .paths(paths)
        .components(Some(components(routes, services)))
        .security(Some([scheme("bearer"), scheme("key"), anyone]))
        .build()
}

fn components(routes: &[Route], services: &[Service]) -> Components {
    let errors = Shape::of::<ErrorResponse<'_>>();
    let shapes = routes
        .iter()
        .flat_map(|route| {
            [
                Some(&route.request).filter(|_| !route.verb.has_query()),
                Some(&route.response),
            ]
        })
        .chain(services.iter().map(|service| service.response.as_ref()))
        .flatten()
        .chain([&errors]);
    let mut components = ComponentsBuilder::new();
    for shape in shapes {
        components = components.schemas_from_iter(shape.schemas.iter().cloned());
    }
    for (status, description) in ERRORS {
        components = components.response(error_name(status), error(status, description, &errors));
    }
    components
        .security_scheme(
            "bearer",
            SecurityScheme::Http(
                HttpBuilder::new()
                    .scheme(HttpAuthScheme::Bearer)
                    .description(Some("An API key or a JSON web token"))
                    .build(),
            ),
        )
        .security_scheme(
            "key",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
                "x-api-key",
                "An API key",
            ))),
        )
        .build()
}

fn error_name(status: u16) -> String {
    format!("Error{status}")
}

fn error(status: u16, description: &str, shape: &Shape) -> Response {
    let content = ContentBuilder::new()
        .schema(Some(shape.reference()))
        .build();
    let response = with_request_id(ResponseBuilder::new().description(description))
        .content(answer::JSON, content);
    match status {
        429 | 503 => response.header("retry-after", retry_after()).build(),
        _ => response.build(),
    }
}

fn with_request_id(response: ResponseBuilder) -> ResponseBuilder {
    let id = ObjectBuilder::new().schema_type(Type::String);
    response.header(REQUEST_ID.as_str(), Header::new(Schema::from(id)))
}

fn retry_after() -> Header {
    let seconds = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1));
    Header::new(Schema::from(seconds))
}

fn of_route(route: &Route) -> OperationBuilder {
    let content = ContentBuilder::new()
        .schema(Some(route.response.reference()))
        .build();
    let done =
        with_request_id(ResponseBuilder::new().description("Done")).content(answer::JSON, content);
    let mut operation = OperationBuilder::new()
        .operation_id(Some(route.id))
        .summary(Some(route.summary))
        .tag(tag(route.path))
        .response(route.status.as_str(), done);
    for name in names_in(route.path) {
        operation = operation.parameter(path_parameter(name));
    }
    if route.verb.has_query() {
        for (name, schema) in properties(&route.request) {
            operation = operation.parameter(in_query(name, schema));
        }
    } else {
        operation = operation.request_body(Some(request_body(route)));
    }
    if route.takes_lines {
        for (name, schema) in properties(&Shape::of::<UpsertOptions>()) {
            operation = operation.parameter(in_query(name, schema));
        }
    }
    for (status, _) in ERRORS {
        let name = error_name(status);
        operation = operation.response(status.to_string(), Ref::from_response_name(name));
    }
    operation
}

fn in_query(name: String, schema: RefOr<Schema>) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .schema(Some(schema))
}

fn of_service(service: &Service) -> OperationBuilder {
    let mut operation = OperationBuilder::new()
        .operation_id(Some(service.id))
        .summary(Some(service.summary))
        .tag("Server")
        // Nobody needs to say who they are.
        .securities(Some([SecurityRequirement::default()]));
    for (status, description) in service.statuses {
        let schema = match &service.response {
            Some(shape) => RefOr::Ref(shape.reference()),
            None if service.content_type == answer::JSON => {
                RefOr::T(Schema::from(ObjectBuilder::new()))
            }
            None => RefOr::T(Schema::from(ObjectBuilder::new().schema_type(Type::String))),
        };
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let response = with_request_id(ResponseBuilder::new().description(*description))
            .content(service.content_type, content);
        operation = operation.response(status.as_str(), response);
    }
    operation.response("400", Ref::from_response_name(error_name(400)))
}

fn request_body(route: &Route) -> RequestBody {
    let json = ContentBuilder::new()
        .schema(Some(route.request.reference()))
        .build();
    let required = if route.needs_request {
        Required::True
    } else {
        Required::False
    };
    let body = RequestBodyBuilder::new()
        .required(Some(required))
        .content(answer::JSON, json);
    if !route.takes_lines {
        return body.build();
    }
    let lines = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(
            "One point a line, any number of them: written in batches while they arrive. \
             {\"id\": 1, \"vector\": [0.9, 0.1, 0.0]}",
        ));
    let lines = ContentBuilder::new()
        .schema(Some(Schema::from(lines)))
        .build();
    body.content(answer::LINES, lines).build()
}

/// The names in braces.
fn names_in(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

fn path_parameter(name: &'static str) -> ParameterBuilder {
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1));
    let (schema, about) = match name {
        "collection" => (
            text.max_length(Some(NAME_BYTES_MAX))
                .pattern(Some(COLLECTION)),
            "The collection's name: letters, digits, _, - and ., not starting with .; at most 255 bytes",
        ),
        "id" => (
            text,
            "The point's id. Digits are a number; a string of digits, or one that is the name of an operation on \
             points, stands in double quotes: %225%22",
        ),
        "field" => (
            text.max_length(Some(FIELD_NAME_BYTES_MAX)),
            "The metadata field; dots and all",
        ),
        _ => (
            text.max_length(Some(64)).pattern(Some(SNAPSHOT)),
            "The snapshot's name",
        ),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(about))
        .schema(Some(Schema::from(schema)))
}

const COLLECTION: &str = r"^[\p{L}\p{N}_-][\p{L}\p{N}_.-]*$";
const SNAPSHOT: &str = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$";

/// The properties of a type that is an object.
fn properties(shape: &Shape) -> impl Iterator<Item = (String, RefOr<Schema>)> {
    let object = shape.schemas.first().and_then(|(_, schema)| match schema {
        RefOr::T(Schema::Object(object)) => Some(object.properties.clone()),
        _ => None,
    });
    object.into_iter().flatten()
}

fn tag(path: &str) -> &'static str {
    let searches = ["/search", "/search/batch", "/recommend", "/facets"];
    if searches.iter().any(|end| path.ends_with(end)) {
        "Search"
    } else if path.contains("/points") {
        "Points"
    } else if path.starts_with("/v1/collections") {
        "Collections"
    } else if path.starts_with("/v1/snapshots") {
        "Snapshots"
    } else {
        "Database"
    }
}
