//! Numbers as people say them.

use crate::method::Agreement;
use candlelight::metrics::Verdict;
use candlelight::{Convergence, Ledger, Progress};
use std::time::Duration;

/// `12 ms`, `3.4 s`, `2 min 5 s`.
pub fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s < 0.9995 => format!("{:.0} ms", s * 1e3),
        s if s < 99.95 => format!("{s:.1} s"),
        s => format!("{} min {} s", s as u64 / 60, s as u64 % 60),
    }
}

/// A share in per cent with two significant digits.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if !p.is_finite() => "inf %".into(),
        p if p.abs() < 0.005 => "< 0.01 %".into(),
        p if p.abs() < 0.1 => format!("{p:.2} %"),
        p if p.abs() < 10.0 => format!("{p:.1} %"),
        p if (99.5..99.995).contains(&p) => format!("{p:.2} %"),
        p => format!("{p:.0} %"),
    }
}

/// Three significant digits, with a minus as in print.
pub fn number(value: f64) -> String {
    candlelight::image::number(value).replace('-', "−")
}

/// `1.2 k`, `3.4 M`, `5.6 G`.
pub fn count(n: u64) -> String {
    let n = n as f64;
    match n {
        n if n >= 1e9 => format!("{:.1} G", n / 1e9),
        n if n >= 1e6 => format!("{:.1} M", n / 1e6),
        n if n >= 1e4 => format!("{:.1} k", n / 1e3),
        n => format!("{n:.0}"),
    }
}

/// How the first row converged, and how far it was if it was cancelled.
pub fn convergence(convergence: &Convergence) -> String {
    let words = converged(convergence);
    match convergence.partial {
        None => words,
        Some(Progress { done, of }) => {
            format!("cancelled after {} of {} calls: {words}", count(done as u64), count(of as u64))
        }
    }
}

fn converged(convergence: &Convergence) -> String {
    let residual = convergence.completeness.as_ref().and_then(|it| it.relative().first().copied());
    if let Some(ledger) = &convergence.ledger {
        return relevance(ledger);
    }
    let sampling = convergence.sampling.as_ref();
    let error = sampling.and_then(|it| Some((*it.samples.first()?, *it.standard_error.first()?)));
    match (residual, error) {
        (Some(residual), None) => format!("residual {}", percent(residual)),
        (None, Some((samples, error))) => format!("standard error {}, {samples} samples", percent(error)),
        (Some(residual), Some((samples, error))) => {
            let error = percent(error);
            format!("standard error {error}, {samples} samples, residual {}", percent(residual))
        }
        (None, None) => match convergence.steps.as_deref() {
            Some([steps, ..]) => format!("{steps} steps"),
            _ => "exact".into(),
        },
    }
}

/// Where the relevance of the first row went, in shares of the score.
fn relevance(ledger: &Ledger) -> String {
    let first = |rows: &[f64]| rows.first().copied().unwrap_or(f64::NAN);
    let share = |rows: &[f64]| percent(first(rows) / first(&ledger.score));
    let (passed, absorbed) = (share(&ledger.arrived), share(&ledger.bias()));
    let elsewhere = (first(&ledger.stabiliser()) + first(&ledger.missing())) / first(&ledger.score);
    format!("input {passed}, biases {absorbed}, elsewhere {}", percent(elsewhere))
}

/// `-1.23 [-1.30, -1.16]`: a mean and its interval.
pub fn interval(value: f64, low: f64, high: f64) -> String {
    let [value, low, high] = estimate(value, low, high);
    format!("{value} [{low}, {high}]")
}

/// A mean and the ends of its interval, with as many digits as the interval's width bears.
pub fn estimate(value: f64, low: f64, high: f64) -> [String; 3] {
    let digits = (1.5 - (high - low).log10()).ceil().clamp(0.0, 6.0);
    let digits = if high > low { digits as usize } else { 2 };
    [value, low, high].map(|number| format!("{number:.digits$}"))
}

/// What may be said of one method beside another.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::Undecided => "undecided",
    }
}

/// Whether the maximum lies in the ground truth, and how much of the map does.
pub fn agreement(agreement: &Agreement) -> String {
    match agreement {
        Agreement::Scores { hit: true, mass } => format!("hit, {} inside", percent(*mass)),
        Agreement::Scores { hit: false, mass } => format!("miss, {} inside", percent(*mass)),
        Agreement::None(reason) => format!("none: {reason}"),
    }
}

/// `a circle`, `an arrow`.
pub fn one(noun: &str) -> String {
    format!("{} {noun}", if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" })
}

/// What a message says, without the next step that it offers.
pub fn short(message: &str) -> &str {
    message.split("; ").next().unwrap_or(message)
}

/// The first of a label's synonyms.
pub fn label(label: &str) -> String {
    label.split(',').next().unwrap_or(label).trim().to_owned()
}

/// A command line of this program, ready for a shell.
pub fn command(args: &[String]) -> String {
    let quoted = args.iter().map(|arg| quoted(arg));
    std::iter::once("candlelight".to_owned()).chain(quoted).collect::<Vec<_>>().join(" ")
}

fn quoted(arg: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+:,./@%".contains(c);
    match !arg.is_empty() && arg.chars().all(plain) {
        true => arg.into(),
        false => format!("'{}'", arg.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candlelight::{Completeness, Sampling};

    #[test]
    fn times_and_counts_are_short() {
        assert_eq!(time(Duration::from_millis(12)), "12 ms");
        assert_eq!(time(Duration::from_millis(3400)), "3.4 s");
        assert_eq!(time(Duration::from_secs(125)), "2 min 5 s");
        assert_eq!(
            (count(999), count(12_340), count(3_400_000)),
            ("999".into(), "12.3 k".into(), "3.4 M".into())
        );
    }

    #[test]
    fn intervals_have_the_digits_that_their_width_bears() {
        assert_eq!(interval(-1.2345, -1.3012, -1.1678), "-1.234 [-1.301, -1.168]");
        assert_eq!(interval(1234.5, 1100.0, 1400.0), "1234 [1100, 1400]");
        assert_eq!(interval(1.0, 1.0, 1.0), "1.00 [1.00, 1.00]");
    }

    #[test]
    fn convergence_is_said_in_words() {
        let completeness = Some(Completeness { sum: vec![0.98], difference: vec![1.0] });
        let sampling = Some(Sampling { samples: vec![50], standard_error: vec![0.125] });
        assert_eq!(convergence(&Convergence::exact()), "exact");
        let influence = Convergence { steps: Some(vec![50]), ..Convergence::exact() };
        assert_eq!(convergence(&influence), "50 steps");
        let path = Convergence { completeness: completeness.clone(), ..Convergence::exact() };
        assert_eq!(convergence(&path), "residual 2.0 %");
        let both = Convergence { completeness, sampling, ..Convergence::exact() };
        assert_eq!(convergence(&both), "standard error 12 %, 50 samples, residual 2.0 %");
        let cancelled = Convergence { partial: Some(Progress { done: 30, of: 4000 }), ..both };
        let words = "cancelled after 30 of 4000 calls: standard error 12 %, 50 samples, residual 2.0 %";
        assert_eq!(convergence(&cancelled), words);
    }

    #[test]
    fn a_command_survives_a_shell() {
        let args = ["explain", "my cat's.jpg", "$(rm)", "--report=a/b.html", ""].map(String::from);
        assert_eq!(command(&args), r"candlelight explain 'my cat'\''s.jpg' '$(rm)' --report=a/b.html ''");
    }
}
