//! What every scene promises.

use candle_core::{DType, Device};

use super::*;

const FRAME: usize = SIZE * SIZE;

#[test]
fn a_seed_gives_the_same_scene_every_time_and_another_seed_another() {
    for seed in 0..50 {
        assert_eq!(Scene::single(seed), Scene::single(seed));
        assert_eq!(Scene::pair(seed), Scene::pair(seed));
        assert_ne!(Scene::single(seed).pixels, Scene::single(seed + 1).pixels);
        assert_ne!(Scene::single(seed).pixels, Scene::pair(seed).pixels);
    }
}

#[test]
fn the_bytes_are_the_same_on_every_machine_and_in_every_version() {
    let bytes =
        (0..100).flat_map(|seed| Scene::single(seed).pixels.into_iter().chain(Scene::pair(seed).pixels));
    let digest = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    assert_eq!(digest, DIGEST, "the trained models have seen other scenes: {digest:#x}");
}

/// FNV-1a of the first hundred scenes of each family.
const DIGEST: u64 = 0xc064_3680_28ff_e9d9;

#[test]
fn the_classes_are_balanced() {
    let mut counts = [0_usize; Shape::ALL.len()];
    (0..5000).for_each(|seed| counts[Scene::single(seed).class()] += 1);
    // 500 of each are due; the standard deviation is 21.
    assert!(counts.iter().all(|count| (400..600).contains(count)), "{counts:?}");
}

#[test]
fn a_mask_is_neither_tiny_nor_most_of_the_picture() {
    for seed in 0..2000 {
        let area = Scene::single(seed).objects[0].area();
        assert!((70..FRAME / 4).contains(&area), "seed {seed}: {area} pixels");
    }
}

#[test]
fn an_object_lies_inside_the_frame() {
    for seed in 0..1000 {
        for object in Scene::single(seed).objects.iter().chain(&Scene::pair(seed).objects) {
            let on_edge =
                |i: usize| [0, SIZE - 1].contains(&(i / SIZE)) || [0, SIZE - 1].contains(&(i % SIZE));
            assert!((0..FRAME).all(|i| !(object.mask[i] && on_edge(i))), "seed {seed}");
        }
    }
}

#[test]
fn the_objects_of_a_pair_differ_and_never_touch() {
    for seed in 0..1000 {
        let scene = Scene::pair(seed);
        let [one, other] = &scene.objects[..] else { panic!("seed {seed}: {} objects", scene.objects.len()) };
        assert_ne!(one.shape, other.shape);
        assert!(one.area() > 50 && other.area() > 50, "seed {seed}");
        let grown = grow(&one.mask);
        assert!((0..FRAME).all(|i| !(grown[i] && other.mask[i])), "seed {seed}");
    }
}

#[test]
fn an_object_has_another_colour_than_what_surrounds_it() {
    for seed in 0..1000 {
        for scene in [Scene::single(seed), Scene::pair(seed)] {
            for object in &scene.objects {
                let contrast = contrast_at_the_rim(&scene, object);
                assert!(contrast > 25.0, "seed {seed}: {contrast} of 255");
            }
        }
    }
}

#[test]
fn every_place_in_the_picture_is_reached() {
    let mut seen = vec![false; FRAME];
    for seed in 0..2000 {
        let mask = &Scene::single(seed).objects[0].mask;
        seen.iter_mut().zip(mask).for_each(|(seen, &inside)| *seen |= inside);
    }
    // A corner of the picture is further from every enclosing circle than this.
    let to_edge = |i: usize| i.min(SIZE - 1 - i);
    let (rows, columns) = (|i| to_edge(i / SIZE), |i| to_edge(i % SIZE));
    let inner = (0..FRAME).filter(|&i| rows(i) >= 3 && columns(i) >= 3 && rows(i) + columns(i) >= 16);
    assert!(inner.into_iter().all(|i| seen[i]));
}

#[test]
fn a_batch_holds_the_scenes_of_its_seeds() -> Result<()> {
    let (images, labels) = batch(10..14, &Device::Cpu)?;
    assert_eq!((images.dims(), images.dtype()), (&[4, 3, SIZE, SIZE][..], DType::F32));
    let scene = Scene::single(12);
    assert_eq!(labels.to_vec1::<u32>()?[2] as usize, scene.class());
    assert_eq!(images.get(2)?.to_vec3::<f32>()?, scene.tensor(&Device::Cpu)?.get(0)?.to_vec3::<f32>()?);
    let (row, column, green) = (20, 33, 1);
    let expected = f32::from(scene.pixels[(row * SIZE + column) * 3 + green]) / 255.0;
    assert_eq!(images.get(2)?.to_vec3::<f32>()?[green][row][column], expected);
    Ok(())
}

#[test]
fn an_empty_batch_is_a_batch() -> Result<()> {
    let (images, labels) = batch([], &Device::Cpu)?;
    assert_eq!((images.dims(), labels.dims()), (&[0, 3, SIZE, SIZE][..], &[0][..]));
    Ok(())
}

/// The mask and its neighbours on all eight sides.
fn grow(mask: &[bool]) -> Vec<bool> {
    let mut grown = mask.to_vec();
    for i in (0..FRAME).filter(|&i| mask[i]) {
        for step in [1, SIZE - 1, SIZE, SIZE + 1] {
            grown[i.saturating_sub(step)] = true;
            grown[(i + step).min(FRAME - 1)] = true;
        }
    }
    grown
}

/// The distance between the mean colours just inside and just outside of an object's outline, in levels.
fn contrast_at_the_rim(scene: &Scene, object: &Object) -> f32 {
    let outside = grow(&object.mask);
    let around = grow(&grow(&outside));
    let inside = mean(scene, |i| object.mask[i]);
    let outside = mean(scene, |i| around[i] && !outside[i]);
    inside.iter().zip(outside).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
}

fn mean(scene: &Scene, of: impl Fn(usize) -> bool) -> [f32; 3] {
    let count = (0..FRAME).filter(|&i| of(i)).count() as f32;
    [0, 1, 2].map(|channel| {
        let sum =
            (0..FRAME).filter(|&i| of(i)).map(|i| f32::from(scene.pixels[3 * i + channel])).sum::<f32>();
        sum / count
    })
}
