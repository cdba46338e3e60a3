//! `--contrast` and `--report`: a second class beside the first, and where the page goes.

use super::{gradient, png, refused, text, works};
use candle_core::Device;
use serde_json::Value;
use tempfile::TempDir;

#[test]
fn a_second_class_has_maps_pictures_and_a_place_in_the_record() {
    let folder = TempDir::new().unwrap();
    let run = ["explain", "--seed", "3", "--method", "saliency,lrp", "--contrast", "star", "--json"];
    let record: Value =
        serde_json::from_str(&works(&[&run[..], &["--out", text(folder.path())]].concat())).unwrap();
    assert_eq!(
        (&record["target"]["label"], &record["contrast"]["label"]),
        (&"square".into(), &"star".into())
    );
    let methods = record["methods"].as_array().unwrap();
    let seen: Vec<_> = methods.iter().map(|it| (it["name"].as_str().unwrap(), &it["class"])).collect();
    let (first, second) = (&record["target"]["class"], &record["contrast"]["class"]);
    assert_eq!(seen, [("saliency", first), ("saliency", second), ("lrp", first), ("lrp", second)]);
    let maps = candle_core::safetensors::load(folder.path().join("maps.safetensors"), &Device::Cpu).unwrap();
    let values = |name: &str| maps[name].flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let beside = format!("lrp.{second}");
    assert_ne!(values("lrp"), values(&beside));
    assert!(folder.path().join(format!("scene-3.{beside}.png")).exists());
    let alone = TempDir::new().unwrap();
    works(&["explain", "--seed", "3", "--method", "lrp", "--target", "star", "--out", text(alone.path())]);
    let alone = candle_core::safetensors::load(alone.path().join("maps.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(values(&beside), alone["lrp"].flatten_all().unwrap().to_vec1::<f32>().unwrap());
}

#[test]
fn a_class_beside_itself_and_one_that_is_not_there_are_refused() {
    let out = TempDir::new().unwrap();
    let run =
        ["explain", "--method", "saliency", "--out", text(out.path()), "--target", "star", "--contrast"];
    refused(&[&run[..], &["star"]].concat(), "`star`");
    refused(&[&run[..], &["strar"]].concat(), "`strar`");
}

#[test]
fn several_images_have_pages_in_their_folders_and_no_common_one() {
    let folder = TempDir::new().unwrap();
    let images = ["a.png", "b.png"].map(|name| png(&folder, name, gradient(64, 64)));
    let out = folder.path().join("out");
    let run = ["explain", text(&images[0]), text(&images[1]), "--method", "saliency", "--out", text(&out)];
    refused(&[&run[..], &["--report=both.html"]].concat(), "both.html");
    works(&[&run[..], &["--report"]].concat());
    assert!(out.join("a/report.html").exists() && out.join("b/report.html").exists());
}
