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
    let value = value.to_str().map_err(|_| NoToken::Malformed)?;
    let (scheme, token) = value.split_once(' ').ok_or(NoToken::Malformed)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    let well_formed = !token.is_empty() && token.bytes().all(allowed);
    if scheme.eq_ignore_ascii_case("bearer") && well_formed {
        Ok(token)
    } else {
        Err(NoToken::Malformed)
    }
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
