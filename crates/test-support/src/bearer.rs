/// The `Authorization` values of requests that lack exactly one bearer token (RFC 6750,
/// section 2.1), each with the good `token` in it where there is room for it.
#[must_use]
pub fn not_one_bearer(token: &str) -> Vec<Vec<String>> {
    let mut requests: Vec<Vec<String>> = vec![
        vec![],
        vec![format!("Bearer {token}"), format!("Bearer {token}")],
        vec![format!("Bearer {token}"), "Basic eDp5".to_owned()],
    ];
    requests.extend(
        [
            "",
            "Bearer",
            "{}",
            "Bearer  {}",
            "Bearer\t{}",
            "Bearer:{}",
            "Bearer\"{}\"",
            "Bearer \"{}\"",
            "Bearer {},",
            "Bearer {} {}",
            "Bearer {}, Bearer {}",
            "Bearer token={}",
            "Basic {}",
            "Token {}",
            "DPoP {}",
        ]
        .map(|form| vec![form.replace("{}", token)]),
    );
    requests
}
