//! A closure explained as a black box: any function of a tensor is a model.

use candle_core::{Device, Result, Tensor};
use candlelight::prelude::{Explain, IntegratedGradients, Noise, Query, Saliency, SmoothGrad, Target};

/// The body-mass index of rows [height in m, weight in kg], and the height again as a second output.
fn model(x: &Tensor) -> Result<Tensor> {
    let (height, weight) = (x.narrow(1, 0, 1)?, x.narrow(1, 1, 1)?);
    Tensor::cat(&[&(weight / height.sqr()?)?, &height], 1)
}

fn main() -> anyhow::Result<()> {
    let people = Tensor::new(&[[1.80f64, 72.0], [1.60, 90.0]], &Device::Cpu)?;
    let average = Tensor::new(&[[1.70f64, 70.0]], &Device::Cpu)?;

    let method = IntegratedGradients::default().baseline(candlelight::Baseline::Tensor(average));
    let map = method.explain(&model, (&people, 0))?;
    for (score, parts) in map.scores().iter().zip(map.values().to_vec2::<f64>()?) {
        println!("BMI {score:.1}: height {:+.1}, weight {:+.1} against the average", parts[0], parts[1]);
    }
    println!("residual {:.1e}", map.convergence().worst());

    // Any score of the outputs can be asked about, and any explainer smoothed.
    let score = Target::Score(std::sync::Arc::new(|outputs: &Tensor| outputs.sqr()?.sum(1)));
    let smooth = SmoothGrad::over(Saliency::signed()).noise(Noise::Absolute(0.01));
    let map = smooth.explain(&model, Query::new(&people).target(score))?;
    println!("{} of the squared outputs:\n{:.1?}", map.method(), map.values().to_vec2::<f64>()?);
    Ok(())
}
