//! The rows of the audit for layers of maps: convolutions, pools, resizing.

use crate::harness::Found;
use crate::layers::{BATCHES, Row};
use candle_core::{Module, Result};
use candlelight_core::nn::{self, Conv1dConfig, Conv2dConfig, ConvTranspose1dConfig, ConvTranspose2dConfig};

pub const ROWS: &[Row] = &[
    ("`Conv2d`", "kernel 1 to 3, stride 1 to 3, padding 0 to 3, groups 1, c/2, c", conv2d),
    ("`Conv2d`", "dilation 2, stride 1 to 3, padding 0 to 3", dilated_conv2d),
    ("`Conv1d`", "kernel 1 to 3, stride 1 to 3, padding 0 to 3, groups 1, c/2, c; dilation 2", conv1d),
    (
        "`ConvTranspose2d`",
        "kernel 2 and 3, stride 1 to 3, padding 0 and 1, output padding; dilation 2",
        conv_transpose2d,
    ),
    ("`ConvTranspose1d`", "as in two dimensions, groups 1, c/2, c", conv_transpose1d),
    ("`MaxPool2d`", "kernel 1 to 3, stride 1 to 3, padding, floor and ceil", max_pool),
    ("`AvgPool2d`", "kernel 1 to 3, stride 1 to 3, padding counted and ignored, floor and ceil", avg_pool),
    ("`GlobalAvgPool`", "whole maps", global_avg_pool),
    ("`AdaptiveMaxPool2d`", "sizes that divide the map and that do not", adaptive_max_pool),
    ("`AdaptiveAvgPool2d`", "sizes that divide the map and that do not", adaptive_avg_pool),
    ("`Upsample`", "nearest and bilinear, up and down", upsample),
];

/// Odd and even heights and widths.
const SIZES: [(usize, usize); 3] = [(7, 7), (8, 7), (5, 6)];

/// Kernel, stride and padding.
fn windows() -> impl Iterator<Item = (usize, usize, usize)> {
    (1..4).flat_map(|kernel| {
        (1..4).flat_map(move |stride| (0..4).map(move |padding| (kernel, stride, padding)))
    })
}

fn conv2d(found: &mut Found) -> Result<()> {
    for (kernel, stride, padding) in windows() {
        for groups in [1, 2, 4] {
            for (n, (h, w)) in BATCHES.into_iter().zip(SIZES) {
                let config = Conv2dConfig { stride, padding, groups, ..Default::default() };
                let build = |vb: nn::VarBuilder| nn::conv2d(4, 4, kernel, config, vb);
                found.layer(&[n, 4, h, w], build, |conv, x| conv.forward(x))?;
            }
            let config = Conv2dConfig { stride, padding, groups, ..Default::default() };
            let build = |vb: nn::VarBuilder| nn::conv2d_no_bias(4, 8, kernel, config, vb);
            found.layer(&[1, 4, 6, 8], build, |conv, x| conv.forward(x))?;
        }
    }
    Ok(())
}

fn dilated_conv2d(found: &mut Found) -> Result<()> {
    for (_, stride, padding) in windows().filter(|window| window.0 == 3) {
        for (n, (h, w)) in BATCHES.into_iter().zip(SIZES) {
            let config = Conv2dConfig { stride, padding, dilation: 2, ..Default::default() };
            let build = |vb: nn::VarBuilder| nn::conv2d(2, 3, 3, config, vb);
            found.layer(&[n, 2, h, w], build, |conv, x| conv.forward(x))?;
        }
    }
    Ok(())
}

fn conv1d(found: &mut Found) -> Result<()> {
    for (kernel, stride, padding) in windows() {
        for (groups, dilation) in [(1, 1), (2, 1), (4, 1), (1, 2)] {
            for (n, length) in BATCHES.into_iter().zip([7, 8, 5]) {
                let config = Conv1dConfig { stride, padding, groups, dilation, ..Default::default() };
                let build = |vb: nn::VarBuilder| nn::conv1d(4, 4, kernel, config, vb);
                found.layer(&[n, 4, length], build, |conv, x| conv.forward(x))?;
                let build = |vb: nn::VarBuilder| nn::conv1d_no_bias(4, 8, kernel, config, vb);
                found.layer(&[n, 4, length], build, |conv, x| conv.forward(x))?;
            }
        }
    }
    Ok(())
}

/// Kernel, stride, padding, output padding and dilation of transposed convolutions.
fn transposed() -> impl Iterator<Item = [usize; 5]> {
    let paddings = |stride| (0..2).flat_map(move |padding| (0..stride).map(move |grown| (padding, grown)));
    let even = (2..4).flat_map(move |kernel| {
        (1..4).flat_map(move |stride| paddings(stride).map(move |(p, grown)| [kernel, stride, p, grown, 1]))
    });
    even.chain([[3, 1, 3, 0, 2], [3, 2, 1, 1, 2], [2, 3, 0, 2, 2]])
}

fn conv_transpose2d(found: &mut Found) -> Result<()> {
    for [kernel, stride, padding, output_padding, dilation] in transposed() {
        for (n, (h, w)) in BATCHES.into_iter().zip([(3, 4), (4, 3), (5, 5)]) {
            let config = ConvTranspose2dConfig { padding, output_padding, stride, dilation };
            let build = |vb: nn::VarBuilder| nn::conv_transpose2d(2, 3, kernel, config, vb);
            found.layer(&[n, 2, h, w], build, |conv, x| conv.forward(x))?;
            let build = |vb: nn::VarBuilder| nn::conv_transpose2d_no_bias(2, 1, kernel, config, vb);
            found.layer(&[n, 2, h, w], build, |conv, x| conv.forward(x))?;
        }
    }
    Ok(())
}

fn conv_transpose1d(found: &mut Found) -> Result<()> {
    for [kernel, stride, padding, output_padding, dilation] in transposed() {
        for groups in [1, 2, 4] {
            for (n, length) in BATCHES.into_iter().zip([3, 4, 5]) {
                let config = ConvTranspose1dConfig { padding, output_padding, stride, dilation, groups };
                let build = |vb: nn::VarBuilder| nn::conv_transpose1d(4, 4, kernel, config, vb);
                found.layer(&[n, 4, length], build, |conv, x| conv.forward(x))?;
            }
        }
    }
    Ok(())
}

/// Pools take padding up to half of the kernel.
fn pools() -> impl Iterator<Item = (usize, usize, usize, nn::Extent)> {
    let fitting = windows().filter(|(kernel, _, padding)| 2 * padding <= *kernel);
    fitting.flat_map(|(k, s, p)| [nn::Extent::Floor, nn::Extent::Ceil].map(|extent| (k, s, p, extent)))
}

fn max_pool(found: &mut Found) -> Result<()> {
    for (kernel, stride, padding, extent) in pools() {
        for (n, (h, w)) in BATCHES.into_iter().zip(SIZES) {
            let pool = nn::MaxPool2d::new(kernel, stride, padding).extent(extent);
            found.function(&[n, 2, h, w], |x| pool.forward(x))?;
        }
    }
    Ok(())
}

fn avg_pool(found: &mut Found) -> Result<()> {
    for (kernel, stride, padding, extent) in pools() {
        for padded in [nn::Padded::Counted, nn::Padded::Ignored] {
            for (n, (h, w)) in BATCHES.into_iter().zip(SIZES) {
                let pool = nn::AvgPool2d::new(kernel, stride, padding).extent(extent).padded(padded);
                found.function(&[n, 2, h, w], |x| pool.forward(x))?;
            }
        }
    }
    Ok(())
}

fn global_avg_pool(found: &mut Found) -> Result<()> {
    for (n, (h, w)) in BATCHES.into_iter().zip(SIZES) {
        found.function(&[n, 2, h, w], |x| nn::GlobalAvgPool::default().forward(x))?;
    }
    Ok(())
}

/// Heights and widths that a map of 7x6 or 8x7 is brought to.
const TO: [(usize, usize); 6] = [(1, 1), (2, 3), (4, 7), (7, 6), (9, 8), (14, 12)];

fn adaptive_max_pool(found: &mut Found) -> Result<()> {
    for (height, width) in TO {
        for (n, (h, w)) in BATCHES.into_iter().zip(SIZES) {
            found.function(&[n, 2, h, w], |x| nn::AdaptiveMaxPool2d::new(height, width).forward(x))?;
        }
    }
    Ok(())
}

fn adaptive_avg_pool(found: &mut Found) -> Result<()> {
    for (height, width) in TO {
        for (n, (h, w)) in BATCHES.into_iter().zip(SIZES) {
            found.function(&[n, 2, h, w], |x| nn::AdaptiveAvgPool2d::new(height, width).forward(x))?;
        }
    }
    Ok(())
}

fn upsample(found: &mut Found) -> Result<()> {
    for (height, width) in TO {
        let layers = [
            nn::Upsample::nearest(height, width),
            nn::Upsample::bilinear(height, width, nn::Corners::Apart),
            nn::Upsample::bilinear(height, width, nn::Corners::Aligned),
        ];
        for layer in layers {
            for (n, (h, w)) in BATCHES.into_iter().zip(SIZES) {
                found.function(&[n, 2, h, w], |x| layer.forward(x))?;
            }
        }
    }
    Ok(())
}
