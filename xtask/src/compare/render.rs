//! The page, from the results and the hand-written notes.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde_json::Value;

use super::plan::Plan;
use super::results::{Circumstances, Line, Outcome, Results, Section, Side};
use crate::workspace;

const PAGE: &str = "docs/benchmarks.md";
/// Written by hand, included as it is: reasons for what falls short.
const NOTES: &str = "docs/benchmarks.notes.md";

/// Writes docs/benchmarks.md.
pub fn write_page(plan: &Plan, results: &Results) -> Result<()> {
    let notes = std::fs::read_to_string(workspace::root().join(NOTES)).unwrap_or_default();
    std::fs::create_dir_all(workspace::root().join("docs")).context("making docs/")?;
    std::fs::write(workspace::root().join(PAGE), page(plan, results, &notes))
        .with_context(|| format!("writing {PAGE}"))?;
    println!("wrote {PAGE}");
    Ok(())
}

fn page(plan: &Plan, results: &Results, notes: &str) -> String {
    let mut page = String::from(
        "# Benchmarks\n\n\
         <!-- Made by `cargo xtask compare` from benchmarks.json and benchmarks.notes.md: edit those. -->\n\n\
         Both sides of a line do the same work in turn (ours, theirs, ours, theirs, …), each warmed up, on two threads \
         unless the line says otherwise.\nA figure is the median over the turns, a ratio the median of the ratios of \
         the turns (theirs divided by ours,\nabove 1 means that we are faster), with the lowest and the highest in \
         brackets. Raw figures and the exact command\nof every line are in [benchmarks.json](benchmarks.json).\n",
    );
    for section in &plan.sections {
        // Writing to a String cannot fail.
        let _ = write!(page, "\n## {}\n\n{}\n\n", section.title, section.about);
        match results.sections.get(section.name) {
            Some(measured) => page += &table(measured),
            None => {
                let _ = writeln!(page, "Not measured yet: `cargo xtask compare --only {}`.", section.name);
            }
        }
    }
    if !notes.trim().is_empty() {
        let _ = write!(page, "\n{}\n", notes.trim());
    }
    page
}

fn table(section: &Section) -> String {
    let mut text = format!("{}\n\n", circumstances(&section.circumstances));
    text += "| work | unit | ours | | theirs | | theirs ÷ ours |\n|---|---|---|---:|---|---:|---|\n";
    let mut failures = String::new();
    for line in &section.lines {
        text += &row(line);
        for side in std::iter::once(&line.ours).chain(&line.theirs) {
            if let Outcome::CouldNotRun(reason) = &side.outcome {
                let _ = writeln!(failures, "- {}, {}: could not be run: {}", line.work, side.name, one_line(reason));
            }
        }
    }
    if !failures.is_empty() {
        let _ = write!(text, "\n{failures}");
    }
    text
}

fn row(line: &Line) -> String {
    let (name, figure) = match &line.theirs {
        Some(side) => (side.name.as_str(), shown(side)),
        None => ("–", "–".to_owned()),
    };
    let ratio = match line.ratio {
        Some(ratio) => {
            format!("**{}** ({} – {})", significant(ratio.median), significant(ratio.low), significant(ratio.high))
        }
        None => "–".to_owned(),
    };
    format!(
        "| {} | {} | {} | {} | {name} | {figure} | {ratio} |\n",
        line.work,
        line.unit,
        line.ours.name,
        shown(&line.ours)
    )
}

fn shown(side: &Side) -> String {
    match &side.outcome {
        Outcome::Measured { median, details, .. } => match details.get("peak_rss_mib").and_then(Value::as_f64) {
            Some(peak) => format!("{} (peak {peak:.0} MiB)", significant(*median)),
            None => significant(*median),
        },
        Outcome::CouldNotRun(_) => "could not be run".to_owned(),
    }
}

fn circumstances(at: &Circumstances) -> String {
    let peers: Vec<String> = at.peers.iter().map(|(name, version)| format!("{name} {}", one_line(version))).collect();
    format!(
        "Measured {} on {}, {} cores, load before {:.1}, SIMD level {}; gbrl-rs at {}, rustc {}; {}. `{}`{}",
        at.date,
        at.processor,
        at.cores,
        at.load,
        at.simd,
        at.commit,
        at.rustc,
        peers.join(", "),
        at.command,
        if at.quick { " (a first look: few rounds)" } else { "" }
    )
}

/// Three significant digits, without an exponent.
fn significant(value: f64) -> String {
    let magnitude = value.abs().max(1e-9).log10().floor() as i32;
    format!("{value:.*}", (2 - magnitude).max(0) as usize)
}

/// A reason may hold line breaks and bars, which would break a table or a list.
fn one_line(text: &str) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "/");
    let root = format!("{}/", workspace::root().display());
    let mut flat = flat.replace(&root, "");
    if let Some((end, _)) = flat.char_indices().nth(300) {
        flat.truncate(end);
        flat.push('…');
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::results::Spread;

    #[test]
    fn three_significant_digits() {
        assert_eq!(significant(0.012345), "0.0123");
        assert_eq!(significant(1.2345), "1.23");
        assert_eq!(significant(123.45), "123");
        assert_eq!(significant(12345.6), "12346");
    }

    #[test]
    fn a_failure_stays_on_the_page() {
        let side = |outcome| Side { name: "x".into(), command: String::new(), outcome };
        let ours = side(Outcome::Measured { median: 2.0, rounds: vec![2.0], details: Value::Null });
        let failed = side(Outcome::CouldNotRun("no\nwheel".into()));
        let line = Line { work: "w".into(), unit: "s".into(), ours, theirs: Some(failed), ratio: None::<Spread> };
        let circumstances = Circumstances {
            date: "2026-01-01".into(),
            processor: "p".into(),
            cores: 2,
            load: 0.0,
            simd: "portable".into(),
            rustc: "1".into(),
            commit: "c".into(),
            command: "cargo xtask compare".into(),
            quick: false,
            peers: Default::default(),
        };
        let table = table(&Section { circumstances, lines: vec![line] });
        assert!(table.contains("could not be run: no wheel"), "{table}");
    }

    #[test]
    fn the_page_names_unmeasured_sections_and_keeps_the_notes() {
        let page = page(&Plan::new(false), &Results::default(), "## Where we fall short\n\nNowhere yet.");
        assert!(page.contains("cargo xtask compare --only table1"));
        assert!(page.ends_with("Nowhere yet.\n"));
    }
}
