//! The curves of metrics that have some.

use super::Job;
use super::measure::Column;
use crate::failure::Result;
use crate::style;
use crate::term;
use crate::write;
use candlelight::image::{Chart, Charts, Series, Ticks};
use candlelight::metrics::{Bootstrap, Curve};

/// Draws a chart for every metric with curves, if there is one.
pub fn save(job: &Job, columns: &[Vec<Column>]) -> Result<()> {
    let note = "means over the images, with 95 % intervals".to_owned();
    let mut charts = Charts::new(format!("What {} looks at", job.args.model.model)).note(note);
    let mut any = false;
    for (index, entry) in job.metrics.iter().enumerate() {
        let drawn = job.contenders.iter().zip(columns).enumerate().map(|(place, (contender, columns))| {
            let control = place + 1 == job.contenders.len();
            series(&contender.name, (place, control), &columns[index].curves)
        });
        let drawn = drawn.collect::<Result<Vec<_>>>()?.into_iter().flatten();
        let chart =
            Chart::new(entry.title, "share of the pixels or of the side", "what the metric sees there");
        let chart = drawn.fold((chart.ticks(Ticks::Percent, Ticks::Plain), 0), |(chart, count), series| {
            (chart.curve(series), count + 1)
        });
        if chart.1 > 0 {
            (charts, any) = (charts.chart(chart.0), true);
        }
    }
    if !any {
        return Ok(());
    }
    write::charts(&charts, &job.args.out, "compare")?;
    if !job.args.json {
        term::say(&format!("wrote {} and .svg", job.args.out.join("compare.png").display()));
    }
    Ok(())
}

/// The mean of a method's curves; none if it has none.
fn series(name: &str, (place, control): (usize, bool), curves: &[Curve]) -> Result<Option<Series>> {
    let Some(first) = curves.first() else { return Ok(None) };
    let (color, stroke) = if control { style::CONTROL } else { style::of(place) };
    if curves.len() == 1 {
        let points: Vec<_> = first.at.iter().copied().zip(first.values.iter().copied()).collect();
        return Ok(Some(Series::new(name, points, color).stroke(stroke)));
    }
    let band = Bootstrap::default().band(curves)?;
    let points: Vec<_> = band.at.iter().copied().zip(band.estimates.iter().map(|it| it.value)).collect();
    let around: Vec<_> = band.estimates.iter().map(|it| (it.low, it.high)).collect();
    Ok(Some(Series::new(name, points, color).stroke(stroke).band(around)))
}
