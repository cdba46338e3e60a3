//! What holds for every metric of the registry: a row's number depends on the row and on nothing else, on the scale of
//! its map as its page says, and bad input is an error that names itself.

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candlelight_core::{Attribution, Budget, Explain, InputXGradient, Model, Query, Target};
use candlelight_metrics::{Entry, Error, METRICS, Measured, Rescaled, Subject};
use candlelight_tests::compare::values;
use proptest::prelude::*;
use std::sync::Arc;

use crate::fixtures::noise;

/// What order, neighbours and batch may change: rounding in double precision, because products of other shapes add in
/// another order; the share of a step for numbers near a boundary would show as a step.
const SAME: f64 = 1e-9;
const CLASSES: usize = 3;

/// A map that is a function of every value of the input by itself: in steps of one half, so that many pixels are tied.
struct Steps {
    factor: f64,
}

impl Explain for Steps {
    fn name(&self) -> String {
        "steps".into()
    }

    fn attribute(&self, _: &dyn Model, query: &Query) -> candlelight_core::Result<Attribution> {
        let steps = (query.input() * 2.0)?.round()?;
        Ok(Attribution::given(self.name(), &(steps * (self.factor / 2.0))?))
    }
}

/// A small net over images of any size, whose weights come from `seed`.
fn net(shape: &[usize], seed: u64) -> Result<impl Fn(&Tensor) -> candle_core::Result<Tensor> + use<>> {
    let inputs: usize = shape[1..].iter().product();
    let (first, second) = (noise(&[inputs, 5], seed)?, noise(&[5, CLASSES], seed + 1)?);
    Ok(move |x: &Tensor| {
        let hidden = x.flatten_from(1)?.to_dtype(DType::F64)?.matmul(&first)?.tanh()?;
        hidden.matmul(&second)? * 3.0
    })
}

/// Images, the classes asked about, and masks of which none is empty.
struct Case {
    x: Tensor,
    classes: Vec<usize>,
    masks: Tensor,
    seed: u64,
    first: u64,
    budget: Budget,
    factor: f64,
}

impl Case {
    fn new(shape: &[usize], seed: u64) -> Result<Self> {
        let masks = noise(&[shape[0], shape[2], shape[3]], seed + 2)?.gt(0.0)?;
        let corner = Tensor::ones((shape[0], 1, shape[3]), DType::U8, &Device::Cpu)?;
        let masks = masks.slice_assign(&[0..shape[0], 0..1, 0..shape[3]], &corner)?;
        let classes = (0..shape[0]).map(|row| (row + seed as usize) % CLASSES).collect();
        let (x, first, budget) = (noise(shape, seed + 3)?, 0, Budget::Auto);
        // Something for the class and something against it in every map.
        let pixel = |value: f64| Tensor::full(value, (shape[0], shape[1], 1, 1), &Device::Cpu);
        let places = |at: usize| [0..shape[0], 0..shape[1], 0..1, at..at + 1];
        let x = x.slice_assign(&places(0), &pixel(0.9)?)?.slice_assign(&places(1), &pixel(-0.6)?)?;
        Ok(Self { x, classes, masks, seed, first, budget, factor: 1.0 })
    }

    /// Some of the rows, in this order.
    fn rows(&self, rows: &[usize]) -> Result<Self> {
        let index = Tensor::new(rows.iter().map(|&row| row as u32).collect::<Vec<_>>(), &Device::Cpu)?;
        Ok(Self {
            x: self.x.index_select(&index, 0)?,
            classes: rows.iter().map(|&row| self.classes[row]).collect(),
            masks: self.masks.index_select(&index, 0)?,
            first: self.first + rows[0] as u64,
            ..*self
        })
    }

    fn query(&self) -> Query {
        Query::from((&self.x, self.classes.clone()))
            .seed(self.seed)
            .first_sample(self.first)
            .budget(self.budget)
    }

    /// What `entry` says of the map in steps.
    fn measure(&self, entry: &Entry) -> candlelight_metrics::Result<Measured> {
        let map = (self.x.clone() * 2.0).and_then(|x| x.round()).and_then(|x| x * (self.factor / 2.0))?;
        self.measure_map(entry, &map)
    }

    fn measure_map(&self, entry: &Entry, map: &Tensor) -> candlelight_metrics::Result<Measured> {
        let net = net(self.x.dims(), 11).expect("weights of a few numbers");
        let (query, map, method) =
            (self.query(), Attribution::given("steps", map), Steps { factor: self.factor });
        let subject = Subject::new(&net, &query, &map)?.masks(&self.masks).method(&method);
        (entry.build)().measure(&subject)
    }
}

/// Fails unless two measurements of the same rows are the same, `a` times `factor`.
fn assert_same(name: &str, (a, factor): (&Measured, f64), b: &Measured) -> Result<()> {
    let flat = |it: &Measured| {
        let curves = it.curves.iter().flat_map(|curve| curve.at.iter().chain(&curve.values));
        it.values.iter().chain(curves).copied().collect::<Vec<f64>>()
    };
    let (a, b) = (flat(a), flat(b));
    ensure!(a.len() == b.len(), "{name}: {} numbers and {}", a.len(), b.len());
    for (a, b) in a.iter().zip(&b) {
        let near = (a * factor - b).abs() <= SAME * (1.0 + b.abs()) || (a.is_infinite() && a == b);
        ensure!(near, "{name}: {a} and {b}");
    }
    Ok(())
}

/// One row of what was measured of several.
fn row(measured: &Measured, row: usize) -> Measured {
    let curves = measured.curves.get(row).cloned().into_iter().collect();
    Measured { values: vec![measured.values[row]], curves, ..Measured::default() }
}

fn holds(check: Result<()>) -> std::result::Result<(), TestCaseError> {
    check.map_err(|error| TestCaseError::fail(format!("{error:#}")))
}

fn shapes() -> impl Strategy<Value = Vec<usize>> {
    (2usize..4, prop_oneof![Just(1usize), Just(3)], 3usize..8, 3usize..8)
        .prop_map(|(rows, channels, height, width)| vec![rows, channels, height, width])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_row_alone_has_the_number_that_it_has_in_its_batch(shape in shapes(), seed in 0u64..1 << 40) {
        let case = Case::new(&shape, seed).unwrap();
        for entry in METRICS {
            let together = case.measure(entry).unwrap();
            for one in 0..shape[0] {
                let alone = case.rows(&[one]).unwrap().measure(entry).unwrap();
                holds(assert_same(entry.name, (&alone, 1.0), &row(&together, one)))?;
            }
        }
    }

    #[test]
    fn the_order_of_rows_does_not_matter_where_nothing_is_drawn(shape in shapes(), seed in 0u64..1 << 40) {
        let case = Case::new(&shape, seed).unwrap();
        let turned: Vec<usize> = (0..shape[0]).rev().collect();
        for entry in METRICS {
            let straight = case.measure(entry).unwrap();
            let drawn = Case { seed: seed + 1, ..case.rows(&[0, 1]).unwrap() }.measure(entry).unwrap();
            if assert_same(entry.name, (&row(&drawn, 0), 1.0), &row(&straight, 0)).is_err() {
                continue;
            }
            let back = Case { first: 0, ..case.rows(&turned).unwrap() }.measure(entry).unwrap();
            for one in 0..shape[0] {
                let there = row(&back, shape[0] - 1 - one);
                holds(assert_same(entry.name, (&there, 1.0), &row(&straight, one)))?;
            }
        }
    }

    #[test]
    fn neighbours_and_the_budget_change_nothing(shape in shapes(), seed in 0u64..1 << 40, rows in 1usize..9) {
        let case = Case::new(&shape, seed).unwrap();
        let strangers = (case.x.narrow(0, 1, shape[0] - 1).unwrap() * -30.0).unwrap();
        let x = Tensor::cat(&[case.x.narrow(0, 0, 1).unwrap(), strangers], 0).unwrap();
        let others = Case { x, ..Case::new(&shape, seed).unwrap() };
        for entry in METRICS {
            let first = row(&case.measure(entry).unwrap(), 0);
            holds(assert_same(entry.name, (&row(&others.measure(entry).unwrap(), 0), 1.0), &first))?;
            for budget in [Budget::Rows(rows), Budget::Bytes(1)] {
                let other = Case { budget, ..Case::new(&shape, seed).unwrap() }.measure(entry).unwrap();
                holds(assert_same(entry.name, (&other, 1.0), &case.measure(entry).unwrap()))?;
            }
        }
    }

    #[test]
    fn the_scale_of_a_map_does_what_the_registry_says(shape in shapes(), seed in 0u64..1 << 40, power in -20i32..20) {
        let (case, factor) = (Case::new(&shape, seed).unwrap(), 2f64.powi(power));
        let scaled = Case { factor, ..Case::new(&shape, seed).unwrap() };
        for entry in METRICS {
            let (plain, scaled) = (case.measure(entry).unwrap(), scaled.measure(entry).unwrap());
            holds(match entry.rescaled {
                Rescaled::Same => assert_same(entry.name, (&plain, 1.0), &scaled),
                Rescaled::InProportion => assert_same(entry.name, (&plain, factor), &scaled),
                Rescaled::Otherwise => Ok(()),
            })?;
        }
    }
}

#[test]
fn a_metric_that_says_it_changes_with_the_scale_does() -> Result<()> {
    let case = Case::new(&[2, 3, 6, 5], 4)?;
    let scaled = Case { factor: 2f64.powi(-30), ..Case::new(&[2, 3, 6, 5], 4)? };
    for entry in METRICS.iter().filter(|entry| entry.rescaled == Rescaled::Otherwise) {
        let (plain, scaled) = (case.measure(entry)?, scaled.measure(entry)?);
        ensure!(assert_same(entry.name, (&plain, 1.0), &scaled).is_err(), "{} stays", entry.name);
        ensure!(
            assert_same(entry.name, (&plain, 2f64.powi(-30)), &scaled).is_err(),
            "{} follows",
            entry.name
        );
    }
    Ok(())
}

/// Metrics that look at masks.
const LOOK_AT_MASKS: [&str; 2] = ["pointing-game", "relevance-mass-accuracy"];

#[test]
fn a_full_mask_holds_everything_and_an_empty_one_is_an_error() -> Result<()> {
    let case = Case::new(&[2, 3, 6, 5], 4)?;
    for entry in METRICS.iter().filter(|entry| LOOK_AT_MASKS.contains(&entry.name)) {
        let full = Case { masks: case.masks.ones_like()?, ..Case::new(&[2, 3, 6, 5], 4)? };
        ensure!(full.measure(entry)?.values == [1.0, 1.0], "{}", entry.name);
        let empty = Case { masks: case.masks.zeros_like()?, ..Case::new(&[2, 3, 6, 5], 4)? };
        ensure!(matches!(empty.measure(entry), Err(Error::EmptyMask { row: 0 })), "{}", entry.name);
        let masks = case.masks.to_dtype(DType::F32)?.affine(f64::NAN, 0.0)?;
        let nan = Case { masks, ..Case::new(&[2, 3, 6, 5], 4)? }.measure(entry);
        ensure!(matches!(nan, Err(Error::MaskNotFinite { row: 0, .. })), "{}", entry.name);
        for masks in [case.masks.narrow(0, 0, 1)?, case.masks.flatten_from(1)?, case.masks.narrow(1, 0, 0)?] {
            let other = Case { masks, ..Case::new(&[2, 3, 6, 5], 4)? }.measure(entry);
            ensure!(matches!(other, Err(Error::Shape { .. })), "{}", entry.name);
        }
    }
    Ok(())
}

/// What a map without any structure gives: an error that says so, or a number, because all pixels are tied.
fn says(entry: &Entry, map: &Tensor) -> Result<&'static str> {
    match Case::new(&[2, 3, 6, 5], 4)?.measure_map(entry, map) {
        Err(Error::ConstantMap { row: 0, .. }) => Ok("constant"),
        Err(Error::NoRelevance { row: 0, .. }) => Ok("no relevance"),
        Err(error) => Err(error).context(entry.name),
        Ok(measured) => {
            ensure!(measured.values.iter().all(|value| value.is_finite()), "{}: {measured:?}", entry.name);
            Ok("a number")
        }
    }
}

#[test]
fn maps_that_are_constant_or_zero_have_a_number_or_an_error_that_says_so() -> Result<()> {
    let zero = Tensor::zeros((2, 3, 6, 5), DType::F64, &Device::Cpu)?;
    let constant = (&zero + 0.25)?;
    for entry in METRICS {
        let expected = match entry.name {
            "pointing-game" | "relevance-mass-accuracy" => ("constant", "constant"),
            "mass-centre-ablation" => ("no relevance", "a number"),
            _ => ("a number", "a number"),
        };
        ensure!((says(entry, &zero)?, says(entry, &constant)?) == expected, "{}", entry.name);
    }
    Ok(())
}

#[test]
fn maps_with_nan_of_other_rows_or_of_no_row_are_refused_before_anything_is_asked() -> Result<()> {
    let case = Case::new(&[2, 3, 6, 5], 4)?;
    for bad in [f64::NAN, f64::INFINITY] {
        let spoilt = case
            .x
            .slice_assign(&[1..2, 2..3, 5..6, 4..5], &Tensor::full(bad, (1, 1, 1, 1), &Device::Cpu)?)?;
        for entry in METRICS {
            let found = case.measure_map(entry, &spoilt);
            ensure!(matches!(found, Err(Error::NotFinite { row: 1, .. })), "{}", entry.name);
        }
    }
    for entry in METRICS {
        let fewer = case.measure_map(entry, &case.x.narrow(0, 0, 1)?);
        ensure!(matches!(fewer, Err(Error::Rows { maps: 1, inputs: 2 })), "{}", entry.name);
        let none = Tensor::zeros((0, 3, 6, 5), DType::F64, &Device::Cpu)?;
        let (x, masks) = (none.clone(), Tensor::zeros((0, 6, 5), DType::U8, &Device::Cpu)?);
        let none =
            Case { x, masks, classes: Vec::new(), ..Case::new(&[2, 3, 6, 5], 4)? }.measure_map(entry, &none);
        ensure!(matches!(none, Err(Error::NoRows)), "{}", entry.name);
    }
    Ok(())
}

#[test]
fn inputs_that_cannot_be_measured_are_errors_and_no_number() -> Result<()> {
    let wrong = [
        (noise(&[2, 6], 1)?, "no images"),
        (Tensor::zeros((2, 3, 6, 5), DType::U32, &Device::Cpu)?, "whole numbers"),
        (noise(&[2, 3, 6, 5], 1)?.affine(f64::NAN, 0.0)?, "NaN"),
    ];
    for (x, what) in wrong {
        let (query, map) = (Query::from((&x, 0)), Attribution::given("some", &noise(x.dims(), 2)?));
        let model = net(x.dims(), 11)?;
        for entry in METRICS.iter().filter(|entry| !LOOK_AT_MASKS.contains(&entry.name)) {
            let features = ["non-sensitivity", "completeness", "input-invariance"].contains(&entry.name);
            if what == "no images" && features {
                continue;
            }
            let subject = Subject::new(&model, &query, &map)?.method(&InputXGradient);
            ensure!((entry.build)().measure(&subject).is_err(), "{} takes {what}", entry.name);
        }
    }
    Ok(())
}

#[test]
fn what_a_metric_needs_and_was_not_given_is_named() -> Result<()> {
    let case = Case::new(&[2, 3, 6, 5], 4)?;
    let (net, query, map) = (net(&[2, 3, 6, 5], 11)?, case.query(), Attribution::given("some", &case.x));
    let bare = Subject::new(&net, &query, &map)?;
    for entry in METRICS {
        let needs = LOOK_AT_MASKS.contains(&entry.name) || entry.name == "input-invariance";
        match (entry.build)().measure(&bare) {
            Err(Error::Missing { metric, .. }) => ensure!(needs && metric == entry.name),
            found => ensure!(!needs && found.is_ok(), "{}: {found:?}", entry.name),
        }
    }
    let first = Arc::new(|outputs: &Tensor| outputs.narrow(1, 0, 1)?.squeeze(1));
    let free = case.query().target(Target::Score(first));
    let road = (Entry::named("road")?.build)().measure(&Subject::new(&net, &free, &map)?);
    ensure!(matches!(road, Err(Error::Missing { metric: "road", .. })), "{road:?}");
    Ok(())
}

#[test]
fn maps_of_another_type_or_with_one_channel_are_measured_all_the_same() -> Result<()> {
    let case = Case::new(&[2, 3, 6, 5], 4)?;
    let plane = (case.x.narrow(1, 0, 1)? * 2.0)?.round()?;
    let spread = plane.broadcast_as(case.x.shape())?.contiguous()?;
    for entry in METRICS.iter().filter(|entry| entry.name != "input-invariance") {
        let single = case.measure_map(entry, &plane.to_dtype(DType::F32)?)?;
        assert_same(entry.name, (&single, 1.0), &case.measure_map(entry, &plane)?)?;
        if entry.rescaled == Rescaled::Same {
            let spread = case.measure_map(entry, &spread)?;
            ensure!(values(&plane)?.len() < values(&case.x)?.len());
            assert_same(entry.name, (&single, 1.0), &spread)?;
        }
    }
    Ok(())
}
