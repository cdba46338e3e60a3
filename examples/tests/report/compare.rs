//! The page of `compare --report`.

use super::{DESK, HAND, Report, asks_for_nothing, fits_everywhere};
use crate::browser::Browser;
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

pub fn of(args: &[&str]) -> Report {
    Report::told("compare", "compare.html", &[&["--report"], args].concat())
}

/// Enough scenes for some differences to be told, with a metric of two kinds and one that has no number for some maps.
fn some() -> Report {
    let methods = "saliency,integrated-gradients,grad-cam";
    of(&["--scenes", "8", "--steps", "8", "--methods", methods])
}

/// The texts of a selection.
fn texts(browser: &mut Browser, selector: &str) -> Vec<String> {
    let found = browser.eval(&format!(
        "[...document.querySelectorAll(`{selector}`)].map((it) => it.textContent.trim().replace(/\\s+/g, ' '))"
    ));
    found.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_table_says_what_the_files_say_and_the_control_stands_apart() {
    let report = some();
    let Some(mut browser) = report.opened(DESK) else { return };
    let cells: Vec<Value> =
        serde_json::from_str(&fs::read_to_string(report.folder.path().join("compare.json")).unwrap())
            .unwrap();
    let values = browser.eval(
        "[...document.querySelectorAll('.matrix tbody tr, .matrix tfoot tr')].map((row) =>
           [...row.querySelectorAll('td')].map((it) => it.dataset.value === undefined ? null : Number(it.dataset.value)))",
    );
    let rows = values.as_array().unwrap();
    assert_eq!((rows.len(), rows[0].as_array().unwrap().len()), (4, 5));
    for (metric, cells) in cells.chunks(4).enumerate() {
        for (row, cell) in rows.iter().zip(cells) {
            assert_eq!(row[metric].as_f64(), cell["mean"].as_f64(), "{cell}");
        }
    }
    assert_eq!(texts(&mut browser, ".matrix tfoot th"), ["A map at random"]);
    let said = |word: &str| cells.iter().filter(|cell| cell["beside_random"] == word).count();
    assert!(said("better") > 0, "eight scenes tell no method from chance");
    for word in ["better", "worse"] {
        assert_eq!(texts(&mut browser, &format!(".verdict.{word}")).len(), said(word), "{word}");
    }
    assert_eq!(texts(&mut browser, ".strip").len(), 4);
    assert_eq!(texts(&mut browser, ".strip img").len(), 4 * (1 + 4));
    assert_eq!(texts(&mut browser, ".chart svg").len(), 3);
}

#[test]
fn headers_sort_by_keys_best_first_and_the_first_gives_back_what_was_asked() {
    let report = some();
    let Some(mut browser) = report.opened(DESK) else { return };
    let asked = texts(&mut browser, ".matrix tbody th");
    for (column, word) in [(2, "descending"), (5, "ascending")] {
        browser.eval(&format!("document.querySelectorAll('.sort')[{column}].focus()"));
        browser.enter();
        let values = |browser: &mut Browser| -> Vec<f64> {
            let values = browser.eval(&format!(
                "[...document.querySelectorAll('.matrix tbody tr')].map((row) => Number(row.cells[{column}].dataset.value))"
            ));
            values.as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect()
        };
        let best_first = values(&mut browser);
        let sorted = |values: &[f64], word: &str| match word {
            "ascending" => values.is_sorted(),
            _ => values.iter().rev().is_sorted(),
        };
        assert!(sorted(&best_first, word), "{best_first:?}");
        let told = format!("document.querySelectorAll('.matrix thead th')[{column}].ariaSort");
        assert_eq!(browser.eval(&told), word);
        assert_eq!(browser.eval("document.querySelectorAll('[aria-sort]').length"), 1);
        browser.enter();
        assert_eq!(values(&mut browser), best_first.into_iter().rev().collect::<Vec<_>>());
    }
    browser.eval("document.querySelector('.sort').focus()");
    browser.enter();
    assert_eq!(texts(&mut browser, ".matrix tbody th"), asked);
}

#[test]
fn the_comparison_asks_for_nothing_and_fits_everywhere() {
    let report = some();
    let Some(mut browser) = report.opened(DESK) else { return };
    asks_for_nothing(&mut browser);
    fits_everywhere(&mut browser, "compare");
}

#[test]
fn one_image_has_a_page_without_intervals_and_a_map_without_a_number_says_why() {
    let folder = TempDir::new().unwrap();
    let image = folder.path().join("grey.png");
    image::RgbImage::from_fn(64, 64, |x, _| image::Rgb([x as u8; 3])).save(&image).unwrap();
    let metrics = ["--methods", "saliency", "--metrics", "pointing-game,deletion"];
    let report = of(&[&[image.to_str().unwrap()], &metrics[..]].concat());
    assert!(!report.text().contains("class=\"verdict"), "one image tells nothing from chance");
    let Some(mut browser) = report.opened(HAND) else { return };
    let missing = texts(&mut browser, ".missing");
    assert!(missing.len() == 2 && missing.iter().all(|it| it.starts_with("1 of 1 without: ")), "{missing:?}");
    fits_everywhere(&mut browser, "compare-one");
}
