//! Chains against the same layers one by one, in the other order of the channels.

mod transformer;

use super::*;
use crate::{Conv2d, Pool2d, conv2d, conv2d_input_gradient, max_pool2d, max_pool2d_gradient};
use proptest::prelude::*;

/// Relative error that reordering sums of a few hundred terms may bring in double precision.
const TOLERANCE: f64 = 1e-12;

/// Step of central differences, and their truncation and rounding on values of order ten.
const STEP: f64 = 1e-5;
const DIFFERENCE_TOLERANCE: f64 = 1e-6;

fn wave(len: usize, step: f64) -> Vec<f64> {
    (0..len).map(|i| (i as f64 * step).sin()).collect()
}

fn close(a: &[f64], b: &[f64]) -> bool {
    let scale = b.iter().fold(1.0f64, |most, v| most.max(v.abs()));
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= TOLERANCE * scale)
}

fn geometry(from: Maps, outputs: usize, window: Window) -> Conv2d {
    let input = (from.height, from.width);
    Conv2d { batch: from.images, in_channels: from.channels, out_channels: outputs, groups: 1, input, window }
}

fn windows() -> impl Strategy<Value = Window> {
    let pair = |range: std::ops::Range<usize>| (range.clone(), range);
    (pair(1..4), pair(1..4), pair(0..4), pair(1..3)).prop_map(|(kernel, stride, padding, dilation)| Window {
        kernel,
        stride,
        padding,
        dilation,
    })
}

fn sizes() -> impl Strategy<Value = Maps> {
    (0usize..8, 5usize..9, 5usize..9, 1usize..6).prop_map(|(images, height, width, channels)| Maps {
        images,
        height,
        width,
        channels,
    })
}

/// A convolution and its gradient, both ways.
fn convolve(from: Maps, window: Window, outputs: usize, multiply: Multiply) -> (bool, bool) {
    let layer = geometry(from, outputs, window);
    let (x, bias) = (wave(from.elements(), 0.37), wave(outputs, 1.3));
    let weight = wave(outputs * from.channels * window.kernel.0 * window.kernel.1, 0.71);
    let mut chain = Chain::new(multiply);
    chain.conv(chain.input(), window, from.channels, &weight, bias.clone()).unwrap();
    let (y, passed) = run(&[&chain], (Order::ChannelsFirst, from), &x, Keep::ForBack).unwrap();
    let g = wave(y.len(), 0.53);
    let dx = input_gradient(&[&chain], &passed, &g);
    let forward = close(&y, &conv2d(&layer, &x, &weight, Some(&bias)));
    (forward, close(&dx, &conv2d_input_gradient(&layer, &g, &weight)))
}

proptest! {
    #[test]
    fn a_convolution_and_its_gradient_equal_the_layer(from in sizes(), window in windows(), outputs in 1usize..6) {
        prop_assert_eq!(convolve(from, window, outputs, Multiply::Directly), (true, true));
    }

    #[test]
    fn winograds_convolution_and_its_gradient_equal_the_layer(
        from in sizes(), padding in (0usize..4, 0usize..4), outputs in 1usize..6,
    ) {
        let window = Window { padding, ..Window::square(3, 1, 0) };
        prop_assert_eq!(convolve(from, window, outputs, Multiply::Fast), (true, true));
    }

    #[test]
    fn a_pool_and_its_gradient_equal_the_layer_ties_included(from in sizes(), window in windows()) {
        let window = Window { dilation: (1, 1), padding: (window.padding.0.min(window.kernel.0 / 2), window.padding.1.min(window.kernel.1 / 2)), ..window };
        let output = window.places((from.height, from.width)).unwrap();
        let layer = Pool2d { planes: from.images * from.channels, input: (from.height, from.width), output, window };
        let x: Vec<f64> = wave(from.elements(), 0.37).iter().map(|v| (v * 3.0).round()).collect();
        let mut chain = Chain::default();
        chain.max_pool(chain.input(), window).unwrap();
        let (y, passed) = run(&[&chain], (Order::ChannelsFirst, from), &x, Keep::ForBack).unwrap();
        let (expected, indices) = max_pool2d(&layer, &x);
        prop_assert_eq!(&y, &expected);
        let g = wave(y.len(), 0.53);
        prop_assert!(close(&input_gradient(&[&chain], &passed, &g), &max_pool2d_gradient(&layer, &g, &indices)));
    }

    #[test]
    fn a_shortcut_without_weights_is_a_projection_onto_its_own_channels(
        from in sizes(), stride in 1usize..4, before in 0usize..3, after in 0usize..3,
    ) {
        let (inputs, outputs) = (from.channels, before + from.channels + after);
        let weight: Vec<f64> = (0..outputs * inputs).map(|at| f64::from(u8::from(at / inputs == before + at % inputs))).collect();
        let (mut copied, mut projected) = (Chain::default(), Chain::default());
        copied.subsample(copied.input(), Subsample { stride, before, after }).unwrap();
        projected.conv(projected.input(), Window::square(1, stride, 0), inputs, &weight, vec![0.0; outputs]).unwrap();
        let x = wave(from.elements(), 0.37);
        let ran = [&copied, &projected].map(|chain| {
            let (y, passed) = run(&[chain], (Order::ChannelsFirst, from), &x, Keep::ForBack).unwrap();
            let dx = input_gradient(&[chain], &passed, &wave(y.len(), 0.53));
            (y, dx)
        });
        prop_assert_eq!(&ran[0], &ran[1]);
    }

    #[test]
    fn blocks_with_and_without_a_projection_equal_their_layers(from in sizes(), stride in 1usize..3) {
        let (inner, outputs) = (4, 3);
        let (first, second) = (Window::square(3, stride, 1), Window::square(3, 1, 1));
        let (w1, w2) = (wave(inner * from.channels * 9, 0.71), wave(outputs * inner * 9, 0.43));
        let side = (wave(outputs * from.channels, 0.9), Window::square(1, stride, 0));
        let (b1, b2, b3) = (wave(inner, 1.3), wave(outputs, 0.4), wave(outputs, 2.1));
        let w4 = wave(outputs * outputs * 9, 0.21);

        let mut down = Chain::default();
        let shortcut = down.conv(down.input(), side.1, from.channels, &side.0, b3.clone()).unwrap();
        let x = down.conv(down.input(), first, from.channels, &w1, b1.clone()).unwrap();
        let x = down.relu(x).unwrap();
        let x = down.conv(x, second, inner, &w2, b2.clone()).unwrap();
        let x = down.add(x, shortcut).unwrap();
        down.relu(x).unwrap();
        let mut same = Chain::default();
        let x = same.conv(same.input(), second, outputs, &w4, b2.clone()).unwrap();
        let x = same.add(same.input(), x).unwrap();
        same.relu(x).unwrap();

        let x = wave(from.elements(), 0.37);
        let (y, passed) = run(&[&down, &same], (Order::ChannelsFirst, from), &x, Keep::ForBack).unwrap();

        let (same_y, nothing) = run(&[&down, &same], (Order::ChannelsFirst, from), &x, Keep::Nothing).unwrap();
        prop_assert!(same_y == y && nothing.bytes() == 0 && (passed.bytes() > 0 || y.is_empty()));

        let relu = |x: Vec<f64>| x.into_iter().map(|v| v.max(0.0)).collect::<Vec<f64>>();
        let add = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<f64>>();
        let mask = |g: &[f64], y: &[f64]| g.iter().zip(y).map(|(&g, &y)| if y > 0.0 { g } else { 0.0 }).collect::<Vec<f64>>();
        let layer1 = geometry(from, inner, first);
        let hidden = Maps { height: layer1.output().0, width: layer1.output().1, channels: inner, ..from };
        let layer2 = geometry(hidden, outputs, second);
        let layer3 = geometry(from, outputs, side.1);
        let layer4 = geometry(Maps { channels: outputs, ..hidden }, outputs, second);
        let h = relu(conv2d(&layer1, &x, &w1, Some(&b1)));
        let middle = relu(add(&conv2d(&layer2, &h, &w2, Some(&b2)), &conv2d(&layer3, &x, &side.0, Some(&b3))));
        let expected = relu(add(&conv2d(&layer4, &middle, &w4, Some(&b2)), &middle));
        prop_assert!(close(&y, &expected));

        let g = wave(y.len(), 0.53);
        let g4 = mask(&g, &expected);
        let g_middle = mask(&add(&conv2d_input_gradient(&layer4, &g4, &w4), &g4), &middle);
        let g_h = mask(&conv2d_input_gradient(&layer2, &g_middle, &w2), &h);
        let dx = add(&conv2d_input_gradient(&layer1, &g_h, &w1), &conv2d_input_gradient(&layer3, &g_middle, &side.0));
        prop_assert!(close(&input_gradient(&[&down, &same], &passed, &g), &dx));
    }
}

#[test]
fn maps_that_do_not_fit_are_refused() {
    let mut chain = Chain::<f64>::default();
    chain.conv(chain.input(), Window::square(3, 1, 0), 2, &wave(18, 0.3), vec![0.0]).unwrap();
    let maps = |height, channels| Maps { images: 1, height, width: 5, channels };
    assert!(chain.maps(maps(5, 2)).is_some());
    assert!(chain.maps(maps(2, 2)).is_none());
    assert!(chain.maps(maps(5, 3)).is_none());
    assert!(run::<f64>(&[], (Order::ChannelsFirst, maps(5, 2)), &wave(50, 0.1), Keep::ForBack).is_none());
}

#[test]
fn only_the_last_sum_takes_an_addend_or_a_rectifier() {
    let (mut chain, point) = (Chain::<f64>::default(), Window::square(1, 1, 0));
    let a = chain.conv(chain.input(), point, 1, &[1.0], vec![0.0]).unwrap();
    let b = chain.conv(a, point, 1, &[1.0], vec![0.0]).unwrap();
    assert_eq!(chain.relu(a), None);
    let sum = chain.add(b, chain.input()).unwrap();
    assert_eq!((sum, chain.add(sum, a)), (chain.output(), None));
    let rectified = chain.relu(sum).unwrap();
    assert_eq!(chain.relu(rectified), None);
}

#[test]
fn a_value_that_was_changed_in_place_is_gone() {
    let (mut chain, point) = (Chain::<f64>::default(), Window::square(1, 1, 0));
    let before = chain.conv(chain.input(), point, 1, &[1.0], vec![0.0]).unwrap();
    let after = chain.relu(before).unwrap();
    assert_eq!(chain.conv(before, point, 1, &[1.0], vec![0.0]), None);
    assert_eq!(chain.max_pool(before, point), None);
    let next = chain.conv(after, point, 1, &[1.0], vec![0.0]).unwrap();
    assert_eq!(chain.add(next, before), None);
    assert!(chain.add(next, after).is_some());
}

#[test]
fn a_nan_goes_through() {
    let mut chain = Chain::default();
    let x = chain.conv(chain.input(), Window::square(1, 1, 0), 1, &[1.0], vec![0.0]).unwrap();
    let x = chain.relu(x).unwrap();
    chain.max_pool(x, Window::square(2, 2, 0)).unwrap();
    let maps = Maps { images: 1, height: 2, width: 2, channels: 1 };
    assert!(
        run(&[&chain], (Order::ChannelsFirst, maps), &[1.0, f64::NAN, 0.0, 2.0], Keep::ForBack).unwrap().0[0]
            .is_nan()
    );
}

/// One image through `chains` and back.
fn there_and_back(chains: &[&Chain<f64>], (order, from): (Order, Maps)) -> [Vec<f64>; 2] {
    let (y, passed) = run(chains, (order, from), &wave(from.elements(), 0.9), Keep::ForBack).unwrap();
    let dx = input_gradient(chains, &passed, &wave(y.len(), 0.53));
    [y, dx]
}

#[test]
fn threads_that_share_an_image_change_no_bit_of_it() {
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let assert_alike = |chains: &[&Chain<f64>], maps: (Order, Maps)| {
        assert_eq!(there_and_back(chains, maps), alone.install(|| there_and_back(chains, maps)));
    };
    let maps = Maps { images: 1, height: 23, width: 20, channels: 3 };
    for multiply in [Multiply::Directly, Multiply::Fast] {
        for window in [Window::square(3, 1, 1), Window::square(3, 2, 1), Window::square(1, 1, 0)] {
            let mut chain = Chain::new(multiply);
            let weight = wave(8 * 3 * window.kernel.0 * window.kernel.1, 0.7);
            let y = chain.conv(chain.input(), window, 3, &weight, wave(8, 0.2)).unwrap();
            chain.relu(y).unwrap();
            assert_alike(&[&chain], (Order::ChannelsFirst, maps));
        }
    }
    let (block, head, tokens) = transformer::block_and_head(2, 9);
    assert_alike(&[&block, &block, &head], (Order::ChannelsLast, tokens));
}

#[test]
fn the_pass_back_runs_on_another_pool_than_the_pass_forward() {
    let mut chain = Chain::default();
    let x = chain.conv(chain.input(), Window::square(3, 1, 1), 2, &wave(36, 0.3), vec![0.1, 0.2]).unwrap();
    chain.relu(x).unwrap();
    let from = Maps { images: 7, height: 4, width: 3, channels: 2 };
    let (y, passed) =
        run(&[&chain], (Order::ChannelsFirst, from), &wave(from.elements(), 0.7), Keep::ForBack).unwrap();
    let g = wave(y.len(), 0.4);
    let here = input_gradient(&[&chain], &passed, &g);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    assert_eq!(pool.install(|| input_gradient(&[&chain], &passed, &g)), here);
}

/// A stem with a pool, blocks whose shortcuts are strided, and one around which the input goes: two chains.
fn residual_chains(channels: usize) -> [Chain<f64>; 2] {
    let conv = |chain: &mut Chain<f64>, x, window: Window, inputs: usize, outputs: usize| {
        let weight = wave(outputs * inputs * window.kernel.0 * window.kernel.1, 0.71 + inputs as f64);
        chain.conv(x, window, inputs, &weight, wave(outputs, 1.3)).unwrap()
    };
    let (mut stem, mut blocks) = (Chain::new(Multiply::Fast), Chain::new(Multiply::Fast));
    let image = stem.input();
    let x = conv(&mut stem, image, Window::square(5, 2, 2), channels, 4);
    stem.max_pool(x, Window::square(3, 2, 1)).unwrap();
    let input = blocks.input();
    let side = conv(&mut blocks, input, Window::square(1, 2, 0), 4, 6);
    let x = conv(&mut blocks, input, Window::square(3, 2, 1), 4, 6);
    let x = blocks.relu(x).unwrap();
    let x = conv(&mut blocks, x, Window::square(3, 1, 1), 6, 6);
    let x = blocks.add(x, side).unwrap();
    let x = blocks.relu(x).unwrap();
    let y = conv(&mut blocks, x, Window::square(3, 1, 1), 6, 6);
    let y = blocks.add(y, x).unwrap();
    let y = blocks.relu(y).unwrap();
    let side = blocks.subsample(y, Subsample { stride: 2, before: 1, after: 2 }).unwrap();
    let z = conv(&mut blocks, y, Window::square(3, 2, 1), 6, 9);
    let z = blocks.add(z, side).unwrap();
    blocks.relu(z).unwrap();
    [stem, blocks]
}

proptest! {
    #[test]
    fn what_changed_is_all_that_has_to_be_computed_again(
        height in 20usize..60, width in 20usize..60, channels in 1usize..3,
        corners in proptest::collection::vec((0usize..50, 0usize..50, 1usize..9, 1usize..9), 1..20),
    ) {
        let from = Maps { images: corners.len(), height, width, channels };
        let chains = residual_chains(channels);
        let chains: Vec<_> = chains.iter().collect();
        let known_len = height * width * channels;
        let image = wave(known_len, 0.37);
        let (mut x, mut changed) = (Vec::new(), Vec::new());
        for &(row, column, tall, wide) in &corners {
            let (row, column) = (row.min(height - 1), column.min(width - 1));
            let region = Region { rows: row..(row + tall).min(height), columns: column..(column + wide).min(width) };
            let mut other = image.clone();
            for (place, value) in other.iter_mut().enumerate() {
                let (row, column) = (place / width % height, place % width);
                if region.rows.contains(&row) && region.columns.contains(&column) {
                    *value = (place as f64 * 0.11).cos();
                }
            }
            x.extend(other);
            changed.push(region);
        }
        let (whole, _) = run(&chains, (Order::ChannelsFirst, from), &x, Keep::Nothing).unwrap();
        let known = know(&chains, (Order::ChannelsFirst, from), &image).unwrap();
        let together = |together| run_changed(&chains, &known, (&changed, together), &x).unwrap();
        prop_assert!(close(&together(Together::Neighbours).0, &whole));
        let (again, work) = together(Together::Alike);
        prop_assert!(close(&again, &whole));
        prop_assert!(work.reached <= work.done && work.done <= work.whole);
        let one = |(image, region): (usize, &Region)| {
            let x = &x[image * known_len..][..known_len];
            run_changed(&chains, &known, (std::slice::from_ref(region), Together::Alike), x).unwrap().0
        };
        let alone: Vec<f64> = changed.iter().enumerate().flat_map(one).collect();
        prop_assert_eq!(alone, again, "what comes out depends on the neighbours");
    }
}

#[test]
fn a_small_change_of_a_large_image_is_a_small_part_of_the_work() {
    let chains = residual_chains(2);
    let chains: Vec<_> = chains.iter().collect();
    let from = Maps { images: 1, height: 160, width: 160, channels: 2 };
    let image = wave(from.elements(), 0.37);
    let known = know(&chains, (Order::ChannelsFirst, from), &image).unwrap();
    let mut changed = image.clone();
    changed[80 * 160 + 80] = 7.0;
    let region = Region { rows: 80..81, columns: 80..81 };
    let (again, work) = run_changed(&chains, &known, (&[region], Together::Neighbours), &changed).unwrap();
    assert!(close(&again, &run(&chains, (Order::ChannelsFirst, from), &changed, Keep::Nothing).unwrap().0));
    assert!(work.done * 20 < work.whole, "{work:?}");
}
