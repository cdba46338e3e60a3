//! The way back through a chain under rules.

use super::Multiply;
use super::blocks::{add, rectify};
use super::conv::Conv;
use super::maps::Maps;
use super::rules::{AtConv, Booked, Entry, StepRule};
use super::run::{Left, Passed, Trace};
use super::shares::{absorbed, book, counted, difference, each, over, raised, share};
use super::workers::Beside;
use super::workspace::{Buffer, Workspace};
use super::{Chain, Convolve, End, Step};
use crate::gemm::Onto;
use crate::linear::add_to_rows;
use crate::{Element, carrying};
use rayon::prelude::*;
use std::sync::OnceLock;

/// The weights of a convolution by their sign, laid out when a rule asks for them.
#[derive(Clone, Debug)]
pub(super) struct BySign<T> {
    positive: OnceLock<Conv<T>>,
    negative: OnceLock<Conv<T>>,
}

impl<T> Default for BySign<T> {
    fn default() -> Self {
        Self { positive: OnceLock::new(), negative: OnceLock::new() }
    }
}

impl<T: Element> Chain<T> {
    /// Lays out what `rules` need of the weights, where that is not done yet; `weight(k)` are those of the k-th
    /// convolution, as they were given to [`conv`](Self::conv). They stay with the chain.
    ///
    /// # Errors
    /// Those of `weight`.
    ///
    /// # Panics
    /// If the length of a weight does not fit.
    pub fn prepare<E: Send>(
        &self,
        rules: &[StepRule],
        weight: impl Fn(usize) -> Result<Vec<T>, E> + Sync,
    ) -> Result<(), E> {
        let convs = self.steps.iter().zip(rules).filter_map(|(step, rule)| match step {
            Step::Conv(conv) => Some((&**conv, rule.conv)),
            _ => None,
        });
        let convs: Vec<_> = convs.enumerate().collect();
        convs.into_par_iter().try_for_each(|(index, (conv, rule))| conv.prepare(rule, || weight(index)))
    }

    /// Whether convolutions under rules that want positive inputs have them, if the input of the chain has none below 0.
    pub fn keeps_positive(&self, rules: &[StepRule]) -> bool {
        let is_positive = |value: usize| self.made(value).is_none_or(Step::rectifies);
        let fits = |(step, rule): (&Step<T>, &StepRule)| {
            !rule.conv.wants_positive_inputs() || is_positive(self.source(step.from()))
        };
        self.steps.iter().zip(rules).all(fits)
    }

    /// The value that pools and shortcuts took `value` from.
    fn source(&self, value: usize) -> usize {
        match self.made(value) {
            Some(Step::MaxPool { from, .. } | Step::Subsample { from, .. }) => self.source(*from),
            _ => value,
        }
    }

    /// The step that made a value; nothing for the input.
    fn made(&self, value: usize) -> Option<&Step<T>> {
        value.checked_sub(1).and_then(|step| self.steps.get(step))
    }
}

/// What flows back to the input of [`run`](super::run) with [`Keep::ForRules`](super::Keep) through `chain`, one rule for
/// each step, given the signal at its output; and the books of the steps.
///
/// # Panics
/// If `g` does not have the length of the output, or `passed` belongs to another chain.
pub fn input_signal<T: Element>(
    chain: &Chain<T>,
    rules: &[StepRule],
    passed: &Passed<T>,
    g: &[T],
) -> (Vec<T>, Vec<Booked>) {
    let run = |trace: &Trace<T>, g: Buffer<T>, space: &mut Workspace<T>| {
        let mut back = Back { chain, trace, gradients: Vec::new(), space };
        back.run(rules, g)
    };
    let (dx, parts) = passed.back(&chain.spaces, g, |traces, g, space| match traces {
        [trace] => run(trace, g, space),
        _ => (g, Vec::new()),
    });
    let mut books = vec![Booked::default(); chain.steps.len()];
    for (book, more) in parts.into_iter().flat_map(|part| part.into_iter().enumerate()) {
        books[book].conv.extend(more.conv);
        books[book].add.extend(more.add);
    }
    (dx, books)
}

/// A few images on their way back.
struct Back<'a, T> {
    chain: &'a Chain<T>,
    trace: &'a Trace<T>,
    /// Of every value.
    gradients: Vec<Option<Buffer<T>>>,
    space: &'a mut Workspace<T>,
}

impl<T: Element> Back<'_, T> {
    fn run(&mut self, rules: &[StepRule], g: Buffer<T>) -> (Buffer<T>, Vec<Booked>) {
        let (chain, mut books) = (self.chain, vec![Booked::default(); self.chain.steps.len()]);
        self.gradients = chain.steps.iter().map(|_| None).collect();
        self.gradients.push(Some(g));
        for (index, (step, rule)) in chain.steps.iter().zip(rules).enumerate().rev() {
            let Some(g) = self.gradients[index + 1].take() else { continue };
            match (step, &self.trace.left[index]) {
                (Step::Conv(step), Left::Sums { own, sum }) => {
                    let own = if step.plus.is_some() { own } else { sum };
                    books[index] = self.conv(step, rule, (own, sum), g);
                }
                (Step::MaxPool { pool, from }, Left::Pooled { taken, .. }) => {
                    self.moved(*from, g, |shape, g, dx| pool.input_gradient(shape, g, taken, dx));
                }
                (Step::Subsample { subsample, from }, _) => {
                    self.moved(*from, g, |shape, g, dx| subsample.input_gradient(shape, g, dx));
                }
                _ => {}
            }
        }
        (self.gradients.swap_remove(0).unwrap_or_default(), books)
    }

    fn room(&mut self, shape: Maps) -> Buffer<T> {
        self.space.take(shape.elements())
    }

    /// Adds `dx` to what comes back to a value.
    fn hand(&mut self, value: usize, dx: Buffer<T>) {
        match &mut self.gradients[value] {
            slot @ None => *slot = Some(dx),
            Some(sum) => {
                add(sum, &dx);
                self.space.put(dx);
            }
        }
    }

    /// A step that took its values from other places: `back` adds the signal `g` to where they came from.
    fn moved(&mut self, from: usize, g: Buffer<T>, back: impl FnOnce(Maps, &[T], &mut [T])) {
        let shape = self.trace.shapes[from];
        let mut dx = self.room(shape);
        dx.fill(T::ZERO);
        back(shape, &g, &mut dx);
        self.hand(from, dx);
        self.space.put(g);
    }

    /// One convolution that gave `own`, with what was added to it `sum`.
    fn conv(
        &mut self,
        step: &Convolve<T>,
        rule: &StepRule,
        (own, sum): (&[T], &[T]),
        mut g: Buffer<T>,
    ) -> Booked {
        if step.end == End::Rectified {
            rule.rectifier.hand_back(sum, &mut g);
        }
        let Some(plus) = step.plus else {
            return Booked { conv: self.weighted(step, rule.conv, own, g), ..Booked::default() };
        };
        let shared = rule.add.hand_back(self.trace.images(), sum, &mut g);
        let mut own_share = self.space.take(g.len());
        own_share.copy_from_slice(&g);
        self.hand(plus, g);
        Booked { conv: self.weighted(step, rule.conv, own, own_share), add: shared }
    }

    /// The product of a step, from the signal `s` of its outputs `z`.
    fn weighted(&mut self, step: &Convolve<T>, rule: AtConv, z: &[T], mut s: Buffer<T>) -> Entry {
        let (from, images) = (self.trace.shapes[step.from], self.trace.images());
        let mut dx = self.room(from);
        let entry = match rule {
            AtConv::Gradient => {
                step.conv.input_gradient(from, &s, (&mut dx, Onto::Nothing), self.space.workers());
                Entry::default()
            }
            AtConv::Epsilon(epsilon) => {
                let [received, stabiliser] = share(images, z, &mut s, epsilon);
                step.conv.input_gradient(from, &s, (&mut dx, Onto::Nothing), self.space.workers());
                Entry { received, stabiliser, bias: absorbed(images, &step.bias, &s), passed: Vec::new() }
            }
            AtConv::AlphaBeta { alpha, beta, epsilon } => {
                self.alpha_beta(step, (alpha, beta, epsilon), z, (&mut s, &mut dx))
            }
            AtConv::Gamma { gamma, epsilon } => self.gamma(step, (gamma, epsilon), z, (&mut s, &mut dx)),
        };
        let passed = if rule == AtConv::Gradient { Vec::new() } else { self.relevance(step.from, &dx) };
        self.space.put(s);
        self.hand(step.from, dx);
        Entry { passed, ..entry }
    }

    /// The signal `g` becomes relevance, and `dx` what comes back.
    fn alpha_beta(
        &mut self,
        step: &Convolve<T>,
        (alpha, beta, epsilon): (f64, f64, f64),
        z: &[T],
        (g, dx): (&mut [T], &mut [T]),
    ) -> Entry {
        let (from, images) = (self.trace.shapes[step.from], self.trace.images());
        let received = self.relevance_of(z, g);
        let (positive, negative) = step.biases();
        let mut excited = self.excited(step, &positive);
        let mut inhibited = self.space.take(if beta == 0.0 { 0 } else { z.len() });
        difference(&mut inhibited, z, &excited);
        let mut stabiliser = over(images, g, &mut excited, (alpha, epsilon));
        let mut bias = absorbed(images, &positive, &excited);
        step.signed(Sign::Positive).input_gradient(from, &excited, (dx, Onto::Nothing), self.space.workers());
        if beta != 0.0 {
            book(&mut stabiliser, &over(images, g, &mut inhibited, (-beta, epsilon)));
            book(&mut bias, &absorbed(images, &negative, &inhibited));
            step.signed(Sign::Negative).input_gradient(
                from,
                &inhibited,
                (dx, Onto::Sum),
                self.space.workers(),
            );
        }
        self.space.put(excited);
        self.space.put(inhibited);
        Entry { received, stabiliser, bias, passed: Vec::new() }
    }

    /// With W⁻ = W − W⁺: what is below 0 looks at (1 + γ)W − γW⁺, so that two products do for both.
    fn gamma(
        &mut self,
        step: &Convolve<T>,
        (gamma, epsilon): (f64, f64),
        z: &[T],
        (g, dx): (&mut [T], &mut [T]),
    ) -> Entry {
        let (from, images) = (self.trace.shapes[step.from], self.trace.images());
        let received = self.relevance_of(z, g);
        let (positive, _) = step.biases();
        let mut excited = self.excited(step, &positive);
        let stabiliser = raised(images, z, (g, &mut excited), (gamma, epsilon));
        let mut bias = absorbed(images, &step.bias, g);
        book(&mut bias, &absorbed(images, &positive, &excited));
        step.conv.input_gradient(from, g, (dx, Onto::Nothing), self.space.workers());
        step.signed(Sign::Positive).input_gradient(from, &excited, (dx, Onto::Sum), self.space.workers());
        self.space.put(excited);
        Entry { received, stabiliser, bias, passed: Vec::new() }
    }

    /// z⁺ = W⁺·x + b⁺.
    fn excited(&mut self, step: &Convolve<T>, bias: &[T]) -> Buffer<T> {
        let from = self.trace.shapes[step.from];
        let mut x = self.room(from);
        x.copy_from_slice(self.kept(step.from));
        if self.chain.made(step.from).is_some_and(Step::rectifies) {
            rectify(&mut x);
        }
        let conv = step.signed(Sign::Positive);
        let mut z = self.space.take(conv.output(from).map_or(0, |shape| shape.elements()));
        conv.forward((from, &x), (&mut z, Beside::default()), self.space.workers(), |block, _, _| {
            add_to_rows(block, bias);
        });
        self.space.put(x);
        z
    }

    /// A value as it was kept: before it was rectified.
    fn kept(&self, value: usize) -> &[T] {
        match value.checked_sub(1).map(|step| &self.trace.left[step]) {
            Some(Left::Sums { sum, .. }) => sum,
            Some(Left::Pooled { out, .. }) => out,
            _ => &self.trace.input,
        }
    }

    /// Per image the relevance that the signal `g` gives to a value.
    fn relevance(&self, value: usize, g: &[T]) -> Vec<f64> {
        let (images, x) = (self.trace.images(), self.kept(value));
        match self.chain.made(value).is_some_and(Step::rectifies) {
            true => counted(
                images,
                x,
                g,
                #[inline(always)]
                |x: T, g: T| (carrying(if x <= T::ZERO { T::ZERO } else { x }) * g).to_f64(),
            ),
            false => counted(
                images,
                x,
                g,
                #[inline(always)]
                |x: T, g: T| (carrying(x) * g).to_f64(),
            ),
        }
    }

    /// The signal `g` of outputs `z` becomes their relevance, whose sum per image comes back.
    fn relevance_of(&self, z: &[T], g: &mut [T]) -> Vec<f64> {
        let [received] = each(
            self.trace.images(),
            z,
            g,
            #[inline(always)]
            |z: T, g: T| (carrying(z) * g, [(carrying(z) * g).to_f64()]),
        );
        received
    }
}

impl<T: Element> Step<T> {
    /// Whether what it makes was rectified.
    fn rectifies(&self) -> bool {
        matches!(self, Self::Conv(step) if step.end == End::Rectified)
    }
}

/// A sign of weights.
#[derive(Clone, Copy)]
enum Sign {
    Positive,
    Negative,
}

impl<T: Element> Convolve<T> {
    fn prepare<E>(&self, rule: AtConv, weight: impl Fn() -> Result<Vec<T>, E>) -> Result<(), E> {
        let wants = match rule {
            AtConv::Gradient | AtConv::Epsilon(_) => [false, false],
            AtConv::AlphaBeta { beta, .. } => [true, beta != 0.0],
            AtConv::Gamma { .. } => [true, false],
        };
        for (sign, wanted) in [Sign::Positive, Sign::Negative].into_iter().zip(wants) {
            if wanted && self.slot(sign).get().is_none() {
                let weight: Vec<T> = weight()?.into_iter().map(|w| sign.part(w)).collect();
                self.slot(sign).get_or_init(|| self.conv.with(&weight, Multiply::Directly));
            }
        }
        Ok(())
    }

    fn slot(&self, sign: Sign) -> &OnceLock<Conv<T>> {
        match sign {
            Sign::Positive => &self.by_sign.positive,
            Sign::Negative => &self.by_sign.negative,
        }
    }

    /// The convolution with the weights of one sign.
    ///
    /// # Panics
    /// If it was not prepared.
    fn signed(&self, sign: Sign) -> &Conv<T> {
        self.slot(sign).get().expect("the weights of a rule are prepared before it runs")
    }

    /// The positive and the negative part of the bias.
    fn biases(&self) -> (Vec<T>, Vec<T>) {
        let part = |sign: Sign| self.bias.iter().map(|&b| sign.part(b)).collect();
        (part(Sign::Positive), part(Sign::Negative))
    }
}

impl Sign {
    fn part<T: Element>(self, x: T) -> T {
        match self {
            Self::Positive if x > T::ZERO => x,
            Self::Negative if x < T::ZERO => x,
            Self::Positive | Self::Negative => T::ZERO,
        }
    }
}
