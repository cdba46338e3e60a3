//! Parity with the reference data: one named test for every case and dtype of every folder.
//!
//! `CANDLELIGHT_GOLDEN` names the folders, separated by colons; without it the committed subset runs, and
//! `../shared/golden` and `../shared/real` where they are there. What peers do otherwise is in `DEVIATIONS.md`,
//! what is not built yet in `not_yet.rs`.

mod attention;
mod cams;
mod deep_lift;
mod gradients;
mod layers;
mod measures;
mod methods;
mod not_yet;
mod perturbation;
mod rules;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use candle_core::DType;
use candlelight_core::Model;
use candlelight_core::nn::as_defined;
use candlelight_tests::compare::{Allowed, check, with_signs_of};
use candlelight_tests::folders::{Place, VARIABLE, label, places};
use candlelight_tests::{Case, Folder};
use libtest_mimic::{Arguments, Failed, Trial};

use methods::{METHODS, Run, Setup};
use not_yet::{AS_DEFINED, EXCEPTIONS, NOT_YET};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    match trials() {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn trials() -> Result<Vec<Trial>> {
    let mut trials = vec![Trial::test("no_method_is_both_built_and_listed_as_not_yet", lists_are_disjoint)];
    for place in places() {
        match place {
            Place::Metrics(folder) => trials.extend(measures::of(&folder)?),
            Place::Found(folder) => trials.extend(of_folder(&folder)?),
            Place::Missing(folder) => bail!("{VARIABLE} names {}, which has no manifest", folder.display()),
            Place::Absent(folder) => trials.push(absent(&folder)),
        }
    }
    Ok(trials)
}

/// Says that a usual folder is not there, on stderr and in the list of tests.
fn absent(folder: &Path) -> Trial {
    let label = label(folder);
    eprintln!("{label} is not there: its cases do not run");
    Trial::test(label, || Ok(())).with_kind("folder is not there").with_ignored_flag(true)
}

fn of_folder(folder: &Path) -> Result<Vec<Trial>> {
    let folder = Arc::new(Folder::open(folder)?);
    Ok((0..folder.cases().len()).flat_map(|index| of_case(&folder, index)).collect())
}

/// The tests of one case: both dtypes, or one ignored test with the reason, or one that fails.
fn of_case(folder: &Arc<Folder>, index: usize) -> Vec<Trial> {
    let case = &folder.cases()[index];
    let name = format!("{}/{}", folder.label(), case.id);
    let ignored =
        |reason: &str| vec![Trial::test(&name, || Ok(())).with_kind(reason).with_ignored_flag(true)];
    if case.is("informational") {
        return ignored("informational");
    }
    let found = METHODS.iter().find(|(method, _)| *method == case.method);
    let reason = NOT_YET.iter().find(|(method, _)| *method == case.method);
    match (found, reason) {
        (Some((_, run)), _) => {
            let dtypes = [DType::F64, DType::F32].into_iter();
            let dtypes = dtypes.filter(|dtype| *dtype == DType::F64 || !case.is("f32-sensitive"));
            dtypes.map(|dtype| trial(folder, index, dtype, *run)).collect()
        }
        (None, Some((_, reason))) => ignored(reason),
        (None, None) => {
            let message = format!("method `{}` is neither built nor listed in not_yet.rs", case.method);
            vec![Trial::test(name, move || Err(Failed::from(message)))]
        }
    }
}

fn trial(folder: &Arc<Folder>, index: usize, dtype: DType, run: Run) -> Trial {
    let precision = if dtype == DType::F64 { "f64" } else { "f32" };
    let case = &folder.cases()[index];
    let name = format!("{}/{} {precision}", folder.label(), case.id);
    let exception = EXCEPTIONS.iter().find(|(id, at, _)| *id == case.id && *at == precision);
    let folder = folder.clone();
    let test = move || compare(&folder, &folder.cases()[index], dtype, run).map_err(failed);
    match exception {
        Some((_, _, reason)) => Trial::test(name, test).with_kind(*reason).with_ignored_flag(true),
        None if is_as_defined(case, dtype) => Trial::test(name, test).with_kind(AS_DEFINED.1),
        None => Trial::test(name, test),
    }
}

fn is_as_defined(case: &Case, dtype: DType) -> bool {
    dtype == DType::F32 && AS_DEFINED.0.contains(&case.id.as_str())
}

fn model_of(folder: &Folder, case: &Case, dtype: DType) -> Result<Box<dyn Model + Send>> {
    let open = || folder.model(&case.model, dtype);
    if is_as_defined(case, dtype) { as_defined(open) } else { open() }
}

fn failed(error: anyhow::Error) -> Failed {
    Failed::from(format!("{error:#}"))
}

/// Runs the method and holds every expected output against what came out.
fn compare(folder: &Folder, case: &Case, dtype: DType, run: Run) -> Result<()> {
    let model = model_of(folder, case, dtype)?;
    let x = folder.input(case, dtype)?;
    let inputs = folder.tensors(&case.input.file)?;
    let outputs = run(&Setup { folder, model: &*model, case, x, inputs, dtype })?;
    for (name, expected) in &case.expected {
        let actual = outputs.iter().find(|(output, _)| output == name);
        let (_, actual) = actual.with_context(|| format!("the method gives no `{name}`"))?;
        let tensor = folder.tensors(&expected.file)?.get(&expected.tensor, DType::F64)?;
        let allowed = match expected.atol {
            Some(limit) => Allowed::Absolute(limit),
            None => Allowed::Relative(case.tolerance.at(dtype)),
        };
        match case.tolerance.is_up_to_sign() {
            true => check(name, &with_signs_of(&tensor, actual)?, &tensor, allowed)?,
            false => check(name, actual, &tensor, allowed)?,
        }
    }
    Ok(())
}

fn lists_are_disjoint() -> Result<(), Failed> {
    let both = NOT_YET.iter().find(|(waiting, _)| METHODS.iter().any(|(built, _)| built == waiting));
    match both {
        Some((method, _)) => Err(Failed::from(format!("`{method}` is built: take it off the list"))),
        None => Ok(()),
    }
}
