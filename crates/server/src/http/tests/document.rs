//! The document: that it has every route, that it hangs together, and that answers are as it says.

use axum::body::Body;
use axum::http::StatusCode;
use serde_json::Value;

use super::{Face, request};
use crate::config::Config;
use crate::gateway::Operation;
use crate::http::{document, operations, service};

/// The document, to hold answers against.
pub(super) struct Document(Value);

impl Document {
    pub(super) fn new() -> Self {
        let text = document::write(&operations::all(), &service::all());
        Self(serde_json::from_slice(&text).unwrap())
    }

    fn operations(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        let paths = self.0["paths"].as_object().unwrap().iter();
        paths.flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
    }

    fn resolve<'a>(&'a self, item: &'a Value) -> &'a Value {
        match item["$ref"].as_str() {
            None => item,
            Some(target) => {
                let found = self.0.pointer(target.strip_prefix('#').unwrap());
                self.resolve(found.unwrap_or_else(|| panic!("nothing is at {target}")))
            }
        }
    }

    /// Panics if an answer of a documented operation is not as documented.
    pub(super) fn check_answer(&self, method: &str, path: &str, status: u16, body: &Value) {
        let found = self.operations().find(|(template, documented, _)| {
            documented.eq_ignore_ascii_case(method) && fits(template, path)
        });
        let Some((_, _, operation)) = found else {
            assert!(matches!(status, 404 | 405), "{method} {path}: {status}");
            return;
        };
        let response = &operation["responses"][status.to_string()];
        assert!(
            !response.is_null(),
            "{method} {path}: {status} is not in the document"
        );
        let content = &self.resolve(response)["content"]["application/json"];
        if !content.is_null() {
            self.check(&content["schema"], body, &format!("{method} {path}"));
        }
    }

    /// The part of JSON Schema that answers need.
    fn check(&self, schema: &Value, value: &Value, at: &str) {
        let schema = self.resolve(schema);
        for key in ["oneOf", "anyOf"] {
            if let Some(choices) = schema[key].as_array() {
                let fitting = choices
                    .iter()
                    .filter(|choice| self.is_of_type(choice, value));
                let fitting: Vec<_> = fitting.collect();
                assert_eq!(fitting.len(), 1, "{at}: {value} against {schema}");
                return self.check(fitting[0], value, at);
            }
        }
        assert!(
            self.is_of_type(schema, value),
            "{at}: {value} against {schema}"
        );
        if let (Some(least), Some(number)) = (schema["minimum"].as_f64(), value.as_f64()) {
            assert!(number >= least, "{at}: {number} is less than {least}");
        }
        if let (Some(items), false) = (value.as_array(), schema["items"].is_null()) {
            for (number, item) in items.iter().enumerate() {
                self.check(&schema["items"], item, &format!("{at}[{number}]"));
            }
        }
        let Some(object) = value.as_object() else {
            return;
        };
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap();
            assert!(
                object.contains_key(name),
                "{at}: {name} is missing in {value}"
            );
        }
        for (name, value) in object {
            let property = &schema["properties"][name];
            let other = &schema["additionalProperties"];
            let declared = [property, other]
                .into_iter()
                .find(|schema| !schema.is_null());
            // Without any property declared, any is meant: the document itself.
            if declared.is_none() {
                assert!(
                    schema["properties"].is_null(),
                    "{at}: {name} is not documented"
                );
            } else if let Some(schema) = declared {
                self.check(schema, value, &format!("{at}.{name}"));
            }
        }
    }

    fn is_of_type(&self, schema: &Value, value: &Value) -> bool {
        let schema = self.resolve(schema);
        if let Some(choices) = schema["oneOf"].as_array() {
            return choices.iter().any(|choice| self.is_of_type(choice, value));
        }
        let names = match &schema["type"] {
            Value::Array(names) => names.clone(),
            Value::Null => return true,
            name => vec![name.clone()],
        };
        let is_one_of = schema["enum"]
            .as_array()
            .is_none_or(|known| known.contains(value));
        // Variants of an index differ in a property with one value.
        let tag = &schema["properties"]["type"]["enum"][0];
        is_one_of
            && (tag.is_null() || value["type"] == *tag)
            && names.iter().any(|name| match name.as_str().unwrap() {
                "integer" => value.is_u64() || value.is_i64(),
                "number" => value.is_number(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "null" => value.is_null(),
                "array" => value.is_array(),
                _ => value.is_object(),
            })
    }
}

/// Names in braces stand for one segment; a segment that stands for itself goes first.
fn fits(template: &str, path: &str) -> bool {
    let is_own = ["get", "delete", "metadata", "scroll", "count"]
        .iter()
        .any(|name| path.ends_with(&format!("/points/{name}")));
    let mut pairs = template.split('/').zip(path.split('/'));
    template.split('/').count() == path.split('/').count()
        && !(is_own && template.ends_with("{id}"))
        && pairs.all(|(part, segment)| part.starts_with('{') || part == segment)
}

#[tokio::test]
async fn every_documented_route_is_served_and_every_operation_documented() {
    let face = Face::new(&Config::default());
    let mut ids = Vec::new();
    for (path, method, operation) in face.document.operations() {
        let path = path
            .replace("{collection}", "c")
            .replace("{id}", "1")
            .replace("{name}", "n");
        let request = request(&method.to_uppercase(), &path)
            .header("content-type", "application/json")
            .body(Body::from("{}"));
        let answer = face.send(request.unwrap()).await;
        let is_served = !answer.message().contains("there is nothing at")
            && answer.status != StatusCode::METHOD_NOT_ALLOWED;
        assert!(is_served, "{method} {path}: {}", answer.body);
        ids.push(operation["operationId"].as_str().unwrap());
    }
    for operation in Operation::ALL {
        assert!(ids.contains(&operation.name()), "{}", operation.name());
    }
    let services = service::all().len();
    assert_eq!(ids.len(), operations::all().len() + services);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(
        ids.len(),
        operations::all().len() + services,
        "an id stands twice"
    );
}

#[test]
fn references_have_targets_and_bodies_are_closed() {
    let document = Document::new();
    assert!(document.0["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut open = vec![&document.0];
    while let Some(value) = open.pop() {
        document.resolve(value);
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(entries) => open.extend(entries.values()),
            _ => {}
        }
    }
    for (path, method, operation) in document.operations() {
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        if !body.is_null() {
            let body = document.resolve(body);
            assert_eq!(
                body["additionalProperties"], false,
                "{method} {path}: {body}"
            );
        }
    }
}

#[tokio::test]
async fn the_document_and_its_page_are_served() {
    let face = Face::opening(&Config::default());
    let document = face.get("/openapi.json").await;
    assert_eq!(document.body, face.document.0);
    let page = face.get("/docs").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    assert!(page.headers.contains_key("content-security-policy"));
    let page = include_str!("../docs.html");
    for outside in ["http://", "https://", "//cdn", "innerHTML"] {
        assert!(!page.contains(outside), "{outside}");
    }
}
