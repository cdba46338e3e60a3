//! Entering and leaving a scope, also when the closure panics.

use super::{SCOPE, Scope};
use std::marker::PhantomData;

/// Holds a scope open on this thread; dropping it puts the one before back.
///
/// It cannot move to another thread, whose scope it would otherwise replace.
pub(super) struct Guard {
    before: Option<Scope>,
    not_send: PhantomData<*const ()>,
}

/// Proof that a [`Guard`] is not `Send`: were it, this would not compile.
const _: () = {
    /// Ambiguous, and so an error, exactly when `T: Send`.
    trait AmbiguousIfSend<A> {
        fn check() {}
    }
    impl<T: ?Sized> AmbiguousIfSend<()> for T {}
    impl<T: ?Sized + Send> AmbiguousIfSend<u8> for T {}
    let _ = <Guard as AmbiguousIfSend<_>>::check;
};

impl Guard {
    pub(super) fn enter(scope: Option<Scope>) -> Self {
        Self { before: SCOPE.replace(scope), not_send: PhantomData }
    }

    pub(super) fn leave(self) -> Scope {
        SCOPE.take().unwrap_or_default()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        SCOPE.set(self.before.take());
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, report, within};
    use super::*;
    use candle_core::{DType, Device, Tensor};

    #[test]
    fn a_panic_inside_leaves_the_outer_scope_in_place() {
        let x = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
        let ((), outer) = within(Scope::default(), || {
            let inner = || within(Scope::default(), || panic!("as planned"));
            assert!(std::panic::catch_unwind(inner).is_err());
            report("after", Kind::Tap, 0, x.clone()).unwrap();
        });
        assert_eq!(outer.seen.len(), 1);
        assert!(SCOPE.take().is_none());
    }

    #[test]
    fn scopes_nest_and_threads_do_not_share_them() {
        let x = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
        let (inner, outer) = within(Scope::default(), || {
            let ((), inner) =
                within(Scope::default(), || drop(report("inner", Kind::Tap, 0, x.clone()).unwrap()));
            std::thread::scope(|threads| {
                threads.spawn(|| report("elsewhere", Kind::Tap, 0, x.clone()).unwrap());
            });
            inner
        });
        assert_eq!((inner.seen.len(), outer.seen.len()), (1, 0));
    }
}
