//! A process that does the work of one row as often as it is told, so that its time and its memory are its own.

use crate::python::Python;
use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor, safetensors};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Before every run that counts: idle threads of the other side may still be spinning.
const SETTLE: Duration = Duration::from_millis(250);

/// How both sides run. Their allocators, mimalloc and glibc's, keep what is freed, as far as they can be told: memory that
/// goes back to the system is cleared again when the next pass asks for it, which costs either side 5 to 20 % of it. candle's
/// own pool has no threads beside the workers', whom it would serve one after the other.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("CANDLE_NUM_THREADS", "1"),
    ("MIMALLOC_PURGE_DELAY", "-1"),
    ("MALLOC_MMAP_THRESHOLD_", "33554432"),
    ("MALLOC_TRIM_THRESHOLD_", "34359738368"),
];

/// What a worker is told when it starts.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Spec {
    pub work: String,
    pub model: String,
    /// With the model and the inputs.
    pub folder: PathBuf,
    pub batch: usize,
    pub dtype: String,
    pub device: String,
    pub threads: usize,
    /// The peer's module.
    pub runner: String,
    pub settings: Map<String, Value>,
    pub check: Map<String, Value>,
}

/// Whose process it is.
#[derive(Clone, Copy)]
pub enum Side<'a> {
    Ours,
    Peer(&'a Python),
}

/// What a worker says after a run.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Ran {
    pub seconds: f64,
    /// The largest resident size so far.
    pub rss_mib: f64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Ran(Ran),
    Failed { error: String },
}

/// The process.
pub struct Worker {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// What it writes to stderr.
    said: File,
}

impl Worker {
    /// Starts it; it gets ready by itself.
    pub fn start(side: Side, spec: &Spec) -> Result<Self> {
        let mut command = match side {
            Side::Ours => {
                let mut command = Command::new(env::current_exe()?);
                command.arg("work");
                command
            }
            Side::Peer(python) => python.worker(),
        };
        command.arg(serde_json::to_string(spec)?);
        let threads = spec.threads.to_string();
        command.env("RAYON_NUM_THREADS", &threads).env("OMP_NUM_THREADS", &threads);
        command.envs(ENVIRONMENT);
        // An error is a line of the table.
        command.env("RUST_BACKTRACE", "0");
        let said = tempfile::tempfile()?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(said.try_clone()?);
        let mut child = command.spawn()?;
        let ask = child.stdin.take().context("no stdin")?;
        let answers = BufReader::new(child.stdout.take().context("no stdout")?);
        Ok(Self { child, ask, answers, said })
    }

    /// Does the work once, after the other side has settled.
    pub fn run(&mut self) -> Result<Ran> {
        thread::sleep(SETTLE);
        self.ask("run")?;
        self.answer()
    }

    /// Asks for the result in `file`; [`result`](Self::result) waits for it, so that workers can get ready side by side.
    pub fn check(&mut self, file: &Path) -> Result<()> {
        self.ask(&format!("check {}", file.display()))
    }

    /// The result that was asked for.
    pub fn result(&mut self, file: &Path) -> Result<Tensor> {
        self.answer()?;
        let mut tensors = safetensors::load(file, &Device::Cpu)?;
        tensors.remove("map").context("the worker wrote no map")
    }

    fn ask(&mut self, line: &str) -> Result<()> {
        // A worker that has ended says why on stderr, which the answer tells.
        drop(writeln!(self.ask, "{line}"));
        Ok(())
    }

    fn answer(&mut self) -> Result<Ran> {
        let mut answer = String::new();
        if self.answers.read_line(&mut answer)? == 0 {
            bail!("the worker ended: {}", self.last_words()?);
        }
        match serde_json::from_str(&answer).with_context(|| format!("`{}` is no answer", answer.trim()))? {
            Answer::Ran(ran) => Ok(ran),
            Answer::Failed { error } => bail!("{error}"),
        }
    }

    /// The last line that a worker which has ended wrote to stderr.
    fn last_words(&mut self) -> Result<String> {
        self.child.wait()?;
        self.said.rewind()?;
        let lines: Vec<String> = BufReader::new(&self.said).lines().collect::<Result<_, _>>()?;
        ensure!(!lines.is_empty(), "it said nothing");
        Ok(lines.into_iter().rfind(|line| !line.trim().is_empty()).unwrap_or_default())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
