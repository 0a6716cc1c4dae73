//! gRPC or HTTP? Told by the content type, as gRPC's own specification has it.

use axum::Router;
use axum::extract::Request;
use http::header::CONTENT_TYPE;
use tower::ServiceExt;

/// One router out of two: requests of gRPC go to the first, all others to the second.
pub(crate) fn by_protocol(grpc: Router, http: Router) -> Router {
    Router::new().fallback_service(tower::service_fn(move |request: Request| {
        let routes = if is_grpc(&request) { &grpc } else { &http };
        routes.clone().oneshot(request)
    }))
}

/// `application/grpc`, `application/grpc+proto`, but not `application/grpc-web`.
fn is_grpc(request: &Request) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE);
    content_type
        .and_then(|value| value.as_bytes().strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::routing::any;

    #[tokio::test]
    async fn the_content_type_decides() {
        let grpc = Router::new().fallback(any(async || "grpc"));
        let http = Router::new().fallback(any(async || "http"));
        let both = by_protocol(grpc, http);
        let cases = [
            ("application/grpc", "grpc"),
            ("application/grpc+proto", "grpc"),
            ("application/grpc;x=y", "grpc"),
            ("application/grpc-web", "http"),
            ("application/json", "http"),
            ("", "http"),
        ];
        for (content_type, face) in cases {
            let request = Request::post("/x").header(CONTENT_TYPE, content_type);
            let answer = both.clone().oneshot(request.body(Body::empty()).unwrap());
            let body = answer.await.unwrap().into_body();
            let body = axum::body::to_bytes(body, 100).await.unwrap();
            assert_eq!(body, face, "{content_type}");
        }
    }
}
