//! The reference data's metrics, and how this project computes the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Tensor};
use candlelight_core::{
    Attribution, Baseline, Bounds, Explain, InputXGradient, Model, Output, Query, Saliency,
};
use candlelight_metrics::{
    Completeness, Curve, Deletion, Effects, Epsilon, First, InputInvariance, Insertion, MassCentreAblation,
    Measured, Metric, NonSensitivity, Ranking, Removing, Road, Subject, TopKAblation,
};
use candlelight_tests::compare::values;
use candlelight_tests::measured::{Case, Folder};
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::failed;
use crate::not_yet::{METRICS_NOT_YET, ONLY_DOUBLE, OUTPUTS_NOT_SHOWN};

/// All that a metric needs to know.
struct Setup<'a> {
    folder: &'a Folder,
    case: &'a Case,
    model: Box<dyn Model + Send>,
    query: Query,
    map: Option<Attribution>,
    classes: Vec<usize>,
}

/// Named numbers, as the case expects them.
type Outputs = Vec<(&'static str, Vec<f64>)>;
type Run = fn(&Setup) -> Result<Outputs>;

/// What is built: the manifest's name of each metric.
const METRICS: &[(&str, Run)] = &[
    ("non_sensitivity", non_sensitivity),
    ("topk_ablation", top_k),
    ("mass_center_ablation", mass_centre),
    ("rise_deletion", deletion),
    ("rise_insertion", insertion),
    ("road", road),
    ("road_gradcam", road_of_quantiles),
    ("completeness", completeness),
    ("input_invariance", input_invariance),
];

/// The tests of a folder.
pub fn of(folder: &Path) -> Result<Vec<Trial>> {
    let folder = Arc::new(Folder::open(folder)?);
    Ok((0..folder.cases().len()).flat_map(|index| of_case(&folder, index)).collect())
}

fn of_case(folder: &Arc<Folder>, index: usize) -> Vec<Trial> {
    let case = &folder.cases()[index];
    let name = format!("{}/{}", folder.label(), case.id);
    if let Some((_, run)) = METRICS.iter().find(|(metric, _)| *metric == case.metric) {
        let trial = |dtype: DType| {
            let folder = folder.clone();
            let name = format!("{name} {}", dtype.as_str());
            Trial::test(name, move || compare(&folder, &folder.cases()[index], dtype, *run).map_err(failed))
        };
        return [DType::F64, DType::F32].map(trial).into();
    }
    match METRICS_NOT_YET.iter().find(|(metric, _)| *metric == case.metric) {
        Some((_, reason)) => vec![Trial::test(name, || Ok(())).with_kind(*reason).with_ignored_flag(true)],
        None => {
            let message = format!("metric `{}` is neither built nor listed in not_yet.rs", case.metric);
            vec![Trial::test(name, move || Err(Failed::from(message)))]
        }
    }
}

fn compare(folder: &Folder, case: &Case, dtype: DType, run: Run) -> Result<()> {
    let setup = Setup::new(folder, case, dtype)?;
    let outputs = run(&setup)?;
    let limit = if dtype == DType::F64 { case.tolerance.f64 } else { case.tolerance.f32 };
    for (name, stored) in &case.expected {
        let only_double = dtype == DType::F32 && ONLY_DOUBLE.iter().any(|(output, _)| output == name);
        if only_double || OUTPUTS_NOT_SHOWN.iter().any(|(output, _)| output == name) {
            continue;
        }
        let (_, found) =
            outputs.iter().find(|(output, _)| output == name).with_context(|| format!("no `{name}`"))?;
        let expected = values(&folder.tensor(stored)?)?;
        ensure!(found.len() == expected.len(), "`{name}` has {} values, not {}", found.len(), expected.len());
        let spared = spared(folder, case, dtype, expected.len())?;
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let near = (found - expected).abs() <= limit.abs + limit.rel * expected.abs() + spared[at];
            let same = found == expected || (found.is_nan() && expected.is_nan());
            ensure!(near || same, "`{name}` is {found:.9e} at {at}, expected {expected:.9e}");
        }
    }
    Ok(())
}

/// How many features the rounding of single precision may move over an epsilon, as the case says.
fn spared(folder: &Folder, case: &Case, dtype: DType, count: usize) -> Result<Vec<f64>> {
    match case.expected.get("borderline_f32") {
        Some(stored) if dtype == DType::F32 => values(&folder.tensor(stored)?),
        _ => Ok(vec![0.0; count]),
    }
}

impl<'a> Setup<'a> {
    fn new(folder: &'a Folder, case: &'a Case, dtype: DType) -> Result<Self> {
        let x = folder.rows(case, &case.inputs["x"])?.to_dtype(dtype)?;
        let classes = folder.rows(case, &case.inputs["y"])?.to_dtype(DType::I64)?.to_vec1::<i64>()?;
        let classes: Vec<usize> = classes.into_iter().map(|class| class as usize).collect();
        let map = case.attribution.as_ref().map(|stored| folder.rows(case, stored)).transpose()?;
        let map = map.map(|map| map.to_dtype(dtype)).transpose()?;
        Ok(Self {
            folder,
            case,
            model: folder.model(case, dtype)?,
            query: Query::from((&x, classes.clone())),
            map: map.map(|map| Attribution::given(&case.id, &map)),
            classes,
        })
    }

    fn subject(&self) -> Result<Subject<'_>> {
        let map = self.map.as_ref().context("the case has no map")?;
        Ok(Subject::new(&*self.model, &self.query, map)?)
    }

    fn number(&self, name: &str) -> Result<f64> {
        self.case.params[name].as_f64().with_context(|| format!("parameter `{name}` is no number"))
    }

    fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        let list = self.case.params[name].as_array().with_context(|| format!("`{name}` is no list"))?;
        list.iter().map(|value| value.as_f64().with_context(|| format!("`{name}` has no numbers"))).collect()
    }

    fn output(&self) -> Output {
        match self.case.params["softmax"].as_bool() {
            Some(true) => Output::Probability,
            _ => Output::Raw,
        }
    }

    /// The effects of single features: they do not depend on the maps, so that cases share them.
    fn effects(&self, metric: &NonSensitivity) -> Result<Arc<Effects>> {
        type Known = Mutex<Option<Arc<Effects>>>;
        static KNOWN: Mutex<BTreeMap<String, Arc<Known>>> = Mutex::new(BTreeMap::new());
        let (case, params) = (self.case, &self.case.params);
        let dtype = self.query.input().dtype();
        let what =
            format!("{} {:?} {} {} {dtype:?}", case.arch, case.rows, params["baseline"], params["softmax"]);
        let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default().clone();
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            *known = Some(Arc::new(metric.effects(&*self.model, &self.query)?));
        }
        known.clone().context("the effects are known")
    }

    /// A baseline by the name that the peers give it.
    fn baseline(&self, name: &str) -> Result<Baseline> {
        let value = &self.case.params[name];
        Ok(match (value.as_str(), value.as_f64()) {
            (Some("black"), _) => Baseline::Lowest(Bounds::OfRow),
            (Some("mean"), _) => Baseline::Mean,
            (_, Some(value)) => Baseline::Constant(value),
            _ => anyhow::bail!("no baseline `{value}`"),
        })
    }

    /// The rows blurred as the generator does it, whose bell is cut off earlier than ours.
    fn blurred(&self, how: &Value) -> Result<Baseline> {
        let sigma = how["sigma"].as_f64().context("no `sigma`")?;
        let radius = how["radius"].as_i64().context("no `radius`")?;
        Ok(Baseline::Tensor(blur(self.query.input(), sigma, radius)?))
    }

    /// What stands in the place of pixels in an ablation.
    fn replacement(&self) -> Result<Baseline> {
        match self.case.params["replacement"].as_str() {
            Some("blur") => self.blurred(&self.case.params),
            _ => Ok(Baseline::Mean),
        }
    }

    /// The rows' own scores.
    fn whole(&self, output: Output) -> Result<Vec<f64>> {
        let query = self.query.clone().output(output);
        Ok(candlelight_core::Evaluation::new(&*self.model, &query, 0)?
            .whole()
            .iter()
            .map(|answer| answer.score)
            .collect())
    }
}

/// A Gaussian blur of `[N, C, H, W]`, cut off at `radius`, edge pixels repeated.
fn blur(x: &Tensor, sigma: f64, radius: i64) -> Result<Tensor> {
    let taps: Vec<f64> = (-radius..=radius).map(|t| (-0.5 * (t as f64 / sigma).powi(2)).exp()).collect();
    let sum: f64 = taps.iter().sum();
    let (mut blurred, dtype) = (x.to_dtype(DType::F64)?, x.dtype());
    for axis in [2, 3] {
        let padded = blurred.pad_with_same(axis, radius as usize, radius as usize)?;
        let length = x.dim(axis)?;
        let shifted = taps.iter().enumerate().map(|(k, tap)| padded.narrow(axis, k, length)? * (tap / sum));
        let shifted = shifted.collect::<candle_core::Result<Vec<_>>>()?;
        blurred = shifted.iter().skip(1).try_fold(shifted[0].clone(), |sum, next| sum + next)?;
    }
    Ok(blurred.to_dtype(dtype)?)
}

fn non_sensitivity(setup: &Setup) -> Result<Outputs> {
    let epsilon = Epsilon::Absolute(setup.number("eps")?);
    let metric = NonSensitivity::default().attribution_epsilon(epsilon).prediction_epsilon(epsilon);
    let metric = metric.baselines([setup.baseline("baseline")?]).output(setup.output());
    let rows = metric.compare(&*setup.effects(&metric)?, setup.subject()?.attribution())?.rows;
    let count = |of: fn(&candlelight_metrics::RowViolations) -> usize| {
        rows.iter().map(|row| of(row) as f64).collect::<Vec<_>>()
    };
    Ok(vec![
        ("score", count(|row| row.count())),
        ("zero_attr_but_sensitive", count(|row| row.missed.len())),
        ("attr_but_insensitive", count(|row| row.spurious.len())),
    ])
}

/// The outputs of an ablation, from its curves in logits and in logarithms of probabilities.
fn curves(setup: &Setup, measure: impl Fn(Output) -> Result<Measured>) -> Result<Outputs> {
    let (ratios, logits) = (measure(Output::LogProbability)?.curves, measure(Output::Raw)?.curves);
    let (log, raw) = (setup.whole(Output::LogProbability)?, setup.whole(Output::Raw)?);
    let each = |curves: &[Curve], of: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
        let rows = curves.iter().enumerate();
        rows.flat_map(|(row, curve)| curve.values.iter().map(move |value| of(row, *value))).collect()
    };
    let odds = |log: f64| log - (-log.exp_m1()).ln();
    Ok(vec![
        ("log_prob_ratio", each(&ratios, &|_, ratio| ratio)),
        ("prob", each(&ratios, &|row, ratio| (log[row] + ratio).exp())),
        ("log_odds_ratio", each(&ratios, &|row, ratio| odds(log[row] + ratio) - odds(log[row]))),
        ("logit", each(&logits, &|row, difference| raw[row] + difference)),
    ])
}

fn top_k(setup: &Setup) -> Result<Outputs> {
    let pixels = setup.query.input().dims()[2..].iter().product::<usize>() as f64;
    let shares: Vec<f64> = setup.numbers("k")?.iter().map(|k| k / pixels).collect();
    let metric = TopKAblation::default().baseline(setup.replacement()?).shares(shares);
    curves(setup, |output| Ok(metric.clone().output(output).measure(&setup.subject()?)?))
}

fn mass_centre(setup: &Setup) -> Result<Outputs> {
    let side = setup.query.input().dims()[2] as f64;
    let sides: Vec<f64> = setup.numbers("sides")?.iter().map(|pixels| pixels / side).collect();
    let metric = MassCentreAblation::default().baseline(setup.replacement()?).sides(sides);
    curves(setup, |output| Ok(metric.clone().output(output).measure(&setup.subject()?)?))
}

fn deletion(setup: &Setup) -> Result<Outputs> {
    let metric = Deletion::default().step(setup.number("step")? as usize);
    Ok(areas(metric.measure(&setup.subject()?)?))
}

fn insertion(setup: &Setup) -> Result<Outputs> {
    let metric = Insertion::default().baseline(setup.blurred(&setup.case.params["substrate"]["blur"])?);
    Ok(areas(metric.step(setup.number("step")? as usize).measure(&setup.subject()?)?))
}

fn areas(measured: Measured) -> Outputs {
    let curves = measured.curves.into_iter().flat_map(|curve| curve.values).collect();
    vec![("curve", curves), ("auc", measured.values)]
}

fn road(setup: &Setup) -> Result<Outputs> {
    let shares: Vec<f64> = setup.numbers("percentages")?.iter().map(|percent| percent / 100.0).collect();
    let ranking = match setup.query.input().dim(1)? {
        1 => Ranking::Signed,
        _ => Ranking::Magnitude,
    };
    let metric = Road::default().shares(shares.clone()).ranking(ranking).noise(setup.number("noise")?);
    let metric = match setup.case.choices.as_ref().and_then(|choices| choices.get("noise")) {
        Some(stored) => metric.drawn(&setup.folder.tensor(stored)?),
        None => metric,
    };
    let (rows, _) = metric.removed(&setup.subject()?)?;
    let hits = rows.iter().zip(&setup.classes);
    let hits: Vec<Vec<f64>> =
        hits.map(|(row, class)| row.top.iter().map(|top| f64::from(top == class)).collect()).collect();
    let mean = |step: usize| hits.iter().map(|row| row[step]).sum::<f64>() / hits.len() as f64;
    Ok(vec![
        ("mean_accuracy", (0..shares.len()).map(mean).collect()),
        ("hit", hits.concat()),
        ("target_prob", rows.into_iter().flat_map(|row| row.probabilities).collect()),
    ])
}

fn road_of_quantiles(setup: &Setup) -> Result<Outputs> {
    let shares = setup.numbers("percentiles")?;
    let first = if setup.case.params["order"] == "morf" { First::Most } else { First::Least };
    let mut changes = vec![Vec::new(); setup.classes.len()];
    for percentile in shares {
        let metric = Road::default().shares([1.0 - percentile / 100.0]).noise(0.0).first(first);
        let (rows, _) = metric.removing(Removing::Quantile).removed(&setup.subject()?)?;
        rows.iter().zip(&mut changes).for_each(|(row, to)| to.push(row.probabilities[0] - row.whole));
    }
    Ok(vec![("confidence_change", changes.concat())])
}

fn completeness(setup: &Setup) -> Result<Outputs> {
    let metric = Completeness::default().baseline(setup.baseline("perturb_baseline")?).output(setup.output());
    let (balances, _) = metric.balances(&setup.subject()?)?;
    Ok(vec![
        ("gap", balances.iter().map(|balance| balance.gap()).collect()),
        ("attribution_sum", balances.iter().map(|balance| balance.sum).collect()),
        ("output_difference", balances.iter().map(|balance| balance.difference).collect()),
        ("quantus_score", balances.iter().map(|balance| f64::from(balance.gap() == 0.0)).collect()),
    ])
}

fn input_invariance(setup: &Setup) -> Result<Outputs> {
    let method: Box<dyn Explain> = match setup.case.params["explanation"].as_str() {
        Some("gradient") => Box::new(Saliency::signed()),
        _ => Box::new(InputXGradient),
    };
    let map = method.attribute(&*setup.model, &setup.query)?;
    let subject = Subject::new(&*setup.model, &setup.query, &map)?.method(&*method);
    let changes = InputInvariance::default().shift(setup.number("input_shift")?).measure(&subject)?.values;
    let atol = setup.number("atol")?;
    Ok(vec![
        ("invariant", changes.iter().map(|change| f64::from(*change <= atol)).collect()),
        ("max_abs_change", changes),
    ])
}
