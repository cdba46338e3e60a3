//! A machine in plain words, and the day: what a record is called after.

use std::fs;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

/// Names of processors that say enough.
const FAMILIES: [&str; 8] =
    ["xeon", "epyc", "ryzen", "threadripper", "core", "neoverse", "graviton", "apple"];

/// The processor's family and the number of its threads, as `xeon-2-cores`; never the name of a host.
pub fn description() -> String {
    let known = fs::read_to_string("/proc/cpuinfo").unwrap_or_default().to_lowercase();
    let model = known.lines().find(|line| line.starts_with("model name")).unwrap_or_default();
    let family = FAMILIES.into_iter().find(|family| model.contains(family));
    let cores = thread::available_parallelism().map_or(1, |count| count.get());
    format!("{}-{cores}-cores", family.unwrap_or(std::env::consts::ARCH))
}

/// Today in UTC, as `2026-01-31`.
pub fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = civil((seconds / 86_400) as i64);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Year, month and day of the Gregorian calendar, so many days after 1 January 1970
/// (<https://howardhinnant.github.io/date_algorithms.html>).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (day, month) =
        (of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_779), (2026, 11, 22));
    }
}
