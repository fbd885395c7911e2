use std::future::Ready;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use common::http;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// The query string; what is wrong with it is an [`Error`] as bad input elsewhere is.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let parsed = http::Query::from_request(request, payload).into_inner();
        std::future::ready(parsed.map(|http::Query(query)| Self(query)).map_err(Error::from))
    }
}
