//! The table in `docs/BENCHMARKS.md`: written, read back, and compared with.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::figure::{Figure, Goal, Unit};
use crate::machine;

const BEGIN: &str = "<!-- figures: `cargo xtask bench --write` -->\n";
const END: &str = "<!-- end of figures -->\n";
const HEAD: &str = "| what | figure | goal | behind it | limited by |\n|---|---|---|---|---|\n";

/// The table in Markdown.
pub(crate) fn render(figures: &[Figure]) -> String {
    let mut table = HEAD.to_owned();
    for figure in figures {
        table += &row(figure);
    }
    table
}

fn row(figure: &Figure) -> String {
    let Figure { what, detail, limit, .. } = figure;
    format!("| {what} | {} | {} | {detail} | {limit} |\n", figure.shown(), figure.verdict())
}

/// Keeps figures in the repository: those of a `whole` run in place of the table, others in place
/// of those of the same name, or after all.
pub(crate) fn write(figures: &[Figure], whole: bool) -> Result<()> {
    let path = path();
    let page = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let (before, rest) = page.split_once(BEGIN).context("docs/BENCHMARKS.md has no figures")?;
    let (kept, after) = rest.split_once(END).context("docs/BENCHMARKS.md's figures do not end")?;
    let machine = machine::describe();
    let table = merge(if whole { "" } else { kept }, figures);
    let page = format!("{before}{BEGIN}\n{machine}\n\n{table}\n{END}{after}");
    std::fs::write(&path, page).with_context(|| path.display().to_string())
}

/// The kept table, with these figures in it.
fn merge(kept: &str, figures: &[Figure]) -> String {
    let mut rows: Vec<_> = kept
        .lines()
        .filter(|line| line.starts_with("| ") && !HEAD.starts_with(line))
        .map(|line| format!("{line}\n"))
        .collect();
    for figure in figures {
        let start = format!("| {} |", figure.what);
        match rows.iter_mut().find(|row| row.starts_with(&start)) {
            Some(known) => *known = row(figure),
            None => rows.push(row(figure)),
        }
    }
    format!("{HEAD}{}", rows.concat())
}

/// Says which ratios are worse than the kept ones by more than `share`; an error where any is.
pub(crate) fn check(figures: &[Figure], share: f64) -> Result<()> {
    let path = path();
    let page = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let kept = read(&page);
    let worse: Vec<_> = figures.iter().filter_map(|figure| compare(figure, &kept, share)).collect();
    if worse.is_empty() {
        println!("no ratio is worse than the kept one by more than {:.0} %", share * 100.0);
        return Ok(());
    }
    bail!(
        "worse than in docs/BENCHMARKS.md by more than {:.0} %:\n{}",
        share * 100.0,
        worse.join("\n")
    )
}

fn compare(figure: &Figure, kept: &[(String, f64)], share: f64) -> Option<String> {
    let (_, before) = kept.iter().find(|(what, _)| what == figure.what)?;
    let worse = match (figure.unit, figure.goal) {
        (Unit::Ratio, Some(Goal::AtLeast(_))) => figure.value < before * (1.0 - share),
        (Unit::Ratio, _) => figure.value > before * (1.0 + share),
        _ => false,
    };
    worse.then(|| format!("{}: {:.2}, was {before:.2}", figure.what, figure.value))
}

/// The ratios of a page, by what they are of.
fn read(page: &str) -> Vec<(String, f64)> {
    let ratio = |line: &str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (what, figure) = (cells.next()?, cells.next()?);
        Some((what.to_owned(), figure.strip_suffix(" ×")?.parse().ok()?))
    };
    page.lines().filter_map(ratio).collect()
}

fn path() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(&here).join("docs/BENCHMARKS.md")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64, unit: Unit, goal: Option<Goal>) -> Figure {
        Figure { what: "a", value, unit, goal, detail: "b".to_owned(), limit: "c" }
    }

    #[test]
    fn a_table_is_read_back() {
        let ratio = figure(1.25, Unit::Ratio, Some(Goal::AtMost(1.1)));
        let time = figure(2.0, Unit::Milliseconds, None);
        let page = render(&[ratio, time]);
        assert!(page.contains("| a | 1.25 × | ≤ 1.1 ×: **missed** | b | c |\n"), "{page}");
        assert_eq!(read(&page), [("a".to_owned(), 1.25)]);
    }

    #[test]
    fn figures_take_the_places_of_their_former_ones_and_new_ones_come_last() {
        let named = |what, value| Figure { what, ..figure(value, Unit::Ratio, None) };
        let kept = render(&[named("a", 1.0), named("aa", 2.0)]);
        let merged = merge(&kept, &[named("b", 3.0), named("a", 4.0)]);
        assert_eq!(merged, render(&[named("a", 4.0), named("aa", 2.0), named("b", 3.0)]));
    }

    #[test]
    fn only_ratios_that_got_worse_are_told() {
        let kept = [("a".to_owned(), 1.0)];
        let told = |value, unit, goal| compare(&figure(value, unit, goal), &kept, 0.1).is_some();
        let (most, least) = (Some(Goal::AtMost(1.0)), Some(Goal::AtLeast(1.0)));
        assert!(told(1.2, Unit::Ratio, most) && told(1.2, Unit::Ratio, None));
        assert!(!told(1.05, Unit::Ratio, most) && !told(0.5, Unit::Ratio, most));
        assert!(told(0.8, Unit::Ratio, least) && !told(1.5, Unit::Ratio, least));
        assert!(!told(9.0, Unit::Milliseconds, most));
    }
}
