use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use actix_web::dev::ResourceDef;
use actix_web::http::StatusCode;
use actix_web::http::header::ALLOW;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use utoipa::openapi::OpenApi;

use super::Problem;

/// The operations of the OpenAPI document, by method and path pattern.
#[derive(Clone)]
pub struct Operations {
    by_pattern: Arc<HashMap<String, BTreeMap<String, String>>>,
    /// Where GET opens something instead of answering.
    handshakes: Arc<[ResourceDef]>,
}

impl Operations {
    /// Reads the operation ids from `document`.
    #[must_use]
    pub fn of(document: &OpenApi) -> Self {
        let mut by_pattern: HashMap<String, BTreeMap<String, String>> = HashMap::new();
        let mut handshakes = Vec::new();
        for (path, item) in &document.paths.paths {
            if item.get.as_ref().is_some_and(|get| get.responses.responses.contains_key("101")) {
                handshakes.push(ResourceDef::new(path.as_str()));
            }
            let methods = [
                ("GET", &item.get),
                ("PUT", &item.put),
                ("POST", &item.post),
                ("DELETE", &item.delete),
                ("PATCH", &item.patch),
            ];
            for (method, operation) in methods {
                let Some(operation) = operation else { continue };
                let id = operation.operation_id.clone().unwrap_or_default();
                by_pattern.entry(path.clone()).or_default().insert(method.to_owned(), id);
            }
        }
        Self { by_pattern: Arc::new(by_pattern), handshakes: handshakes.into() }
    }

    /// Whether GET on `path` opens something instead of answering.
    pub(crate) fn is_handshake(&self, path: &str) -> bool {
        self.handshakes.iter().any(|pattern| pattern.is_match(path))
    }

    /// Every operation as method, path pattern and id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.by_pattern.iter().flat_map(|(path, methods)| {
            methods.iter().map(move |(method, id)| (method.as_str(), path.as_str(), id.as_str()))
        })
    }

    /// The id of the operation that `request` asks for.
    pub(crate) fn id_of(&self, request: &HttpRequest) -> &str {
        request
            .match_pattern()
            .and_then(|pattern| self.by_pattern.get(&pattern))
            .and_then(|methods| methods.get(request.method().as_str()))
            .map_or("unknown", String::as_str)
    }

    /// Answers what no route took: 405 with `Allow` where the path has other methods, else 404.
    pub(crate) fn refuse(&self, request: &HttpRequest) -> HttpResponse {
        let mut methods: Vec<&str> = self
            .by_pattern
            .iter()
            .filter(|(pattern, _)| ResourceDef::new(pattern.as_str()).is_match(request.path()))
            .flat_map(|(_, methods)| methods.keys().map(String::as_str))
            .collect();
        if methods.is_empty() {
            return no_such_path().error_response();
        }
        if methods.contains(&"GET") && !self.is_handshake(request.path()) {
            methods.push("HEAD");
        }
        let allow = methods.join(", ");
        let message = format!("this path takes {allow}");
        let mut response =
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
                .error_response();
        if let Ok(value) = allow.parse() {
            response.headers_mut().insert(ALLOW, value);
        }
        response
    }
}

pub(crate) fn no_such_path() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here; see /docs for what is")
}
