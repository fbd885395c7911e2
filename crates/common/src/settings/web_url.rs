use actix_web::http::Uri;
use serde::{Deserialize as _, Deserializer, de::Error as _};

/// For `#[serde(deserialize_with)]`: a URL that paths are appended to, `https://id.example.com`.
pub fn web_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let url: Option<Uri> = text.parse().ok();
    let web = url.is_some_and(|url| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.host().is_some_and(|host| !host.is_empty())
            && url.query().is_none()
    });
    if web {
        Ok(text)
    } else {
        Err(D::Error::custom("it must be a URL such as https://id.example.com"))
    }
}
