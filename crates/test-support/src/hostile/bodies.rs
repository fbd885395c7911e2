use serde_json::{Value, json};

use super::operation::{Operation, wrong_values};
use super::{Guard, Target, check_error, shown};
use crate::{RawAnswer, RawConnection};

const JSON: &str = "application/json";
const TEN_MB: usize = 10 << 20;
/// Everything but a fault of ours.
const ANY: &[u16] = &[];

/// Bytes, the statuses that are right for them, and the member that the answer names.
type Case = (Vec<u8>, &'static [u16], Option<String>);

impl Target {
    /// Bodies that are not what they should be, to every operation that takes one, with all the
    /// credentials that it asks for.
    ///
    /// # Panics
    /// If an answer is not as it should be.
    pub async fn refuse_hostile_bodies(&self) {
        let taking = self.operations.iter().filter_map(|one| Some((one, one.body.as_ref()?)));
        let mut taken = 0;
        for (operation, (kind, _)) in taking {
            taken += 1;
            let cases = if kind == JSON { json_cases(operation) } else { form_cases(operation) };
            for (body, statuses, member) in cases {
                let answer = self.send(operation, kind, &body).await;
                let what = format!("{}: {}", operation.name(), shown(&body));
                check(&what, operation, &answer, statuses);
                if let Some(member) = member {
                    let named = answer.json["details"]["field"].as_str().unwrap_or_default();
                    let inside = named
                        .strip_prefix(&member)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
                    assert!(inside, "{what}: {answer:?}");
                }
            }
            let other = if kind == JSON { "text/plain" } else { JSON };
            let answer =
                self.send(operation, other, operation.sample().to_string().as_bytes()).await;
            check(&operation.name(), operation, &answer, &[400, 415]);
            self.cut_short(operation, kind).await;
            self.far_too_large(operation, kind).await;
        }
        assert!(taken > 0);
        self.is_well().await;
    }

    async fn send(&self, operation: &Operation, kind: &str, body: &[u8]) -> RawAnswer {
        let lines = format!("{}Content-Type: {kind}\r\n", self.authorization(operation));
        self.ask(&operation.method, operation.path.as_bytes(), &lines, body).await
    }

    fn head(&self, operation: &Operation, kind: &str, framing: &str) -> String {
        let Operation { method, path, .. } = operation;
        let authorization = self.authorization(operation);
        format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\n{authorization}{framing}\r\n\r\n"
        )
    }

    /// Less than `Content-Length` and less than a chunk announce.
    async fn cut_short(&self, operation: &Operation, kind: &str) {
        for (framing, begun) in
            [("Content-Length: 400", "{\"a"), ("Transfer-Encoding: chunked", "1f4\r\n{\"a")]
        {
            let request = self.head(operation, kind, framing) + begun;
            let mut connection = RawConnection::open(self.address).await;
            let answer = connection.ask_and_hang_up(request.as_bytes()).await;
            assert!([0, 400].contains(&answer.status), "{}: {answer:?}", operation.name());
        }
    }

    async fn far_too_large(&self, operation: &Operation, kind: &str) {
        let (announced, body) = (format!("Content-Length: {TEN_MB}"), "x".repeat(TEN_MB));
        let chunked = format!("{TEN_MB:x}\r\n{body}\r\n0\r\n\r\n");
        for (framing, body) in [(announced.as_str(), body), ("Transfer-Encoding: chunked", chunked)]
        {
            let request = self.head(operation, kind, framing) + &body;
            let answer = RawConnection::open(self.address).await.ask(request.as_bytes()).await;
            check(&operation.name(), operation, &answer, &[413]);
        }
    }
}

fn check(what: &str, operation: &Operation, answer: &RawAnswer, statuses: &[u16]) {
    let right = statuses.is_empty() && (1..500).contains(&answer.status);
    assert!(right || statuses.contains(&answer.status), "{what}: {answer:?}");
    if answer.status >= 400 {
        check_error(what, operation.guard, answer);
    }
}

fn json_cases(operation: &Operation) -> Vec<Case> {
    let sample = operation.sample();
    let text = sample.to_string();
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let mut cases: Vec<Case> = [
        text[..text.len() - 1].to_owned(),
        format!("{text} {{}}"),
        "[]".to_owned(),
        "\"text\"".to_owned(),
        deep.clone(),
        "{\"a\":".repeat(10_000),
        format!("\u{feff}{text}"),
    ]
    .map(|body| (body.into_bytes(), &[400][..], None))
    .into();
    cases.push((text.encode_utf16().flat_map(u16::to_le_bytes).collect(), &[400], None));
    // As good as none, where a body may be missing.
    cases.push((b"null".to_vec(), ANY, None));
    cases.push((b"{\"a\":\"\xff\"}".to_vec(), &[400], None));
    cases.push((format!("{{\"unknown\":{deep},{}", &text[1..]).into_bytes(), ANY, None));
    for (name, schema) in operation.members() {
        cases.extend(member_cases(&name, &schema, &sample));
    }
    cases
}

/// What may be wrong with one member.
fn member_cases(name: &str, schema: &Value, sample: &Value) -> Vec<Case> {
    let good = &sample[name];
    let named = |body: String| (body.into_bytes(), &[400][..], Some(name.to_owned()));
    let mut cases = vec![named(format!("{{\"{name}\":{good},\"{name}\":{good}}}"))];
    for wrong in wrong_values(schema) {
        let mut body = sample.clone();
        body[name] = wrong;
        cases.push(named(body.to_string()));
    }
    if good.is_string() {
        let long = "x".repeat(60_000);
        for hidden in ["a\0b", "\0", "a\r\nb\x1b[31m", "a\u{202e}b", "\u{feff}", "", &long] {
            let mut body = sample.clone();
            body[name] = json!(hidden);
            cases.push((body.to_string().into_bytes(), ANY, None));
        }
    }
    cases
}

fn form_cases(operation: &Operation) -> Vec<Case> {
    let (name, _) = operation.members().into_iter().next().expect("a form's first field");
    // OAuth has answers of its own to tokens that are none.
    let wrong = if operation.guard == Guard::Client { ANY } else { &[400] };
    let long = "x".repeat(60_000);
    let mut cases = vec![
        (format!("{name}=x&{name}=x").into_bytes(), &[400][..], None),
        (Vec::new(), &[400], None),
    ];
    for value in ["%00", "%ff%fe", "%", "%0d%0aa", "%e2%80%ae", &long] {
        cases.push((format!("{name}={value}").into_bytes(), wrong, None));
    }
    cases
}
