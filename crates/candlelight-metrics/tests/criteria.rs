//! How fourteen methods share out effects that are known: makes `docs/criteria.md`, and fails where that page says
//! something else; `UPDATE_DOCS=1` rewrites it.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use candle_core::{Device, Tensor};
use candlelight_core::Query;
use candlelight_metrics::criteria::{Candidate, Effect, Probe, Verdict, candidates, judge, probes};
use std::fmt::Write;
use std::slice::from_ref;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/criteria.md");

const HEADER: &str = include_str!("criteria/header.md");

/// Whether a verdict passes.
type Passes = fn(&Verdict) -> bool;

/// What is asked of a verdict, in words.
const CRITERIA: [(&str, Passes); 3] = [
    ("covers all effects", Verdict::covers),
    ("none to others", Verdict::is_exclusive),
    ("allocates completely", Verdict::is_complete),
];

/// The table of `candlelight criteria`, in Markdown.
fn table(candidates: &[Candidate]) -> String {
    let mut table =
        "| method | covers all effects | none to others | allocates completely |\n|---|---|---|---|\n"
            .to_owned();
    for candidate in candidates {
        let verdict = judge(candidate, &probes()).unwrap();
        let numbers = [verdict.covered, verdict.strayed, verdict.incomplete];
        let told = CRITERIA.iter().zip(numbers).map(|((_, passes), number)| match passes(&verdict) {
            true => "yes".to_owned(),
            false => format!("no, {number:.2}"),
        });
        writeln!(table, "| {} | {} |", verdict.name, told.collect::<Vec<_>>().join(" | ")).unwrap();
    }
    table
}

/// For every criterion that a method fails the first probe that shows it.
fn counterexamples(candidates: &[Candidate]) -> String {
    let mut table = "| method | fails | on | effects | map |\n|---|---|---|---|---|\n".to_owned();
    for candidate in candidates {
        for (criterion, passes) in CRITERIA {
            let fails = |probe: &Probe| {
                (probe.is_net() || !candidate.only_nets)
                    && !passes(&judge(candidate, from_ref(probe)).unwrap())
            };
            let Some(probe) = probes().into_iter().find(fails) else { continue };
            let effects: Vec<String> = probe.effects().iter().map(effect).collect();
            let (point, map) = (numbers(&probe.x), numbers(&map(candidate, &probe)));
            let name = candidate.name;
            writeln!(
                table,
                "| {name} | {criterion} | {} at ({point}) | {} | ({map}) |",
                probe.name,
                effects.join(", ")
            )
            .unwrap();
        }
    }
    table
}

fn effect(effect: &Effect) -> String {
    let names: Vec<String> =
        effect.variables.iter().map(|i| format!("x{}", ['₁', '₂', '₃', '₄'][*i])).collect();
    format!("{}: {:.3}", names.join(" with "), effect.value)
}

fn map(candidate: &Candidate, probe: &Probe) -> Vec<f64> {
    let x = Tensor::from_slice(&probe.x, (1, 1, 1, probe.x.len()), &Device::Cpu).unwrap();
    let map = candidate.method.attribute(probe, &Query::from((&x, 0))).unwrap();
    map.values().flatten_all().unwrap().to_vec1().unwrap()
}

/// To two places: what sampling leaves of a number is less.
fn numbers(values: &[f64]) -> String {
    // Adding 0 turns −0 into 0.
    let told: Vec<String> =
        values.iter().map(|value| format!("{:.2}", (value * 100.0).round() / 100.0 + 0.0)).collect();
    told.join(", ")
}

#[test]
fn the_page_says_what_is_measured() {
    let candidates = candidates();
    let page = HEADER
        .replace("{table}", &table(&candidates))
        .replace("{counterexamples}\n", &counterexamples(&candidates));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &page).unwrap();
    }
    let committed = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(committed == page, "docs/criteria.md is out of date; `UPDATE_DOCS=1` rewrites it");
}

#[test]
fn the_six_methods_of_which_the_paper_proves_it_pass_all_three_and_each_other_fails_one() {
    let proven = [
        "DeepLIFT Rescale",
        "DeepLIFT RevealCancel",
        "DeepSHAP",
        "Integrated Gradients",
        "Expected Gradients",
        "Shapley value",
    ];
    for candidate in candidates() {
        let verdict = judge(&candidate, &probes()).unwrap();
        let passes_all = CRITERIA.iter().all(|(_, passes)| passes(&verdict));
        assert_eq!(passes_all, proven.contains(&candidate.name), "{verdict:?}");
    }
}
