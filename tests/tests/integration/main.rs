//! What holds across crates: rivals on the same weights, gradients checked, axioms over every method, bad input.

mod attention;
mod axioms;
mod baselines;
mod cams;
mod check_gradients;
mod deep_lift;
mod fixtures;
mod full_grad;
mod half;
mod layers;
mod measures;
mod occlusion;
mod path_axioms;
mod paths;
mod promises;
mod readme;
mod refusals;
mod rivals;
mod rules;
mod sampled;
mod sanity;
mod stopping;
mod targets;
mod tokens;
