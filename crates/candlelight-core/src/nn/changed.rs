//! Chains on a batch whose rows are one row with a rectangle changed: only what the rectangle reaches is computed.

use super::chain::{Chain, Linked};
use super::elements::lend;
use crate::scope::{Changes, KnownValues};
use candle_core::{Result, Tensor};
use candlelight_kernels::chain::{self as kernels, Known, Maps, Order};
use std::sync::Arc;

/// A type of number of which values can be known.
pub(super) trait Knowable: Linked {
    fn wrap(known: Known<Self>) -> KnownValues;
    fn unwrap(known: &KnownValues) -> Option<&Arc<Known<Self>>>;
}

impl Knowable for f32 {
    fn wrap(known: Known<Self>) -> KnownValues {
        KnownValues::F32(Arc::new(known))
    }

    fn unwrap(known: &KnownValues) -> Option<&Arc<Known<Self>>> {
        match known {
            KnownValues::F32(known) => Some(known),
            KnownValues::F64(_) => None,
        }
    }
}

impl Knowable for f64 {
    fn wrap(known: Known<Self>) -> KnownValues {
        KnownValues::F64(Arc::new(known))
    }

    fn unwrap(known: &KnownValues) -> Option<&Arc<Known<Self>>> {
        match known {
            KnownValues::F64(known) => Some(known),
            KnownValues::F32(_) => None,
        }
    }
}

/// Runs `chains` on `x`, elements in their order and maps without the shape of a tensor; nothing if they have to run
/// whole.
pub(super) fn run<T: Knowable>(
    chains: &[&Chain],
    (order, from): (Order, Maps),
    x: &Tensor,
    changes: &Changes,
) -> Result<Option<(Vec<T>, Maps)>> {
    let Some(links) = chains.iter().map(|chain| T::links(chain)).collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    let to = links.iter().try_fold(from, |maps, links| links.maps(maps));
    let Some(to) = to.filter(|_| !x.track_op() && changes.regions().len() == from.images) else {
        return Ok(None);
    };
    let one = Maps { images: 1, ..from };
    let make = || lend(changes.row(), |row| kernels::know(&links, (order, one), row).map(T::wrap));
    let pick = |known: &KnownValues| T::unwrap(known).filter(|known| known.is_of(&links, one)).cloned();
    let Some(known) = changes.known(pick, make)? else { return Ok(None) };
    let ran = lend(x, |x| kernels::run_changed(&links, &known, (changes.regions(), changes.together()), x))?;
    Ok(ran.map(|(y, work)| {
        changes.worked(work);
        (y, to)
    }))
}
