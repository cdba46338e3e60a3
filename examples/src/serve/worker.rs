//! The thread that explains, one image after the other: a method has all cores.

use super::app::App;
use super::board::{Entry, Status};
use super::upload::Ticket;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::job::{Explained, Job, Stage, Watch};
use crate::method::Finished;
use crate::report::{self, Page};
use candlelight::{Method, Progress};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Explains what waits until the board is closed.
pub fn work(app: &App) {
    while let Some(ticket) = app.board.next() {
        let entry = ticket.entry.clone();
        let explained = catch_unwind(AssertUnwindSafe(|| explain(ticket, app.limits.explanation)));
        let status = match explained {
            Ok(Ok(_)) if entry.is_cancelled() => Status::Cancelled,
            Ok(Ok(page)) => Status::Done { page: page.into() },
            Ok(Err(failure)) => failed(failure),
            Err(_) => failed(Failure::result("the explanation broke off", "please report this")),
        };
        app.board.finish(&entry, status);
    }
}

fn failed(failure: Failure) -> Status {
    let (message, hint) = failure.words();
    Status::Failed { message, hint }
}

fn explain(ticket: Ticket, limit: Duration) -> Result<String> {
    let Ticket { entry, model, explain, command, subject } = ticket;
    let job = Job::of(&explain, &model, command)?;
    let mut explained = job.begin(subject)?;
    if explained.check.as_ref().is_err_and(|error| !matches!(error, candlelight::Error::WrongGradient { .. }))
    {
        return explained.check.map(|_| String::new()).map_err(|error| Failure::severed(&error));
    }
    let desk = Desk {
        entry,
        methods: job.selection.methods.len(),
        before: AtomicUsize::new(0),
        deadline: Instant::now() + limit,
    };
    job.methods(&mut explained, &desk)?;
    report::html(&Page::of(&job, &explained)?)
}

/// A run that is watched from a browser.
struct Desk {
    entry: Arc<Entry>,
    methods: usize,
    /// Methods that are over.
    before: AtomicUsize,
    deadline: Instant,
}

impl Stage for Desk {
    fn watch(&self, method: &'static Method) -> Watch {
        let (entry, deadline, methods) = (self.entry.clone(), self.deadline, self.methods);
        let before = self.before.load(Ordering::Relaxed);
        let status = move |done, of| Status::Running { method: method.title, done, of, before, methods };
        entry.set(status(0, 1));
        Box::new(move |Progress { done, of }| {
            entry.set(status(done, of));
            match entry.is_cancelled() || interrupt::asked() || Instant::now() > deadline {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })
    }

    fn finished(&self, explained: &Explained, finished: &Finished) -> Result<()> {
        if explained.contrast.is_none_or(|class| class == finished.class) {
            self.before.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn skipped(&self, _: &'static Method, _: &str) {
        self.before.fetch_add(1, Ordering::Relaxed);
    }
}
