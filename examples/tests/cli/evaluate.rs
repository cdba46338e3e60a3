//! Evaluations of whole folders: killed, resumed, in shards, and with what is wrong in them.

use crate::{candlelight, common, gradient, refused, stderr, text, works};
use image::{ImageFormat, RgbImage};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Images of each class.
const EACH: u32 = 15;
/// Classes of the small model.
const CLASSES: [&str; 3] = ["cat", "dog", "bird"];
const METHODS: &str = "saliency,input-x-gradient";
const METRICS: &str = "deletion,top-k-ablation";
/// Moments at which a run is killed.
const KILLS: u64 = 10;

/// A model and a folder of images of its classes.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        let model = common::tiny_resnet();
        fs::create_dir(place.path("model")).unwrap();
        fs::write(place.path("model/config.json"), &model.config).unwrap();
        fs::write(place.path("model/model.safetensors"), &model.weights[0]).unwrap();
        fs::write(place.path("model/preprocessor_config.json"), PREPROCESSOR).unwrap();
        for (class, name) in CLASSES.iter().enumerate() {
            fs::create_dir_all(place.path(&format!("data/{name}"))).unwrap();
            for image in 0..EACH {
                save(&place.path(&format!("data/{name}/{image}.png")), 20 + image + 7 * class as u32);
            }
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The arguments of an evaluation of `data` into `out`.
    fn args<'a>(&self, data: &'a Path, out: &'a Path, more: &[&'a str]) -> Vec<String> {
        let model = self.path("model");
        let usual = ["evaluate", text(data), "--model", text(&model), "--out", text(out)];
        usual.iter().chain(more).map(|&part| part.to_owned()).collect()
    }

    fn evaluate(&self, out: &str, more: &[&str]) -> Vec<u8> {
        let (data, out) = (self.path("data"), self.path(out));
        let args =
            self.args(&data, &out, &[&["--methods", METHODS, "--metrics", METRICS][..], more].concat());
        works(&args.iter().map(String::as_str).collect::<Vec<_>>());
        fs::read(out).unwrap_or_default()
    }

    fn refused(&self, data: &Path, out: &str, more: &[&str], named: &str) {
        let out = self.path(out);
        let args = self.args(data, &out, more);
        refused(&args.iter().map(String::as_str).collect::<Vec<_>>(), named);
    }
}

const PREPROCESSOR: &str = r#"{"do_resize": true, "size": {"height": 32, "width": 32}, "do_rescale": true, "do_normalize": true,
    "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}"#;

fn save(path: &Path, size: u32) {
    gradient(size, size + 3).save_with_format(path, ImageFormat::Png).unwrap();
}

/// Lines of a file that have their end.
fn lines(path: &Path) -> usize {
    fs::read(path).unwrap_or_default().iter().filter(|&&byte| byte == b'\n').count()
}

const ASKED: [&str; 4] = ["--methods", "saliency", "--metrics", "deletion"];

#[test]
fn a_run_that_is_killed_ten_times_and_resumed_writes_what_an_undisturbed_one_does() {
    let place = Place::new();
    let whole = place.evaluate("whole.parquet", &[]);
    let (data, out) = (place.path("data"), place.path("killed.parquet"));
    let args = place.args(&data, &out, &["--methods", METHODS, "--metrics", METRICS]);
    let journal = place.path("killed.parquet.journal");
    let mut done = Vec::new();
    for kill in 0..KILLS {
        let mut run = Command::new(env!("CARGO_BIN_EXE_candlelight"));
        let mut run = run.args(&args).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        // The first before anything is done, the others at an odd moment behind so many images.
        while lines(&journal) <= kill as usize && run.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(kill * 3700 % 5000));
        run.kill().unwrap();
        run.wait().unwrap();
        done.push(lines(&journal));
        // What a kill in the middle of a write leaves.
        let bytes = fs::read(&journal).unwrap_or_default();
        fs::write(&journal, [&bytes[..], b"{\"sample\":"].concat()).unwrap();
    }
    let all = 1 + CLASSES.len() * EACH as usize;
    assert!(done.iter().filter(|&&lines| lines > 1 && lines < all).count() > 1, "killed too late: {done:?}");
    assert!(done.is_sorted(), "something that was done is lost: {done:?}");
    works(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(fs::read(&out).unwrap() == whole, "the results differ");
    assert_eq!(lines(&journal), all, "something is done twice");
}

#[test]
fn four_shards_merged_are_the_whole_run_byte_for_byte() {
    let place = Place::new();
    let whole = place.evaluate("whole.parquet", &[]);
    let names: Vec<PathBuf> = (0..4)
        .map(|shard| {
            place.evaluate("part.parquet", &["--shard", &format!("{shard}/4")]);
            place.path(&format!("part.{shard}-of-4.parquet"))
        })
        .collect();
    let merged = place.path("merged.parquet");
    let shards = [2, 0, 3, 1].map(|shard: usize| text(&names[shard]));
    works(&[&["merge", "--out", text(&merged)][..], &shards[..]].concat());
    assert!(fs::read(&merged).unwrap() == whole, "the results differ");
    refused(&["merge", "--out", text(&merged), shards[0], shards[1]], "is missing");
    refused(&["merge", "--out", text(&merged), shards[0], shards[0]], "twice");
    refused(&["merge", "--out", text(&merged), shards[0], text(&place.path("whole.parquet"))], "another run");
    refused(&["merge", "--out", text(&merged), text(&place.path("data/cat/0.png"))], "no result");
}

#[test]
fn the_scheduler_says_which_shard_is_meant() {
    let place = Place::new();
    let (data, out) = (place.path("data"), place.path("slurm.parquet"));
    let run = |variables: &[(&str, &str)]| {
        let args = place.args(&data, &out, &ASKED);
        Command::new(env!("CARGO_BIN_EXE_candlelight"))
            .args(args)
            .envs(variables.iter().copied())
            .output()
            .unwrap()
    };
    assert!(
        run(&[("SLURM_ARRAY_TASK_ID", "2"), ("SLURM_ARRAY_TASK_COUNT", "6"), ("SLURM_ARRAY_TASK_MIN", "1")])
            .status
            .success()
    );
    assert!(place.path("slurm.1-of-6.parquet").is_file());
    assert!(run(&[("JOB_COMPLETION_INDEX", "5"), ("JOB_COMPLETIONS", "6")]).status.success());
    assert!(place.path("slurm.5-of-6.parquet").is_file());
    let alone = run(&[("JOB_COMPLETION_INDEX", "5")]);
    assert!(stderr(&alone).contains("JOB_COMPLETIONS"), "{}", stderr(&alone));
}

#[test]
fn a_manifest_brings_masks_and_both_kinds_say_the_same() {
    let place = Place::new();
    let mask = RgbImage::from_fn(20, 23, |x, _| image::Rgb([if x < 10 { 255 } else { 0 }; 3]));
    mask.save_with_format(place.path("mask.png"), ImageFormat::Png).unwrap();
    let json = "{\"image\": \"data/cat/0.png\", \"target\": \"dog\", \"mask\": \"mask.png\"}\n";
    fs::write(place.path("one.jsonl"), json).unwrap();
    fs::write(place.path("one.csv"), "image,target,mask\ndata/cat/0.png,dog,mask.png\n").unwrap();
    let asked = ["--methods", "saliency", "--metrics", "pointing-game,relevance-mass-accuracy"];
    let results = ["one.jsonl", "one.csv"].map(|manifest| {
        let (manifest, out) = (place.path(manifest), place.path(&format!("{manifest}.parquet")));
        let args = place.args(&manifest, &out, &asked);
        works(&args.iter().map(String::as_str).collect::<Vec<_>>());
        fs::read(out).unwrap()
    });
    assert!(results[0] == results[1], "the results differ");
    // Of another image, which has another size.
    fs::write(place.path("wrong.csv"), "image,mask\ndata/cat/1.png,mask.png\n").unwrap();
    place.refused(&place.path("wrong.csv"), "wrong.parquet", &asked, "mask.png");
    fs::write(place.path("none.csv"), "image\ndata/cat/1.png\n").unwrap();
    place.refused(&place.path("none.csv"), "none.parquet", &asked, "needs masks");
    fs::write(place.path("gone.csv"), "image\ndata/cat/99.png\n").unwrap();
    place.refused(&place.path("gone.csv"), "gone.parquet", &asked, "99.png");
}

#[test]
fn what_is_wrong_is_named_and_what_was_done_is_kept() {
    let place = Place::new();
    let data = place.path("data");
    place.refused(&data, "a.parquet", &["--methods", "saliency", "--metrics", "deletionn"], "deletionn");
    place.refused(&data, "a.parquet", &["--methods", "all", "--metrics", "deletion"], "all");
    place.refused(&data, "a.parquet", &[&ASKED[..], &["--shard", "4/4"]].concat(), "4/4");
    let empty = place.path("empty");
    fs::create_dir(&empty).unwrap();
    place.refused(&empty, "a.parquet", &ASKED, "has no images");
    place.refused(&place.path("nowhere"), "a.parquet", &ASKED, "nowhere");

    let broken = place.path("data/dog/3.png");
    let good = fs::read(&broken).unwrap();
    // As long as the good one, which takes its place later.
    fs::write(&broken, vec![7; good.len()]).unwrap();
    place.refused(&data, "b.parquet", &ASKED, "3.png");
    assert!(!place.path("b.parquet").exists());
    let journal = fs::read_to_string(place.path("b.parquet.journal")).unwrap();
    assert!(journal.lines().count() > 1, "{journal}");
    place.refused(
        &data,
        "b.parquet",
        &["--methods", "input-x-gradient", "--metrics", "deletion"],
        "another run",
    );
    fs::write(&broken, good).unwrap();
    let out = place.path("b.parquet");
    let args = place.args(&data, &out, &ASKED);
    assert!(candlelight(&args.iter().map(String::as_str).collect::<Vec<_>>()).status.success());
    assert!(fs::read_to_string(place.path("b.parquet.journal")).unwrap().starts_with(&journal));

    fs::create_dir(place.path("data/zebra")).unwrap();
    save(&place.path("data/zebra/0.png"), 30);
    place.refused(&data, "c.parquet", &ASKED, "zebra");
}
