//! The page's section on sample efficiency: our runs beside the reference's, from the cells alone.

use std::fmt::Write as _;

use super::page::{digits, unbounded, wrapped};
use super::suite::{Paper, Suite};
use super::{Cell, Cells, mean_std, reference};

/// The part of the way to the paper's return after which a run has learnt.
const SHARE: f64 = 0.95;

/// Steps that runs took to a level.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Steps {
    /// Over all runs; those that did not come there count with all their steps.
    mean: f64,
    n_there: usize,
    n_runs: usize,
}

impl Steps {
    /// `None` without runs that have a curve.
    fn to(level: f64, runs: &[&Cell]) -> Option<Self> {
        let curves: Vec<_> = runs.iter().map(|run| &run.curve).filter(|curve| !curve.is_empty()).collect();
        let there: Vec<Option<f64>> = curves.iter().map(|curve| first_at(curve, level)).collect();
        let ends = curves.iter().map(|curve| curve[curve.len() - 1].0 as f64);
        let steps: Vec<f64> = there.iter().zip(ends).map(|(there, end)| there.unwrap_or(end)).collect();
        let n_there = there.iter().flatten().count();
        (!steps.is_empty()).then(|| Steps { mean: mean_std(&steps).0, n_there, n_runs: steps.len() })
    }

    /// Whether every run came there: if not, the mean is less than the truth.
    fn is_exact(self) -> bool {
        self.n_there == self.n_runs
    }

    fn shown(self) -> String {
        let Steps { mean, n_there, n_runs } = self;
        match self.is_exact() {
            true => format!("{:.0}k ({n_runs} seed{})", mean / 1e3, if n_runs == 1 { "" } else { "s" }),
            false => format!("> {:.0}k ({n_there} of {n_runs} seeds)", mean / 1e3),
        }
    }
}

/// Where a curve first stands at the level, in a straight line between its points.
fn first_at(curve: &[(u64, f64)], level: f64) -> Option<f64> {
    let after = curve.iter().position(|&(_, y)| y >= level)?;
    let (x1, y1) = curve[after];
    let Some(&(x0, y0)) = after.checked_sub(1).map(|before| &curve[before]) else { return Some(x1 as f64) };
    Some(x0 as f64 + (x1 - x0) as f64 * (level - y0) / (y1 - y0))
}

/// Ours over theirs; a bound where one of them is one, nothing where both are.
fn ratio(ours: Steps, theirs: Steps) -> String {
    let ratio = ours.mean / theirs.mean;
    match (ours.is_exact(), theirs.is_exact()) {
        (true, true) => format!("{ratio:.2}"),
        (true, false) => format!("< {ratio:.2}"),
        (false, true) => format!("> {ratio:.2}"),
        (false, false) => "–".to_owned(),
    }
}

/// Nothing where the reference was not run.
pub fn section(page: &mut String, cells: &Cells, paper: &Paper) {
    let mut rows = String::new();
    for (env, _) in Suite::ALL.iter().flat_map(|suite| suite.envs()) {
        let runs = |algo, preset| unbounded(cells, algo, env, preset).collect::<Vec<_>>();
        let reference = runs(reference::NAME, "paper");
        let firsts: Vec<f64> = reference.iter().filter_map(|run| run.curve.first()).map(|(_, y)| *y).collect();
        let Some((trees, _)) = paper.of("ppo", env).trees.filter(|_| !firsts.is_empty()) else { continue };
        let random = mean_std(&firsts).0;
        let level = random + SHARE * (trees - random);
        let [theirs, same, default] =
            [reference, runs("ppo", "paper"), runs("ppo", "default")].map(|runs| Steps::to(level, &runs));
        let shown = |steps: Option<Steps>| steps.map_or("–".to_owned(), Steps::shown);
        let ratio = default.zip(theirs).map_or("–".to_owned(), |(ours, theirs)| ratio(ours, theirs));
        let _ = writeln!(
            rows,
            "| {env} | {level:.*} | {} | {} | {} | {ratio} |",
            digits(level),
            shown(theirs),
            shown(same),
            shown(default)
        );
    }
    if rows.is_empty() {
        return;
    }
    let text = "Steps until the mean return of the last 100 episodes first stood at the level: 95 % of the way from random \
                actions (the first value of the reference's curves) to the paper's trees, the same for all. The reference is \
                the tree learner gbrl 1.1.9 in [a PPO loop of our own](../benches/compare/gbrl_ppo.py), since its loop is not \
                on PyPI: the settings of `paper`, our environments, stopped soon after the level. Means over seeds, of curves \
                of about 60 points, straight between them; the reference's last, where it was stopped, is nearer than its \
                others, which is in its favour. A run that never came there counts with all its steps, so that the mean is \
                less than the truth (>). Environments without a row were not measured.";
    let _ = write!(
        page,
        "\n## Sample efficiency\n\n{}\n\n\
         | PPO | level | gbrl 1.1.9 | `paper` | `default` | `default` ÷ gbrl 1.1.9 |\n|---|---|---|---|---|---|\n{rows}",
        wrapped(text)
    );
}

#[cfg(test)]
mod tests {
    use super::super::page::render;
    use super::super::{key, tests::cell};
    use super::*;

    fn run(algo: &str, preset: &str, seed: u64, curve: &[(u64, f64)]) -> (String, Cell) {
        let (algo_of, preset_of) = (algo.to_owned(), preset.to_owned());
        let cell = Cell { algo: algo_of, preset: preset_of, curve: curve.to_vec(), ..cell(seed, -250.0) };
        (key(algo, "Pendulum-v1", preset, seed), cell)
    }

    /// From −1246.89 the level is −296.89.
    const START: (u64, f64) = (4_000, -1246.89);

    #[test]
    fn the_reference_stands_beside_ours_and_in_no_other_table() {
        let ours = [
            run("ppo", "paper", 0, &[(100_000, -596.89), (200_000, 3.11)]),
            run("ppo", "default", 0, &[(50_000, -296.89), (60_000, -900.0), (100_000, -200.0)]),
        ];
        let before = render(&ours.clone().into(), &Paper::read().unwrap());
        assert!(!before.contains("Sample efficiency") && !before.contains("gbrl 1.1.9"));
        let theirs = [
            run(reference::NAME, "paper", 0, &[START, (100_000, -496.89), (200_000, -96.89)]),
            run(reference::NAME, "paper", 1, &[START, (250_000, -296.89)]),
        ];
        let page = render(&ours.into_iter().chain(theirs).collect(), &Paper::read().unwrap());
        let row = "| Pendulum-v1 | -296.89 | 200k (2 seeds) | 150k (1 seed) | 50k (1 seed) | 0.25 |";
        assert!(page.contains(row), "{page}");
        assert_eq!(page.matches("| gbrl-1.1.9 |").count(), 2, "every run lists them: {page}");
        let others = |page: &str| {
            let kept = |part: &&str| !part.starts_with("Sample efficiency") && !part.starts_with("Every run");
            page.split("\n## ").filter(kept).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(others(&page), others(&before));
    }

    #[test]
    fn who_never_comes_there_counts_with_all_steps_and_says_so() {
        let there: &[(u64, f64)] = &[START, (100_000, -296.89)];
        let never: &[(u64, f64)] = &[START, (300_000, -900.0)];
        let row = |theirs: &[&[(u64, f64)]], ours: &[&[(u64, f64)]]| {
            let theirs = theirs.iter().enumerate().map(|(i, curve)| run(reference::NAME, "paper", i as u64, curve));
            let ours = ours.iter().enumerate().map(|(i, curve)| run("ppo", "default", i as u64, curve));
            let page = render(&theirs.chain(ours).collect(), &Paper::read().unwrap());
            page.lines().find(|line| line.starts_with("| Pendulum-v1 | -296.89")).unwrap().to_owned()
        };
        assert!(row(&[there, never], &[there]).ends_with("| > 200k (1 of 2 seeds) | – | 100k (1 seed) | < 0.50 |"));
        assert!(row(&[there], &[there, never]).ends_with("| 100k (1 seed) | – | > 200k (1 of 2 seeds) | > 2.00 |"));
        assert!(row(&[never], &[never]).ends_with("| > 300k (0 of 1 seeds) | – | > 300k (0 of 1 seeds) | – |"));
        assert!(row(&[there], &[]).ends_with("| 100k (1 seed) | – | – | – |"));
    }

    #[test]
    fn a_curve_that_begins_above_the_level_is_there_at_its_first_point() {
        assert_eq!(first_at(&[(10, 5.0), (20, 6.0)], 4.0), Some(10.0));
        assert_eq!(first_at(&[(10, 1.0), (20, 3.0), (30, 1.0)], 2.0), Some(15.0));
        assert_eq!(first_at(&[(10, 1.0)], 2.0), None);
        assert_eq!(Steps::to(0.0, &[]), None);
    }
}
