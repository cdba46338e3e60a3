//! The one primitive under every layer: an output computed without tracking, joined to candle's autograd by a
//! pull-back closure (a vector-Jacobian product).

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, InplaceOp1, Layout, MetalStorage, Result,
    Shape, Storage, Tensor,
};
use std::sync::{Arc, Mutex};

/// What a pull-back gives: for each argument the gradient, or `None` where it is not needed.
pub type Gradients = Vec<Option<Tensor>>;

/// Joins `output`, computed from `args` without tracking, to candle's autograd.
///
/// `pullback(output, gradient)` maps the gradient of the output to the gradients of `args`, in their order.
/// It must give one, of the argument's shape, for every argument that is tracked
/// ([`Tensor::track_op`]); for the others it may give `None`. At most three arguments may be tracked. Where
/// none is, the output comes back as it is and the closure is dropped.
///
/// # Errors
/// If more than three arguments are tracked; when backward runs, if a gradient is missing.
///
/// # Example
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use candlelight_core::vjp;
///
/// // A step function with the gradient of the identity ("straight-through").
/// let x = Var::new(&[-1.0f64, 0.5], &Device::Cpu)?;
/// let step = x.detach().ge(0.0)?.to_dtype(candle_core::DType::F64)?;
/// let y = vjp(&[&x], step, |_, gradient| Ok(vec![Some(gradient.clone())]))?;
/// assert_eq!(y.sum_all()?.backward()?.get(&x).unwrap().to_vec1::<f64>()?, [1.0, 1.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn vjp<F>(args: &[&Tensor], output: Tensor, pullback: F) -> Result<Tensor>
where
    F: Fn(&Tensor, &Tensor) -> Result<Gradients> + Send + Sync + 'static,
{
    if args.iter().all(|arg| !arg.track_op()) {
        return Ok(output);
    }
    vjp_of_fresh(args, output.copy()?, pullback)
}

/// [`vjp`] of an output that nothing else shares: its storage moves into the graph without a copy.
pub(crate) fn vjp_of_fresh<F>(args: &[&Tensor], output: Tensor, pullback: F) -> Result<Tensor>
where
    F: Fn(&Tensor, &Tensor) -> Result<Gradients> + Send + Sync + 'static,
{
    let tracked: Vec<usize> = (0..args.len()).filter(|&i| args[i].track_op()).collect();
    let output = if output.is_contiguous() { output.detach() } else { output.detach().contiguous()? };
    let op = |tracked: &[usize]| Joined {
        output: Mutex::new(Some(output.clone())),
        tracked: tracked.to_vec(),
        pullback: Arc::new(pullback),
    };
    match tracked[..] {
        [] => Ok(output),
        [a] => args[a].apply_op1(op(&[a])),
        [a, b] => args[a].apply_op2(args[b], op(&[a, b])),
        [a, b, c] => args[a].apply_op3(args[b], args[c], op(&[a, b, c])),
        _ => candle_core::bail!(
            "a custom gradient joins at most three tracked arguments, not {}",
            tracked.len()
        ),
    }
}

type Pullback = dyn Fn(&Tensor, &Tensor) -> Result<Gradients> + Send + Sync;

struct Joined {
    /// The finished output, until the forward call hands its storage to candle.
    output: Mutex<Option<Tensor>>,
    /// Positions of the tracked arguments among all.
    tracked: Vec<usize>,
    pullback: Arc<Pullback>,
}

impl Joined {
    fn take(&self) -> Result<Tensor> {
        let mut slot = self.output.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        slot.take().ok_or_else(|| candle_core::Error::msg("a custom gradient's output was taken twice"))
    }

    fn cpu(&self) -> Result<(CpuStorage, Shape)> {
        let output = self.take()?;
        let moved = TakeStorage(Mutex::new(None));
        let shape = output.shape().clone();
        if output.layout().start_offset() == 0 {
            output.inplace_op1(&moved)?;
        }
        match moved.0.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
            Some(storage) => Ok((storage, shape)),
            None => match &*output.copy()?.storage_and_layout().0 {
                Storage::Cpu(storage) => Ok((storage.clone(), shape)),
                _ => candle_core::bail!("a custom gradient's output must lie on its arguments' device"),
            },
        }
    }

    fn cuda(&self) -> Result<(CudaStorage, Shape)> {
        let output = self.take()?;
        match &*output.storage_and_layout().0 {
            Storage::Cuda(storage) => Ok((storage.try_clone(output.layout())?, output.shape().clone())),
            _ => candle_core::bail!("a custom gradient's output must lie on its arguments' device"),
        }
    }

    fn metal(&self) -> Result<(MetalStorage, Shape)> {
        let output = self.take()?;
        match &*output.storage_and_layout().0 {
            Storage::Metal(storage) => Ok((storage.try_clone(output.layout())?, output.shape().clone())),
            _ => candle_core::bail!("a custom gradient's output must lie on its arguments' device"),
        }
    }

    /// The gradients of the tracked arguments; a missing one is an error here, where candle would panic.
    fn gradients<const N: usize>(&self, output: &Tensor, gradient: &Tensor) -> Result<[Option<Tensor>; N]> {
        let mut all = (self.pullback)(output, &gradient.contiguous()?)?;
        let mut picked = self.tracked.iter().map(|&i| all.get_mut(i).and_then(Option::take));
        let gradients = std::array::from_fn(|_| picked.next().flatten());
        match gradients.iter().all(Option::is_some) {
            true => Ok(gradients),
            false => candle_core::bail!("a pull-back must give a gradient for every tracked argument"),
        }
    }
}

/// Moves a tensor's storage out and leaves an empty one behind.
struct TakeStorage(Mutex<Option<CpuStorage>>);

impl InplaceOp1 for TakeStorage {
    fn name(&self) -> &'static str {
        "take-storage"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> Result<()> {
        let taken = std::mem::replace(storage, CpuStorage::U8(Vec::new()));
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(taken);
        Ok(())
    }
}

impl CustomOp1 for Joined {
    fn name(&self) -> &'static str {
        "candlelight-vjp"
    }
    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.cpu()
    }
    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.cuda()
    }
    fn metal_fwd(&self, _: &MetalStorage, _: &Layout) -> Result<(MetalStorage, Shape)> {
        self.metal()
    }
    fn bwd(&self, _: &Tensor, output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let [a] = self.gradients(output, gradient)?;
        Ok(a)
    }
}

impl CustomOp2 for Joined {
    fn name(&self) -> &'static str {
        "candlelight-vjp"
    }
    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.cpu()
    }
    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.cuda()
    }
    fn metal_fwd(
        &self,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        self.metal()
    }
    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.gradients(output, gradient).map(|[a, b]| (a, b))
    }
}

impl CustomOp3 for Joined {
    fn name(&self) -> &'static str {
        "candlelight-vjp"
    }
    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.cpu()
    }
    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.cuda()
    }
    fn metal_fwd(
        &self,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        self.metal()
    }
    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        self.gradients(output, gradient).map(|[a, b, c]| (a, b, c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    fn pair() -> Result<(Var, Var)> {
        Ok((Var::new(&[1.0f64, 2.0], &Device::Cpu)?, Var::new(&[3.0f64, 5.0], &Device::Cpu)?))
    }

    fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let (x, y) = (a.detach(), b.detach());
        vjp(&[a, b], (&x * &y)?, move |_, g| Ok(vec![Some((g * &y)?), Some((g * &x)?)]))
    }

    #[test]
    fn every_tracked_argument_gets_its_own_gradient() -> Result<()> {
        let (a, b) = pair()?;
        let gradients = product(&a, &b)?.sum_all()?.backward()?;
        assert_eq!(gradients.get(&a).unwrap().to_vec1::<f64>()?, [3.0, 5.0]);
        assert_eq!(gradients.get(&b).unwrap().to_vec1::<f64>()?, [1.0, 2.0]);
        let gradients = product(&a.as_detached_tensor(), &b)?.sum_all()?.backward()?;
        assert_eq!(gradients.get(&b).unwrap().to_vec1::<f64>()?, [1.0, 2.0]);
        Ok(())
    }

    #[test]
    fn an_output_that_shares_its_storage_is_left_whole() -> Result<()> {
        let (a, _) = pair()?;
        let y = vjp(&[&a], a.detach(), |_, g| Ok(vec![Some(g.clone())]))?;
        assert_eq!((a.to_vec1::<f64>()?, y.to_vec1::<f64>()?), (vec![1.0, 2.0], vec![1.0, 2.0]));
        Ok(())
    }

    #[test]
    fn a_missing_gradient_is_an_error_and_no_panic() -> Result<()> {
        let (a, _) = pair()?;
        let y = vjp(&[&a], a.detach(), |_, _| Ok(vec![None]))?;
        assert!(y.sum_all()?.backward().is_err());
        Ok(())
    }

    #[test]
    fn without_a_tracked_argument_the_output_comes_back_as_it_is() -> Result<()> {
        let (a, b) = pair()?;
        assert!(!product(&a.as_detached_tensor(), &b.as_detached_tensor())?.track_op());
        Ok(())
    }
}
