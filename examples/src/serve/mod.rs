//! `candlelight serve`: the page of `explain --report` for images that a browser uploads.
//!
//! One thread answers requests, another explains. What comes in is bounded everywhere: connections, time for headers
//! and for bodies, bytes, pixels, uploads under way, explanations that wait, time for each, and pages that are kept.

mod app;
mod board;
mod guard;
mod listen;
mod refusal;
mod upload;
mod worker;

use crate::args;
use crate::failure::{Failure, Result};
use crate::model::Opened;
use crate::term;
use app::App;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

/// What a request may ask for.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Bytes of an image.
    pub bytes: usize,
    /// Pixels of an image, looked at before any is decoded.
    pub pixels: u64,
    /// For the bytes of an image to arrive.
    pub upload: Duration,
    /// For one explanation.
    pub explanation: Duration,
    /// Explanations that may wait.
    pub waiting: usize,
}

pub fn run(args: &args::Serve) -> Result<()> {
    let models = args.model.iter().map(|name| Ok((name.clone(), Opened::open(name, args.device)?)));
    let models = models.collect::<Result<Vec<_>>>()?;
    let app = Arc::new(App::new(models, args)?);
    let worker = thread::spawn({
        let app = app.clone();
        move || worker::work(&app)
    });
    let runtime = Builder::new_current_thread().enable_io().enable_time().build();
    let served = runtime.map_err(|error| unserved(args, &error))?.block_on(async {
        let listener = TcpListener::bind(args.bind).await.map_err(|error| unserved(args, &error))?;
        let address = listener.local_addr().map_err(|error| unserved(args, &error))?;
        term::say(&format!("listening on http://{address}; Ctrl-C ends it"));
        listen::until_interrupted(listener, app::router(app.clone())).await;
        Ok(())
    });
    app.board.close();
    drop(worker.join());
    served
}

fn unserved(args: &args::Serve, error: &std::io::Error) -> Failure {
    let message = format!("cannot listen on `{}`: {error}", args.bind);
    Failure::input(message, "give another address with `--bind`; port 0 takes one that is free")
}
