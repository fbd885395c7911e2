use super::operation::Operation;
use super::{Guard, Target, check_error, shown};

/// Targets that a careless server, or a proxy before it, takes for `path`.
fn tricks(path: &str) -> Vec<Vec<u8>> {
    let (first, rest) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    let mut targets: Vec<Vec<u8>> = [
        format!("{path}/"),
        format!("/{path}"),
        format!("/.{path}"),
        format!("/x/..{path}"),
        format!("/x/%2e%2e{path}"),
        format!("/x/..%2f{}", &path[1..]),
        format!("/health/..{path}"),
        format!("/health/..;{path}"),
        format!("/health%2f..{path}"),
        format!("{path}/."),
        format!("{path}/x/.."),
        format!("{path}/%2e%2e/x"),
        format!("/{first}%2f{rest}"),
        format!("/{first}%5c{rest}"),
        format!("/{first}%252f{rest}"),
        format!("{path}%00"),
        format!("{path}%00.json"),
        format!("{path}%0d%0aSet-Cookie:a=b"),
        format!("{path}%2f"),
        format!("{path}%20"),
        format!("{path}%c0%ae%c0%ae"),
        format!("{path}%ff"),
        format!("{path}%zz"),
        format!("{path};a=b"),
        format!("{path};jsessionid=1/x"),
        format!("{path}\\"),
        path.to_uppercase(),
        format!("{path}/{}", "a".repeat(32 * 1024)),
        format!("{path}{}", "/a".repeat(16 * 1024)),
        format!("{path}{}", "/..".repeat(64)),
        "*".to_owned(),
    ]
    .map(String::into_bytes)
    .into();
    targets.push([path.as_bytes(), b"\xff\xfe"].concat());
    targets
}

/// Targets that are `path`, said in another way.
fn detours(path: &str) -> Vec<Vec<u8>> {
    let encoded = path.replacen('a', "%61", 1);
    let all =
        [path.to_owned(), format!("http://a{path}"), format!("http://evil.example{path}"), encoded];
    all.map(String::into_bytes).into()
}

impl Target {
    /// Tricks with the path of every operation: without credentials they reach nothing that is
    /// guarded, with them nothing at all, and the answer is an error of the usual form.
    ///
    /// # Panics
    /// If an answer is not as it should be.
    pub async fn refuse_hostile_paths(&self) {
        for operation in &self.operations {
            let credentials = self.authorization(operation);
            for target in tricks(&operation.path) {
                self.lost(operation, &target, "", &[400, 401, 403, 404, 405]).await;
                if !credentials.is_empty() {
                    self.lost(operation, &target, &credentials, &[400, 404, 405]).await;
                }
            }
            if operation.guard != Guard::Nobody {
                for target in detours(&operation.path) {
                    self.lost(operation, &target, "", &[401, 403, 404]).await;
                }
            }
        }
        for path in ["../Cargo.toml", "..%2f..%2fCargo.toml", "%2e%2e/%2e%2e/Cargo.toml"] {
            let answer = self.ask("GET", format!("/docs/{path}").as_bytes(), "", b"").await;
            assert!(answer.status == 404 && !answer.text.contains('['), "{path}: {answer:?}");
        }
        self.is_well().await;
    }

    async fn lost(&self, operation: &Operation, target: &[u8], credentials: &str, right: &[u16]) {
        let lines = format!("{credentials}Content-Type: application/json\r\n");
        let body = operation.sample().to_string();
        let answer = self.ask(&operation.method, target, &lines, body.as_bytes()).await;
        let what = format!("{} {}", operation.method, shown(target));
        assert!(right.contains(&answer.status), "{what}: {answer:?}");
        check_error(&what, operation.guard, &answer);
    }
}
