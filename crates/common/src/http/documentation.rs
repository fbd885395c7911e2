//! `/openapi.json`, `/docs` (Swagger UI) and `/redoc`, all served from the binary: no page asks
//! another host for anything.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use actix_web::{HttpResponse, web};
use utoipa::openapi::OpenApi;
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
