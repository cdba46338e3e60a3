//! A process that does the work of one row as often as it is told, so that its time and its memory are its own.

use crate::row::Row;
use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor, safetensors};
use serde::{Deserialize, Serialize};
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

/// The peer's runner.
pub const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/torch_peer.py");

/// Before every run: idle threads of the other side may still be spinning.
const SETTLE: Duration = Duration::from_secs(1);

/// Whose process it is.
#[derive(Clone, Copy)]
pub enum Side<'a> {
    Ours,
    /// The interpreter of the peer.
    Peer(&'a Path),
}

/// What a worker says after a run.
#[derive(Clone, Copy, Deserialize, Serialize)]
pub struct Ran {
    pub seconds: f64,
    /// The largest resident size so far.
    pub rss_mib: f64,
}

/// The process.
pub struct Worker {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    pub fn start(
        side: Side,
        row: Row,
        folder: &Path,
        dtype: &str,
        steps: usize,
        threads: usize,
    ) -> Result<Self> {
        let mut command = match side {
            Side::Ours => Command::new(env::current_exe()?),
            Side::Peer(python) => {
                let mut command = Command::new(python);
                command.arg(PEER);
                command
            }
        };
        command.args(["work", row.name()]).arg(folder).args([dtype, &steps.to_string()]);
        if let Side::Peer(_) = side {
            command.arg(threads.to_string());
        }
        command.env("RAYON_NUM_THREADS", threads.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let ask = child.stdin.take().context("no stdin")?;
        let answers = BufReader::new(child.stdout.take().context("no stdout")?);
        Ok(Self { child, ask, answers })
    }

    /// Does the work once.
    pub fn run(&mut self) -> Result<Ran> {
        self.tell("run")
    }

    /// Does the work once and gives its result.
    pub fn map(&mut self, file: &Path) -> Result<Tensor> {
        self.tell(&format!("map {}", file.display()))?;
        let mut tensors = safetensors::load(file, &Device::Cpu)?;
        tensors.remove("map").context("the worker wrote no map")
    }

    fn tell(&mut self, line: &str) -> Result<Ran> {
        thread::sleep(SETTLE);
        writeln!(self.ask, "{line}")?;
        let mut answer = String::new();
        ensure!(self.answers.read_line(&mut answer)? > 0, "the worker ended; what it said is above");
        Ok(serde_json::from_str(&answer)?)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
