//! The kernels at sizes that ResNet-50 and ViT-B/16 have at 224 x 224 pixels.

use candle_core::{Device, Tensor};
use candlelight::nn::{attention, gelu};
use candlelight_kernels::{
    Affine, Conv2d, Matrix, Pool2d, Threads, Window, avg_pool2d, avg_pool2d_gradient, conv2d,
    conv2d_input_gradient, gemm, max_pool2d, max_pool2d_gradient, rms_scale, rms_scale_gradient, softmax,
    softmax_gradient, standardize, standardize_gradient,
};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

/// Images in a batch.
const BATCH: usize = 4;
/// Tokens of ViT-B/16, its width and its heads.
const TOKENS: usize = 197;
const WIDTH: usize = 768;
const HEADS: usize = 12;

/// Numbers between -1 and 1 without a pattern that a kernel could use.
fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i as f32 * 0.618_034).fract() * 2.0 - 1.0).collect()
}

fn convolutions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("convolution");
    group.sample_size(10);
    let shapes = [
        ("7x7 stride 2, 3 to 64 at 224", (3, 64), 224, Window::square(7, 2, 3)),
        ("1x1, 256 to 64 at 56", (256, 64), 56, Window::square(1, 1, 0)),
        ("3x3, 128 to 128 at 28", (128, 128), 28, Window::square(3, 1, 1)),
        ("3x3 stride 2, 256 to 256 at 28", (256, 256), 28, Window::square(3, 2, 1)),
    ];
    for (name, (inputs, outputs), side, window) in shapes {
        let conv = Conv2d {
            batch: BATCH,
            in_channels: inputs,
            out_channels: outputs,
            groups: 1,
            input: (side, side),
            window,
        };
        let x = numbers(BATCH * inputs * side * side);
        let weight = numbers(outputs * inputs * window.kernel.0 * window.kernel.1);
        let (height, width) = conv.output();
        let gradient = numbers(BATCH * outputs * height * width);
        group.bench_function(format!("{name}, forward"), |b| {
            b.iter(|| black_box(conv2d(&conv, &x, &weight, None)))
        });
        group.bench_function(format!("{name}, input gradient"), |b| {
            b.iter(|| black_box(conv2d_input_gradient(&conv, &gradient, &weight)));
        });
    }
}

fn products(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gemm");
    group.sample_size(10);
    let (rows, inner, columns) = (BATCH * TOKENS, WIDTH, 4 * WIDTH);
    let (a, b) = (numbers(rows * inner), numbers(inner * columns));
    let mut out = vec![0.0; rows * columns];
    group.bench_function(format!("{rows} x {inner} x {columns}"), |bench| {
        bench.iter(|| {
            gemm(&mut out, Matrix::new(&a, rows, inner), Matrix::new(&b, inner, columns), Threads::All)
        });
    });
}

fn rows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rows");
    group.sample_size(10);
    let (x, gradient) = (numbers(BATCH * TOKENS * WIDTH), numbers(BATCH * TOKENS * WIDTH));
    let probabilities = softmax(&x, WIDTH);
    group.bench_function("softmax", |b| b.iter(|| black_box(softmax(&x, WIDTH))));
    group.bench_function("softmax, gradient", |b| {
        b.iter(|| black_box(softmax_gradient(&probabilities, &gradient, WIDTH)));
    });
    group.bench_function("layer norm", |b| {
        b.iter(|| black_box(standardize(&x, WIDTH, 1e-6, Affine::default())))
    });
    group.bench_function("layer norm, gradient", |b| {
        b.iter(|| black_box(standardize_gradient(&x, &gradient, WIDTH, 1e-6, Affine::default())));
    });
    group.bench_function("rms norm", |b| b.iter(|| black_box(rms_scale(&x, WIDTH, 1e-6, Affine::default()))));
    group.bench_function("rms norm, gradient", |b| {
        b.iter(|| black_box(rms_scale_gradient(&x, &gradient, WIDTH, 1e-6, Affine::default())));
    });
}

fn pools(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pool");
    group.sample_size(10);
    let window = Window::square(3, 2, 1);
    let pool = Pool2d { planes: BATCH * 64, input: (112, 112), output: (56, 56), window };
    let (x, gradient) = (numbers(pool.planes * 112 * 112), numbers(pool.planes * 56 * 56));
    let (_, winners) = max_pool2d(&pool, &x);
    group.bench_function("max 3x3 stride 2", |b| b.iter(|| black_box(max_pool2d(&pool, &x))));
    group.bench_function("max 3x3 stride 2, gradient", |b| {
        b.iter(|| black_box(max_pool2d_gradient(&pool, &gradient, &winners)));
    });
    group.bench_function("mean 3x3 stride 2", |b| b.iter(|| black_box(avg_pool2d(&pool, &|_| 9, &x))));
    group.bench_function("mean 3x3 stride 2, gradient", |b| {
        b.iter(|| black_box(avg_pool2d_gradient(&pool, &|_| 9, &gradient)));
    });
}

fn blocks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("transformer");
    group.sample_size(10);
    let shape = (BATCH, HEADS, TOKENS, WIDTH / HEADS);
    let part = Tensor::from_vec(numbers(BATCH * TOKENS * WIDTH), shape, &Device::Cpu).expect("numbers");
    let scale = 1.0 / ((WIDTH / HEADS) as f64).sqrt();
    group.bench_function("attention", |b| {
        b.iter(|| black_box(attention(&part, &part, &part, scale, "attention").expect("attends")));
    });
    let hidden = Tensor::from_vec(numbers(BATCH * TOKENS * WIDTH), (BATCH, TOKENS, WIDTH), &Device::Cpu);
    let hidden = hidden.expect("numbers");
    group.bench_function("gelu", |b| b.iter(|| black_box(gelu(&hidden).expect("a GELU"))));
}

criterion_group!(benches, convolutions, products, rows, pools, blocks);
criterion_main!(benches);
