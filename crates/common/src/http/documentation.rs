//! `/openapi.json`, `/docs` (Swagger UI) and `/redoc`, all served from the binary: no page asks
//! another host for anything.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION,
};
use actix_web::{HttpResponse, web};
use serde_json::json;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, ContentBuilder, Info, OpenApi, Paths, Ref, RefOr, ResponseBuilder};
use utoipa::{PartialSchema as _, ToSchema as _};
use utoipa_swagger_ui::Config;

use super::{ErrorBody, Problem, operations};

/// Redoc's bundle as its authors publish it, but for the logo that it would fetch from them, in
/// whose place it has an empty picture; its licence lies beside it.
const REDOC: &[u8] = include_bytes!("../../assets/redoc-2.5.4.standalone.js.gz");

const REDOC_PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Latchkey API</title>
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
<style>body { margin: 0; }</style>
</head>
<body>
<redoc spec-url="/openapi.json"></redoc>
<script src="/redoc/redoc.js"></script>
</body>
</html>
"#;

/// As long as the key set is: the pages change with the service alone.
const PAGES_KEPT: &str = "public, max-age=300";

/// What the pages need, and nothing of another host.
const PAGE_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
                            img-src 'self' data:; worker-src 'self' blob:; base-uri 'none'; \
                            form-action 'none'; frame-ancestors 'none'";

/// A service's document: its title, what it does, and the security scheme `bearer`. The paths come
/// from its route table.
#[must_use]
pub fn document(title: &str, description: &str) -> OpenApi {
    let mut info = Info::new(title, env!("CARGO_PKG_VERSION"));
    info.description = Some(format!("{description} HEAD is answered as GET is, without the body."));
    let mut document = OpenApi::new(info, Paths::new());
    let bearer = SecurityScheme::Http(
        Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build(),
    );
    document.components.get_or_insert_default().add_security_scheme("bearer", bearer);
    document
}

/// The errors that any operation can answer: status, `code`, and what it says.
const COMMON_ERRORS: [(&str, &str, &str); 3] = [
    ("404", "not_found", "there is no such path"),
    ("405", "method_not_allowed", "the path takes the methods in `Allow`"),
    ("500", "internal", "our mistake; quote the request id"),
];

/// The errors of operations that take a JSON body; forms are parsed by their own handlers.
const BODY_ERRORS: [(&str, &str, &str); 3] = [
    ("408", "request_timeout", "the body took too long to come"),
    ("413", "payload_too_large", "bodies may have at most 65536 bytes"),
    ("415", "unsupported_media_type", "the body is not JSON by its content type"),
];

/// The same with the errors in it that no handler names because they are not its own.
pub(crate) fn with_common_errors(mut document: OpenApi) -> OpenApi {
    let schemas = &mut document.components.get_or_insert_default().schemas;
    schemas.entry(ErrorBody::name().into_owned()).or_insert_with(ErrorBody::schema);
    for item in document.paths.paths.values_mut() {
        let methods = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        let others = [&mut item.head, &mut item.patch];
        for operation in methods.into_iter().chain(others).flatten() {
            let json = matches!(&operation.request_body, Some(RefOr::T(body))
                if body.content.contains_key("application/json"));
            let body_errors = BODY_ERRORS.iter().filter(|_| json);
            let errors: Vec<_> = COMMON_ERRORS.iter().chain(body_errors).collect();
            for (status, code, what) in errors {
                add_error(operation, status, &format!("`{code}`: {what}"));
            }
            add_samples(operation);
        }
    }
    document
}

fn add_error(operation: &mut Operation, status: &str, description: &str) {
    let responses = &mut operation.responses.responses;
    if let Some(RefOr::T(response)) = responses.get_mut(status) {
        response.description = format!("{}; {description}", response.description);
        return;
    }
    let schema = Ref::from_schema_name(ErrorBody::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let response = ResponseBuilder::new().description(description);
    let response = response.content("application/json", content).build();
    responses.insert(status.to_owned(), response.into());
}

/// Shows with each error the first code that its description names, as this operation answers it.
fn add_samples(operation: &mut Operation) {
    let id = operation.operation_id.clone().unwrap_or_default();
    for response in operation.responses.responses.values_mut() {
        let RefOr::T(response) = response else { continue };
        let code = response.description.strip_prefix('`').and_then(|text| text.split('`').next());
        let error = code.map(|code| (code.replace('_', " "), code));
        let body = response.content.get_mut("application/json");
        if let (Some(RefOr::T(body)), Some((error, code))) = (body, error)
            && is_error(body)
        {
            body.example = Some(json!({
                "error": error, "code": code, "details": null, "operation": id,
                "request_id": "8b0f5d0e-4d7f-4f0a-9a53-0d3c1c5f9e27",
            }));
        }
    }
}

fn is_error(content: &Content) -> bool {
    let error = Ref::from_schema_name(ErrorBody::name());
    matches!(&content.schema, Some(RefOr::Ref(schema)) if schema.ref_location == error.ref_location)
}

/// Adds the pages to an app.
pub(crate) fn pages(config: &mut web::ServiceConfig, document: OpenApi) {
    config
        .app_data(web::Data::new(document))
        .app_data(web::Data::new(Config::from("/openapi.json")))
        .route("/openapi.json", web::get().to(openapi))
        .route("/docs", web::get().to(to_docs))
        .route("/docs/{file:.*}", web::get().to(swagger_file))
        .route("/redoc", web::get().to(redoc_page))
        .route("/redoc/redoc.js", web::get().to(redoc_script));
}

async fn openapi(document: web::Data<OpenApi>) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, PAGES_KEPT)).json(document)
}

async fn swagger_file(
    file: web::Path<String>,
    config: web::Data<Config<'static>>,
) -> Result<HttpResponse, Problem> {
    let file = utoipa_swagger_ui::serve(&file, config.into_inner())
        .map_err(|error| Problem::internal(&error))?
        .ok_or_else(operations::no_such_path)?;
    let mut response = HttpResponse::Ok();
    response
        .content_type(file.content_type)
        .insert_header((CACHE_CONTROL, PAGES_KEPT))
        .insert_header((CONTENT_SECURITY_POLICY, PAGE_POLICY));
    if file.gzpipped {
        response.insert_header((CONTENT_ENCODING, "gzip"));
    }
    Ok(response.body(file.bytes.into_owned()))
}

async fn to_docs() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "/docs/")).finish()
}

async fn redoc_page() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CACHE_CONTROL, PAGES_KEPT))
        .insert_header((CONTENT_SECURITY_POLICY, PAGE_POLICY))
        .body(REDOC_PAGE)
}

async fn redoc_script() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/javascript; charset=utf-8"))
        .insert_header((CONTENT_ENCODING, "gzip"))
        .insert_header((CACHE_CONTROL, "public, max-age=86400"))
        .body(REDOC)
}
