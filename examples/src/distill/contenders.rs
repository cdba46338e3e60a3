//! The baselines of the article, and the control.

use crate::args;
use crate::failure::Result;
use crate::method::references;
use crate::model::Opened;
use crate::style;
use candlelight::image::{OKABE_ITO, Stroke};
use candlelight::metrics::RandomMap;
use candlelight::{Baseline, ExpectedGradients, Explain, IntegratedGradients, References};

/// Standard deviation of the blurred baseline in pixels.
const BLUR: f64 = 5.0;
/// Standard deviation of Gaussian noise as a share of the range from black to white.
const NOISE: f64 = 0.25;
/// What knows nothing.
pub const RANDOM: &str = "random";

/// A way of explaining that takes part.
pub struct Contender {
    pub name: &'static str,
    pub method: Box<dyn Explain>,
    pub color: [u8; 3],
    pub stroke: Stroke,
}

/// All of them; noise that is averaged is a solid line in the colour of one draw of it.
pub fn all(args: &args::Distill, model: &Opened) -> Result<Vec<Contender>> {
    let bounds = model.preprocess.bounds()?;
    let path = |baseline: References| -> Box<dyn Explain> {
        Box::new(IntegratedGradients::default().steps(args.steps).baseline(baseline).draws(1))
    };
    let averaged = |references: References| -> Box<dyn Explain> {
        Box::new(ExpectedGradients::default().samples(args.samples).references(references))
    };
    let uniform = || References::Uniform(bounds.clone());
    let gaussian = || References::Gaussian { sigma: NOISE, bounds: bounds.clone() };
    let [blue, red, green, purple, orange, _, black] = OKABE_ITO;
    let solid = |name, method, color| Contender { name, method, color, stroke: Stroke::Solid };
    let dashed = |name, method, color| Contender { name, method, color, stroke: Stroke::Dashed };
    let (color, stroke) = style::CONTROL;
    let training = References::Samples(references(model)?);
    Ok(vec![
        solid("black", path(Baseline::Lowest(bounds.clone()).into()), orange),
        solid("max distance", path(Baseline::MaxDistance(bounds.clone()).into()), red),
        solid("blurred", path(Baseline::Blurred(BLUR).into()), green),
        dashed("uniform, one", path(uniform()), blue),
        solid("uniform, averaged", averaged(uniform()), blue),
        dashed("gaussian, one", path(gaussian()), purple),
        solid("gaussian, averaged", averaged(gaussian()), purple),
        solid("training data", averaged(training), black),
        Contender { name: RANDOM, method: Box::new(RandomMap::default()), color, stroke },
    ])
}
