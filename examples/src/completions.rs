//! `candlelight completions`.

use crate::args::{self, Cli};
use crate::failure::{Failure, Result};
use crate::term;
use clap::CommandFactory;

pub fn run(args: &args::Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "candlelight", &mut script);
    let script = String::from_utf8(script);
    term::say(script.map_err(|error| Failure::result(error.to_string(), "please report this"))?.trim_end());
    Ok(())
}
