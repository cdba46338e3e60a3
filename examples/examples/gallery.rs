//! Every class activation map and every method of attention on the same three scenes, by both bundled models.

use candlelight::models::{LoadedModel, bundled, scenes::Scene};
use candlelight::prelude::*;
use candlelight::{Error, Family, metrics};

fn main() -> anyhow::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or(".".into());
    for (model, name) in [(bundled::resnet()?, "resnet"), (bundled::vit()?, "vit")] {
        for (number, scene) in [Scene::single(7), Scene::pair(3), Scene::pair(12)].iter().enumerate() {
            sheet(&model, scene)?.save(format!("{folder}/gallery-{name}-{}.png", number + 1))?;
        }
    }
    Ok(())
}

/// All maps for the class of the scene's first object, which is outlined.
fn sheet(model: &LoadedModel, scene: &Scene) -> anyhow::Result<SideBySide> {
    let (x, object) = (scene.tensor(&Device::Cpu)?.affine(2.0, -1.0)?, &scene.objects[0]);
    let query = Query::from((&x, model.labels.find(object.shape.name())?));
    let mask: Vec<u8> = object.mask.iter().map(|&inside| u8::from(inside)).collect();
    let mask = Tensor::from_vec(mask, (1, 64, 64), &Device::Cpu)?;
    let mut sheet = SideBySide::of(scene.tensor(&Device::Cpu)?).columns(8).side(96);
    sheet = sheet.heading(format!("{}: why {}?", model.name, object.shape.name()));
    for (title, method) in methods()? {
        match method.attribute(&model.model, &query) {
            Ok(map) => {
                let inside = match RelevanceMassAccuracy::default().score(&map, &mask) {
                    Ok(shares) => format!("{:.0} % inside", 100.0 * shares[0]),
                    Err(metrics::Error::NoRelevance { .. }) => "nothing above 0".into(),
                    Err(error) => return Err(error.into()),
                };
                sheet = sheet.panel(Panel::new(title, Heatmap::of(&map)).note(inside));
            }
            Err(Error::MissingLayer { .. } | Error::NoRuleFired { .. } | Error::NotPooled { .. }) => {}
            Err(Error::NoFullGradient { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(sheet.outline(Mask::from_tensor(&mask)?))
}

/// Both families of the registry, and the paper's picture of FullGrad.
fn methods() -> candlelight::Result<Vec<(&'static str, Box<dyn Explain>)>> {
    let shown = |method: &&Method| matches!(method.family, Family::ClassActivation | Family::Attention);
    let build = |method: &'static Method| Ok((method.title, method.with(&Settings::default())?));
    let mut methods = METHODS.iter().filter(shown).map(build).collect::<candlelight::Result<Vec<_>>>()?;
    let rescaled: Box<dyn Explain> = Box::new(FullGrad::default().psi(Psi::Rescaled(Upsampling::default())));
    methods.push(("FullGrad, rescaled", rescaled));
    Ok(methods)
}
