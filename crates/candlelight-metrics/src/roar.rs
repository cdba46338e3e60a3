//! Remove and Retrain.

use crate::ablation::check_shares;
use crate::saliency::{image, ranked};
use crate::{Band, Bootstrap, Curve, Error, Result, Subject};
use candle_core::{DType, Tensor};
use candlelight_core::Attribution;

/// ROAR, Remove and Retrain: the most salient pixels of all images, of training and of test, are replaced by the mean
/// colour, a model is trained anew on what is left, and scored; the curve is that score over the share replaced
/// ([Hooker et al. 2019](https://arxiv.org/abs/1806.10758)). Lower is better: where the pixels that a method calls important
/// are gone, nothing can be learned. A model that has seen holes in training does not stumble over them, which is what
/// speaks against tests without retraining.
///
/// Who trains is the caller: any closure from a [`Retraining`] to a score.
///
/// **Cost:** shares x runs trainings for each method, and the maps of the whole training set; with the paper's five shares
/// and five runs 25 trainings for each method, the random control ([`RandomMap`](crate::RandomMap)) included.
///
/// **When not to use it:** to judge single maps, or where classes can be told by several parts of an image: what is left is
/// enough then, however good the map. And a map may leak the class by the form of its hole: two methods of different shape are
/// compared with care, and both with a map at random.
///
/// Only the order of the pixels counts, as in [`TopKAblation`](crate::TopKAblation): ties go to the first.
#[derive(Clone, Debug, PartialEq)]
pub struct Roar {
    shares: Vec<f64>,
    runs: usize,
}

/// Images and what their pixels matter.
#[derive(Clone, Copy)]
pub struct Explained<'a> {
    images: &'a Tensor,
    attribution: &'a Attribution,
}

/// What is left of both sets: what one model is trained on and scored on.
pub struct Retraining {
    /// The share of the pixels that is gone.
    pub share: f64,
    /// Which of the runs it is: a seed for the weights and the order.
    pub run: usize,
    /// Images for training, `[M, C, H, W]`, in the caller's order.
    pub train: Tensor,
    /// Images for the score, `[N, C, H, W]`.
    pub test: Tensor,
}

/// What models reached that were trained on what is left.
#[derive(Clone, Debug, PartialEq)]
pub struct Retrained {
    /// For every run its curve over the shares.
    pub runs: Vec<Curve>,
}

impl Default for Roar {
    /// 10, 30, 50, 70 and 90 % of the pixels, 5 runs, as in the paper.
    fn default() -> Self {
        Self { shares: vec![0.1, 0.3, 0.5, 0.7, 0.9], runs: 5 }
    }
}

impl Roar {
    /// Which shares of the pixels are replaced, from 0 to 1; rounded to whole pixels.
    pub fn shares(self, shares: impl Into<Vec<f64>>) -> Self {
        Self { shares: shares.into(), ..self }
    }

    /// How many models are trained at each share.
    pub fn runs(self, runs: usize) -> Self {
        Self { runs, ..self }
    }

    /// Trains and scores with `score` on what is left of both sets. What stands in the place of a pixel is the mean colour
    /// of the training images, in both.
    ///
    /// # Errors
    /// [`Error::Setting`], [`Error::Shape`]; those of [`Explained::new`]; what `score` returns.
    pub fn retrain<E: From<Error>>(
        &self,
        (train, test): (Explained, Explained),
        mut score: impl FnMut(&Retraining) -> Result<f64, E>,
    ) -> Result<Retrained, E> {
        self.check(train, test)?;
        let colour = train.colour()?;
        let mut runs = vec![Curve { at: self.shares.clone(), values: Vec::new() }; self.runs];
        for &share in &self.shares {
            let (train, test) = (train.without(share, &colour)?, test.without(share, &colour)?);
            let mut left = Retraining { share, run: 0, train, test };
            for (run, curve) in runs.iter_mut().enumerate() {
                left.run = run;
                curve.values.push(score(&left)?);
            }
        }
        Ok(Retrained { runs })
    }

    fn check(&self, train: Explained, test: Explained) -> Result<()> {
        check_shares("shares of the pixels", &self.shares)?;
        if self.runs == 0 {
            let (setting, value) = ("number of runs", "0".into());
            return Err(Error::Setting { setting, value, expected: "at least 1" });
        }
        match train.images.dims()[1..] == test.images.dims()[1..] {
            true => Ok(()),
            false => Err(Error::Shape {
                what: "the test images",
                found: test.images.dims().to_vec(),
                expected: format!(
                    "[N, …] with rows of {:?}, as those of training",
                    &train.images.dims()[1..]
                ),
            }),
        }
    }
}

impl Retrained {
    /// The mean over the runs, with intervals.
    ///
    /// # Errors
    /// [`Error::TooFewSamples`] for a single run.
    pub fn band(&self, bootstrap: &Bootstrap) -> Result<Band> {
        bootstrap.band(&self.runs)
    }
}

impl<'a> Explained<'a> {
    /// `images`, `[N, C, H, W]`, and a map for each of them.
    ///
    /// # Errors
    /// [`Error::Rows`], [`Error::NoRows`], [`Error::Shape`]; [`Error::NotFinite`] names the row of a map that holds NaN or
    /// infinities.
    pub fn new(images: &'a Tensor, attribution: &'a Attribution) -> Result<Self> {
        image(images)?;
        Subject::check(images, attribution)?;
        Ok(Self { images, attribution })
    }

    /// The mean of every channel, `[1, C, 1, 1]`.
    fn colour(&self) -> Result<Tensor> {
        let means = self.images.to_dtype(DType::F64)?.mean_keepdim((0, 2, 3))?;
        Ok(means.to_dtype(self.images.dtype())?)
    }

    /// The images with a share of their pixels in this colour.
    fn without(&self, share: f64, colour: &Tensor) -> Result<Tensor> {
        let (height, width) = image(self.images)?;
        let gone = (share * (height * width) as f64).round() as usize;
        let ranks = ranked(self.attribution, (height, width))?;
        let kept: Vec<u8> = ranks.iter().flatten().map(|&rank| u8::from(rank >= gone)).collect();
        let kept = Tensor::from_vec(kept, (ranks.len(), 1, height, width), self.images.device())?;
        let shape = self.images.shape();
        Ok(kept.broadcast_as(shape)?.where_cond(self.images, &colour.broadcast_as(shape)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use candlelight_core::Query;

    const PIXELS: usize = 16;
    /// The pixel that has the class.
    const TELLS: usize = 5;

    /// Images of noise, of which one pixel is 1 or −1 with the class: its sign.
    fn images(first: usize, count: usize) -> Tensor {
        let pixel = |index: usize| {
            let (image, pixel) = (first + index / PIXELS, index % PIXELS);
            let noise = ((image * 7919 + pixel * 104_729) as f64).sin();
            if pixel == TELLS { class(image) } else { noise * 0.5 }
        };
        let values: Vec<f64> = (0..count * PIXELS).map(pixel).collect();
        Tensor::from_vec(values, (count, 1, 4, 4), &Device::Cpu).unwrap()
    }

    fn class(image: usize) -> f64 {
        if ((image * 2_654_435_761) >> 7).is_multiple_of(2) { 1.0 } else { -1.0 }
    }

    /// The accuracy of the weights Σ class · x, the least that can be learned.
    fn accuracy(left: &Retraining) -> Result<f64> {
        let rows = |x: &Tensor| Ok::<_, Error>(x.flatten_from(1)?.to_vec2::<f64>()?);
        let (train, test) = (rows(&left.train)?, rows(&left.test)?);
        let mut weights = [0.0; PIXELS];
        for (image, row) in train.iter().enumerate() {
            weights.iter_mut().zip(row).for_each(|(weight, x)| *weight += class(image) * x);
        }
        let score = |row: &[f64]| weights.iter().zip(row).map(|(weight, x)| weight * x).sum::<f64>();
        let right = test.iter().enumerate().filter(|(k, row)| score(row) * class(1000 + k) > 0.0).count();
        Ok(right as f64 / test.len() as f64)
    }

    /// The curve of maps that give `worth` to every pixel.
    fn curve(worth: impl Fn(usize) -> f64) -> Vec<f64> {
        let sets = [images(0, 200), images(1000, 200)];
        let maps = sets.each_ref().map(|set| {
            let values: Vec<f64> = (0..set.elem_count()).map(|index| worth(index % PIXELS)).collect();
            Attribution::given("some", &Tensor::from_vec(values, set.shape(), &Device::Cpu).unwrap())
        });
        let [train, test] = [0, 1].map(|set| Explained::new(&sets[set], &maps[set]).unwrap());
        let roar = Roar::default().shares([0.0, 1.0 / 16.0, 0.5, 15.0 / 16.0]).runs(1);
        let retrained = roar.retrain((train, test), accuracy).unwrap();
        retrained.runs[0].values.clone()
    }

    #[test]
    fn without_the_pixel_that_tells_nothing_is_learned_and_without_the_others_everything() {
        let right = curve(|pixel| f64::from(pixel == TELLS));
        assert!(right[0] > 0.95 && right[1] < 0.65 && right[2] < 0.65, "{right:?}");
        let wrong = curve(|pixel| f64::from(pixel != TELLS));
        assert!(wrong.iter().all(|accuracy| *accuracy > 0.95), "{wrong:?}");
    }

    #[test]
    fn runs_are_numbered_and_their_mean_has_an_interval() {
        let (x, query) = (images(0, 2), Query::new(&images(0, 2)));
        let map = Attribution::given("some", query.input());
        let both = (Explained::new(&x, &map).unwrap(), Explained::new(&x, &map).unwrap());
        let said = |left: &Retraining| Ok::<_, Error>(left.run as f64 + left.share);
        let retrained = Roar::default().shares([0.25, 0.5]).runs(3).retrain(both, said).unwrap();
        assert_eq!(retrained.runs[2].values, [2.25, 2.5]);
        let band = retrained.band(&Bootstrap::default()).unwrap();
        assert_eq!(band.estimates[1].value, 1.5);
    }

    #[test]
    fn sets_that_do_not_fit_no_runs_and_failing_trainings_are_errors() {
        let (x, wide) = (images(0, 2), Tensor::zeros((2, 1, 4, 8), DType::F64, &Device::Cpu).unwrap());
        let [map, other] = [&x, &wide].map(|images| Attribution::given("some", images));
        assert!(matches!(Explained::new(&images(0, 3), &map), Err(Error::Rows { maps: 2, inputs: 3 })));
        assert!(matches!(Explained::new(&x.flatten_from(1).unwrap(), &map), Err(Error::Shape { .. })));
        let (train, test) = (Explained::new(&x, &map).unwrap(), Explained::new(&wide, &other).unwrap());
        assert!(matches!(Roar::default().retrain((train, test), accuracy), Err(Error::Shape { .. })));
        assert!(matches!(
            Roar::default().runs(0).retrain((train, train), accuracy),
            Err(Error::Setting { .. })
        ));
        let fails = |_: &Retraining| Err(Error::NoRows);
        assert!(matches!(Roar::default().retrain((train, train), fails), Err(Error::NoRows)));
    }
}
