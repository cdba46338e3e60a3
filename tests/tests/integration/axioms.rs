//! What holds for every method of the registry: the map of a row depends on the row, the target and the seed, and on
//! nothing else.

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Tensor};
use candlelight_core::{Attribution, Budget, Explain, Family, METHODS, Method, Query, method};

use crate::fixtures::{
    EXPLAIN_A_UNIT, NEED_POOLS, assert_near, golden, images, model_for, settings, suits_transformers,
};

/// What order, neighbours, budget and batch may change: rounding in double precision, grown by a few layers, because
/// matrix products of other shapes add in another order.
const SAME: f64 = 1e-10;
const SEED: u64 = 7;
const CLASSES: [usize; 4] = [2, 6, 1, 3];

fn build(method: &Method) -> Result<Box<dyn Explain>> {
    Ok(method.with(&settings(&images(DType::F64)?)?)?)
}

fn query(x: &Tensor, classes: &[usize]) -> Query {
    Query::from((x, classes.to_vec())).seed(SEED)
}

/// Explains `query` with every method and hands the map to `visit`.
fn with_all(query: &Query, mut visit: impl FnMut(&'static str, &Attribution) -> Result<()>) -> Result<()> {
    for method in METHODS {
        let map = build(method)?.attribute(&*model_for(method, DType::F64)?, query)?;
        visit(method.name, &map).context(method.name)?;
    }
    Ok(())
}

/// The map of every method, in the registry's order.
fn maps(query: &Query) -> Result<Vec<Tensor>> {
    let mut maps = Vec::new();
    with_all(query, |_, map| {
        maps.push(map.values().clone());
        Ok(())
    })?;
    Ok(maps)
}

#[test]
fn a_row_explained_alone_is_explained_as_in_its_batch() -> Result<()> {
    let x = images(DType::F64)?;
    let together = maps(&query(&x, &CLASSES))?;
    for row in 0..CLASSES.len() {
        let alone = query(&x.narrow(0, row, 1)?, &CLASSES[row..=row]).first_sample(row as u64);
        for (method, (alone, together)) in METHODS.iter().zip(maps(&alone)?.iter().zip(&together)) {
            assert_near(alone, &together.narrow(0, row, 1)?, SAME, method.name)?;
        }
    }
    Ok(())
}

#[test]
fn neighbours_in_the_batch_do_not_matter() -> Result<()> {
    let x = images(DType::F64)?;
    let stranger = Tensor::cat(&[x.narrow(0, 0, 1)?, (x.narrow(0, 1, 3)? * -2.0)?], 0)?;
    let (a, b) = (maps(&query(&x, &CLASSES))?, maps(&query(&stranger, &CLASSES))?);
    for (method, (a, b)) in METHODS.iter().zip(a.iter().zip(&b)) {
        assert_near(&a.narrow(0, 0, 1)?, &b.narrow(0, 0, 1)?, SAME, method.name)?;
    }
    Ok(())
}

#[test]
fn the_order_of_rows_does_not_matter_where_nothing_is_drawn() -> Result<()> {
    let x = images(DType::F64)?;
    let order = [2u32, 0, 3, 1];
    let index = Tensor::new(&order[..], x.device())?;
    let classes = order.map(|row| CLASSES[row as usize]);
    let straight = maps(&query(&x, &CLASSES))?;
    let mut straight = straight.iter();
    with_all(&query(&x.index_select(&index, 0)?, &classes), |name, map| {
        let straight = straight.next().context("a map is missing")?;
        match map.convergence().sampling {
            Some(_) => Ok(()),
            None => assert_near(map.values(), &straight.index_select(&index, 0)?, SAME, name),
        }
    })
}

#[test]
fn the_budget_decides_the_batch_and_not_the_map() -> Result<()> {
    let x = images(DType::F64)?;
    let auto = maps(&query(&x, &CLASSES))?;
    for budget in [Budget::Rows(1), Budget::Rows(3), Budget::Rows(1000), Budget::Bytes(1)] {
        let other = maps(&query(&x, &CLASSES).budget(budget))?;
        for (method, (other, auto)) in METHODS.iter().zip(other.iter().zip(&auto)) {
            assert_near(other, auto, SAME, &format!("{} with {budget:?}", method.name))?;
        }
    }
    Ok(())
}

#[test]
fn a_seed_reproduces_every_bit_and_another_seed_draws_other_numbers() -> Result<()> {
    let x = images(DType::F64)?;
    let (again, other) = (maps(&query(&x, &CLASSES))?, maps(&query(&x, &CLASSES).seed(SEED + 1))?);
    let mut pairs = again.iter().zip(&other);
    with_all(&query(&x, &CLASSES), |name, map| {
        let (again, other) = pairs.next().context("a map is missing")?;
        assert_near(again, map.values(), 0.0, name)?;
        let differs = assert_near(other, map.values(), SAME, name).is_err();
        ensure!(differs == map.convergence().sampling.is_some(), "draws are not told by the convergence");
        Ok(())
    })
}

#[test]
fn the_number_of_threads_does_not_change_a_bit_from_run_to_run() -> Result<()> {
    let folder = golden()?;
    for (id, dtype) in [
        ("hf_vit", DType::F64),
        ("hf_vit", DType::F32),
        ("convnet_relu", DType::F64),
        ("hf_resnet_basic", DType::F32),
    ] {
        let (model, x) = (folder.model(id, dtype)?, folder.sample(id, dtype)?);
        let settings = settings(&x)?;
        let query = Query::from((&x, 1)).seed(SEED);
        let suits = |method: &&Method| match id {
            "hf_vit" => suits_transformers(method),
            "convnet_relu" => method.family != Family::Attention && !NEED_POOLS.contains(&method.name),
            _ => method.family != Family::Attention,
        };
        for method in METHODS.iter().filter(suits) {
            let explain = || -> Result<Tensor> {
                Ok(method.with(&settings)?.attribute(&*model, &query)?.values().clone())
            };
            let once = explain().context(method.name)?;
            for threads in [1, 2, 3, 3] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
                let what = format!("{} of {id} in {dtype:?} on {threads} threads", method.name);
                assert_near(&pool.install(explain)?, &once, 0.0, &what)?;
            }
        }
    }
    Ok(())
}

#[test]
fn single_precision_agrees_with_double_where_nothing_is_drawn() -> Result<()> {
    /// Single precision through three layers, and a path.
    const SINGLE: f64 = 1e-4;
    let x = images(DType::F64)?;
    let query_single = query(&x.to_dtype(DType::F32)?, &CLASSES);
    let mut methods = METHODS.iter();
    with_all(&query(&x, &CLASSES), |name, map| {
        let method = methods.next().context("a method is missing")?;
        let other = build(method)?.attribute(&*model_for(method, DType::F32)?, &query_single)?;
        ensure!(other.values().dtype() == DType::F32, "the map has dtype {:?}", other.values().dtype());
        assert_near(&other.values().to_dtype(DType::F64)?, map.values(), SINGLE, name)
    })
}

#[test]
fn every_map_tells_method_classes_scores_and_cost() -> Result<()> {
    let x = images(DType::F64)?;
    with_all(&query(&x, &CLASSES), |name, map| {
        let logits = model_for(method(name)?, DType::F64)?.forward(&x)?.to_vec2::<f64>()?;
        ensure!(map.method().starts_with(name), "called `{}`", map.method());
        if EXPLAIN_A_UNIT.contains(&name) {
            ensure!(map.classes().is_empty() && map.scores().len() == CLASSES.len());
            return Ok(());
        }
        ensure!(map.classes() == CLASSES);
        ensure!(map.values().dim(0)? == CLASSES.len());
        for (row, score) in map.scores().iter().enumerate() {
            ensure!((score - logits[row][CLASSES[row]]).abs() < SAME, "score {score} of row {row}");
        }
        ensure!(map.cost().forwards >= CLASSES.len() && map.convergence().worst().is_finite());
        Ok(())
    })
}
