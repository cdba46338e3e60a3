//! Who may ask: pages of this server, under a name that is its own.
//!
//! Without this any page that its user has open could ask a server on the same machine: directly (CSRF), or by a name
//! whose address it changes (DNS rebinding). Numbers cannot be rebound; names must be told with `--host`.

use super::app::App;
use super::refusal::Refusal;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::sync::Arc;

/// What every answer says to the browser.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

pub async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = match is_own(request.headers(), &app.hosts) {
        true => next.run(request).await,
        false => Refusal::stranger().into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether the host that is asked is this one, and the page that asks, if one does, comes from it.
fn is_own(headers: &HeaderMap, hosts: &[String]) -> bool {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or_default());
    let Some(host) = text(header::HOST) else { return false };
    let origin = text(header::ORIGIN);
    is_known(host, hosts) && origin.is_none_or(|origin| origin == format!("http://{host}"))
}

fn is_known(host: &str, hosts: &[String]) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    let is = |known: &str| known.eq_ignore_ascii_case(name);
    is("localhost") || name.parse::<IpAddr>().is_ok() || hosts.iter().any(|known| is(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_ask(host: Option<&'static str>, origin: Option<&'static str>) -> bool {
        let mut headers = HeaderMap::new();
        host.map(|host| headers.insert(header::HOST, HeaderValue::from_static(host)));
        origin.map(|origin| headers.insert(header::ORIGIN, HeaderValue::from_static(origin)));
        is_own(&headers, &["lab.example".into()])
    }

    #[test]
    fn own_names_and_numbers_may_ask() {
        for host in ["localhost:7878", "127.0.0.1:7878", "[::1]:7878", "LAB.example", "192.168.0.7:80"] {
            assert!(may_ask(Some(host), None), "{host}");
        }
        assert!(may_ask(Some("127.0.0.1:7878"), Some("http://127.0.0.1:7878")));
    }

    #[test]
    fn other_names_and_other_pages_may_not() {
        for host in ["evil.example", "localhost.evil.example:7878", "127.0.0.1.evil.example", "", "a b"] {
            assert!(!may_ask(Some(host), None), "{host}");
        }
        assert!(!may_ask(None, None));
        for origin in ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:7878"] {
            assert!(!may_ask(Some("127.0.0.1:7878"), Some(origin)), "{origin}");
        }
    }
}
