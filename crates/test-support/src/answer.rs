use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};
use serde_json::Value;

/// An HTTP answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body as text.
    pub text: String,
    /// Its body as JSON, null where it is none.
    pub json: Value,
}

impl Answer {
    /// Reads `response`.
    pub async fn read(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("a whole answer");
        let json = serde_json::from_str(&text).unwrap_or_default();
        Self { status, headers, text, json }
    }

    /// A header as text, empty where it is missing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("readable"))
    }

    /// The answer itself if its status is `status`.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// Checks an error: its status, its `code`, and the form of the one error body.
    ///
    /// # Panics
    /// If any of that is different.
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.json["code"], code, "{}", answer.text);
        assert!(answer.json["error"].as_str().is_some_and(|error| error.len() > 5));
        assert_eq!(answer.json["request_id"], answer.header("x-request-id"));
        assert!(answer.json["operation"].is_string() && answer.json.get("details").is_some());
        answer
    }

    /// A member of the JSON body as text.
    ///
    /// # Panics
    /// If it is no text.
    #[must_use]
    #[track_caller]
    pub fn member(&self, name: &str) -> String {
        self.json[name].as_str().unwrap_or_else(|| panic!("`{name}` in {}", self.text)).to_owned()
    }
}
