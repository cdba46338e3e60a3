//! Where the cells of a layer's map lie on the image, against the gradient of the cell: what it really looks at.

use candle_core::{DType, Device, Module, Result, Tensor, Var};
use candlelight_core::nn::{self, Conv2d, Conv2dConfig};
use candlelight_core::{Explain, GradCam, Placement, Saliency, Tape, place, tap};
use proptest::prelude::*;

/// Large enough for three of the widest slides.
const SIDES: (usize, usize) = (64, 61);
/// Rounding of a mean over a receptive field, in sides of the image.
const ROUNDING: f64 = 1e-12;

#[derive(Clone, Copy, Debug)]
struct Slide {
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
}

fn slides() -> impl Strategy<Value = Vec<Slide>> {
    let slide =
        (1usize..5, 1usize..3, 0usize..3, 1usize..3).prop_map(|(kernel, stride, padding, dilation)| Slide {
            kernel,
            stride,
            padding: padding.min(kernel / 2),
            dilation,
        });
    proptest::collection::vec(slide, 1..4)
}

/// Convolutions with weights of one, the last of them shown as `maps`.
fn chain(slides: &[Slide], x: &Tensor) -> Result<Tensor> {
    let convolve = |x: Tensor, slide: &Slide| {
        let weight = Tensor::ones((1, 1, slide.kernel, slide.kernel), DType::F64, &Device::Cpu)?;
        let Slide { stride, padding, dilation, .. } = *slide;
        Conv2d::new(weight, None, Conv2dConfig { stride, padding, dilation, ..Default::default() })
            .forward(&x)
    };
    tap("maps", &slides.iter().try_fold(x.clone(), convolve)?)
}

/// The centre of gravity of a plane, as shares of its sides, and its total.
fn centre_of_gravity(plane: &Tensor) -> Result<((f64, f64), f64)> {
    let (rows, columns) = (plane.sum(1)?.to_vec1::<f64>()?, plane.sum(0)?.to_vec1::<f64>()?);
    let total: f64 = rows.iter().sum();
    let along = |sums: &[f64]| {
        let moment: f64 = sums.iter().enumerate().map(|(i, sum)| (i as f64 + 0.5) * sum).sum();
        moment / total / sums.len() as f64
    };
    Ok(((along(&rows), along(&columns)), total))
}

/// The gradient of one cell of the chain at the image.
fn receptive_field(slides: &[Slide], row: usize, column: usize) -> Result<Tensor> {
    let x = Var::zeros((1, 1, SIDES.0, SIDES.1), DType::F64, &Device::Cpu)?;
    let cell = chain(slides, &x)?.narrow(2, row, 1)?.narrow(3, column, 1)?.sum_all()?;
    let gradients = cell.backward()?;
    let gradient = gradients.get(&x).ok_or_else(|| candle_core::Error::msg("the chain is severed"))?;
    gradient.squeeze(0)?.squeeze(0)
}

proptest! {
    #[test]
    fn a_cell_lies_in_the_middle_of_what_it_sees(slides in slides()) {
        let x = Tensor::zeros((1, 1, SIDES.0, SIDES.1), DType::F64, &Device::Cpu).unwrap();
        let model = |x: &Tensor| chain(&slides, x)?.flatten_from(1)?.sum(1);
        let tape = Tape::record(&model, &x, &["maps"]).unwrap();
        let (_, _, height, width) = tape.get("maps").unwrap().activation().dims4().unwrap();
        let placement = tape.placement(height, width).unwrap();
        let (row, column) = (height / 2, width / 2);
        let (centre, total) = centre_of_gravity(&receptive_field(&slides, row, column).unwrap()).unwrap();
        let paths: usize = slides.iter().map(|slide| slide.kernel * slide.kernel).product();
        // A cell that reaches into the padding sees only a part.
        prop_assume!(total == paths as f64);
        let placed = (placement.rows.centre(row), placement.columns.centre(column));
        prop_assert!((centre.0 - placed.0).abs() < ROUNDING && (centre.1 - placed.1).abs() < ROUNDING);
    }
}

#[test]
fn grad_cam_of_a_strided_layer_points_at_the_pixel_that_made_it() -> candlelight_core::Result<()> {
    let slides = [Slide { kernel: 3, stride: 2, padding: 1, dilation: 1 }; 3];
    let model = |x: &Tensor| chain(&slides, x)?.relu()?.flatten_from(1)?.sum(1);
    let mut pixels = vec![0.0; 64 * 64];
    pixels[24 * 64 + 40] = 1.0;
    let x = Tensor::from_vec(pixels, (1, 1, 64, 64), &Device::Cpu)?;
    let peak = |plane: Tensor| -> Result<u32> { plane.flatten_all()?.argmax(0)?.to_scalar() };
    let map = GradCam::at("maps").explain(&model, &x)?;
    assert_eq!(peak(map.plane(64, 64)?)?, 24 * 64 + 40);
    let even = Placement::even(8, 8);
    let drawn_by_peers = peak(place(map.values(), even, 64, 64)?)?;
    assert_eq!((drawn_by_peers / 64, drawn_by_peers % 64), (27, 43));
    Ok(())
}

#[test]
fn what_no_window_made_has_no_place() -> candlelight_core::Result<()> {
    let model = |x: &Tensor| tap("thinned", &x.narrow(2, 0, 5)?)?.flatten_from(1)?.sum(1);
    let x = Tensor::ones((1, 1, 8, 8), DType::F64, &Device::Cpu)?;
    assert_eq!(Tape::record(&model, &x, &["thinned"])?.placement(5, 8), None);
    assert_eq!(Saliency::default().explain(&model, &x)?.placement(), None);
    Ok(())
}

#[test]
fn pools_place_their_windows() -> candlelight_core::Result<()> {
    let model = |x: &Tensor| {
        let x = nn::MaxPool2d::new(3, 2, 1).forward(x)?;
        tap("pooled", &nn::AvgPool2d::new(2, 2, 0).forward(&x)?)?.flatten_from(1)?.sum(1)
    };
    let x = Tensor::ones((1, 1, 16, 16), DType::F64, &Device::Cpu)?;
    let placement = Tape::record(&model, &x, &["pooled"])?.placement(4, 4).unwrap();
    assert_eq!([0, 1].map(|row| placement.rows.centre(row) * 16.0 - 0.5), [1.0, 5.0]);
    Ok(())
}
