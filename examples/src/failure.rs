//! What is said when something went wrong: one line with the error, one with the next step.

use crate::term::{self, DIM, RED};
use candlelight::{image, metrics, models};
use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why the command ends early.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// 1: the result could not be written, or a check did not pass.
    Result,
    /// 2: something that was given cannot be used.
    Input,
    /// 130: Ctrl-C.
    Interrupted,
}

/// How many layers an error lists.
const LAYERS_LISTED: usize = 8;

impl Failure {
    /// Something that was given cannot be used.
    pub fn input(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: Kind::Input, message: message.into(), hint: Some(hint.into()) }
    }

    /// A result that is not as it should be.
    pub fn result(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: Kind::Result, message: message.into(), hint: Some(hint.into()) }
    }

    /// A model whose gradients do not reach its input.
    pub fn severed(error: &candlelight::Error) -> Self {
        Self::split(&error.to_string(), &["; "])
    }

    /// A file or folder that cannot be written.
    pub fn unwritable(path: &Path, error: impl Display) -> Self {
        let message = format!("cannot write `{}`: {error}", path.display());
        Self::result(message, "name another folder with `--out`")
    }

    /// Ctrl-C, with what was finished.
    pub fn interrupted(finished: impl Into<String>) -> Self {
        Self { kind: Kind::Interrupted, message: finished.into(), hint: None }
    }

    /// The same with the file that it happened to.
    pub fn about(self, path: &Path) -> Self {
        let message = match self.message.contains(&path.display().to_string()) {
            true => self.message,
            false => format!("`{}`: {}", path.display(), self.message),
        };
        Self { message, ..self }
    }

    /// The message, and the next step.
    #[cfg(feature = "serve")]
    pub fn words(self) -> (String, String) {
        (self.message, self.hint.unwrap_or_default())
    }

    /// The same with another next step.
    #[cfg(feature = "evaluate")]
    pub fn or(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Says it on stderr, and gives the exit code.
    pub fn report(self) -> ExitCode {
        match self.kind {
            Kind::Interrupted => term::warn(&term::paint(RED, &self.message)),
            _ => term::warn(&format!("{} {}", term::paint(RED, "error:"), self.message)),
        }
        self.hint.iter().for_each(|hint| term::warn(&format!("{} {hint}", term::paint(DIM, "hint:"))));
        ExitCode::from(match self.kind {
            Kind::Result => 1,
            Kind::Input => 2,
            Kind::Interrupted => 130,
        })
    }

    /// A library's message, whose next step stands after the last of `marks`.
    fn split(message: &str, marks: &[&str]) -> Self {
        let message = message.replace('\n', " ");
        let parts = marks.iter().find_map(|mark| message.rsplit_once(mark));
        let (message, hint) = parts.unwrap_or((&message, "`candlelight help` shows what can be given"));
        Self::input(message, hint)
    }
}

impl From<candlelight::Error> for Failure {
    fn from(error: candlelight::Error) -> Self {
        match &error {
            candlelight::Error::UnknownMethod { name, nearest } => Self::input(
                format!("unknown method `{name}`"),
                format!("nearest: {}; `candlelight methods` lists all", nearest.join(", ")),
            ),
            candlelight::Error::UnknownLayer { name, seen } if !seen.is_empty() => {
                Self::input(format!("the model has no layer `{name}`"), layers(seen))
            }
            candlelight::Error::TargetOutOfRange { class, classes } => Self::input(
                format!("target class `{class}` is out of range: the model has `{classes}` classes"),
                format!("give a number from 0 to {}, or a label", classes.saturating_sub(1)),
            ),
            candlelight::Error::Setting { setting, value, expected } => {
                Self::input(format!("`{value}` is no valid {setting}"), format!("give {expected}"))
            }
            candlelight::Error::Shape { what, found, expected } => {
                Self::input(format!("{what} has shape `{found:?}`"), format!("expected {expected}"))
            }
            _ => Self::split(&error.to_string(), &["; "]),
        }
    }
}

fn layers(seen: &[String]) -> String {
    let shown = seen[..seen.len().min(LAYERS_LISTED)].join(", ");
    let more = match seen.len() - seen.len().min(LAYERS_LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("seen, nearest first: {shown}{more}; `candlelight layers` lists all with their shapes")
}

impl From<models::Error> for Failure {
    fn from(error: models::Error) -> Self {
        match error {
            models::Error::Candle(error) => error.into(),
            error => Self::split(&error.to_string(), &["; ", ": "]),
        }
    }
}

impl From<image::Error> for Failure {
    fn from(error: image::Error) -> Self {
        Self::split(&error.to_string(), &["; "])
    }
}

impl From<metrics::Error> for Failure {
    fn from(error: metrics::Error) -> Self {
        Self::split(&error.to_string(), &["; "])
    }
}

impl From<candle_core::Error> for Failure {
    fn from(error: candle_core::Error) -> Self {
        candlelight::Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_step_becomes_the_hint() {
        let failure = Failure::split("cannot read `x`: no such file; check that it exists", &["; ", ": "]);
        assert_eq!(failure.message, "cannot read `x`: no such file");
        assert_eq!(failure.hint.as_deref(), Some("check that it exists"));
    }

    #[test]
    fn a_long_list_of_layers_is_shortened() {
        let seen: Vec<String> = (0..20).map(|i| format!("l{i}")).collect();
        assert!(layers(&seen).contains("l7 and 12 more"));
        assert!(!layers(&seen[..3]).contains("more"));
    }
}
