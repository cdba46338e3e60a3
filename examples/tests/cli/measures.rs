//! Commands that measure over many scenes.

use crate::{gradient, png, refused, text, works};
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

fn quick<'a>(folder: &'a TempDir, more: &[&'a str]) -> Vec<&'a str> {
    [&["distill", "--steps", "2", "--samples", "2", "--out", text(folder.path())][..], more].concat()
}

#[test]
fn the_comparison_of_baselines_goes_on_where_it_was_and_gives_what_one_run_gives() {
    let (twice, once) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    works(&quick(&twice, &["--images", "2"]));
    let journal = twice.path().join("distill.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    assert_eq!(text.lines().count(), 1 + 5);
    fs::write(&journal, &text[..text.len() - 9]).unwrap();
    let table = works(&quick(&twice, &["--images", "7"]));
    assert!(table.lines().any(|line| line.starts_with("random")), "{table}");
    let json = works(&quick(&once, &["--images", "7", "--json"]));
    for name in ["distill.json", "distill.csv", "distill.svg", "distill.png", "distill.jsonl"] {
        let read = |folder: &TempDir| fs::read(folder.path().join(name)).unwrap();
        assert!(read(&twice) == read(&once), "{name} differs");
    }
    let cells: Value = serde_json::from_str(&json).unwrap();
    let cells = cells.as_array().unwrap();
    assert_eq!(cells.len(), 9 * 4);
    assert!(cells.iter().all(|cell| cell["low"].as_f64() <= cell["area"].as_f64() && cell["scenes"] == 7));
    assert!(cells.iter().all(|cell| cell["beside_random"].is_null() == (cell["baseline"] == "random")));
    refused(&quick(&twice, &["--images", "2", "--seed", "1"]), "distill.jsonl");
}

#[test]
fn retraining_scores_every_method_beside_the_control() {
    let folder = TempDir::new().unwrap();
    let out = text(folder.path());
    let small = ["--train", "33", "--test", "9", "--epochs", "1", "--runs", "2", "--shares", "0.1,0.5"];
    let json = works(&[&["roar", "--method", "saliency", "--json", "--out", out][..], &small].concat());
    let reached: Value = serde_json::from_str(&json).unwrap();
    let reached = reached.as_array().unwrap();
    let methods: Vec<&str> = reached.iter().filter_map(|it| it["method"].as_str()).collect();
    assert_eq!(methods, ["random", "random", "saliency", "saliency"]);
    assert!(reached.iter().all(|it| it["accuracies"].as_array().unwrap().len() == 2));
    assert!(["roar.png", "roar.svg", "roar.json"].iter().all(|name| folder.path().join(name).exists()));
    refused(&["roar", "--shares", "0.5,0.1", "--train", "2", "--test", "1", "--out", out], "shares");
    refused(&["roar", "--method", "saliencey", "--out", out], "saliencey");
}

#[test]
fn methods_are_compared_image_by_image_beside_the_control() {
    let folder = TempDir::new().unwrap();
    let out = text(folder.path());
    let asked = ["compare", "--scenes", "7", "--methods", "saliency,grad-cam", "--out", out];
    let json = works(&[&asked[..], &["--json"]].concat());
    let cells: Value = serde_json::from_str(&json).unwrap();
    let cells = cells.as_array().unwrap();
    assert_eq!(cells.len(), 3 * 5);
    let random: Vec<&Value> = cells.iter().filter(|cell| cell["method"] == "random").collect();
    assert!(random.iter().all(|cell| cell["beside_random"].is_null()));
    let counted = |cell: &Value| cell["images"].as_u64().unwrap() + cell["missing"].as_u64().unwrap();
    assert!(cells.iter().all(|cell| counted(cell) == 7));
    let first = cells.iter().filter(|cell| cell["metric"] == "top-k-ablation" && cell["rank"] == 1);
    assert!(first.clone().count() == 1 && first.clone().all(|cell| cell["told_from_best"].is_null()));
    let csv = fs::read_to_string(folder.path().join("compare.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 3 * 5 * 7);
    assert!(folder.path().join("compare.png").exists() && folder.path().join("compare.svg").exists());
    let table = works(&asked);
    assert!(table.contains("Pointing Game") && !table.contains('\u{1b}'), "{table}");
}

#[test]
fn one_picture_has_numbers_without_intervals_and_no_ground_truth() {
    let folder = TempDir::new().unwrap();
    let picture = png(&folder, "some.png", gradient(64, 64));
    let asked = ["compare", text(&picture), "--methods", "saliency", "--out", text(folder.path()), "--json"];
    let cells: Value = serde_json::from_str(&works(&asked)).unwrap();
    let cells = cells.as_array().unwrap();
    assert_eq!(cells.len(), 2 * 3);
    assert!(cells.iter().all(|cell| cell["mean"].is_f64() && cell["interval"].is_null()));
    let masks = works(&[&asked[..], &["--metrics", "pointing-game"]].concat());
    let masks: Value = serde_json::from_str(&masks).unwrap();
    assert!(masks[0]["mean"].is_null() && masks[0]["reason"].as_str().unwrap().contains("masks"));
    refused(&[&asked[..], &["--metrics", "pointing"]].concat(), "pointing");
}
