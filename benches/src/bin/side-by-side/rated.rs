//! Rows of metrics: images, their classes and their maps, as both sides are given them.

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor, safetensors};
use candlelight::metrics::{Metric, NonSensitivity, Subject};
use candlelight::{Attribution, Model, Query};
use candlelight_tests::Folder;
use candlelight_tests::folders::{Place, places};
use std::path::{Path, PathBuf};

/// The models whose trained weights are looked for.
const TRAINED: [&str; 2] = ["lenet_mnist", "resnet20_cifar"];

/// Images and what is said of them.
pub struct Rated {
    x: Tensor,
    classes: Vec<usize>,
    maps: Tensor,
}

impl Rated {
    pub fn open(folder: &Path, dtype: DType) -> Result<Self> {
        let mut tensors = safetensors::load(folder.join("subject.safetensors"), &Device::Cpu)?;
        let mut take = |name: &str| tensors.remove(name).with_context(|| format!("no `{name}`"));
        let classes = take("y")?.to_vec1::<i64>()?.into_iter().map(|class| class as usize).collect();
        Ok(Self { x: take("x")?.to_dtype(dtype)?, classes, maps: take("map")?.to_dtype(dtype)? })
    }

    /// The scores of the first images.
    pub fn scores(&self, model: &dyn Model, images: usize) -> Result<Tensor> {
        let first = |tensor: &Tensor| tensor.narrow(0, 0, images);
        let query = Query::from((&first(&self.x)?, self.classes[..images].to_vec()));
        let map = Attribution::given("saliency", &first(&self.maps)?);
        let measured = NonSensitivity::quantus().measure(&Subject::new(model, &query, &map)?)?;
        Ok(Tensor::new(measured.values, &Device::Cpu)?)
    }
}

/// The folder of trained weights beside the checkout, if there is one.
pub fn trained() -> Option<PathBuf> {
    let has_all = |folder: &PathBuf| {
        let known = Folder::open(folder).map(|folder| folder.models().map(str::to_owned).collect::<Vec<_>>());
        known.is_ok_and(|known| TRAINED.iter().all(|name| known.iter().any(|known| known == name)))
    };
    let found = places().into_iter().filter_map(|place| match place {
        Place::Found(folder) => Some(folder),
        _ => None,
    });
    found.into_iter().find(has_all)
}
