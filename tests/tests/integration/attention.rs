//! Methods of attention against their definitions, and transformers whose tokens lie otherwise than in a plain ViT.

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, IndexOp, Tensor};
use candlelight_core::nn::{self, Module, VarBuilder};
use candlelight_core::{
    AblationCam, AttentionFlow, AttentionGradCam, AttentionPass, AttentionRollout, EigenCam, Error, Explain,
    Family, GradCam, HeadFusion, HeadWeight, Kind, METHODS, RawAttention, ReadsAttention, ScoreCam, Settings,
    Tape, TokenGrid, TransformerRelevance, layers, tap, token_grid,
};
use candlelight_tests::compare::values;

use crate::fixtures::{assert_near, images, noise, random_weights, vit};

/// The same sums in another order, in double precision.
const ROUNDING: f64 = 1e-10;
/// The classes explained in the four rows.
const CLASSES: [usize; 4] = [0, 3, 7, 9];
/// Features of a token of [`Own`].
const SIZE: usize = 8;

/// A transformer of one's own for images of 8 x 12, patches of 4 x 4: two layers of attention, any tokens in front.
struct Own {
    patches: nn::Conv2d,
    front: Tensor,
    norms: [nn::LayerNorm; 2],
    maps: Vec<nn::Linear>,
    last: nn::LayerNorm,
    head: nn::Linear,
    told: Option<TokenGrid>,
}

impl Own {
    fn new(front: usize, told: Option<TokenGrid>) -> Result<Self> {
        let weights = random_weights(5, DType::F64, |vb| Self::build(vb, front, told).map(drop))?;
        Ok(Self::build(VarBuilder::from_tensors(weights, DType::F64, &Device::Cpu), front, told)?)
    }

    fn build(vb: VarBuilder, front: usize, told: Option<TokenGrid>) -> candle_core::Result<Self> {
        let stride = nn::Conv2dConfig { stride: 4, ..Default::default() };
        let map = |i: usize| nn::linear(SIZE, SIZE, vb.pp(format!("map{i}")));
        let norm = |name: &str| nn::layer_norm(SIZE, 1e-6, vb.pp(name));
        Ok(Self {
            patches: nn::conv2d(3, SIZE, 4, stride, vb.pp("patches"))?,
            front: vb.get((1, front.max(1), SIZE), "front")?.narrow(1, 0, front)?,
            norms: [norm("norm0")?, norm("norm1")?],
            maps: (0..6).map(map).collect::<candle_core::Result<_>>()?,
            last: norm("last")?,
            head: nn::linear(SIZE, 10, vb.pp("head"))?,
            told,
        })
    }
}

impl Module for Own {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.told.into_iter().for_each(token_grid);
        let patches = self.patches.forward(x)?.flatten_from(2)?.transpose(1, 2)?.contiguous()?;
        let front = self.front.broadcast_as((x.dim(0)?, self.front.dim(1)?, SIZE))?.contiguous()?;
        let mut x = if front.elem_count() == 0 { patches } else { Tensor::cat(&[&front, &patches], 1)? };
        for (layer, norm) in self.norms.iter().enumerate() {
            let y = norm.forward(&x)?;
            let head = |i: usize| self.maps[3 * layer + i].forward(&y)?.unsqueeze(1);
            let mixed = nn::attention(&head(0)?, &head(1)?, &head(2)?, 0.7, &format!("attention{layer}"))?;
            x = tap(&format!("block{layer}"), &(x + mixed.squeeze(1)?)?)?;
        }
        let x = self.last.forward(&x)?;
        let read = if self.front.dim(1)? == 0 { x.mean(1)? } else { x.i((.., 0))?.contiguous()? };
        self.head.forward(&read)
    }
}

fn own_images() -> Result<Tensor> {
    noise(&[2, 3, 8, 12], 9)
}

fn pass() -> Result<AttentionPass> {
    Ok(AttentionPass::record(&*vit(DType::F64)?, (&images(DType::F64)?, CLASSES.to_vec()))?)
}

/// Every method of the registry that draws on tokens.
fn of_tokens() -> impl Iterator<Item = &'static candlelight_core::Method> {
    METHODS.iter().filter(|method| method.family == Family::Attention || method.name == "grad-cam")
}

#[test]
fn one_pass_serves_every_method() -> Result<()> {
    let (model, x, pass) = (vit(DType::F64)?, images(DType::F64)?, pass()?);
    let methods: [&dyn ReadsAttention; 8] = [
        &RawAttention::default(),
        &RawAttention::default().weight(HeadWeight::Gradient),
        &RawAttention::default().at("vit.encoder.layer.0.attention.attention").head(2),
        &AttentionGradCam::default(),
        &AttentionRollout::default().fusion(HeadFusion::Max).discard(0.5).start(1),
        &AttentionRollout::default().weight(HeadWeight::Gradient),
        &AttentionFlow::default(),
        &TransformerRelevance,
    ];
    for method in methods {
        let (shared, alone) =
            (pass.explain(method)?, method.attribute(&*model, &(&x, CLASSES.to_vec()).into())?);
        assert_near(shared.values(), alone.values(), ROUNDING, &method.name())?;
        ensure!(shared.classes() == CLASSES && shared.scores() == alone.scores());
        ensure!(alone.cost().backwards == if method.reads() == HeadWeight::Gradient { 4 } else { 0 });
        ensure!(shared.cost().backwards == 4, "the pass had gradients");
    }
    Ok(())
}

#[test]
fn maps_of_one_layer_are_those_of_their_definitions() -> Result<()> {
    let (model, x, pass) = (vit(DType::F64)?, images(DType::F64)?.narrow(0, 0, 1)?, pass()?);
    let name = "vit.encoder.layer.1.attention.attention";
    let tape = Tape::record(&*model, &x, &[name])?;
    let gradient = tape.gradients(&tape.output().i((.., CLASSES[0]))?.sum_all()?)?.remove(0);
    let (a, g) = (values(tape.get(name)?.activation())?, values(&gradient)?);
    let (heads, tokens) = (gradient.dim(1)?, gradient.dim(2)?);
    let at = |head: usize, token: usize| head * tokens * tokens + token;
    let (mut weighted, mut cam) = (Vec::new(), Vec::new());
    for token in 1..tokens {
        let mean = |of: &dyn Fn(usize) -> f64| (0..heads).map(of).sum::<f64>() / heads as f64;
        weighted.push(mean(&|h| (a[at(h, token)] * g[at(h, token)]).max(0.0)));
        let weight = |h: usize| (1..tokens).map(|t| g[at(h, t)]).sum::<f64>() / (tokens - 1) as f64;
        cam.push(mean(&|h| weight(h) * a[at(h, token)]));
    }
    let first = |method: &dyn ReadsAttention| pass.explain(method)?.values().narrow(0, 0, 1);
    let gradient_attention = RawAttention::default().at(name).weight(HeadWeight::Gradient);
    let tensor = |values| Tensor::from_vec(values, (1, 1, 4, 4), &Device::Cpu);
    assert_near(&first(&gradient_attention)?, &tensor(weighted)?, ROUNDING, "weighted")?;
    assert_near(&first(&AttentionGradCam::at(name))?, &tensor(cam)?, ROUNDING, "Grad-CAM")
}

#[test]
fn tokens_in_front_of_a_grid_that_is_not_square_are_left_out_of_every_map() -> Result<()> {
    for front in [1, 2, 5] {
        let told = TokenGrid { prefix: front, rows: 2, columns: 3 };
        let (model, untold) = (Own::new(front, Some(told))?, Own::new(front, None)?);
        let x = own_images()?;
        let pass = AttentionPass::record(&model, &x)?;
        for method in of_tokens() {
            let method = method.with(&Settings::default())?;
            let map = method.attribute(&model, &(&x).into())?;
            ensure!(map.values().dims() == [2, 1, 2, 3], "{}: {:?}", method.name(), map.values().dims());
            let guessed = method.attribute(&untold, &(&x).into())?;
            assert_near(guessed.values(), map.values(), 0.0, &method.name())?;
        }
        let last =
            pass.attentions().probabilities()[1].mean(1)?.i((.., 0, front..))?.reshape((2, 1, 2, 3))?;
        assert_near(pass.explain(&RawAttention::default())?.values(), &last, ROUNDING, "patches")?;
    }
    Ok(())
}

#[test]
fn without_a_class_token_the_mean_of_all_tokens_looks() -> Result<()> {
    let (model, x) = (Own::new(0, None)?, own_images()?);
    let pass = AttentionPass::record(&model, &x)?;
    let mean = pass.attentions().probabilities()[1].mean(1)?.mean(1)?.reshape((2, 1, 2, 3))?;
    assert_near(pass.explain(&RawAttention::default())?.values(), &mean, ROUNDING, "mean")?;
    let flow = AttentionFlow::default().explain(&model, &x);
    ensure!(matches!(flow, Err(Error::MissingLayer { what: "class token", .. })), "{flow:?}");
    Ok(())
}

#[test]
fn a_grid_that_does_not_fit_or_may_be_several_is_refused() -> Result<()> {
    let x = own_images()?;
    let wrong = Own::new(1, Some(TokenGrid { prefix: 1, rows: 3, columns: 3 }))?;
    for method in of_tokens() {
        let found = method.with(&Settings::default())?.attribute(&wrong, &(&x).into());
        ensure!(matches!(found, Err(Error::TokenGrid { tokens: 7, .. })), "{}: {found:?}", method.name);
    }
    Ok(())
}

#[test]
fn attention_within_windows_is_refused() -> Result<()> {
    let model = |x: &Tensor| {
        let rows = x.dim(0)?;
        let windows = x.flatten_from(2)?.transpose(1, 2)?.contiguous()?.reshape((2 * rows, 1, 48, 3))?;
        nn::attention(&windows, &windows, &windows, 1.0, "window")?.reshape((rows, 96, 3))?.mean(1)
    };
    for method in METHODS.iter().filter(|method| method.family == Family::Attention) {
        let found = method.with(&Settings::default())?.attribute(&model, &(&own_images()?).into());
        let right = matches!(found, Err(Error::Shape { what: "the attention of a layer", .. }));
        ensure!(right, "{}: {found:?}", method.name);
    }
    Ok(())
}

#[test]
fn a_layer_whose_patches_reach_no_score_is_refused_with_the_nearest_that_do() -> Result<()> {
    let (model, x) = (vit(DType::F64)?, images(DType::F64)?);
    let seen = layers(&*model, &x)?;
    let legal = "vit.encoder.layer.2.layernorm_before";
    let after =
        seen.iter().position(|layer| layer.kind == Kind::AttentionWeights && layer.name.contains(".2."));
    let after = after.context("no attention")?;
    let dead: Vec<&str> = seen[after..].iter().filter(|l| l.shape.len() == 3).map(|l| &*l.name).collect();
    ensure!(dead.contains(&"vit.layernorm") && dead.contains(&"vit.encoder.layer.2"), "{dead:?}");
    let at = |layer: &str| -> [Box<dyn Explain>; 4] {
        let (gradient, component) = (GradCam::at(layer), EigenCam::at(layer));
        let (masked, ablated) = (ScoreCam::at(layer), AblationCam::at(layer));
        [Box::new(gradient), Box::new(component), Box::new(masked), Box::new(ablated)]
    };
    for layer in dead {
        for method in at(layer) {
            let found = method.attribute(&*model, &(&x).into());
            let Err(Error::PatchesUnread { nearest, .. }) = &found else {
                anyhow::bail!("{} at {layer}: {found:?}", method.name())
            };
            ensure!(nearest == legal, "{layer}: {nearest}");
        }
    }
    for method in [legal, "vit.encoder.layer.1"].into_iter().flat_map(at) {
        method.attribute(&*model, &(&x).into())?;
    }
    Ok(())
}

#[test]
fn maps_of_attention_are_no_maps_of_a_layer() -> Result<()> {
    let found = GradCam::at("vit.encoder.layer.1.attention.attention")
        .explain(&*vit(DType::F64)?, &images(DType::F64)?);
    let Err(error @ Error::Shape { what: "the output of the layer", .. }) = &found else {
        anyhow::bail!("{found:?}")
    };
    ensure!(error.to_string().contains("attention-grad-cam"), "{error}");
    Ok(())
}

#[test]
fn where_all_tokens_are_pooled_the_last_layer_is_legal() -> Result<()> {
    let map = GradCam::at("last").explain(&Own::new(0, None)?, &own_images()?)?;
    ensure!(map.values().dims() == [2, 1, 2, 3]);
    Ok(())
}

#[test]
fn heads_and_layers_that_are_not_there_are_refused() -> Result<()> {
    let pass = pass()?;
    let head = pass.explain(&RawAttention::default().head(4));
    ensure!(matches!(head, Err(Error::Setting { setting: "attention head", .. })), "{head:?}");
    let method: [&dyn ReadsAttention; 2] =
        [&RawAttention::default().at("vit.encoder.layer.2.attention"), &AttentionGradCam::at("layer.2")];
    for method in method {
        let found = pass.explain(method);
        let Err(Error::UnknownLayer { seen, .. }) = &found else { anyhow::bail!("{found:?}") };
        ensure!(seen.len() == 3, "{seen:?}");
    }
    ensure!(pass.explain(&AttentionRollout::default().start(3)).is_err());
    Ok(())
}

#[test]
fn flows_and_rollout_agree_where_there_is_one_layer() -> Result<()> {
    let pass = pass()?;
    let last = AttentionRollout::default().start(2);
    let rolled = pass.explain(&last)?;
    assert_near(pass.explain(&AttentionFlow::through(last))?.values(), rolled.values(), ROUNDING, "flow")
}
