use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{Error, FromRequest, HttpRequest};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::{BodyKind, Problem, read_body};

/// A JSON body, parsed strictly: a wrong type, a missing or a duplicate member is a 400 that
/// names the field; members that `T` does not know are left alone.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = read_body(request, payload, BodyKind::Json);
        Box::pin(async move {
            let bytes = bytes.await?;
            // An endpoint whose body is optional takes `Body<Option<_>>`.
            let bytes = if bytes.is_empty() { b"null".as_slice() } else { &bytes };
            Ok(Self(parse(bytes)?))
        })
    }
}

/// A form, with the same errors as [`Body`].
pub struct Form<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Form<T> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = read_body(request, payload, BodyKind::Form);
        Box::pin(async move { Ok(Self(parse_pairs(&bytes.await?)?)) })
    }
}

/// Parses `bytes`; the message names the field, never its value.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // UTF-16 of plain text is UTF-8 too, with NUL between the characters.
    if bytes.contains(&0) || std::str::from_utf8(bytes).is_err() {
        return Err(not_json("the body is not UTF-8"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| explain(bytes, &error))?;
    deserializer.end().map_err(|_| not_json("there is more after the JSON value"))?;
    Ok(value)
}

fn explain(bytes: &[u8], error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let inner = error.inner();
    // A number where one of several words is due is called a mistake of syntax too.
    if !inner.is_data() && serde_json::from_slice::<IgnoredAny>(bytes).is_err() {
        return not_json("the body is not valid JSON");
    }
    let text = inner.to_string();
    let path = error.path().to_string();
    let quoted = text.split('`').nth(1).unwrap_or_default();
    let (field, what) = if text.starts_with("missing field") {
        (join(&path, quoted), "is missing".to_owned())
    } else if text.starts_with("duplicate field") {
        (join(&path, quoted), "is given twice".to_owned())
    } else if path == "." {
        return not_json("the body must be a JSON object");
    } else if text.contains("UUID parsing failed") {
        (path, "must be a UUID".to_owned())
    } else {
        let expected = text
            .split("expected ")
            .nth(1)
            .filter(|_| inner.is_data())
            .and_then(|rest| rest.split(" at line").next());
        let expected =
            expected.map(|what| if what.starts_with("struct") { "an object" } else { what });
        (path, expected.map_or_else(|| "is not valid".to_owned(), |what| format!("must be {what}")))
    };
    Problem::invalid_field(&field, format!("`{field}` {what}"))
}

fn join(path: &str, field: &str) -> String {
    // For a missing or duplicate member the path names its parent, or already the member.
    if path == "." || path == field || path.ends_with(&format!(".{field}")) {
        if path == "." { field.to_owned() } else { path.to_owned() }
    } else {
        format!("{path}.{field}")
    }
}

fn not_json(message: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_request", message)
}

/// The query string, with the same errors as [`Body`].
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(parse_pairs(request.query_string().as_bytes()).map(Self))
    }
}

fn parse_pairs<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    let pairs = form_urlencoded::parse(text);
    let deserializer = serde_urlencoded::Deserializer::new(pairs);
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let text = error.inner().to_string();
        let quoted = text.split('`').nth(1).unwrap_or_default();
        let (field, what) = if text.starts_with("missing field") {
            (quoted.to_owned(), "is missing")
        } else if text.starts_with("duplicate field") {
            (quoted.to_owned(), "is given twice")
        } else {
            (error.path().to_string(), "is not valid")
        };
        Problem::invalid_field(&field, format!("`{field}` {what}"))
    })
}

/// A path parameter; one that does not parse is answered by the handler's own "no such thing".
pub struct SegmentPath<T>(pub Option<T>);

impl<T: std::str::FromStr> FromRequest for SegmentPath<T> {
    type Error = Error;
    type Future = std::future::Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let value = request.match_info().iter().next().and_then(|(_, value)| value.parse().ok());
        std::future::ready(Ok(Self(value)))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only parsed")]
    struct Login {
        username: String,
        device_proof: Option<Proof>,
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Plain,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only parsed")]
    struct Proof {
        nonce: String,
    }

    fn refusal(json: &str) -> (String, Option<String>) {
        let problem = parse::<Login>(json.as_bytes()).unwrap_err();
        let field = problem.details.map(|details| details["field"].as_str().unwrap().to_owned());
        (problem.message.into_owned(), field)
    }

    #[test]
    fn the_field_that_is_wrong_is_named() {
        for (json, message, field) in [
            (r"{}", "`username` is missing", Some("username")),
            (r#"{"username":1}"#, "`username` must be a string", Some("username")),
            (
                r#"{"username":"secret-a","username":"b"}"#,
                "`username` is given twice",
                Some("username"),
            ),
            (
                r#"{"username":"a","device_proof":{}}"#,
                "`device_proof.nonce` is missing",
                Some("device_proof.nonce"),
            ),
            (
                r#"{"username":"a","device_proof":"b"}"#,
                "`device_proof` must be an object",
                Some("device_proof"),
            ),
            (r#"{"username":"a","kind":1}"#, "`kind` is not valid", Some("kind")),
            (r#"{"username":"a","kind":"x"}"#, "`kind` must be `plain`", Some("kind")),
            (r"[]", "the body must be a JSON object", None),
            (r#"{"username":"a"} x"#, "there is more after the JSON value", None),
            (r#"{"username":"a"#, "the body is not valid JSON", None),
            ("null", "the body must be a JSON object", None),
            ("{\0\"\0", "the body is not UTF-8", None),
        ] {
            assert_eq!(refusal(json), (message.to_owned(), field.map(str::to_owned)), "{json}");
        }
    }

    #[test]
    fn queries_name_the_field_too() {
        #[derive(Debug, serde::Deserialize)]
        #[expect(dead_code, reason = "only its shape matters")]
        struct Page {
            room: String,
            limit: Option<i64>,
        }
        let refusal = |query: &str| {
            let problem = parse_pairs::<Page>(query.as_bytes()).unwrap_err();
            (problem.message.into_owned(), problem.details.unwrap()["field"].clone())
        };
        for (query, message, field) in [
            ("limit=2", "`room` is missing", "room"),
            ("room=a&limit=secret", "`limit` is not valid", "limit"),
            ("room=a&limit=1&limit=2", "`limit` is given twice", "limit"),
            ("room=a&limit=9999999999999999999", "`limit` is not valid", "limit"),
        ] {
            assert_eq!(refusal(query), (message.to_owned(), field.into()), "{query}");
        }
        assert!(parse_pairs::<Page>(b"room=a%20b&limit=3&more=x").is_ok());
    }
}
