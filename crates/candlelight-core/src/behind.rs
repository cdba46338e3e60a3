//! Layers that are one node of candle's graph with the frozen linear layer right before them: candle pays zeros, a sum and
//! fresh memory for every edge.

use crate::vjp::vjp_of_fresh;
use candle_core::{Result, Tensor, TensorId};
use std::cell::RefCell;
use std::sync::{Arc, Weak};

/// The pull-back of a linear layer: it needs the gradient alone.
pub(crate) trait Back: Send + Sync {
    /// The gradient at the input for that at the output.
    fn pull(&self, g: &Tensor) -> Result<Tensor>;

    /// [`pull`](Self::pull) of a gradient times one number for each channel, which `scaled` multiplies; a layer that has its
    /// weights at hand may scale those.
    fn pull_scaled(&self, g: &Tensor, scale: &ChannelScale) -> Result<Tensor> {
        self.pull(&(scale.scaled)(g, &scale.channels)?)
    }
}

impl<F: Fn(&Tensor) -> Result<Tensor> + Send + Sync> Back for F {
    fn pull(&self, g: &Tensor) -> Result<Tensor> {
        self(g)
    }
}

/// One number for each channel, `[channels]`.
pub(crate) struct ChannelScale {
    pub channels: Tensor,
    /// What multiplies a tensor `[N, channels, …]` with them.
    pub scaled: fn(&Tensor, &Tensor) -> Result<Tensor>,
}

/// What made a tensor: a linear layer.
struct Made {
    from: Tensor,
    back: Box<dyn Back>,
}

thread_local! {
    /// What the linear layer that ran last made, while that lives.
    static LAST: RefCell<Option<(TensorId, Weak<Made>)>> = const { RefCell::new(None) };
}

/// What made `x`, if that ran last.
fn last(x: &Tensor) -> Option<Arc<Made>> {
    LAST.with_borrow(|last| {
        last.as_ref().filter(|(id, _)| *id == x.id()).and_then(|(_, made)| made.upgrade())
    })
}

/// Runs `f` as if nothing had run before, and what was here before goes on as if `f` had not run: a worker that waits inside
/// a layer does other work, and which layers become one node must not depend on when.
pub(crate) fn apart<R>(f: impl FnOnce() -> R) -> R {
    let before = LAST.take();
    let result = f();
    LAST.set(before);
    result
}

/// [`vjp`](crate::vjp()) of a frozen layer that is linear, `back` its pull-back; nothing else shares `output`. A layer that
/// runs next, and directly on the output, may become one node with it: see [`scale_behind`] and [`vjp_behind`].
pub(crate) fn linear(x: &Tensor, output: Tensor, back: impl Back + 'static) -> Result<Tensor> {
    if !x.track_op() {
        return Ok(output);
    }
    let made = Arc::new(Made { from: x.clone(), back: Box::new(back) });
    let weak = Arc::downgrade(&made);
    let y = vjp_of_fresh(&[x], output, move |_, g| Ok(vec![Some(made.back.pull(g)?)]))?;
    LAST.set(Some((y.id(), weak)));
    Ok(y)
}

/// [`linear`] of a layer that scales channels, hung onto what the linear layer before was given, if that layer made `x` just
/// now. The output of the layer before keeps its own node for others that use it; the pull-back of that layer then runs
/// twice.
pub(crate) fn scale_behind(x: &Tensor, output: Tensor, scale: ChannelScale) -> Result<Tensor> {
    match last(x) {
        Some(made) => linear(&made.from.clone(), output, move |g: &Tensor| made.back.pull_scaled(g, &scale)),
        None => linear(x, output, move |g: &Tensor| (scale.scaled)(g, &scale.channels)),
    }
}

/// [`vjp_of_fresh`] of a layer with one argument, hung onto what the linear layer before was given, as in
/// [`scale_behind`].
pub(crate) fn vjp_behind<F>(x: &Tensor, output: Tensor, pullback: F) -> Result<Tensor>
where
    F: Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync + 'static,
{
    match last(x) {
        Some(made) => vjp_of_fresh(&[&made.from.clone()], output, move |y, g| {
            Ok(vec![Some(made.back.pull(&pullback(y, g)?)?)])
        }),
        None => vjp_of_fresh(&[x], output, move |y, g| Ok(vec![Some(pullback(y, g)?)])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn pair() -> Result<(Var, Var)> {
        Ok((Var::new(&[1.0f64, 2.0], &Device::Cpu)?, Var::new(&[3.0f64, 5.0], &Device::Cpu)?))
    }

    /// `x` times `factor` as a linear layer that counts its pull-backs.
    fn scaled(x: &Tensor, factor: f64, ran: &Arc<AtomicUsize>) -> Result<Tensor> {
        let ran = ran.clone();
        linear(x, (x.detach() * factor)?, move |g: &Tensor| {
            ran.fetch_add(1, Ordering::Relaxed);
            g * factor
        })
    }

    /// `x` times 2 as a layer that scales channels.
    fn doubled(x: &Tensor) -> Result<Tensor> {
        let channels = Tensor::new(&[2.0f64, 2.0], &Device::Cpu)?;
        scale_behind(x, (x.detach() * 2.0)?, ChannelScale { channels, scaled: |g, scale| g * scale })
    }

    fn square(x: &Tensor) -> Result<Tensor> {
        let input = x.detach();
        vjp_behind(x, input.sqr()?, move |_, g| (g * &input)? * 2.0)
    }

    #[test]
    fn layers_behind_a_linear_one_are_one_node_with_it() -> Result<()> {
        let ((a, _), ran) = (pair()?, Arc::default());
        let first = scaled(&a, 3.0, &ran)?;
        let alive = last(&first).map(|made| Arc::downgrade(&made));
        let y = square(&doubled(&first)?)?;
        drop(first);
        assert!(alive.is_some_and(|made| made.upgrade().is_some()), "what made the first lives in the last");
        // (6a)² has the gradient 72a.
        assert_eq!(y.sum_all()?.backward()?.get(&a).unwrap().to_vec1::<f64>()?, [72.0, 144.0]);
        assert_eq!(ran.load(Ordering::Relaxed), 1);
        Ok(())
    }

    #[test]
    fn an_output_that_others_use_as_well_gets_its_whole_gradient() -> Result<()> {
        let ((a, _), ran) = (pair()?, Arc::default());
        let first = scaled(&a, 3.0, &ran)?;
        let y = (square(&first)? + &first)?;
        // (3a)² + 3a has the gradient 18a + 3.
        assert_eq!(y.sum_all()?.backward()?.get(&a).unwrap().to_vec1::<f64>()?, [21.0, 39.0]);
        assert_eq!(ran.load(Ordering::Relaxed), 2);
        Ok(())
    }

    #[test]
    fn other_work_in_between_changes_nothing() -> Result<()> {
        let ((a, b), ran) = (pair()?, Arc::default());
        let first = scaled(&a, 3.0, &ran)?;
        apart(|| {
            assert!(last(&first).is_none());
            scaled(&b, 2.0, &ran)
        })?;
        assert!(last(&first).is_some());
        Ok(())
    }

    #[test]
    fn what_ran_in_between_keeps_its_node() -> Result<()> {
        let ((a, b), ran) = (pair()?, Arc::default());
        let first = scaled(&a, 3.0, &ran)?;
        let other = scaled(&b, 2.0, &ran)?;
        assert!(last(&first).is_none() && last(&other).is_some());
        let y = (square(&first)? * other)?;
        // (3a)² · 2b has the gradients 36ab and 18a².
        let gradients = y.sum_all()?.backward()?;
        assert_eq!(gradients.get(&a).unwrap().to_vec1::<f64>()?, [108.0, 360.0]);
        assert_eq!(gradients.get(&b).unwrap().to_vec1::<f64>()?, [18.0, 72.0]);
        Ok(())
    }
}
