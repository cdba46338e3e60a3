//! Rules: each against a twin written from its formula, conservation at every layer, batch norms that are merged, and
//! what is refused.

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candlelight_core::nn::{self, Activation, BatchNorm, Conv2d, Conv2dConfig, Linear, Module, ModuleT};
use candlelight_core::{
    Bias, Bounds, Budget, Composite, Error, ExcitationBackprop, Explain, Kind, Ledger, Lrp, Model, Query,
    Rule, STABILISER, Selector,
};
use candlelight_models::resnet::Block;
use candlelight_models::{ResNetConfig, bundled};
use candlelight_tests::compare::values;

use crate::fixtures::{assert_near, golden, noise, random_resnet};

/// Rounding of double precision through a few layers.
const EXACT: f64 = 1e-12;
/// Of relevance in units of the score, through all layers of a residual net in double precision.
const CONSERVED: f64 = 1e-6;

const INPUTS: usize = 5;
const OUTPUTS: usize = 4;

/// A linear layer with numbers of either sign, an input, and the weights of its outputs in the score.
struct Layer {
    weight: Vec<f64>,
    bias: Vec<f64>,
    x: Vec<f64>,
    score: Vec<f64>,
}

impl Layer {
    fn new(seed: u64) -> Result<Self> {
        let numbers = |count, salt| values(&noise(&[count], seed * 10 + salt)?);
        let (weight, bias) = (numbers(INPUTS * OUTPUTS, 1)?, numbers(OUTPUTS, 2)?);
        Ok(Self { weight, bias, x: numbers(INPUTS, 3)?, score: numbers(OUTPUTS, 4)? })
    }

    fn w(&self, i: usize, j: usize) -> f64 {
        self.weight[j * INPUTS + i]
    }

    /// R_i = Σ_j n(i, j) · R_j / stabilised(d(j)), where R_j is what output j brings to the score.
    fn shared(
        &self,
        part: impl Fn(usize, usize) -> f64,
        whole: impl Fn(usize) -> f64,
        epsilon: f64,
    ) -> Vec<f64> {
        let stabilised = |z: f64| if z >= 0.0 { z + epsilon } else { z - epsilon };
        let received = |j: usize| self.score[j] * self.z(j);
        let share = |i: usize, j: usize| part(i, j) * received(j) / stabilised(whole(j));
        (0..INPUTS).map(|i| (0..OUTPUTS).map(|j| share(i, j)).sum()).collect()
    }

    fn z(&self, j: usize) -> f64 {
        self.bias[j] + self.inputs(|i| self.x[i] * self.w(i, j))
    }

    fn inputs(&self, term: impl Fn(usize) -> f64) -> f64 {
        (0..INPUTS).map(term).sum()
    }

    fn relevance(&self, rule: Rule) -> Result<Vec<f64>> {
        let tensor = |values: &[f64], shape: (usize, usize)| Tensor::from_slice(values, shape, &Device::Cpu);
        let bias = Tensor::new(&self.bias[..], &Device::Cpu)?;
        let linear = Linear::new(tensor(&self.weight, (OUTPUTS, INPUTS))?, Some(bias)).at("fc");
        let score = tensor(&self.score, (OUTPUTS, 1))?;
        let model = |x: &Tensor| linear.forward(x)?.matmul(&score);
        let composite = Composite::default().with(Selector::Every, rule);
        values(Lrp::new(composite).explain(&model, (&tensor(&self.x, (1, INPUTS))?, 0))?.values())
    }

    /// The relevance by the formula of `rule`, element by element.
    fn by_definition(&self, rule: &Rule) -> Result<Vec<f64>> {
        let contribution = |i: usize, j: usize| self.x[i] * self.w(i, j);
        let sum_of = |part: &dyn Fn(usize, usize) -> f64, j: usize| self.inputs(|i| part(i, j));
        let signed = |sign: f64| {
            let part = move |i: usize, j: usize| sign * (sign * self.x[i] * self.w(i, j)).max(0.0);
            let whole = move |j: usize| sum_of(&part, j) + sign * (sign * self.bias[j]).max(0.0);
            self.shared(part, whole, STABILISER)
        };
        Ok(match rule {
            Rule::Gradient => {
                (0..INPUTS).map(|i| (0..OUTPUTS).map(|j| self.score[j] * contribution(i, j)).sum()).collect()
            }
            Rule::Epsilon(epsilon, Bias::Absorbs) => self.shared(contribution, |j| self.z(j), *epsilon),
            Rule::Epsilon(epsilon, Bias::Ignored) => {
                self.shared(contribution, |j| self.z(j) - self.bias[j], *epsilon)
            }
            Rule::ZPlus => signed(1.0),
            Rule::AlphaBeta { alpha, beta } => {
                signed(1.0).iter().zip(signed(-1.0)).map(|(up, down)| alpha * up - beta * down).collect()
            }
            Rule::Gamma(gamma) => {
                // What has the sign of the output counts 1 + γ times.
                let raised =
                    |term: f64, j: usize| if term * self.z(j) > 0.0 { (1.0 + gamma) * term } else { term };
                let part = |i: usize, j: usize| raised(contribution(i, j), j);
                self.shared(part, |j| sum_of(&part, j) + raised(self.bias[j], j), STABILISER)
            }
            Rule::ZBox(Bounds::Channels(bounds)) => {
                let (low, high) = bounds[0];
                let part = |i: usize, j: usize| {
                    contribution(i, j) - low * self.w(i, j).max(0.0) - high * self.w(i, j).min(0.0)
                };
                self.shared(part, |j| sum_of(&part, j), STABILISER)
            }
            Rule::WSquare => {
                let part = |i: usize, j: usize| self.w(i, j).powi(2);
                self.shared(part, |j| sum_of(&part, j) + self.bias[j].powi(2), STABILISER)
            }
            Rule::Flat => self.shared(|_, _| 1.0, |_| INPUTS as f64, STABILISER),
            Rule::Excitation => {
                let part = |i: usize, j: usize| self.x[i].max(0.0) * self.w(i, j).max(0.0);
                self.shared(part, |j| sum_of(&part, j), 0.0)
            }
            other => anyhow::bail!("no twin of {other}"),
        })
    }
}

fn rules() -> [Rule; 12] {
    [
        Rule::Gradient,
        Rule::epsilon(0.0),
        Rule::epsilon(0.3),
        Rule::Epsilon(0.1, Bias::Ignored),
        Rule::ZPlus,
        Rule::AlphaBeta { alpha: 2.0, beta: 1.0 },
        Rule::AlphaBeta { alpha: 1.5, beta: 0.5 },
        Rule::Gamma(0.4),
        Rule::ZBox(Bounds::Channels(vec![(-1.5, 2.0)])),
        Rule::WSquare,
        Rule::Flat,
        Rule::Excitation,
    ]
}

#[test]
fn every_rule_of_weights_is_its_formula_written_out() -> Result<()> {
    for rule in rules().into_iter().filter(|rule| *rule != Rule::Gradient) {
        for seed in 1..6 {
            let layer = Layer::new(seed)?;
            let (found, expected) = (layer.relevance(rule.clone())?, layer.by_definition(&rule)?);
            let (found, expected) = (Tensor::new(found, &Device::Cpu)?, Tensor::new(expected, &Device::Cpu)?);
            assert_near(&found, &expected, EXACT, &format!("{rule} of seed {seed}"))?;
        }
    }
    Ok(())
}

/// The largest of `rows` as a share of the largest score.
fn share(rows: &[f64], score: &[f64]) -> f64 {
    let largest = |rows: &[f64]| rows.iter().fold(0.0f64, |most, row| most.max(row.abs()));
    largest(rows) / largest(score)
}

fn assert_conserved(ledger: &Ledger, rounding: f64) -> Result<()> {
    ensure!(!ledger.lines.is_empty(), "no layer wrote into the books");
    for line in &ledger.lines {
        let size = share(&line.received, &ledger.score).max(1.0);
        let missing = share(&line.missing(), &ledger.score) / size;
        ensure!(missing <= rounding, "{} misses {missing:.1e} of its relevance", line.layer);
    }
    let missing = share(&ledger.missing(), &ledger.score);
    ensure!(missing <= rounding, "{missing:.1e} of the score is neither in the map nor absorbed");
    Ok(())
}

fn ledger(composite: Composite, model: &dyn Model, x: &Tensor) -> Result<Ledger> {
    let map = Lrp::new(composite).explain(model, x)?;
    map.convergence().ledger.clone().context("no ledger")
}

/// The bundled ResNet, the reference data's with basic blocks, and one with bottlenecks and made-up weights; with inputs.
fn resnets() -> Result<Vec<(Box<dyn Model>, Tensor)>> {
    let (folder, id) = (golden()?, "hf_resnet_basic");
    let scenes = bundled::by_name("bundled-resnet", DType::F64, &Device::Cpu).context("not bundled")??;
    let config = ResNetConfig::imagenet(Block::Bottleneck, [1, 2, 1, 1], 7);
    let bottlenecks = random_resnet(config, DType::F64, 4)?;
    Ok(vec![
        (Box::new(scenes.model), noise(&[2, 3, 64, 64], 5)?),
        (folder.model(id, DType::F64)?, folder.sample(id, DType::F64)?),
        (Box::new(bottlenecks), noise(&[2, 3, 64, 64], 6)?),
    ])
}

#[test]
fn relevance_in_residual_nets_is_handed_on_or_absorbed_at_every_layer() -> Result<()> {
    for (model, x) in resnets()? {
        for epsilon in [0.0, 1e-6, 0.1] {
            let rule = Rule::epsilon(epsilon);
            let ledger = ledger(Composite::by_kind(rule.clone(), rule), &*model, &x)?;
            assert_conserved(&ledger, CONSERVED)?;
            ensure!(share(&ledger.bias(), &ledger.score) > 1e-3, "biases absorb nothing");
            ensure!((epsilon == 0.1) == (share(&ledger.stabiliser(), &ledger.score) > 1e-3), "{epsilon}");
        }
    }
    Ok(())
}

#[test]
fn what_every_composite_absorbs_is_in_the_books() -> Result<()> {
    let composites = [
        Composite::epsilon_plus(),
        Composite::epsilon_plus_flat(),
        Composite::epsilon_alpha2_beta1(),
        Composite::epsilon_alpha2_beta1_flat(),
        Composite::epsilon_gamma_box(Bounds::OfRow),
        Composite::deep_taylor(),
        Composite::deep_taylor_within(Bounds::Channels(vec![(-2.0, 2.0)])),
        Composite::attn_lrp(),
    ];
    for (model, x) in resnets()? {
        for composite in &composites {
            let name = format!("{:?}", composite.plan(&*model, &x)?[0].rule);
            assert_conserved(&ledger(composite.clone(), &*model, &x)?, CONSERVED).context(name)?;
        }
    }
    Ok(())
}

/// A batch norm of three channels.
fn norm(seed: u64) -> Result<BatchNorm> {
    let [mean, weight, bias] = [1, 2, 3].map(|salt| noise(&[3], 10 * seed + salt));
    let variance = (noise(&[3], seed)? * 0.5)?.affine(1.0, 1.0)?;
    Ok(BatchNorm::new(3, mean?, variance, weight?, bias?, 1e-5)?)
}

fn conv(channels: (usize, usize), padding: usize, seed: u64) -> Result<Conv2d> {
    let weight = noise(&[channels.1, channels.0, 3, 3], seed)?;
    let config = Conv2dConfig { padding, ..Default::default() };
    Ok(Conv2d::new(weight, Some(noise(&[channels.1], seed + 1)?), config).at("conv"))
}

#[test]
fn the_books_of_every_row_are_its_own_however_many_run_at_once() -> Result<()> {
    let (conv, x) = (conv((2, 3), 1, 1)?, noise(&[13, 2, 6, 6], 3)?);
    let model = |x: &Tensor| {
        Activation::Relu.forward(&conv.forward(x)?)?.flatten_from(1)?.narrow(1, 30, 4)?.contiguous()
    };
    let ledger = |rows: usize| {
        let query = Query::from(&x).budget(Budget::Rows(rows));
        Lrp::default().attribute(&model, &query)?.convergence().ledger.clone().context("no ledger")
    };
    let alone = ledger(1)?;
    ensure!(alone.score.windows(2).all(|pair| pair[0] != pair[1]), "rows that can be told apart");
    for rows in [2, 5, 13] {
        ensure!(ledger(rows)? == alone, "{rows} rows at once");
    }
    Ok(())
}

#[test]
fn a_batch_norm_behind_a_convolution_is_merged_with_it() -> Result<()> {
    let (conv, norm, x) = (conv((2, 3), 1, 1)?, norm(2)?, noise(&[2, 2, 6, 6], 3)?);
    let merged = conv.absorb_bn(&norm)?;
    let behind = |y: &Tensor| Activation::Relu.forward(y)?.flatten_from(1)?.narrow(1, 30, 4)?.contiguous();
    let apart = |x: &Tensor| behind(&norm.forward_t(&conv.forward(x)?, false)?);
    let as_one = |x: &Tensor| behind(&merged.forward(x)?);
    // Under its gradient a layer is not merged: the lone norm passes relevance on.
    for rule in rules().into_iter().filter(|rule| *rule != Rule::Gradient) {
        let method = Lrp::new(Composite::by_kind(rule.clone(), rule.clone()));
        let map = |model: &dyn Model| Ok::<_, Error>(method.explain(model, (&x, 2))?.values().clone());
        assert_near(&map(&apart)?, &map(&as_one)?, 1e-10, &rule.to_string())?;
    }
    Ok(())
}

#[test]
fn a_batch_norm_before_a_convolution_is_merged_with_it_where_the_padding_is_zero_too() -> Result<()> {
    let (norm, x) = (norm(4)?, noise(&[1, 3, 5, 5], 3)?);
    let head = |y: Tensor| y.flatten_from(1)?.narrow(1, 7, 5)?.contiguous();
    for padding in [0, 1] {
        let conv = conv((3, 2), padding, 6)?;
        let model = |x: &Tensor| head(conv.forward(&norm.forward_t(x, false)?)?);
        // The score is linear in x, so that LRP-0 gives x times the gradient, and the books say what the shift absorbs.
        let zero = Rule::epsilon(0.0);
        let map = Lrp::new(Composite::by_kind(zero.clone(), zero)).explain(&model, (&x, 3))?;
        let gradient = candlelight_core::InputXGradient.explain(&model, (&x, 3))?;
        assert_near(map.values(), gradient.values(), EXACT, "input times gradient")?;
        assert_conserved(map.convergence().ledger.as_ref().context("no ledger")?, EXACT)?;
        // z⁺ by its definition on the merged weight: nothing negative, and not what it gives behind a lone norm.
        let merged = Lrp::default().explain(&model, (&x, 3))?;
        let lone = |x: &Tensor| head(conv.forward(&(norm.forward_t(x, false)? * 1.0)?)?);
        let lone = Lrp::default().explain(&lone, (&x, 3))?;
        ensure!(assert_near(merged.values(), lone.values(), 1e-3, "").is_err(), "nothing was merged");
        assert_conserved(merged.convergence().ledger.as_ref().context("no ledger")?, 1e-9)?;
    }
    Ok(())
}

#[test]
fn a_walk_of_excitation_ends_somewhere_with_probability_one() -> Result<()> {
    let fold = golden()?;
    let (model, x) =
        (fold.model("hf_resnet_basic", DType::F64)?, fold.sample("hf_resnet_basic", DType::F64)?);
    let map = ExcitationBackprop::at("resnet.embedder").explain(&*model, &x);
    let map = match map {
        Err(Error::UnknownLayer { seen, .. }) => {
            let layer = seen.iter().find(|name| name.ends_with("stages.0")).context("no stage")?.clone();
            ExcitationBackprop::at(layer).explain(&*model, &x)?
        }
        map => map?,
    };
    let found = values(map.values())?;
    ensure!(found.iter().all(|value| *value >= 0.0), "a probability is negative");
    for sum in values(&map.values().flatten_from(1)?.sum(1)?)? {
        ensure!(sum > 0.5 && sum < 1.0 + EXACT, "{sum}");
    }
    Ok(())
}

#[test]
fn numbers_of_rules_that_make_no_sense_are_refused() -> Result<()> {
    let (model, x) = (|x: &Tensor| x.flatten_from(1), noise(&[1, 3, 4, 4], 1)?);
    for rule in [
        Rule::AlphaBeta { alpha: 2.0, beta: 2.0 },
        Rule::AlphaBeta { alpha: 0.5, beta: -0.5 },
        Rule::epsilon(-1.0),
        Rule::epsilon(f64::NAN),
        Rule::Norm(f64::INFINITY),
        Rule::Gamma(-0.1),
        Rule::ZBox(Bounds::Channels(vec![(1.0, -1.0)])),
    ] {
        let found = Lrp::new(Composite::by_kind(rule.clone(), Rule::ZPlus)).explain(&model, &x);
        ensure!(matches!(found, Err(Error::Setting { .. })), "{rule}: {found:?}");
    }
    let two = Rule::ZBox(Bounds::Channels(vec![(0.0, 1.0); 2]));
    let found = Lrp::new(Composite::by_kind(two, Rule::ZPlus)).explain(&model, &x);
    ensure!(matches!(found, Err(Error::Shape { .. })), "{found:?}");
    let found = Lrp::default().explain(&model, &x.to_dtype(DType::F16)?);
    ensure!(matches!(found, Err(Error::DType { .. })), "{found:?}");
    Ok(())
}

#[test]
fn layers_without_a_rule_and_rules_without_a_form_are_refused_by_name() -> Result<()> {
    let (fc, x) = (Linear::new(noise(&[3, 4], 1)?, None).at("fc"), noise(&[1, 4], 2)?);
    let model = |x: &Tensor| nn::softmax(&Activation::Gelu.at("act").forward(&fc.forward(x)?)?, 1);
    let found = Lrp::default().explain(&model, &x).err().context("softmax has no rule")?;
    ensure!(matches!(&found, Error::NoRule { layers } if layers == &["`softmax.0` (Softmax)"]), "{found:?}");
    let complete = Composite::epsilon_plus().with(Selector::Kind(Kind::Softmax), Rule::Gradient);
    Lrp::new(complete.clone()).explain(&model, &x)?;
    let wrong = complete.with(Selector::Name("act".into()), Rule::ZPlus);
    let found = Lrp::new(wrong).explain(&model, &x).err().context("gelu has no weights")?;
    ensure!(matches!(&found, Error::RuleDoesNotFit { layer, .. } if layer == "`act` (Gelu)"), "{found:?}");
    let found = Lrp::default().explain(&|x: &Tensor| x.sqr(), &x);
    ensure!(matches!(found, Err(Error::NoRuleFired { .. })), "{found:?}");
    Ok(())
}

#[test]
fn own_entries_come_first_and_the_plan_shows_them() -> Result<()> {
    let folder = golden()?;
    let (model, x) =
        (folder.model("hf_resnet_basic", DType::F64)?, folder.sample("hf_resnet_basic", DType::F64)?);
    let composite = Composite::epsilon_plus_flat()
        .with(Selector::Pattern("resnet.encoder.stages.0**".into()), Rule::Gradient)
        .with(Selector::Position(2), Rule::Gamma(0.1));
    let plan = composite.plan(&*model, &x)?;
    let weighted: Vec<_> =
        plan.iter().filter(|layer| matches!(layer.kind, Kind::Conv | Kind::Linear)).collect();
    ensure!(weighted[0].rule == Some(Rule::Flat) && weighted[2].rule == Some(Rule::Gamma(0.1)), "{plan:?}");
    ensure!(weighted[1].rule == Some(Rule::Gradient), "{}", weighted[1]);
    ensure!(weighted.last().is_some_and(|layer| layer.rule == Some(Rule::epsilon(STABILISER))));
    Ok(())
}
