//! docs/results.md, from the cells alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::suite::{Paper, Published, Suite};
use super::{Cell, Cells, bound, key, mean_std, median, samples};

/// The algorithms, in the order of the page.
pub const ALGORITHMS: [(&str, &str); 3] = [("ppo", "PPO"), ("a2c", "A2C"), ("awr", "AWR")];

/// The page's text.
pub fn render(cells: &Cells, paper: &Paper) -> String {
    let seconds = match cells.values().any(|cell| cell.cpu_s.is_some()) {
        true => {
            "CPU seconds are user and system time of the whole program, evaluation included, the median over seeds; \
             where a run of a table has none, seconds are wall time on a machine that others were using."
        }
        false => {
            "seconds are of the whole program, evaluation included, on a machine that others were using, the median \
             over seeds."
        }
    };
    let intro = format!(
        "Written by `cargo xtask results` from docs/results.json; do not edit. The mean return of the last 100 training \
         episodes (sampled actions, raw rewards), mean ± standard deviation over seeds 0, 1, …; the paper's columns (5 \
         seeds) are from arXiv 2407.08250v2, where LunarLander is version 2. Runs take one thread; {seconds} \
         \"95 % after\" is the step at which the curve first stood at 95 % of the way from its first point to its last, a \
         curve having about 60. LunarLander is Gymnasium's, the others are ours. What was tried besides is in \
         [experiments.md](experiments.md).",
    );
    let mut page = format!("# Results\n\n{}\n", wrapped(&intro));
    overview(&mut page, cells, paper);
    samples::section(&mut page, cells, paper);
    for suite in Suite::ALL {
        for (algo, title) in ALGORITHMS {
            for preset in presets(cells, suite, algo) {
                table(&mut page, cells, paper, (suite, algo, title, &preset));
            }
        }
    }
    bounded(&mut page, cells);
    let all = Seconds::of(cells.values());
    let _ = writeln!(
        page,
        "\n## Every run\n\n| algorithm | environment | preset | seed | steps | last 100 episodes | evaluation | trees | {} |\n|---|---|---|---|---|---|---|---|---|",
        all.title()
    );
    for c in cells.values() {
        let preset = c.max_trees.map_or(c.preset.clone(), |(trees, _)| format!("{}, max_trees={trees}", c.preset));
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {:.*} | {} | {} | {:.1} |",
            c.algo,
            c.env,
            preset,
            c.seed,
            c.steps,
            digits(c.train_return_mean),
            c.train_return_mean,
            shown(Some((c.eval_return_mean, c.eval_return_std))),
            c.n_trees,
            all.spent(c)
        );
    }
    page
}

/// A paragraph in lines of at most 120 characters.
pub fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= 120 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

/// Which time a table shows.
#[derive(Clone, Copy)]
enum Seconds {
    /// Of processors, where every run has them.
    Cpu,
    Wall,
}

impl Seconds {
    fn of<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Self {
        if cells.into_iter().all(|cell| cell.cpu_s.is_some()) { Seconds::Cpu } else { Seconds::Wall }
    }

    fn title(self) -> &'static str {
        match self {
            Seconds::Cpu => "CPU seconds",
            Seconds::Wall => "seconds",
        }
    }

    fn spent(self, cell: &Cell) -> f64 {
        match self {
            Seconds::Cpu => cell.cpu_s.unwrap_or(f64::NAN),
            Seconds::Wall => cell.wall_s,
        }
    }
}

/// A table of every algorithm: each environment once, each preset a column.
fn overview(page: &mut String, cells: &Cells, paper: &Paper) {
    *page += "\n## At a glance\n\nFive seeds if nothing else is said. In **bold**: at least the better of the paper's two columns, by three seeds or more.\n";
    for (algo, title) in ALGORITHMS {
        let mut presets: Vec<String> = Suite::ALL.iter().flat_map(|suite| presets(cells, *suite, algo)).collect();
        presets.sort();
        presets.dedup();
        if presets.is_empty() {
            continue;
        }
        let names: String = presets.iter().map(|preset| format!(" `{preset}` |")).collect();
        let _ = writeln!(page, "\n| {title} |{names} paper, trees | paper, networks |");
        let _ = writeln!(page, "|---|{}---|---|", "---|".repeat(presets.len()));
        for (env, _) in Suite::ALL.iter().flat_map(|suite| suite.envs()) {
            let reached = paper.of(algo, env);
            let best = [reached.trees, reached.networks].into_iter().flatten().map(|(mean, _)| mean).reduce(f64::max);
            let mut row = String::new();
            let mut ran = false;
            for preset in &presets {
                let returns: Vec<f64> = unbounded(cells, algo, env, preset).map(|c| c.train_return_mean).collect();
                ran |= !returns.is_empty();
                let own = (!returns.is_empty()).then(|| mean_std(&returns));
                let seeds = match returns.len() {
                    0 | 5 => String::new(),
                    1 => " (1 seed)".to_owned(),
                    n => format!(" ({n} seeds)"),
                };
                // The paper's have two decimals.
                let hundredths = |x: f64| (x * 100.0).round();
                let reaches = own.zip(best).is_some_and(|((mean, _), best)| hundredths(mean) >= hundredths(best));
                let wins = reaches && returns.len() >= 3;
                let own = if wins { format!("**{}**", shown(own)) } else { shown(own) };
                let _ = write!(row, " {own}{seeds} |");
            }
            if ran {
                let (trees, networks) = (published(reached.trees), published(reached.networks));
                let _ = writeln!(page, "| {env} |{row} {trees} | {networks} |");
            }
        }
    }
}

/// The runs of a cell whose ensembles had no bound.
pub fn unbounded<'a>(cells: &'a Cells, algo: &str, env: &str, preset: &str) -> impl Iterator<Item = &'a Cell> {
    cells.values().filter(move |c| c.algo == algo && c.env == env && c.preset == preset && c.max_trees.is_none())
}

/// Presets of which there are runs, the paper's first.
pub fn presets(cells: &Cells, suite: Suite, algo: &str) -> Vec<String> {
    let own = |cell: &&Cell| cell.algo == algo && suite.envs().iter().any(|(id, _)| *id == cell.env);
    let mut presets: Vec<String> = cells.values().filter(own).map(|cell| cell.preset.clone()).collect();
    presets.sort_by(|a, b| b.cmp(a));
    presets.dedup();
    presets
}

/// The name of a suite's picture.
pub fn picture(suite: Suite, algo: &str, preset: &str) -> String {
    format!("curves/{}-{algo}-{preset}.svg", suite.word())
}

fn table(page: &mut String, cells: &Cells, paper: &Paper, (suite, algo, title, preset): (Suite, &str, &str, &str)) {
    let _ = writeln!(page, "\n## {}, {title}, preset `{preset}`\n", suite.title());
    let seconds = Seconds::of(suite.envs().iter().flat_map(|(env, _)| unbounded(cells, algo, env, preset)));
    let _ = writeln!(
        page,
        "| environment | seeds | steps | ours | paper, trees | paper, networks | evaluation (100 episodes) | 95 % after | trees | {} | peak MB |",
        seconds.title()
    );
    *page += "|---|---|---|---|---|---|---|---|---|---|---|\n";
    let mut has_curve = false;
    for (env, _) in suite.envs() {
        let runs: Vec<&Cell> = unbounded(cells, algo, env, preset).collect();
        let Some(first) = runs.first() else { continue };
        has_curve |= runs.iter().any(|c| !c.curve.is_empty());
        let of = |f: fn(&Cell) -> f64| mean_std(&runs.iter().map(|c| f(c)).collect::<Vec<_>>());
        let reached = paper.of(algo, env);
        let peaks: Vec<f64> = runs.iter().filter_map(|c| c.peak_rss_mb).collect();
        let peak = if peaks.is_empty() { "–".to_owned() } else { format!("{:.0}", mean_std(&peaks).0) };
        let _ = writeln!(
            page,
            "| {env} | {} | {} | {} | {} | {} | {} | {} | {:.0} | {:.1} | {peak} |",
            runs.len(),
            first.steps,
            shown(Some(of(|c| c.train_return_mean))),
            published(reached.trees),
            published(reached.networks),
            shown(Some(of(|c| c.eval_return_mean))),
            steps_to_95(&runs),
            of(|c| c.n_trees as f64).0,
            median(&runs.iter().map(|c| seconds.spent(c)).collect::<Vec<_>>()),
        );
    }
    if has_curve {
        let _ = writeln!(page, "\n![learning curves]({})", picture(suite, algo, preset));
    }
}

/// After how many steps a run's curve first stood at 95 % of the way from its first point to its last, the mean over runs.
fn steps_to_95(runs: &[&Cell]) -> String {
    let first = |run: &&Cell| {
        let ((_, start), (_, end)) = (*run.curve.first()?, *run.curve.last()?);
        let there = |y: f64| (end - start) * (y - (start + 0.95 * (end - start))) >= 0.0;
        run.curve.iter().find(|(_, y)| there(*y)).map(|(steps, _)| *steps as f64)
    };
    let steps: Option<Vec<f64>> = runs.iter().map(first).collect();
    steps.map_or("–".to_owned(), |steps| format!("{:.0}k", mean_std(&steps).0 / 1e3))
}

/// Bounded runs and their unbounded twins.
type Pairs<'a> = Vec<(&'a Cell, &'a Cell)>;

/// Bounded ensembles beside the same seeds without a bound.
fn bounded(page: &mut String, cells: &Cells) {
    let mut pairs: BTreeMap<([&str; 3], String), Pairs<'_>> = BTreeMap::new();
    for cell in cells.values() {
        let Some((_, share)) = cell.max_trees else { continue };
        // No twin where the unbounded run was trained again since: of another preset, or to another number of trees.
        let is_twin = |free: &&Cell| cell.is_of(&free.preset_sha256) && cell.max_trees == Some(bound(free, share));
        let free = cells.get(&key(&cell.algo, &cell.env, &cell.preset, cell.seed));
        let Some(free) = free.filter(is_twin) else { continue };
        let place = [cell.algo.as_str(), &cell.preset, &cell.env];
        pairs.entry((place, format!("{} %", share * 100.0))).or_default().push((cell, free));
    }
    if pairs.is_empty() {
        return;
    }
    let seconds = Seconds::of(pairs.values().flatten().flat_map(|&(own, free)| [own, free]));
    let _ = writeln!(
        page,
        "\n## Bounded ensembles\n\n\
              `max_trees` as a share of the trees that the same run without it grew. The standard error is of the difference of\n\
              the two means.\n\n\
              | algorithm | preset | environment | seeds | bound | trees in the end | bounded | unbounded | difference | standard error | {} | unbounded |\n\
              |---|---|---|---|---|---|---|---|---|---|---|---|",
        seconds.title()
    );
    for (([algo, preset, env], share), runs) in pairs {
        let of = |f: fn(&(&Cell, &Cell)) -> f64| mean_std(&runs.iter().map(f).collect::<Vec<_>>());
        let (own, free) = (of(|run| run.0.train_return_mean), of(|run| run.1.train_return_mean));
        let error = ((own.1 * own.1 + free.1 * free.1) / runs.len() as f64).sqrt();
        let _ = writeln!(
            page,
            "| {algo} | {preset} | {env} | {} | {share} | {:.0} of {:.0} | {} | {} | {:+.2} | {error:.2} | {:.1} | {:.1} |",
            runs.len(),
            of(|run| run.0.n_trees as f64).0,
            of(|run| run.1.n_trees as f64).0,
            shown(Some(own)),
            shown(Some(free)),
            own.0 - free.0,
            median(&runs.iter().map(|run| seconds.spent(run.0)).collect::<Vec<_>>()),
            median(&runs.iter().map(|run| seconds.spent(run.1)).collect::<Vec<_>>()),
        );
    }
}

fn shown(value: Option<Published>) -> String {
    value.map_or("–".to_owned(), |(mean, std)| {
        let digits = digits(mean);
        if std.is_nan() { format!("{mean:.digits$}") } else { format!("{mean:.digits$} ± {std:.digits$}") }
    })
}

/// As in the paper.
fn published(value: Option<Published>) -> String {
    value.map_or("–".to_owned(), |(mean, std)| format!("{mean:.2} ± {std:.2}"))
}

/// Decimals: two, or three where returns are of the size of 1.
pub fn digits(mean: f64) -> usize {
    if mean.abs() < 2.0 { 3 } else { 2 }
}

#[cfg(test)]
mod tests {
    use super::super::{bounded_key, tests::cell};
    use super::*;

    #[test]
    fn a_bounded_run_stands_beside_its_unbounded_twin_and_nowhere_else() {
        let mut cells = Cells::new();
        for seed in 0..2 {
            let free = key("ppo", "Pendulum-v1", "paper", seed);
            cells.insert(bounded_key(&free, 0.1), Cell { max_trees: Some((1, 0.1)), n_trees: 1, ..cell(seed, -250.0) });
            cells.insert(free, cell(seed, -240.0 - 20.0 * seed as f64));
        }
        let page = render(&cells, &Paper::read().unwrap());
        assert!(page.contains("| Pendulum-v1 | 2 | 1000 | -250.00 ± 14.14 |"), "{page}");
        let row =
            "| ppo | paper | Pendulum-v1 | 2 | 10 % | 1 of 7 | -250.00 ± 0.00 | -250.00 ± 14.14 | +0.00 | 10.00 |";
        assert!(page.contains(row) && page.contains("| paper, max_trees=1 | 1 |"), "{page}");

        let free = key("ppo", "Pendulum-v1", "paper", 0);
        cells.insert(free, Cell { n_trees: 70, ..cell(0, -240.0) });
        let page = render(&cells, &Paper::read().unwrap());
        assert!(page.contains("| ppo | paper | Pendulum-v1 | 1 | 10 % | 1 of 7 |"), "a bound of other trees: {page}");

        let free = key("ppo", "Pendulum-v1", "paper", 1);
        for (key, preset) in [(bounded_key(&free, 0.1), "old"), (free, "new")] {
            cells.get_mut(&key).unwrap().preset_sha256 = preset.into();
        }
        assert!(!render(&cells, &Paper::read().unwrap()).contains("## Bounded"), "of another preset");
    }

    #[test]
    fn paragraphs_are_wrapped_between_words() {
        let (long, longer) = ("a".repeat(59), "ä".repeat(60));
        assert_eq!(wrapped(&format!("{long} {longer} b")), format!("{long} {longer}\nb"));
        assert_eq!(wrapped(&format!("{} b", "a".repeat(130))), format!("{}\nb", "a".repeat(130)));
    }

    #[test]
    fn processor_time_is_shown_where_every_run_has_it() {
        let run = |preset: &str, seed, cpu_s| {
            let cell = Cell { preset: preset.into(), cpu_s, ..cell(seed, -250.0) };
            (key("ppo", "Pendulum-v1", preset, seed), cell)
        };
        let runs = [run("default", 0, Some(1.5)), run("paper", 0, Some(1.25)), run("paper", 1, None)];
        let page = |runs: &[(String, Cell)]| render(&runs.iter().cloned().collect(), &Paper::read().unwrap());
        let mixed = page(&runs);
        let table = |page: &str, preset: &str| {
            let table = page.split(&format!("preset `{preset}`\n")).nth(1).unwrap().trim_start();
            table
                .lines()
                .take(3)
                .map(|line| line.split(" | ").nth(9).unwrap_or_default().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(table(&mixed, "default"), ["CPU seconds", "", "1.5"]);
        assert_eq!(table(&mixed, "paper"), ["seconds", "", "2.0"]);
        assert!(mixed.contains("| evaluation | trees | seconds |") && mixed.contains("thread; CPU seconds are"));
        let old = page(&runs[2..]);
        assert!(!old.contains("CPU") && old.contains("Runs take one thread; seconds are of"));
        let new = page(&runs[..2]);
        assert_eq!(table(&new, "paper"), ["CPU seconds", "", "1.2"]);
        assert!(new.contains("| evaluation | trees | CPU seconds |") && !new.contains("| seconds |"));
    }

    #[test]
    fn the_page_is_of_the_cells() {
        let docs = crate::workspace::root().join("docs");
        let read = |name| std::fs::read_to_string(docs.join(name)).unwrap();
        let cells: Cells = serde_json::from_str(&read("results.json")).unwrap();
        let page = render(&cells, &Paper::read().unwrap());
        assert!(page == read("results.md"), "docs/results.md: run cargo xtask results --render-only");
    }

    #[test]
    fn a_curve_is_there_when_it_has_come_19_of_20_parts_of_its_way() {
        let run = |curve: &[(u64, f64)]| Cell { curve: curve.to_vec(), ..cell(0, 0.0) };
        let rising = run(&[(1000, -200.0), (2000, -106.0), (3000, -104.0), (4000, -100.0)]);
        let falling = run(&[(1000, 10.0), (5000, 0.0)]);
        assert_eq!(steps_to_95(&[&rising]), "3k");
        assert_eq!(steps_to_95(&[&rising, &falling]), "4k");
        assert_eq!(steps_to_95(&[&run(&[])]), "–");
    }

    #[test]
    fn at_a_glance_what_reaches_the_better_column_is_bold() {
        let run = |(preset, seed, mean): (&str, u64, f64)| {
            (key("ppo", "Pendulum-v1", preset, seed), Cell { preset: preset.into(), ..cell(seed, mean) })
        };
        let runs = [("default", 0, -245.0), ("default", 1, -246.0), ("default", 2, -247.0), ("paper", 0, -240.0)];
        let page = render(&runs.map(run).into(), &Paper::read().unwrap());
        let row = "| Pendulum-v1 | **-246.00 ± 1.00** (3 seeds) | -240.00 (1 seed) | -246.89 ± 20.61 |";
        assert!(page.contains("| PPO | `default` | `paper` | paper, trees |") && page.contains(row), "{page}");
    }

    #[test]
    fn a_page_has_a_row_for_each_environment_that_ran() {
        let cells: Cells = [0, 1]
            .map(|seed| (key("ppo", "Pendulum-v1", "paper", seed), cell(seed, -250.0 + 20.0 * seed as f64)))
            .into();
        let page = render(&cells, &Paper::read().unwrap());
        assert!(page.contains("| Pendulum-v1 | 2 | 1000 | -240.00 ± 14.14 | -246.89 ± 20.61 |"), "{page}");
        assert!(!page.contains("Acrobot") && !page.contains("A2C,") && page.contains("curves/classic-ppo-paper.svg"));
    }
}
