//! From a request to something that can be explained.

use super::Limits;
use super::app::App;
use super::board::Entry;
use super::refusal::Refusal;
use crate::args::{Cli, Command, Explain};
use crate::failure::Failure;
use crate::job::Job;
use crate::model::Opened;
use crate::subject::Subject;
use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap};
use candlelight::image;
use clap::Parser;
use http_body_util::BodyExt;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a body that is refused is still taken, so that its sender hears why.
const POLITENESS: Duration = Duration::from_secs(2);
/// The longest name of an image that is kept, in bytes.
const NAME: usize = 100;

/// What a request asks for.
#[derive(Deserialize)]
pub struct Asked {
    model: Option<String>,
    /// Methods, separated by commas.
    method: Option<String>,
    target: Option<String>,
    contrast: Option<String>,
    seed: Option<u64>,
    /// The image's file name.
    name: Option<String>,
}

/// What waits to be explained.
pub struct Ticket {
    pub entry: Arc<Entry>,
    pub model: Arc<Opened>,
    pub explain: Explain,
    /// The command line that does the same.
    pub command: Vec<String>,
    pub subject: Subject,
}

/// Refuses what says that it is no image, or larger than may be.
pub fn check(headers: &HeaderMap, limits: Limits) -> Result<(), Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("nothing");
    if !kind.starts_with("image/") && kind != "application/octet-stream" {
        return Err(Refusal::no_image(kind));
    }
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(length) if length > limits.bytes as u64 => Err(Refusal::too_large(limits.bytes)),
        _ => Ok(()),
    }
}

/// The bytes of an image, in time.
pub async fn read(mut body: Body, limits: Limits) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let read = async {
        while let Some(frame) = body.frame().await {
            let broken = |_| Refusal::new(StatusCode::BAD_REQUEST, "the image broke off", "send it again");
            let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
            if bytes.len() + data.len() > limits.bytes {
                return Err(Refusal::too_large(limits.bytes));
            }
            bytes.extend_from_slice(&data);
        }
        Ok(())
    };
    match timeout(limits.upload, read).await {
        Err(_) => Err(Refusal::slow()),
        Ok(Ok(())) => Ok(bytes),
        Ok(Err(refusal)) => {
            drop(bytes);
            discard(body).await;
            Err(refusal)
        }
    }
}

/// Takes what is sent, and keeps nothing.
pub async fn discard(mut body: Body) {
    let taken = async { while let Some(Ok(_)) = body.frame().await {} };
    drop(timeout(POLITENESS, taken).await);
}

impl Ticket {
    /// Decodes the image, and looks whether what is asked for is there.
    pub fn of(app: &App, asked: Asked, bytes: &[u8]) -> Result<Self, Refusal> {
        let name = asked.model.clone().unwrap_or_else(|| app.models[0].0.clone());
        let known = app.models.iter().find(|(known, _)| *known == name);
        let Some((_, model)) = known else { return Err(Refusal::asked(unknown(&name, app))) };
        let picture = image::decode_within(bytes, app.limits.pixels).map_err(Refusal::image)?;
        let image = asked.name.as_deref().filter(|name| !name.is_empty()).map_or("upload", clipped);
        let subject = Subject::uploaded(image, bytes, &picture, model).map_err(Refusal::asked)?;
        let command = command(&asked, &name, image);
        let explain = parsed(&command).map_err(Refusal::asked)?;
        Job::of(&explain, model, command.clone()).map_err(Refusal::asked)?;
        Ok(Self { entry: Arc::new(Entry::new()), model: model.clone(), explain, command, subject })
    }
}

fn unknown(name: &str, app: &App) -> Failure {
    let names: Vec<_> = app.models.iter().map(|(known, _)| known.as_str()).collect();
    Failure::input(format!("there is no model `{name}` here"), format!("there are {}", names.join(", ")))
}

/// A name of bearable length.
fn clipped(name: &str) -> &str {
    let ends = (0..=NAME.min(name.len())).rev().find(|&end| name.is_char_boundary(end));
    &name[..ends.unwrap_or(0)]
}

/// The command line that does what a request asks for.
fn command(asked: &Asked, model: &str, image: &str) -> Vec<String> {
    let mut command = vec!["explain".to_owned(), format!("--model={model}")];
    let mut option = |name: &str, value: &Option<String>| {
        command.extend(value.iter().filter(|it| !it.is_empty()).map(|value| format!("--{name}={value}")));
    };
    option("method", &asked.method);
    option("target", &asked.target);
    option("contrast", &asked.contrast);
    option("seed", &asked.seed.map(|seed| seed.to_string()));
    command.extend(["--report".into(), "--".into(), image.into()]);
    command
}

fn parsed(command: &[String]) -> Result<Explain, Failure> {
    let words = std::iter::once("candlelight").chain(command.iter().map(String::as_str));
    match Cli::try_parse_from(words).map(|cli| cli.command) {
        Ok(Command::Explain(explain)) => Ok(*explain),
        Ok(_) => Err(Failure::input("this is no explanation", "ask for one")),
        Err(error) => Err(Failure::input(error.kind().to_string(), "look at `candlelight explain --help`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_becomes_a_command_line_and_nothing_else() {
        let some = |text: &str| Some(text.to_owned());
        let asked = Asked {
            model: None,
            method: some("saliency,lrp"),
            target: some("--out=/etc"),
            contrast: some(""),
            seed: Some(7),
            name: None,
        };
        let command = command(&asked, "bundled-resnet", "--json");
        let explain = parsed(&command).unwrap();
        assert_eq!((explain.target.as_str(), explain.seed, explain.json), ("--out=/etc", 7, false));
        assert_eq!((explain.method.len(), explain.contrast), (2, None));
        assert_eq!(explain.images, [std::path::PathBuf::from("--json")]);
        assert_eq!(explain.out, std::path::PathBuf::from("candlelight-out"));
    }

    #[test]
    fn long_names_are_cut_between_letters() {
        assert_eq!(clipped("cat.png"), "cat.png");
        assert_eq!(clipped(&"é".repeat(80)).chars().count(), 50);
    }
}
