//! The curves of metrics that have some.

use super::measure::Column;
use super::{Contender, Job};
use crate::failure::Result;
use crate::style;
use crate::term;
use crate::write;
use candlelight::image::{Chart, Charts, Series, Ticks};
use candlelight::metrics::{Bootstrap, Curve, Entry};

/// What a metric sees of every method, from place to place.
pub struct Curves {
    pub entry: &'static Entry,
    /// The methods that have some, in their order.
    pub lines: Vec<Line>,
}

/// The mean of a method's curves.
pub struct Line {
    pub name: String,
    /// Where it is, and how high.
    pub points: Vec<(f64, f64)>,
    /// The interval at every place; nothing for a single image.
    band: Vec<(f64, f64)>,
    /// The place of the method among all; none for the control.
    place: Option<usize>,
}

/// Those of the metrics that have some.
pub fn curves(job: &Job, columns: &[Vec<Column>]) -> Result<Vec<Curves>> {
    let of_metric = |(index, &entry): (usize, &&'static Entry)| {
        let methods = job.contenders.iter().zip(columns).enumerate();
        let lines = methods.filter_map(|(place, (contender, columns))| {
            let place = (place + 1 < job.contenders.len()).then_some(place);
            Line::of(contender, place, &columns[index].curves).transpose()
        });
        Ok(Curves { entry, lines: lines.collect::<Result<_>>()? })
    };
    let all = job.metrics.iter().enumerate().map(of_metric).collect::<Result<Vec<_>>>()?;
    Ok(all.into_iter().filter(|curves| !curves.lines.is_empty()).collect())
}

/// Draws a chart for every metric with curves, if there is one.
pub fn save(job: &Job, curves: &[Curves]) -> Result<()> {
    if curves.is_empty() {
        return Ok(());
    }
    let note = "means over the images, with 95 % intervals".to_owned();
    let charts = Charts::new(format!("What {} looks at", job.args.model.model)).note(note);
    let charts = curves.iter().fold(charts, |charts, curves| charts.chart(curves.chart()));
    write::charts(&charts, &job.args.out, "compare")?;
    if !job.args.json {
        term::say(&format!("wrote {} and .svg", job.args.out.join("compare.png").display()));
    }
    Ok(())
}

impl Curves {
    pub fn chart(&self) -> Chart {
        let (x, y) = axes(self.entry.name);
        let chart = Chart::new(self.entry.title, x, y).ticks(Ticks::Percent, Ticks::Plain);
        self.lines.iter().fold(chart, |chart, line| chart.curve(line.series()))
    }
}

/// What the axes of a metric's curves mean.
fn axes(metric: &str) -> (&'static str, &'static str) {
    let (left, probability) = ("ln p(what is left) - ln p(x)", "probability of the class");
    match metric {
        "top-k-ablation" => ("pixels replaced, most salient first", left),
        "mass-centre-ablation" => ("side of the box, share of the image's", left),
        "insertion" => ("pixels put in, most salient first", probability),
        "deletion" => ("pixels taken out, most salient first", probability),
        "road" => ("pixels replaced, most salient first", probability),
        _ => ("share of the way", "what the metric sees there"),
    }
}

impl Line {
    /// None if there are no curves.
    fn of(contender: &Contender, place: Option<usize>, curves: &[Curve]) -> Result<Option<Self>> {
        let at = |places: &[f64], heights: Vec<f64>| places.iter().copied().zip(heights).collect();
        let (points, band) = match curves {
            [] => return Ok(None),
            [one] => (at(&one.at, one.values.clone()), Vec::new()),
            _ => {
                let band = Bootstrap::default().band(curves)?;
                let around = band.estimates.iter().map(|it| (it.low, it.high)).collect();
                (at(&band.at, band.estimates.iter().map(|it| it.value).collect()), around)
            }
        };
        Ok(Some(Self { name: contender.name.clone(), points, band, place }))
    }

    fn series(&self) -> Series {
        let (color, stroke) = self.place.map_or(style::CONTROL, style::of);
        Series::new(&self.name, self.points.clone(), color).stroke(stroke).band(self.band.clone())
    }
}
