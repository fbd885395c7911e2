use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::TryIntoHeaderPair as _;
use actix_web::{HttpResponse, ResponseError};

use super::cookies::Cookie;
use crate::error::Error;

/// An error of the cookie API, which may take cookies away with it.
#[derive(Debug)]
pub struct Refusal {
    error: Error,
    clear: Vec<Cookie>,
}

impl Refusal {
    /// `error`, and the browser is to forget these cookies.
    #[must_use]
    pub fn clearing(error: Error, clear: Vec<Cookie>) -> Self {
        Self { error, clear }
    }
}

impl<E: Into<Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self { error: error.into(), clear: Vec::new() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(formatter)
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.error.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = self.error.error_response();
        for cookie in &self.clear {
            // A cookie that is no header's value can't have been set.
            if let Ok((name, value)) = cookie.clone().try_into_pair() {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}
