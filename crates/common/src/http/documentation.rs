//! `/openapi.json`, `/docs` (Swagger UI) and `/redoc`, all served from the binary: no page asks
//! another host for anything.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use actix_web::{HttpResponse, web};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Info, OpenApi, Paths};
use utoipa_swagger_ui::SwaggerUi;

/// Redoc's bundle as its authors publish it; its licence lies beside it.
const REDOC: &[u8] = include_bytes!("../../assets/redoc-2.5.4.standalone.js.gz");

const REDOC_PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Latchkey API</title>
<style>body { margin: 0; }</style>
</head>
<body>
<redoc spec-url="/openapi.json"></redoc>
<script src="/redoc/redoc.js"></script>
</body>
</html>
"#;

/// A service's document: its title, what it does, and the security scheme `bearer`. The paths come
/// from its route table.
#[must_use]
pub fn document(title: &str, description: &str) -> OpenApi {
    let mut info = Info::new(title, env!("CARGO_PKG_VERSION"));
    info.description = Some(description.to_owned());
    let mut document = OpenApi::new(info, Paths::new());
    let bearer = SecurityScheme::Http(
        Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build(),
    );
    document.components.get_or_insert_default().add_security_scheme("bearer", bearer);
    document
}

/// Adds the pages to an app.
pub(crate) fn pages(config: &mut web::ServiceConfig, document: OpenApi) {
    config
        .service(SwaggerUi::new("/docs/{_:.*}").url("/openapi.json", document))
        .route("/docs", web::get().to(to_docs))
        .route("/redoc", web::get().to(redoc_page))
        .route("/redoc/redoc.js", web::get().to(redoc_script));
}

async fn to_docs() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "/docs/")).finish()
}

async fn redoc_page() -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/html; charset=utf-8")).body(REDOC_PAGE)
}

async fn redoc_script() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/javascript; charset=utf-8"))
        .insert_header((CONTENT_ENCODING, "gzip"))
        .insert_header((CACHE_CONTROL, "public, max-age=86400"))
        .body(REDOC)
}
