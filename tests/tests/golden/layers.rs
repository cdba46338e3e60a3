//! Activations and gradients of a layer, by the tape.

use anyhow::Result;
use candlelight_core::Tape;

use crate::methods::{Outputs, Setup, one};

pub fn activation(setup: &Setup) -> Result<Outputs> {
    let layer = setup.case.text("layer")?;
    let tape = Tape::record(setup.model, &setup.x, &[layer])?;
    Ok(one("activation", tape.get(layer)?.activation().clone()))
}

pub fn gradient_x_activation(setup: &Setup) -> Result<Outputs> {
    let layer = setup.case.text("layer")?;
    let tape = Tape::record(setup.model, &setup.x, &[layer])?;
    let gradients = tape.gradients(&setup.score(tape.output())?)?;
    Ok(one("attribution", (tape.get(layer)?.activation() * &gradients[0])?))
}
