use actix_web::http::header::{AUTHORIZATION, HeaderMap};

/// Why there is no token to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// No `Authorization` at all.
    Missing,
    /// Something else than exactly one bearer token.
    Malformed,
}

/// The token of exactly one `Authorization: Bearer <token>` (RFC 6750, section 2.1); the scheme
/// in any case, the token as `b64token`.
pub fn bearer_token(headers: &HeaderMap) -> Result<&str, NoToken> {
    let mut values = headers.get_all(AUTHORIZATION);
    let value = values.next().ok_or(NoToken::Missing)?;
    if values.next().is_some() {
        return Err(NoToken::Malformed);
    }
    let value = str::from_utf8(value.as_bytes()).map_err(|_| NoToken::Malformed)?;
    let (scheme, token) = value.split_once(' ').ok_or(NoToken::Malformed)?;
    if scheme.eq_ignore_ascii_case("bearer") && is_b64token(token) {
        Ok(token)
    } else {
        Err(NoToken::Malformed)
    }
}

/// Looks at every byte, however early a wrong one comes: then several are looked at at once.
fn is_b64token(text: &str) -> bool {
    let allowed = text.bytes().fold(true, |so_far, byte| {
        so_far
            & matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
    });
    allowed && !text.is_empty()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn parse(values: &[&'static str]) -> Result<String, NoToken> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        bearer_token(&headers).map(str::to_owned)
    }

    #[test]
    fn exactly_one_bearer_token_is_taken() {
        assert_eq!(parse(&["Bearer a.b.c"]), Ok("a.b.c".to_owned()));
        assert_eq!(parse(&["bearer a.b.c"]), Ok("a.b.c".to_owned()));
        assert_eq!(parse(&[]), Err(NoToken::Missing));
        for bad in
            ["", "Bearer", "Bearer ", "Basic abc", "Bearer  a", "Bearer a b", "Bearer a,b", "a.b.c"]
        {
            assert_eq!(parse(&[bad]), Err(NoToken::Malformed), "{bad}");
        }
        assert_eq!(parse(&["Bearer a", "Bearer a"]), Err(NoToken::Malformed));
    }
}
