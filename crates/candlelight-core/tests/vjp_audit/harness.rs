//! Gradients against central differences along random directions.

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use std::collections::BTreeSet;

/// Step of the central differences, on values of order one.
const STEP: f64 = 1e-5;
/// Their truncation and rounding, relative to the size of the score's change.
pub const TOLERANCE: f64 = 1e-7;
/// Random directions per tensor: an error in any one element shows in each of them.
const DIRECTIONS: usize = 4;

/// What a row of the audit covered.
#[derive(Default)]
pub struct Found {
    /// Layers in a setting and with an input.
    pub cases: usize,
    /// Whose gradients were compared.
    pub tensors: BTreeSet<String>,
}

/// Values of order one that differ everywhere; `seed` turns them.
pub fn wave(shape: &[usize], seed: f64) -> Tensor {
    let n: usize = shape.iter().product();
    let value = |i: usize| (i as f64 * (0.37 + seed) + seed).sin() + 0.5 * (i as f64 * 1.3 + seed).cos();
    Tensor::from_vec((0..n).map(value).collect::<Vec<f64>>(), shape, &Device::Cpu).unwrap()
}

/// A scalar that weighs every output differently.
fn score(y: &Tensor) -> Result<Tensor> {
    (y * wave(y.dims(), 0.9))?.sum_all()
}

/// Compares the gradient at `leaf` of the score of `f()` with central differences.
fn compare(leaf: &Var, f: &dyn Fn() -> Result<Tensor>) -> Result<()> {
    let gradients = score(&f()?)?.backward()?;
    let gradient = gradients.get(leaf).ok_or_else(|| candle_core::Error::msg("no gradient"))?;
    assert_eq!(gradient.dims(), leaf.dims(), "shape of a gradient");
    let at = leaf.as_tensor().copy()?.detach();
    for direction in 0..DIRECTIONS {
        let direction = wave(leaf.dims(), 2.1 + direction as f64 * 0.77);
        let value = |by: f64| -> Result<f64> {
            leaf.set(&(&at + (&direction * by)?)?)?;
            score(&f()?)?.to_scalar()
        };
        let measured = (value(STEP)? - value(-STEP)?) / (2.0 * STEP);
        let predicted = (gradient * &direction)?.sum_all()?.to_scalar::<f64>()?;
        let size = (gradient.abs()? * direction.abs()?)?.sum_all()?.to_scalar::<f64>()?.max(1.0);
        let apart = (measured - predicted).abs() / size;
        if apart.is_nan() || apart > TOLERANCE {
            candle_core::bail!("the gradient says {predicted}, the differences say {measured}")
        }
    }
    leaf.set(&at)
}

impl Found {
    /// Checks a layer without parameters.
    pub fn function(&mut self, shape: &[usize], run: impl Fn(&Tensor) -> Result<Tensor>) -> Result<()> {
        self.layer(shape, |_| Ok(()), |(), x| run(x))
    }

    /// Checks a layer built by `build`: its input and parameters while they train, its input once they are frozen, and
    /// that nothing is tracked where nothing asks.
    pub fn layer<M>(
        &mut self,
        shape: &[usize],
        build: impl Fn(VarBuilder) -> Result<M>,
        run: impl Fn(&M, &Tensor) -> Result<Tensor>,
    ) -> Result<()> {
        let map = VarMap::new();
        let trained = build(VarBuilder::from_varmap(&map, DType::F64, &Device::Cpu))?;
        let mut parameters: Vec<_> = map.data().lock().unwrap().clone().into_iter().collect();
        parameters.sort_by(|a, b| a.0.cmp(&b.0));
        for (i, (_, parameter)) in parameters.iter().enumerate() {
            parameter.set(&(wave(parameter.dims(), 0.4 + i as f64).abs()? + 0.1)?)?;
        }
        let x = Var::from_tensor(&wave(shape, 0.2))?;
        compare(&x, &|| run(&trained, &x))?;
        self.tensors.insert("input".into());
        for (name, parameter) in parameters.iter().filter(|(name, _)| !name.contains("running")) {
            compare(parameter, &|| run(&trained, &x.as_detached_tensor()))?;
            self.tensors.insert(name.clone());
        }
        let tensors = parameters.iter().map(|(name, var)| (name.clone(), var.as_detached_tensor())).collect();
        let frozen = build(VarBuilder::from_tensors(tensors, DType::F64, &Device::Cpu))?;
        compare(&x, &|| run(&frozen, &x))?;
        let y = run(&frozen, &x.as_detached_tensor())?;
        assert!(!y.track_op(), "a frozen layer of an untracked input tracks nothing");
        assert_eq!(y.dims()[0], shape[0], "rows of the output");
        self.cases += 1;
        Ok(())
    }
}
