//! Parts of a data set, for several machines.

use super::row::Row;
use super::table::Part;
use crate::failure::{Failure, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Part `index` of `count`: every `count`-th sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    pub index: usize,
    pub count: usize,
}

/// The variables in which schedulers say which part is meant, counted from their first, and of how many.
const SCHEDULERS: [(&str, &str, Option<&str>); 2] = [
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", Some("SLURM_ARRAY_TASK_MIN")),
    ("JOB_COMPLETION_INDEX", "JOB_COMPLETIONS", None),
];

impl Shard {
    const WHOLE: Self = Self { index: 0, count: 1 };

    /// What `--shard` says, else the scheduler's variables, else all.
    pub fn of(asked: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        if let Some(asked) = asked {
            let parts = asked.split_once('/').map(|(index, count)| (index.parse(), count.parse()));
            return match parts {
                Some((Ok(index), Ok(count))) => Self::checked(index, count),
                _ => Err(wrong(asked)),
            };
        }
        for (index, count, first) in SCHEDULERS {
            let number = |name: &str| {
                let value = variable(name)?;
                Some(value.parse::<usize>().map_err(|_| wrong(&format!("{name}={value}"))))
            };
            let Some(at) = number(index).transpose()? else { continue };
            let Some(of) = number(count).transpose()? else {
                let message =
                    format!("`{index}` is set and `{count}` is not: it is not known of how many parts");
                return Err(Failure::input(message, format!("set `{count}`, or give `--shard {at}/COUNT`")));
            };
            let first = first.and_then(number).transpose()?.unwrap_or(0);
            return Self::checked(at.saturating_sub(first), of);
        }
        Ok(Self::WHOLE)
    }

    fn checked(index: usize, count: usize) -> Result<Self> {
        match index < count {
            true => Ok(Self { index, count }),
            false => Err(wrong(&format!("{index}/{count}"))),
        }
    }

    /// The samples of this part.
    pub fn samples(self, all: usize) -> impl Iterator<Item = usize> {
        (self.index..all).step_by(self.count)
    }

    /// The file of this part: `results.parquet` becomes `results.0-of-4.parquet`.
    pub fn name(self, out: &Path) -> PathBuf {
        if self == Self::WHOLE {
            return out.to_path_buf();
        }
        let stem = out.file_stem().unwrap_or_default().to_string_lossy();
        let extension =
            out.extension().map_or_else(String::new, |extension| format!(".{}", extension.to_string_lossy()));
        out.with_file_name(format!("{stem}.{}-of-{}{extension}", self.index, self.count))
    }
}

fn wrong(found: &str) -> Failure {
    let message = format!("`{found}` is no part of a data set");
    Failure::input(message, "parts are counted from 0: `--shard 0/4` to `--shard 3/4`")
}

/// The rows of all `parts`, which were read from `paths`, as one run would have written them.
pub fn merge(paths: &[PathBuf], parts: Vec<Part>) -> Result<Part> {
    let Some(first) = parts.first().map(|part| part.config.clone()) else {
        return Err(Failure::input("no shard was named", "name the files that `evaluate --shard` wrote"));
    };
    let count = first.shard.count;
    let mut seen = vec![false; count];
    let mut rows: Vec<Row> = Vec::new();
    for (path, part) in paths.iter().zip(parts) {
        if part.config.config != first.config || part.config.shard.count != count {
            let message = format!("`{}` is of another run than `{}`", path.display(), paths[0].display());
            return Err(Failure::input(
                message,
                "merge the shards of one command: one data set, model, methods and metrics",
            ));
        }
        let index = part.config.shard.index;
        if seen.get_mut(index).is_none_or(|seen| std::mem::replace(seen, true)) {
            let message = format!("shard {index} is there twice, the second time as `{}`", path.display());
            return Err(Failure::input(message, "name every shard once"));
        }
        rows.extend(part.rows);
    }
    if let Some(missing) = seen.iter().position(|seen| !seen) {
        let message = format!("shard {missing} of {count} is missing");
        return Err(Failure::input(
            message,
            format!("run `evaluate --shard {missing}/{count}`, and name its file as well"),
        ));
    }
    // Rows of one sample lie together in their order, and stay so.
    rows.sort_by_key(|row| row.index);
    let mut config = first;
    config.shard = Shard::WHOLE;
    Ok(Part { config, rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(asked: Option<&str>, variables: &[(&str, &str)]) -> Option<(usize, usize)> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Shard::of(asked, variable).ok().map(|shard| (shard.index, shard.count))
    }

    #[test]
    fn a_shard_is_asked_for_or_told_by_the_scheduler() {
        let slurm =
            [("SLURM_ARRAY_TASK_ID", "3"), ("SLURM_ARRAY_TASK_COUNT", "4"), ("SLURM_ARRAY_TASK_MIN", "1")];
        let kubernetes = [("JOB_COMPLETION_INDEX", "0"), ("JOB_COMPLETIONS", "2")];
        assert_eq!(of(None, &[]), Some((0, 1)));
        assert_eq!(of(None, &slurm), Some((2, 4)));
        assert_eq!(of(None, &kubernetes), Some((0, 2)));
        assert_eq!(of(Some("1/2"), &slurm), Some((1, 2)));
        assert_eq!(of(None, &kubernetes[..1]), None);
        for wrong in ["2/2", "1", "a/2", "0/0", "-1/2"] {
            assert_eq!(of(Some(wrong), &[]), None, "{wrong}");
        }
    }

    #[test]
    fn shards_share_out_every_sample_once() {
        let mut all: Vec<usize> = (0..3).flat_map(|index| Shard { index, count: 3 }.samples(11)).collect();
        all.sort_unstable();
        assert_eq!(all, Vec::from_iter(0..11));
    }
}
