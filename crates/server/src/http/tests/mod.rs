//! The face over a real database, without sockets. Every JSON answer is held against the document.

mod document;
mod query;
mod refusals;
mod routes;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;
use vecdb_backend::Local;
use vecdb_engine::{Database, Options};
use vecdb_remote::SnapshotStore;

use crate::auth::Authority;
use crate::config::{ApiKey, Config, Secret};
use crate::gateway::{Access, Gateway};
use crate::observe::Metrics;
use document::Document;

struct Face {
    router: Router,
    gateway: Arc<Gateway>,
    document: Document,
    _folder: TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Face {
    fn new(settings: &Config) -> Self {
        let face = Self::opening(settings);
        let path = face._folder.path();
        let database = Database::open(path.join("data"), Options::default()).unwrap();
        let store = SnapshotStore::open(path.join("snapshots").to_str().unwrap()).unwrap();
        let backend = Local::new(Arc::new(database), Some(store));
        face.gateway.attach(Arc::new(backend));
        face
    }

    /// Without a database.
    fn opening(settings: &Config) -> Self {
        // A machine that is busy with other tests makes calls wait.
        let mut settings = settings.clone();
        settings.limits.queue_wait_ms_max = 0;
        let settings = &settings;
        let authority = Arc::new(Authority::new(&settings.auth).unwrap());
        let gateway = Gateway::new(settings, authority, Arc::new(Metrics::new())).unwrap();
        Self {
            router: super::routes(gateway.clone()),
            gateway,
            document: Document::new(),
            _folder: tempfile::tempdir().unwrap(),
        }
    }

    /// With a collection `products` of three points.
    async fn with_products() -> Self {
        let face = Self::new(&Config::default());
        let settings = json!({
            "dimension": 3,
            "metric": "cosine",
            "index_config": {"type": "hnsw", "m": 8},
            "fields": {"released": "datetime"},
            "durability": "none",
        });
        let made = face.put("/v1/collections/products", settings).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        let points = json!({"points": [
            {"id": 1, "vector": [0.9, 0.1, 0], "metadata": {"category": "games", "price": 20, "tags": ["new", null]}},
            {"id": 2, "vector": [0.8, 0.3, 0.1], "metadata": {"category": "games", "price": 60.5}},
            {"id": "sku-3", "vector": [0, 0.2, 0.9], "metadata": {"released": "2026-01-31"}},
        ]});
        let written = face.post("/v1/collections/products/points", points).await;
        assert_eq!(written.status, StatusCode::OK, "{}", written.body);
        face
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert!(headers.contains_key("x-request-id"), "{method} {path}");
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        self.document
            .check_answer(method.as_str(), &path, status.as_u16(), &body);
        Answer {
            status,
            headers,
            body,
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path).body(Body::empty()).unwrap())
            .await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.send(request("DELETE", path).body(Body::empty()).unwrap())
            .await
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        self.send_json("PUT", path, &body.to_string()).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send_json("POST", path, &body.to_string()).await
    }

    async fn send_json(&self, method: &str, path: &str, text: &str) -> Answer {
        let request = request(method, path).header("content-type", "application/json");
        self.send(request.body(Body::from(text.to_owned())).unwrap())
            .await
    }
}

impl Answer {
    fn kind(&self) -> &str {
        self.body["error"]["kind"].as_str().unwrap_or_default()
    }

    fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
}

fn request(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path)
}

fn with_keys() -> Config {
    let mut settings = Config::default();
    let key = |name: &str, access, collections: &[&str]| ApiKey {
        name: name.to_owned(),
        key: Secret::new(format!("{name}-0123456789abcdef0123456789abcdef")),
        access,
        collections: collections.iter().map(|&name| name.to_owned()).collect(),
    };
    settings.auth.keys = vec![
        key("admin", Access::Admin, &[]),
        key("reader", Access::Read, &["products"]),
    ];
    settings
}
