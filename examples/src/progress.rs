//! Progress bars, for what takes longer than a second and for terminals only.

use crate::interrupt;
use candlelight::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// How long nothing is shown.
const PATIENCE: Duration = Duration::from_secs(1);
const TEMPLATE: &str = "{msg} {wide_bar} {pos}/{len}, {eta} left";
#[cfg(feature = "evaluate")]
const RATED: &str = "{msg} {wide_bar} {pos}/{len}, {per_sec}, {eta} left";

/// A bar that shows itself after a second and goes when it is dropped.
pub struct Bar {
    bar: ProgressBar,
    started: Instant,
}

impl Bar {
    /// A bar with a title.
    pub fn new(title: impl Into<String>) -> Self {
        Self::drawn(TEMPLATE, title)
    }

    /// A bar that also says how fast it goes.
    #[cfg(feature = "evaluate")]
    pub fn rated(title: impl Into<String>) -> Self {
        Self::drawn(RATED, title)
    }

    fn drawn(template: &str, title: impl Into<String>) -> Self {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let bar = bar.with_style(style).with_message(title.into()).with_finish(ProgressFinish::AndClear);
        Self { bar, started: Instant::now() }
    }

    /// Shows how far it is, and says whether to go on.
    pub fn update(&self, Progress { done, of }: Progress) -> ControlFlow<()> {
        self.bar.set_length(of as u64);
        self.bar.set_position(done as u64);
        if self.bar.is_hidden() && self.started.elapsed() > PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        interrupt::go_on()
    }
}
