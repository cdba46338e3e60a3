//! `candlelight check`.

use crate::args;
use crate::failure::{Failure, Result};
use crate::model::Opened;
use crate::subject::Subject;
use crate::term::{self, GREEN, paint};
use crate::words;
use candlelight::check_gradients;

pub fn run(args: &args::Check) -> Result<()> {
    let model = Opened::of(&args.model)?;
    let subject = match &args.image {
        Some(path) => Subject::open(path, &model)?,
        None => Subject::scene(args.seed, &model)?,
    };
    model.logits(&subject.input)?;
    let check =
        check_gradients(&model.loaded.model, &subject.input).map_err(|error| Failure::severed(&error))?;
    let worst = words::percent(check.worst);
    let found = format!("the gradients of {} are its derivatives at {}", model.loaded.name, subject.stem);
    term::say(&format!("{} {found}: finite differences agree within {worst}", paint(GREEN, "ok")));
    Ok(())
}
