//! Why a request is not answered as it was meant: a status, what is wrong, and the next step.

use crate::failure::Failure;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use candlelight::image;
use serde_json::json;

/// Seconds after which somebody who was refused for want of room may ask again.
const AGAIN: &str = "2";

#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    message: String,
    hint: String,
}

impl Refusal {
    pub fn new(status: StatusCode, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status, message: message.into(), hint: hint.into() }
    }

    /// 403: a name or a page that is not this server's.
    pub fn stranger() -> Self {
        let hint = "ask by address, or name the host with `--host` when you start the server";
        Self::new(StatusCode::FORBIDDEN, "this server is not known by that name, or to that page", hint)
    }

    /// 404: no such explanation, or none any more.
    pub fn unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such explanation", "old ones are dropped; ask again")
    }

    /// 503: as much is under way as may be.
    pub fn busy() -> Self {
        let hint = format!("ask again in {AGAIN} seconds");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "too much is being explained", hint)
    }

    /// 408: the image did not arrive in time.
    pub fn slow() -> Self {
        let hint = "send a smaller image, or start the server with more `--upload-seconds`";
        Self::new(StatusCode::REQUEST_TIMEOUT, "the image took too long to arrive", hint)
    }

    /// 413: more bytes than are taken.
    pub fn too_large(limit: usize) -> Self {
        let message = format!("the image has more than `{limit}` bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, message, "scale it down first")
    }

    /// 415: no image, as far as the request says.
    pub fn no_image(kind: &str) -> Self {
        let message = format!("`{kind}` is no type of image");
        let hint = "send the bytes of a PNG, JPEG, WebP, BMP, GIF or TIFF";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message, hint)
    }

    /// What is wrong with an image, by what it is.
    pub fn image(error: image::Error) -> Self {
        let status = match &error {
            image::Error::Empty | image::Error::NotAnImage { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            image::Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::failure(status, error.into())
    }

    /// 400: something that was asked for is not there.
    pub fn asked(failure: Failure) -> Self {
        Self::failure(StatusCode::BAD_REQUEST, failure)
    }

    fn failure(status: StatusCode, failure: Failure) -> Self {
        let (message, hint) = failure.words();
        Self::new(status, message, hint)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(json!({ "message": self.message, "hint": self.hint }));
        let mut response = (self.status, body).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(AGAIN));
        }
        response
    }
}
