//! `candlelight scene`.

use crate::args;
use crate::failure::{Failure, Result};
use crate::subject;
use crate::term;
use crate::words;
use crate::write;
use candlelight::models::scenes::{Object, SIZE, Scene};
use std::path::Path;

pub fn run(args: &args::Scene) -> Result<()> {
    let scene = if args.pair { Scene::pair(args.seed) } else { Scene::single(args.seed) };
    let stem = format!("{}-{}", if args.pair { "pair" } else { "scene" }, args.seed);
    write::folder(&args.out)?;
    save(scene.pixels, &args.out.join(format!("{stem}.png")))?;
    for object in &scene.objects {
        let name = object.shape.name();
        save(white(object), &args.out.join(format!("{stem}.{name}.png")))?;
        let share = object.area() as f64 / (SIZE * SIZE) as f64;
        term::say(&format!("{} on {} of the picture", words::one(name), words::percent(share)));
    }
    term::say(&format!("wrote {}, and each object's mask", args.out.join(format!("{stem}.png")).display()));
    Ok(())
}

/// The mask of an object, white on black.
fn white(object: &Object) -> Vec<u8> {
    object.mask.iter().flat_map(|&inside| [if inside { 255 } else { 0 }; 3]).collect()
}

fn save(pixels: Vec<u8>, path: &Path) -> Result<()> {
    subject::picture(pixels)?.save(path).map_err(|error| Failure::unwritable(path, error))
}
