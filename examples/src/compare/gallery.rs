//! The maps of the first images, to look at.

use super::Job;
use super::measure::Answer;
use crate::subject::Subject;
use crate::words;
use candlelight::image::{Heatmap, RgbImage};

/// How many images are shown: numbers are what is compared, and pictures make a page long.
const SHOWN: usize = 4;

/// A map over its image, or why there is none.
pub type Drawn = Result<RgbImage, String>;

/// An image of which every method has drawn its map.
pub struct Shown {
    pub subject: Subject,
    /// What is explained.
    pub label: Option<String>,
}

impl Job<'_> {
    /// Keeps what the methods say of an image, if there is a page that has room for it.
    pub fn keep(&mut self, subject: Subject, answers: &[Answer]) {
        if self.args.report.is_none() || self.shown.len() == SHOWN {
            return;
        }
        for (contender, answer) in self.contenders.iter_mut().zip(answers) {
            let overlay = Heatmap::of(&answer.map).over(&subject.seen);
            contender.drawn.push(overlay.to_image().map_err(|error| error.to_string()));
        }
        let class = answers.iter().find_map(|answer| answer.map.classes().first());
        let label = class.map(|&class| words::label(&self.model.loaded.labels.name(class)));
        self.shown.push(Shown { subject, label });
    }
}
