//! The peers' interpreter: one that the caller names, or a virtual environment that is made once.

use anyhow::{Context, Result, ensure};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is installed, every package pinned.
const REQUIREMENTS: &str = include_str!("../../../peers/requirements.txt");
/// The peers' side, carried along so that the program runs away from its sources.
const SCRIPTS: [(&str, &str); 7] = [
    ("worker.py", include_str!("../../../peers/worker.py")),
    ("models.py", include_str!("../../../peers/models.py")),
    ("plain.py", include_str!("../../../peers/plain.py")),
    ("captum_runner.py", include_str!("../../../peers/captum_runner.py")),
    ("grad_cam_runner.py", include_str!("../../../peers/grad_cam_runner.py")),
    ("zennit_runner.py", include_str!("../../../peers/zennit_runner.py")),
    ("quantus_runner.py", include_str!("../../../peers/quantus_runner.py")),
];
/// What to do where no environment can be made.
const NEXT: &str = "name an interpreter that has `benches/peers/requirements.txt` with `--python PYTHON`, or measure ours \
                    alone with `--without-peers`";

/// An interpreter with the peers, and where their scripts lie.
pub struct Python {
    interpreter: PathBuf,
    scripts: PathBuf,
}

impl Python {
    /// `interpreter`, or that of the virtual environment beside this program, with the scripts in `folder`.
    pub fn new(interpreter: Option<&Path>, folder: &Path) -> Result<Self> {
        for (name, text) in SCRIPTS {
            fs::write(folder.join(name), text)?;
        }
        let interpreter = interpreter.map_or_else(environment, |named| Ok(named.to_path_buf()))?;
        Ok(Self { interpreter, scripts: folder.to_path_buf() })
    }

    /// The peers' worker, before it is told what to do.
    pub fn worker(&self) -> Command {
        let mut command = Command::new(&self.interpreter);
        command.arg(self.scripts.join("worker.py"));
        command
    }
}

/// The interpreter of the virtual environment, which is made where it is not there or has other packages.
fn environment() -> Result<PathBuf> {
    let program = env::current_exe()?;
    let folder = program.parent().context("the program lies nowhere")?.join("peers");
    let (interpreter, ready) = (folder.join("bin/python"), folder.join("requirements.txt"));
    if fs::read_to_string(&ready).is_ok_and(|installed| installed == REQUIREMENTS) {
        return Ok(interpreter);
    }
    eprintln!("making a virtual environment for the peers in {} (once, gigabytes)", folder.display());
    run(
        Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder),
        "python3 cannot make an environment",
    )?;
    let wanted = folder.join("wanted.txt");
    fs::write(&wanted, REQUIREMENTS)?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    run(Command::new(&interpreter).args(install).arg(&wanted), "the peers cannot be installed")?;
    // Only now is it whole: a run that was interrupted begins anew.
    fs::rename(&wanted, &ready)?;
    Ok(interpreter)
}

fn run(command: &mut Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("{what}; {NEXT}"))?;
    ensure!(status.success(), "{what} (what it said is above); {NEXT}");
    Ok(())
}
