//! Heatmaps, panels and sheets: what is drawn, and what is refused.
//!
//! With `CANDLELIGHT_PICTURES=DIR` the sheets are written there, to be looked at.

#![allow(clippy::unwrap_used)] // helpers of tests, which clippy.toml cannot tell from other functions

use candle_core::{Device, Tensor};
use candlelight_image::*;
use image::Rgb;
use proptest::prelude::*;

fn tensor(values: Vec<f32>, shape: &[usize]) -> Tensor {
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// A disc on a textured ground.
fn scene(side: u32) -> (RgbImage, Mask) {
    let inside = |x: u32, y: u32| {
        let at = |v: u32, center: f64| f64::from(v) / f64::from(side) - center;
        at(x, 0.58).hypot(at(y, 0.42)) < 0.26
    };
    let picture = RgbImage::from_fn(side, side, |x, y| {
        let texture = ((x * 8 / side + y * 8 / side) % 2 * 26) as u8;
        let shade = (y * 60 / side) as u8;
        if inside(x, y) {
            Rgb([226, 120 + texture, 40])
        } else {
            Rgb([70 + texture, 110 + shade, 140 + texture])
        }
    });
    let flags = (0..side * side).map(|i| inside(i % side, i / side)).collect();
    (picture, Mask::new(flags, side as usize, side as usize).unwrap())
}

/// A bump at the disc, with a weaker one of the other sign elsewhere, and noise.
fn map(side: usize, negative: f32, noise: f32) -> Tensor {
    let value = |i: usize| {
        let (x, y) = ((i % side) as f32 + 0.5, (i / side) as f32 + 0.5);
        let bump = |cx: f32, cy: f32, r: f32| {
            let (dx, dy) = (x / side as f32 - cx, y / side as f32 - cy);
            (-(dx * dx + dy * dy) / (r * r)).exp()
        };
        let hash = (i as u32).wrapping_mul(2654435761) >> 8 & 0xFFFF;
        0.012 * (bump(0.58, 0.42, 0.2) - negative * bump(0.2, 0.8, 0.18))
            + 0.012 * noise * (hash as f32 / 32768.0 - 1.0) * (bump(0.58, 0.42, 0.35) + 0.15)
    };
    tensor((0..side * side).map(value).collect(), &[1, 1, side, side])
}

fn keep(name: &str, sheet: &SideBySide) {
    if let Some(folder) = std::env::var_os("CANDLELIGHT_PICTURES") {
        sheet.save(std::path::Path::new(&folder).join(name)).unwrap();
    }
}

#[test]
fn a_sheet_of_every_kind_of_map_can_be_drawn() {
    let (picture, mask) = scene(64);
    let positive = map(8, 0.0, 0.0);
    let rgb = Tensor::cat(&[&map(64, 0.3, 1.0), &map(64, 0.7, 0.8), &map(64, 0.2, 1.2)], 1).unwrap();
    let sheet = SideBySide::of(&picture)
        .heading("scene 7, bundled-resnet")
        .note("disc 98.2 %, ring 1.1 %, star 0.3 %")
        .panel(Panel::new("Saliency", Heatmap::new(&rgb).reduce(Reduce::MaxAbs)).note("3 ms"))
        .panel(Panel::new("Integrated Gradients", Heatmap::new(&rgb)).note("50 steps, residual 0.02 %"))
        .panel(("Grad-CAM", Heatmap::new(&positive).normalize(Normalize::MaxAbs)))
        .panel(("Smooth", Heatmap::new(&map(64, 0.6, 0.0))))
        .panel((
            "Fixed opacity",
            Heatmap::new(&positive).opacity(Opacity::Fixed(0.55)).colors(ColorMap::Viridis),
        ))
        .panel(("Given range", Heatmap::new(&map(64, 0.6, 0.0)).normalize(Normalize::Range(-0.004, 0.012))))
        .panel(("Nothing", Heatmap::new(&positive.zeros_like().unwrap())))
        .outline(mask);
    let drawn = sheet.to_image().unwrap();
    assert_eq!(drawn.width(), 2 * 24 + 4 * 256 + 3 * 28);
    keep("sheet_64.png", &sheet);
}

#[test]
fn a_photograph_gets_a_sheet_of_its_own_proportions() {
    let (square, _) = scene(300);
    let photo = resize(&square, 300, 200, Filter::Bicubic);
    let sheet = SideBySide::of(&photo)
        .side(320)
        .panel(("Grad-CAM", Heatmap::new(&map(7, 0.0, 0.0))))
        .panel(("Integrated Gradients", Heatmap::new(&map(224, 0.4, 1.0)).colors(ColorMap::PurpleGreen)));
    assert_eq!(sheet.to_image().unwrap().width(), 2 * 24 + 3 * 320 + 2 * 28);
    keep("sheet_photo.png", &sheet);
}

#[test]
fn an_overlay_is_saved_with_its_caption() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.png");
    let (picture, _) = scene(64);
    Heatmap::new(&map(16, 0.5, 0.0)).over(&picture).save(&path).unwrap();
    let saved = open(&path).unwrap();
    assert!(saved.height() > 256 + 2 * 24, "room for the bar and the caption: {}", saved.height());
    if let Some(folder) = std::env::var_os("CANDLELIGHT_PICTURES") {
        std::fs::copy(&path, std::path::Path::new(&folder).join("one.png")).unwrap();
    }
}

#[test]
fn a_missing_folder_and_an_unknown_extension_are_errors_that_name_the_file() {
    let drawn = Heatmap::new(&map(8, 0.0, 0.0)).over(RgbImage::new(8, 8));
    let missing = drawn.save("no/such/folder/x.png").unwrap_err();
    assert!(missing.to_string().contains("no/such/folder/x.png") && matches!(missing.root(), Error::Io(_)));
    assert!(matches!(drawn.save("x.unknown").unwrap_err().root(), Error::Unsupported { .. }));
}

#[test]
fn where_the_map_is_zero_only_the_faded_picture_is_seen() {
    let (picture, _) = scene(32);
    let zero = tensor(vec![0.0; 16], &[4, 4]);
    let drawn = Heatmap::new(&zero).over(&picture).to_image().unwrap();
    assert!(drawn.pixels().all(|p| p[0] == p[1] && p[1] == p[2]));
}

#[test]
fn red_is_above_zero_and_blue_below() {
    let map = tensor(vec![-1.0, 1.0], &[1, 1, 1, 2]);
    let drawn = Heatmap::new(&map).over(RgbImage::new(2, 1)).to_image().unwrap();
    let [below, above] = [drawn.get_pixel(0, 0), drawn.get_pixel(1, 0)];
    assert!(below[2] > below[0] && above[0] > above[2], "{below:?} {above:?}");
}

#[test]
fn nan_infinity_and_wrong_shapes_are_refused_with_the_place() {
    let error =
        Heatmap::new(&tensor(vec![0.0, f32::NAN, 1.0, f32::INFINITY], &[2, 2])).to_image().unwrap_err();
    assert!(matches!(error, Error::NotFinite { index: 1, count: 2, of: 4, .. }), "{error}");
    for shape in [vec![4], vec![2, 1, 1, 2], vec![1, 1, 1, 2, 2], vec![0, 4], vec![1, 0, 2, 2]] {
        let map = tensor(vec![1.0; shape.iter().product()], &shape);
        assert!(matches!(Heatmap::new(&map).to_image(), Err(Error::Shape { .. })), "{shape:?}");
    }
    let nan = tensor(vec![f32::NAN; 12], &[1, 3, 2, 2]);
    let over = Heatmap::new(&map(4, 0.0, 0.0)).over(&nan).to_image();
    assert!(matches!(over, Err(Error::NotFinite { what: "the image tensor", .. })));
}

#[test]
fn masks_of_another_size_are_refused() {
    let (_, mask) = scene(32);
    let sheet = SideBySide::of(RgbImage::new(64, 64)).outline(mask);
    assert!(matches!(sheet.to_image(), Err(Error::Shape { what: "the mask", .. })));
    assert!(matches!(Mask::new(vec![true; 3], 2, 2), Err(Error::Shape { .. })));
}

#[test]
fn a_model_s_input_can_be_the_backdrop() {
    let (picture, _) = scene(64);
    let input = Preprocess::imagenet().apply(&picture, &Device::Cpu).unwrap();
    let drawn = Heatmap::new(&map(7, 0.0, 0.0)).over(&input).to_image().unwrap();
    assert_eq!(drawn.dimensions(), (224, 224));
    let plain = Preprocess::keep().apply(&picture, &Device::Cpu).unwrap();
    assert_eq!(
        Backdrop::from(&plain).picture().unwrap(),
        picture,
        "levels from 0 to 1 are shown as they are"
    );
}

#[test]
fn inverting_gives_back_every_level() {
    let (picture, _) = scene(64);
    for preprocess in [Preprocess::keep(), Preprocess::keep().normalize(IMAGENET_MEAN, IMAGENET_STD)] {
        let tensor = preprocess.apply(&picture, &Device::Cpu).unwrap();
        assert_eq!(preprocess.invert(&tensor).unwrap(), picture);
    }
}

#[test]
fn captions_say_how_the_map_was_normalised() {
    let rgb = tensor(vec![0.5; 12], &[1, 3, 2, 2]);
    let caption = Heatmap::new(&rgb).normalize(Normalize::MaxAbs).caption().unwrap();
    assert_eq!(caption, "scaled to max |a|, the map is constant, 1.5, sum over 3 channels");
    let caption = Heatmap::new(&tensor(vec![0.0, -2.0], &[1, 2])).caption().unwrap();
    assert_eq!(caption, "scaled to p99 of |a|, max |a| = 2");
}

proptest! {
    #[test]
    fn any_finite_map_can_be_drawn_on_any_picture(
        values in proptest::collection::vec(proptest::num::f32::NORMAL | proptest::num::f32::ZERO, 6),
        width in 1u32..40, height in 1u32..40,
    ) {
        let map = Heatmap::new(&tensor(values, &[2, 3]));
        let drawn = SideBySide::of(RgbImage::new(width, height)).side(64).panel(("any", map));
        prop_assert!(drawn.to_image().is_ok());
    }
}

#[test]
fn an_attribution_is_drawn_as_it_is_meant_to_be_read() {
    use candlelight_core::{Explain, GradCam, Query, Saliency, SmoothGrad, tap};
    let x = Tensor::new(&[[[[1f32, -2.0], [3.0, 4.0]]]], &Device::Cpu).unwrap();
    let model = |x: &Tensor| tap("maps", x)?.sqr()?.flatten_from(1)?.sum(1);
    let clipped = |method: &dyn Explain| {
        let map = method.attribute(&model, &Query::new(&x)).unwrap();
        assert!(map.values().min_all().unwrap().to_scalar::<f32>().unwrap() < 0.0);
        Heatmap::of(&map).caption().unwrap().contains("values below 0 not shown")
    };
    assert!(!clipped(&Saliency::signed()));
    assert!(!clipped(&SmoothGrad::default()));
    assert!(clipped(&GradCam::at("maps")));
}

#[test]
fn a_layer_s_map_is_drawn_where_its_cells_lie() {
    use candlelight_core::nn::{MaxPool2d, Module};
    use candlelight_core::{Explain, GradCam};
    let model = |x: &Tensor| MaxPool2d::new(3, 4, 1).at("pool").forward(x)?.flatten_from(1)?.sum(1);
    let mut pixels = vec![0f32; 64];
    pixels[4 * 8 + 4] = 1.0;
    let x = tensor(pixels, &[1, 1, 8, 8]);
    let map = GradCam::at("pool").explain(&model, &x).unwrap();
    let drawn = Heatmap::of(&map).over(RgbImage::new(8, 8)).to_image().unwrap();
    let tiled = Heatmap::new(map.values()).over(RgbImage::new(8, 8)).to_image().unwrap();
    let brightest = |picture: &RgbImage| {
        let light = |x: u32, y: u32| picture.get_pixel(x, y).0.iter().map(|&c| u32::from(c)).sum::<u32>();
        let mut places: Vec<(u32, u32)> = (0..64).map(|i| (i % 8, i / 8)).collect();
        places.sort_by_key(|&(x, y)| std::cmp::Reverse(light(x, y)));
        places[0]
    };
    assert_eq!(brightest(&drawn), (4, 4));
    assert_ne!(drawn, tiled);
}
