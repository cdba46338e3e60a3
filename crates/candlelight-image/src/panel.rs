//! Side by side: the picture, and what each method makes of it, on one sheet.

use std::path::Path;

use image::RgbImage;

use crate::error::{Error, Result};
use crate::heatmap::{Backdrop, Heatmap, save};
use crate::layout::{self, Bar, Cell};
use crate::mask::Mask;
use crate::resample::{Filter, resize};

/// One method's map with a title above and notes underneath.
#[derive(Clone, Debug)]
pub struct Panel {
    title: String,
    heatmap: Option<Heatmap>,
    backdrop: Option<Backdrop>,
    notes: Vec<String>,
}

impl Panel {
    /// A map under a title.
    pub fn new(title: impl Into<String>, heatmap: Heatmap) -> Self {
        Self { title: title.into(), heatmap: Some(heatmap), backdrop: None, notes: Vec::new() }
    }

    /// A picture of its own, without a map: another input, or a plot.
    pub fn picture(title: impl Into<String>, picture: impl Into<Backdrop>) -> Self {
        Self { title: title.into(), heatmap: None, backdrop: Some(picture.into()), notes: Vec::new() }
    }

    /// Lays the map over this picture in place of the sheet's.
    pub fn over(self, picture: impl Into<Backdrop>) -> Self {
        Self { backdrop: Some(picture.into()), ..self }
    }

    /// Adds a line under what every map says of its normalisation.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

impl<T: Into<String>> From<(T, Heatmap)> for Panel {
    fn from((title, heatmap): (T, Heatmap)) -> Self {
        Self::new(title, heatmap)
    }
}

/// The picture as it was given, as the first panel.
#[derive(Clone, Debug)]
struct Input {
    title: String,
    notes: Vec<String>,
}

/// The picture and one panel per map, in rows, each with its own colour bar in the map's own units.
///
/// ```no_run
/// use candle_core::{Device, Tensor};
/// use candlelight_image::{Heatmap, Panel, SideBySide, open};
///
/// let picture = open("cat.png")?;
/// let map = Tensor::randn(0f32, 1.0, (7, 7), &Device::Cpu)?;
/// SideBySide::of(&picture)
///     .note("tabby 71 %")
///     .panel(Panel::new("Grad-CAM", Heatmap::new(&map)).note("12 ms"))
///     .save("cat_explained.png")?;
/// # Ok::<(), candlelight_image::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SideBySide {
    backdrop: Backdrop,
    input: Option<Input>,
    heading: String,
    panels: Vec<Panel>,
    mask: Option<Mask>,
    side: u32,
    columns: usize,
}

/// Sides that a panel's picture may be asked to have, in pixels.
const SIDES: std::ops::RangeInclusive<u32> = 64..=4096;

impl SideBySide {
    /// A sheet that starts with the picture: an [`RgbImage`], or the tensor that the model was given.
    pub fn of(picture: impl Into<Backdrop>) -> Self {
        let input = Input { title: "input".into(), notes: Vec::new() };
        Self { input: Some(input), ..Self::without_input(picture) }
    }

    /// A sheet with the maps only.
    pub fn without_input(picture: impl Into<Backdrop>) -> Self {
        let (backdrop, heading) = (picture.into(), String::new());
        Self { backdrop, input: None, heading, panels: Vec::new(), mask: None, side: 256, columns: 4 }
    }

    /// Sets the line above everything.
    pub fn heading(self, heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), ..self }
    }

    /// Sets the title of the picture itself; `input` unless told.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        let title = title.into();
        self.input = self.input.map(|input| Input { title, ..input });
        self
    }

    /// Adds a line under the picture itself: the classes, for example.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        let mut note = Some(note.into());
        self.input.iter_mut().for_each(|input| input.notes.extend(note.take()));
        self
    }

    /// Adds a map; a `(title, heatmap)` pair will do.
    pub fn panel(mut self, panel: impl Into<Panel>) -> Self {
        self.panels.push(panel.into());
        self
    }

    /// Outlines the object on every panel; the mask has the picture's size.
    pub fn outline(self, mask: Mask) -> Self {
        Self { mask: Some(mask), ..self }
    }

    /// Sets the longer side of each panel's picture, in pixels; 256 unless told.
    pub fn side(self, side: u32) -> Self {
        Self { side, ..self }
    }

    /// Sets how many panels stand in a row at most; 4 unless told.
    pub fn columns(self, columns: usize) -> Self {
        Self { columns: columns.max(1), ..self }
    }

    /// Draws the sheet.
    ///
    /// # Errors
    /// [`Error::Option`] for a side under 64 or over 4096 pixels and for a sheet without panels; [`Error::Shape`]
    /// where the mask and the picture differ in size; [`Error::NotFinite`] and the others of [`Heatmap::to_image`].
    pub fn to_image(&self) -> Result<RgbImage> {
        let picture = self.backdrop.picture()?;
        self.check(&picture)?;
        let shown = displayed(&picture, self.side);
        let input = self.input.iter().map(|input| Ok(self.plain(input, &shown)));
        let maps = self.panels.iter().map(|panel| self.mapped(panel, &shown));
        let cells = input.chain(maps).collect::<Result<Vec<Cell>>>()?;
        Ok(layout::sheet(&self.heading, &cells, self.columns))
    }

    /// Writes the sheet as PNG, or what the extension says.
    ///
    /// # Errors
    /// Those of [`SideBySide::to_image`]; [`Error::File`] when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        save(&self.to_image()?, path.as_ref())
    }

    fn check(&self, picture: &RgbImage) -> Result<()> {
        self.mask.as_ref().map_or(Ok(()), |mask| mask.check(picture))?;
        if !SIDES.contains(&self.side) {
            let (value, expected) = (self.side.to_string(), "`64` to `4096` pixels");
            return Err(Error::Option { what: "the side of a panel", value, expected });
        }
        if self.input.is_none() && self.panels.is_empty() {
            let (value, expected) = ("0".into(), "at least one; add it with `panel`");
            return Err(Error::Option { what: "the number of panels", value, expected });
        }
        Ok(())
    }

    fn plain(&self, input: &Input, shown: &RgbImage) -> Cell {
        let picture = self.outlined(shown.clone());
        Cell { title: input.title.clone(), picture, bar: None, lines: input.notes.clone() }
    }

    fn mapped(&self, panel: &Panel, shown: &RgbImage) -> Result<Cell> {
        let own = panel.backdrop.as_ref().map(Backdrop::picture).transpose()?;
        let own = own.map(|picture| displayed(&picture, self.side));
        let picture = own.as_ref().unwrap_or(shown);
        let (title, notes) = (panel.title.clone(), panel.notes.clone());
        let Some(heatmap) = &panel.heatmap else {
            return Ok(Cell { title, picture: picture.clone(), bar: None, lines: notes });
        };
        let (field, scale) = heatmap.read()?;
        let colors = heatmap.bar(&scale, layout::cell_width(picture), layout::BAR)?;
        let lines = [heatmap.lines(&field, &scale), notes].concat();
        let picture = self.outlined(heatmap.paint(&field, &scale, picture)?);
        Ok(Cell { title, picture, bar: Some(Bar { colors, scale }), lines })
    }

    fn outlined(&self, mut picture: RgbImage) -> RgbImage {
        self.mask.iter().for_each(|mask| mask.outline(&mut picture));
        picture
    }
}

/// The picture at the size in which it is shown: small ones in whole, sharp pixels, others smoothly.
fn displayed(picture: &RgbImage, side: u32) -> RgbImage {
    let longest = picture.width().max(picture.height());
    if longest * 2 <= side {
        let times = side / longest;
        return resize(picture, picture.width() * times, picture.height() * times, Filter::Nearest);
    }
    let scaled = |length: u32| ((u64::from(length) * u64::from(side)) / u64::from(longest)).max(1) as u32;
    resize(picture, scaled(picture.width()), scaled(picture.height()), Filter::Bicubic)
}
