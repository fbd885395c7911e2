use super::*;

const PAUSE: Duration = Duration::from_secs(5);

fn of(call: Call, status: u16, body: &str) -> Result<Map<String, Value>, Fault> {
    judge(call, &Reply { status, retry_after: None, body: body.as_bytes().to_vec() }, PAUSE)
}

fn error(call: Call, status: u16, error: &str, description: &str) -> Fault {
    let body = serde_json::json!({ "error": error, "error_description": description });
    of(call, status, &body.to_string()).unwrap_err()
}

fn away(sent: bool) -> Fault {
    Fault::Away { sent, retry_after: PAUSE }
}

#[test]
fn each_way_in_which_a_grant_dies_has_its_word() {
    for (description, expected) in [
        ("Token is not active", "expired"),
        ("Session not active", "session_ended"),
        ("Offline user session not found", "session_ended"),
        ("Offline session not active", "session_ended"),
        ("Client session not active", "session_ended"),
        ("Session doesn't have required client", "client_revoked"),
        ("Stale token", "logged_out"),
        ("Maximum allowed refresh token reuse exceeded", "reuse_exceeded"),
        ("Invalid refresh token", "invalid_token"),
        ("Invalid refresh token. Token client and authorized client don't match", "invalid_token"),
        ("Token client and authorized client don't match", "client_mismatch"),
        ("User disabled", "user_disabled"),
        ("Offline access no longer granted", "offline_not_allowed"),
        ("something new", "invalid_grant"),
        ("", "invalid_grant"),
    ] {
        let fault = error(Call::Refresh, 400, "invalid_grant", description);
        let description = description.to_lowercase();
        assert_eq!(fault, Fault::GrantDead { code: expected, description });
    }
    for (code, description, expected) in [
        ("invalid_scope", "Client no longer has requested consent from user", "consent_withdrawn"),
        ("not_allowed", "Offline tokens not allowed for the user or client", "offline_not_allowed"),
        ("bad_refresh_token", "The refresh token passed is incorrect", "invalid_grant"),
    ] {
        let fault = error(Call::Refresh, 400, code, description);
        let description = description.to_lowercase();
        assert_eq!(fault, Fault::GrantDead { code: expected, description });
    }
}

#[test]
fn what_is_not_the_grants_fault_leaves_it_alive() {
    for (status, code, description) in [
        (401, "unauthorized_client", "Invalid client or Invalid client credentials"),
        (401, "invalid_client", "Invalid client credentials"),
        (400, "unauthorized_client", "Client not allowed"),
        (400, "invalid_grant", "Invalid token issuer. Expected 'a', was 'b'"),
        (400, "unsupported_grant_type", ""),
        (404, "Realm does not exist", ""),
        (403, "invalid_request", "HTTPS required"),
        (405, "", ""),
    ] {
        let fault = error(Call::Refresh, status, code, description);
        assert!(matches!(fault, Fault::Misconfigured(_)), "{status} {code}: {fault:?}");
    }
    for (code, description) in
        [("invalid_scope", "Invalid scopes: admin"), ("invalid_request", "too long")]
    {
        let fault = error(Call::Refresh, 400, code, description);
        let description = Some(description.to_owned());
        assert_eq!(fault, Fault::Refused { code: code.to_owned(), description });
    }
}

#[test]
fn a_provider_that_is_away_is_away_whatever_it_says() {
    for call in [Call::Refresh, Call::CodeExchange, Call::Introspection, Call::Revocation] {
        for status in [500, 502, 503, 504, 599] {
            assert_eq!(of(call, status, "<html>"), Err(away(true)));
            assert_eq!(error(call, status, "invalid_grant", "Stale token"), away(true));
        }
        assert_eq!(of(call, 429, ""), Err(away(false)));
    }
    assert_eq!(error(Call::Refresh, 400, "temporarily_unavailable", ""), away(true));
    let retry_after = Duration::from_secs(17);
    let reply = Reply { status: 429, retry_after: Some(retry_after), body: Vec::new() };
    assert_eq!(judge(Call::Refresh, &reply, PAUSE), Err(Fault::Away { sent: false, retry_after }));
}

#[test]
fn a_success_that_cant_be_read_leaves_a_refresh_with_an_unknown_outcome() {
    for body in ["", "<html>", "[]", "{", "\u{0}"] {
        assert_eq!(of(Call::Refresh, 200, body), Err(away(true)), "{body}");
        for call in [Call::Introspection, Call::Discovery, Call::CodeExchange, Call::Userinfo] {
            let fault = of(call, 200, body).unwrap_err();
            assert!(matches!(fault, Fault::Misconfigured(_)), "{body}");
        }
    }
    assert_eq!(of(Call::Refresh, 204, ""), Err(away(true)));
    assert!(matches!(of(Call::Refresh, 302, ""), Err(Fault::Misconfigured(_))));
}

#[test]
fn a_code_that_was_used_is_refused_and_kills_nothing() {
    let fault = error(Call::CodeExchange, 400, "invalid_grant", "Code not valid");
    let description = Some("Code not valid".to_owned());
    assert_eq!(fault, Fault::Refused { code: "invalid_grant".to_owned(), description });
}

#[test]
fn revoking_what_is_gone_succeeds() {
    for body in [r#"{"error":"invalid_token"}"#, "", "{}"] {
        assert!(of(Call::Revocation, 200, body).is_ok());
    }
    let fault = error(Call::Revocation, 400, "invalid_token", "Unmatching clients");
    assert!(matches!(fault, Fault::Refused { .. }));
    assert!(of(Call::EndSession, 204, "").is_ok());
    assert!(of(Call::EndSession, 404, r#"{"error":"Session not found"}"#).is_ok());
    let fault = of(Call::EndSession, 404, r#"{"error":"Realm not found."}"#).unwrap_err();
    assert!(matches!(fault, Fault::Misconfigured(_)));
    let fault = of(Call::EndSession, 403, r#"{"error":"HTTP 403 Forbidden"}"#).unwrap_err();
    assert!(matches!(fault, Fault::Misconfigured(_)));
}

#[test]
fn errors_in_a_successful_answer_count_as_errors() {
    let body = r#"{"error":"bad_verification_code","error_description":"expired"}"#;
    let fault = of(Call::CodeExchange, 200, body).unwrap_err();
    assert!(matches!(fault, Fault::Refused { code, .. } if code == "bad_verification_code"));
    let body = r#"{"error":"incorrect_client_credentials"}"#;
    assert!(matches!(of(Call::CodeExchange, 200, body), Err(Fault::Misconfigured(_))));
}

#[test]
fn an_access_token_that_userinfo_does_not_take_is_refused() {
    for body in ["", r#"{"error":"invalid_token"}"#] {
        let fault = of(Call::Userinfo, 401, body).unwrap_err();
        assert!(matches!(fault, Fault::Refused { code, .. } if code == "invalid_token"));
    }
}

#[test]
fn descriptions_are_cut_and_printable() {
    let fault = error(Call::Refresh, 400, "invalid_grant", &"a\n\u{1b}".repeat(500));
    let Fault::GrantDead { description, .. } = fault else { panic!("{fault:?}") };
    assert_eq!(description, "a".repeat(MAX_DESCRIPTION));
}
