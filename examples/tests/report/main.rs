//! The pages of `explain --report`, of `serve` and of `compare --report` as people meet them: opened in a browser, moved
//! over, read aloud and printed.
//!
//! The tests with a browser need Chromium: they say so and pass where there is none.

#![allow(clippy::unwrap_used)] // helpers of tests, which clippy.toml cannot tell from other functions

mod browser;
#[cfg(feature = "serve")]
mod client;
mod compare;
mod reading;
#[cfg(feature = "serve")]
mod serve;

use browser::{Browser, chromium};
use candle_core::{Device, Tensor};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Widths of a desk and of a hand, in CSS pixels.
const DESK: u32 = 1440;
const HAND: u32 = 390;

/// What the page says of a value, which it writes with six significant digits.
const WRITTEN: f64 = 1e-5;

/// A run whose page is there.
struct Report {
    folder: TempDir,
    file: &'static str,
}

impl Report {
    fn of(args: &[&str]) -> Self {
        Self::told("explain", "report.html", &[&["--report"], args].concat())
    }

    fn told(command: &str, file: &'static str, args: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut run = Command::new(env!("CARGO_BIN_EXE_candlelight"));
        run.args([command, "--out", folder.path().to_str().unwrap()]).args(args);
        let run = run.output().unwrap();
        assert!(run.status.success(), "{args:?}: {}", String::from_utf8_lossy(&run.stderr));
        Self { folder, file }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(self.file)
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    /// A map as the run stored it, its channels summed: rows of values.
    fn map(&self, name: &str) -> Vec<Vec<f32>> {
        let maps: HashMap<String, Tensor> =
            candle_core::safetensors::load(self.folder.path().join("maps.safetensors"), &Device::Cpu)
                .unwrap();
        let map = maps[name].to_dtype(candle_core::DType::F64).unwrap().sum(1).unwrap().squeeze(0).unwrap();
        map.to_dtype(candle_core::DType::F32).unwrap().to_vec2().unwrap()
    }

    /// The page in a browser, or nothing but a word on stderr where there is none.
    fn opened(&self, width: u32) -> Option<Browser> {
        let mut browser = Browser::open(&found()?, width, 1000);
        browser.visit(&format!("file://{}", self.path().display()));
        Some(browser)
    }
}

fn found() -> Option<PathBuf> {
    let found = chromium();
    if found.is_none() {
        eprintln!("skipped: no Chromium is installed here (`apt-get install chromium`)");
    }
    found
}

/// Several kinds of maps for two classes of a scene with a known answer.
fn pair() -> Report {
    let methods = "grad-cam,integrated-gradients,lrp,saliency";
    Report::of(&["--seed", "3", "--contrast", "circle", "--steps", "8", "--method", methods])
}

/// Keeps a picture for those who want to look, in the folder that they name.
fn keep(browser: &mut Browser, name: &str) {
    if let Some(folder) = std::env::var_os("CANDLELIGHT_SHOTS") {
        fs::write(Path::new(&folder).join(name), browser.picture()).unwrap();
    }
}

/// The number that a map's line says.
fn said(browser: &mut Browser, map: &str) -> f64 {
    let text =
        browser.eval(&format!("document.getElementById('{map}-value').querySelector('b').textContent"));
    text.as_str().unwrap().replace('−', "-").parse().unwrap()
}

fn agrees(said: f64, stored: f32) -> bool {
    (said - f64::from(stored)).abs() <= WRITTEN * f64::from(stored).abs()
}

/// The middle of a cell of a map that is seen, in CSS pixels of the window.
fn middle(browser: &mut Browser, map: &str, (row, column): (usize, usize), cells: usize) -> (f64, f64) {
    let place = browser.eval(&format!(
        "(() => {{ const stage = document.getElementById('{map}-map'); stage.scrollIntoView({{ block: 'center', behavior: 'instant' }});
           const box = stage.getBoundingClientRect();
           return [box.left + box.width * ({column} + 0.5) / {cells}, box.top + box.height * ({row} + 0.5) / {cells}]; }})()"
    ));
    (place[0].as_f64().unwrap(), place[1].as_f64().unwrap())
}

#[test]
fn the_value_under_the_pointer_is_the_one_that_was_stored() {
    let report = pair();
    let Some(mut browser) = report.opened(DESK) else { return };
    for map in ["integrated-gradients", "integrated-gradients.0", "saliency"] {
        let stored = report.map(map);
        for place in [(0, 0), (12, 40), (33, 21), (63, 63)] {
            let (x, y) = middle(&mut browser, map, place, stored.len());
            browser.point(x, y);
            let said = said(&mut browser, map);
            assert!(agrees(said, stored[place.0][place.1]), "{map} at {place:?}: {said}");
        }
    }
    let whole = report.map("grad-cam");
    let (x, y) = middle(&mut browser, "grad-cam", (2, 4), whole.len());
    browser.point(x - 1.0, y - 1.0);
    let text = browser.eval("document.getElementById('grad-cam-value').textContent");
    let said = said(&mut browser, "grad-cam");
    assert!(whole.iter().flatten().any(|&stored| agrees(said, stored)) && said != 0.0, "{text}");
    assert!(text.as_str().unwrap().contains("8\u{a0}×\u{a0}8"), "{text}");
}

#[test]
fn arrow_keys_move_over_a_map_and_home_goes_to_its_largest_value() {
    let report = pair();
    let Some(mut browser) = report.opened(DESK) else { return };
    let stored = report.map("saliency");
    browser.eval("document.getElementById('saliency-map').focus()");
    browser.press("Home", 36);
    let largest = stored.iter().flatten().copied().fold(f32::MIN, f32::max);
    let at_home = said(&mut browser, "saliency");
    assert!(agrees(at_home, largest), "{at_home} is not {largest}");
    let (row, column) = (0..stored.len())
        .flat_map(|row| (0..stored.len()).map(move |column| (row, column)))
        .find(|&(row, column)| stored[row][column] == largest)
        .unwrap();
    browser.press("ArrowLeft", 37);
    browser.press("ArrowUp", 38);
    let beside = stored[row.saturating_sub(1)][column.saturating_sub(1)];
    let moved = said(&mut browser, "saliency");
    assert!(agrees(moved, beside), "{moved} is not {beside}");
}

#[test]
fn sliders_change_how_strongly_maps_cover_the_picture() {
    let report = pair();
    let Some(mut browser) = report.opened(DESK) else { return };
    let opacity = |browser: &mut Browser, map: &str| {
        browser.wait_for("document.getAnimations().length === 0");
        let seen = format!("getComputedStyle(document.querySelector('#{map}-map canvas')).opacity");
        browser.eval(&seen).as_str().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(opacity(&mut browser, "saliency"), 0.9);
    browser.eval("document.querySelector('#saliency .opacity input').focus()");
    browser.press("ArrowLeft", 37);
    browser.press("ArrowLeft", 37);
    assert_eq!(opacity(&mut browser, "saliency"), 0.88);
    assert_eq!(opacity(&mut browser, "grad-cam"), 0.9, "a slider of one method left another alone");
    browser.eval("document.getElementById('all').focus()");
    browser.press("Home", 36);
    assert_eq!((opacity(&mut browser, "saliency"), opacity(&mut browser, "grad-cam")), (0.0, 0.0));
}

/// No request has left the page, not even when its command is copied, and nothing was complained of.
fn asks_for_nothing(browser: &mut Browser) {
    browser.eval("document.getElementById('copy').click()");
    browser.eval("new Promise((done) => setTimeout(done, 500))");
    let requests = browser.told("Network.requestWillBeSent");
    let addresses: Vec<&str> = requests.iter().filter_map(|it| it["request"]["url"].as_str()).collect();
    assert!(!addresses.is_empty());
    assert!(
        addresses.iter().all(|url| url.starts_with("file:") || url.starts_with("data:")),
        "{addresses:?}"
    );
    let errors = |told: Vec<Value>, level: &str| -> Vec<Value> {
        told.into_iter().filter(|it| it[level] == "error" || it["entry"]["level"] == "error").collect()
    };
    assert_eq!(errors(browser.told("Runtime.consoleAPICalled"), "type"), Vec::<Value>::new());
    assert_eq!(errors(browser.told("Log.entryAdded"), "level"), Vec::<Value>::new());
    assert_eq!(browser.told("Runtime.exceptionThrown"), Vec::<Value>::new());
}

#[test]
fn the_page_asks_for_nothing_and_complains_of_nothing() {
    let report = pair();
    let Some(mut browser) = report.opened(DESK) else { return };
    asks_for_nothing(&mut browser);
}

#[test]
fn a_request_to_anywhere_would_be_refused() {
    let report = pair();
    let Some(mut browser) = report.opened(DESK) else { return };
    let tried = "fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')";
    assert_eq!(browser.eval(tried), "refused");
    browser.eval("new Promise((done) => setTimeout(done, 300))");
    let refused = browser.told("Log.entryAdded");
    let by_policy = |it: &Value| {
        it["entry"]["text"].as_str().is_some_and(|text| text.contains("Content Security Policy"))
    };
    assert!(refused.iter().any(by_policy), "{refused:?}");
}

/// The page is as wide as the window, can be read by day and by night, and can be printed.
fn fits_everywhere(browser: &mut Browser, name: &str) {
    for (width, night) in [(DESK, false), (HAND, false), (HAND, true), (DESK, true)] {
        browser.resize(width, 1000);
        browser.prefer(if night { "dark" } else { "light" });
        let wide = browser.eval("document.documentElement.scrollWidth");
        assert!(wide.as_u64().unwrap() <= u64::from(width), "{wide} of {width}");
        reading::check(browser);
        keep(browser, &format!("{name}-{width}-{}.png", if night { "night" } else { "day" }));
    }
    browser.prefer("light");
    let paper = browser.print();
    assert!(paper.starts_with(b"%PDF") && paper.len() > 20_000, "{} bytes", paper.len());
    assert_eq!(browser.eval("[...document.querySelectorAll('details')].every((it) => it.open)"), true);
    if let Some(folder) = std::env::var_os("CANDLELIGHT_SHOTS") {
        fs::write(Path::new(&folder).join(format!("{name}.pdf")), paper).unwrap();
    }
}

#[test]
fn the_page_is_as_wide_as_the_window_by_day_and_by_night_and_on_paper() {
    let report = pair();
    let Some(mut browser) = report.opened(DESK) else { return };
    fits_everywhere(&mut browser, "report");
}

#[test]
fn what_cannot_be_read_is_found() {
    let report = Report::of(&["--method", "saliency"]);
    let Some(mut browser) = report.opened(DESK) else { return };
    browser.eval(
        "document.querySelector('.about').style.color = '#ccc';
         document.querySelector('img').removeAttribute('alt');
         document.querySelector('h3').id = 'copy';
         document.querySelector('h2').outerHTML = '<h4>deep</h4>';
         document.querySelector('button').textContent = '';
         document.documentElement.removeAttribute('lang');",
    );
    let found = reading::problems(&mut browser).join("\n");
    for problem in
        ["contrast", "no alt", "the id copy", "skips a level", "has no name", "no language", "refers to"]
    {
        assert!(found.contains(problem), "{problem} was not found: {found}");
    }
}

#[test]
fn names_from_outside_stay_text() {
    let folder = TempDir::new().unwrap();
    let name = "<script>document.title='owned'<\u{2f}script>\"onerror='.png".replace('/', "∕");
    let image = folder.path().join(name);
    image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([(x * 4) as u8, (y * 4) as u8, 90]))
        .save(&image)
        .unwrap();
    let image = image.to_str().unwrap();
    for report in [
        Report::of(&[image, "--method", "saliency"]),
        compare::of(&[image, "--methods", "saliency", "--metrics", "deletion"]),
    ] {
        let text = report.text();
        assert!(!text.contains("<script>document"), "a file's name became a script");
        assert!(text.contains("&lt;script&gt;document"), "the file's name is not there");
        let Some(mut browser) = report.opened(DESK) else { return };
        assert_ne!(browser.eval("document.title"), "owned");
        assert_eq!(browser.eval("document.querySelectorAll('script:not([type])').length"), 1);
    }
}

#[test]
fn labels_of_a_hostile_model_stay_text() {
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/weights/resnet");
    let folder = TempDir::new().unwrap();
    for file in fs::read_dir(&weights).unwrap() {
        let file = file.unwrap().path();
        fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
    }
    let config = folder.path().join("config.json");
    let mut edited: Value = serde_json::from_str(&fs::read_to_string(&config).unwrap()).unwrap();
    let hostile = "</script><img src=x onerror=alert(1)>";
    let labels = (0..10).map(|class| (class.to_string(), json!(format!("{hostile}{class}"))));
    edited["id2label"] = Value::Object(labels.collect());
    fs::write(&config, edited.to_string()).unwrap();
    let model = ["--model", folder.path().to_str().unwrap()];
    for report in [
        Report::of(&[&model[..], &["--method", "saliency"]].concat()),
        compare::of(
            &[&model[..], &["--methods", "saliency", "--metrics", "deletion", "--scenes", "1"]].concat(),
        ),
    ] {
        let text = report.text();
        assert!(
            !text.contains("<img src=x") && text.contains("&lt;img src=x onerror"),
            "a label became markup"
        );
    }
}

#[test]
fn a_page_goes_where_it_is_told_and_not_over_an_image() {
    let folder = TempDir::new().unwrap();
    let page = folder.path().join("why.html");
    Report::told("explain", "", &["--method", "saliency", &format!("--report={}", page.display())]);
    assert!(fs::read_to_string(page).unwrap().contains("<h1>"));
    let image = folder.path().join("cat.png");
    image::RgbImage::new(64, 64).save(&image).unwrap();
    Report::told("explain", "", &["--report", image.to_str().unwrap(), "--method", "saliency"]);
    assert!(image::open(&image).is_ok(), "`--report IMAGE` wrote over the image");
}
