//! What can be asked, and the answers.
//!
//! | | |
//! |---|---|
//! | `GET /` | the form |
//! | `POST /explain?model=&method=&target=&contrast=&seed=&name=` | takes the bytes of an image; 202 with an id |
//! | `GET /jobs/ID` | how far it is |
//! | `GET /jobs/ID/report` | the page |
//! | `DELETE /jobs/ID` | stops it |

use super::Limits;
use super::board::{Board, Entry, Status};
use super::guard::guard;
use super::refusal::Refusal;
use super::upload::{self, Asked, Ticket};
use crate::args;
use crate::failure::Result;
use crate::model::Opened;
use crate::report::template::{STYLE, fill, hash};
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use candlelight::METHODS;
use minijinja::context;
use minijinja::value::{Serde, Value};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::spawn_blocking;

const FORM: &str = include_str!("assets/form.html");
const FORM_STYLE: &str = include_str!("assets/form.css");
const FORM_SCRIPT: &str = include_str!("assets/form.js");

/// Images that are received at once.
const RECEIVING: usize = 16;
/// Images that are decoded at once.
const DECODING: usize = 2;
/// What is ticked when the form opens.
const TICKED: [&str; 4] = ["grad-cam", "integrated-gradients", "lrp", "occlusion"];

/// What all answers are made from.
pub struct App {
    pub models: Vec<(String, Arc<Opened>)>,
    pub limits: Limits,
    pub board: Board,
    /// Names that the server is asked by.
    pub hosts: Vec<String>,
    receiving: Semaphore,
    decoding: Arc<Semaphore>,
    form: Bytes,
    policy: String,
}

impl App {
    pub fn new(models: Vec<(String, Opened)>, args: &args::Serve) -> Result<Self> {
        let limits = Limits {
            bytes: usize::from(args.megabytes) << 20,
            pixels: u64::from(args.megapixels) * 1_000_000,
            upload: Duration::from_secs(args.upload_seconds),
            explanation: Duration::from_secs(args.seconds),
            waiting: args.queue.into(),
        };
        let style = format!("{STYLE}{FORM_STYLE}");
        let policy = format!(
            "default-src 'none'; img-src data: blob:; connect-src 'self'; style-src {}; script-src {}; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'",
            hash(&style),
            hash(FORM_SCRIPT)
        );
        Ok(Self {
            form: form(&models, &style)?.into(),
            models: models.into_iter().map(|(name, model)| (name, Arc::new(model))).collect(),
            limits,
            board: Board::new(limits.waiting),
            hosts: args.host.clone(),
            receiving: Semaphore::new(RECEIVING),
            decoding: Arc::new(Semaphore::new(DECODING)),
            policy,
        })
    }
}

/// The page on which an image is chosen.
fn form(models: &[(String, Opened)], style: &str) -> Result<String> {
    let labels = |model: &Opened| model.loaded.labels.names().to_vec();
    let models: Vec<_> =
        models.iter().map(|(name, model)| json!({ "name": name, "labels": labels(model) })).collect();
    let ticked = |name: &str| TICKED.contains(&name);
    let method = |it: &candlelight::Method| {
        let family = format!("{:?}", it.family);
        json!({ "name": it.name, "title": it.title, "family": family, "ticked": ticked(it.name) })
    };
    let methods: Vec<_> = METHODS.iter().map(method).collect();
    let (models, methods) = (Value::from(Serde(models)), Value::from(Serde(methods)));
    fill("form.html", FORM, context! { models, methods, style, script => FORM_SCRIPT })
}

pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/explain", post(explain))
        .route("/jobs/{id}", get(status).delete(cancel))
        .route("/jobs/{id}/report", get(report))
        .layer(middleware::from_fn_with_state(app.clone(), guard))
        .with_state(app)
}

const HTML: (HeaderName, &str) = (header::CONTENT_TYPE, "text/html; charset=utf-8");

async fn index(State(app): State<Arc<App>>) -> Response {
    let policy = (header::CONTENT_SECURITY_POLICY, app.policy.clone());
    ([HTML], [policy], app.form.clone()).into_response()
}

async fn explain(
    State(app): State<Arc<App>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    match admit(&app, &headers) {
        Err(refusal) => {
            upload::discard(body).await;
            Err(refusal)
        }
        Ok(_receiving) => {
            let bytes = upload::read(body, app.limits).await?;
            let entry = take(&app, asked, bytes).await?;
            let place = (header::LOCATION, format!("/jobs/{}", entry.id));
            Ok((StatusCode::ACCEPTED, [place], Json(json!({ "id": entry.id }))).into_response())
        }
    }
}

/// Looks whether there is room for an image, before any of it is read.
fn admit<'a>(app: &'a App, headers: &HeaderMap) -> Result<SemaphorePermit<'a>, Refusal> {
    upload::check(headers, app.limits)?;
    match app.receiving.try_acquire() {
        Ok(permit) if !app.board.is_full() => Ok(permit),
        _ => Err(Refusal::busy()),
    }
}

/// Decodes an image, and lets it wait for its turn.
async fn take(app: &Arc<App>, asked: Asked, bytes: Vec<u8>) -> Result<Arc<Entry>, Refusal> {
    let permit = app.decoding.clone().acquire_owned().await;
    let decode = {
        let app = app.clone();
        move || {
            let _permit = permit;
            Ticket::of(&app, asked, &bytes)
        }
    };
    let ticket = spawn_blocking(decode).await;
    let broken = |_| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "decoding the image broke off", "please report this")
    };
    app.board.put(ticket.map_err(broken)??).ok_or_else(Refusal::busy)
}

fn entry(app: &App, id: &str) -> Result<Arc<Entry>, Refusal> {
    app.board.get(id).ok_or_else(Refusal::unknown)
}

async fn status(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Status>, Refusal> {
    Ok(Json(entry(&app, &id)?.status()))
}

async fn cancel(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    app.board.cancel(&entry(&app, &id)?);
    Ok(StatusCode::NO_CONTENT)
}

async fn report(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    match entry(&app, &id)?.status() {
        Status::Done { page } => Ok(([HTML], page).into_response()),
        _ => Err(Refusal::new(StatusCode::CONFLICT, "it is not explained yet", "ask how far it is first")),
    }
}
