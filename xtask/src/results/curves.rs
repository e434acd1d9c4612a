//! Learning curves of a suite: a panel per environment, the mean over seeds within a band of one standard deviation.

use std::fs;

use anyhow::{Context, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::page::{ALGORITHMS, picture, presets, unbounded};
use super::suite::{Paper, Suite};
use super::{Cell, Cells, mean_std};
use crate::workspace;

const PANEL: (u32, u32) = (420, 300);
const COLUMNS: usize = 3;
const INK: RGBColor = RGBColor(55, 60, 70);
const GRID: RGBColor = RGBColor(228, 231, 236);
const LINE: RGBColor = RGBColor(31, 119, 180);
const PAPER: RGBColor = RGBColor(214, 96, 40);
const FONT: &str = "Helvetica, Arial, sans-serif";

/// Writes every picture that there are curves for.
pub fn draw(cells: &Cells, paper: &Paper) -> Result<()> {
    let docs = workspace::root().join("docs");
    fs::create_dir_all(docs.join("curves")).context("docs/curves")?;
    for suite in Suite::ALL {
        for (algo, title) in ALGORITHMS {
            for preset in presets(cells, suite, algo) {
                let panels = panels(cells, paper, (suite, algo, &preset));
                if panels.is_empty() {
                    continue;
                }
                let title = format!("{}, {title}, preset {preset}", suite.title());
                let svg = svg(&title, &panels).map_err(|error| anyhow!("{title}: {error}"))?;
                let path = docs.join(picture(suite, algo, &preset));
                fs::write(&path, svg).with_context(|| path.display().to_string())?;
            }
        }
    }
    Ok(())
}

/// One environment.
struct Panel {
    title: String,
    /// Steps, mean and standard deviation over seeds.
    points: Vec<(f64, f64, f64)>,
    /// The paper's trees in the end.
    paper: Option<f64>,
}

fn panels(cells: &Cells, paper: &Paper, (suite, algo, preset): (Suite, &str, &str)) -> Vec<Panel> {
    let panel = |env: &str| {
        let runs: Vec<&Cell> = unbounded(cells, algo, env, preset).filter(|run| !run.curve.is_empty()).collect();
        let first = runs.first()?;
        let at = |steps: u64| {
            let values: Vec<f64> = runs.iter().map(|run| value_at(&run.curve, steps)).collect();
            let (mean, std) = mean_std(&values);
            let std = if values.len() > 1 { std } else { 0.0 };
            (steps as f64, mean, std)
        };
        let points = first.curve.iter().map(|&(steps, _)| at(steps)).collect();
        let title = format!("{env}, {} seed{}", runs.len(), if runs.len() == 1 { "" } else { "s" });
        Some(Panel { title, points, paper: paper.of(algo, env).trees.map(|(mean, _)| mean) })
    };
    suite.envs().iter().filter_map(|(env, _)| panel(env)).collect()
}

/// The curve's value at a step, in a straight line between its points.
fn value_at(curve: &[(u64, f64)], steps: u64) -> f64 {
    let after = curve.partition_point(|&(at, _)| at < steps);
    match (after.checked_sub(1).map(|i| curve[i]), curve.get(after)) {
        (Some((x0, y0)), Some(&(x1, y1))) => y0 + (y1 - y0) * (steps - x0) as f64 / (x1 - x0) as f64,
        (Some((_, y)), None) | (None, Some(&(_, y))) => y,
        (None, None) => f64::NAN,
    }
}

type Drawn = std::result::Result<(), DrawingAreaErrorKind<std::io::Error>>;

fn svg(title: &str, panels: &[Panel]) -> std::result::Result<String, DrawingAreaErrorKind<std::io::Error>> {
    let mut text = String::new();
    let columns = panels.len().min(COLUMNS);
    let rows = panels.len().div_ceil(columns);
    let size = (PANEL.0 * columns as u32, PANEL.1 * rows as u32 + 40);
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        area.fill(&WHITE)?;
        let area = area.titled(title, (FONT, 20).into_font().color(&INK))?;
        for (panel, area) in panels.iter().zip(area.split_evenly((rows, columns))) {
            draw_panel(panel, &area)?;
        }
        area.present()?;
    }
    Ok(text)
}

fn draw_panel(panel: &Panel, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Drawn {
    let ends = panel.points.iter().flat_map(|&(_, mean, std)| [mean - std, mean + std]).chain(panel.paper);
    let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| (low.min(y), high.max(y)));
    let margin = 0.06 * (high - low).max(1e-3);
    let x_max = panel.points.last().map_or(1.0, |point| point.0);
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, (FONT, 15).into_font().color(&INK))
        .margin(8)
        .margin_right(18)
        .x_label_area_size(30)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..x_max, low - margin..high + margin)?;
    chart
        .configure_mesh()
        .x_labels(5)
        .y_labels(6)
        .x_label_formatter(&|x| if x_max >= 1e6 { format!("{:.1}M", x / 1e6) } else { format!("{:.0}k", x / 1e3) })
        .axis_style(INK.mix(0.5))
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .label_style((FONT, 12).into_font().color(&INK))
        .draw()?;
    let upper = panel.points.iter().map(|&(x, mean, std)| (x, mean + std));
    let lower = panel.points.iter().rev().map(|&(x, mean, std)| (x, mean - std));
    chart.draw_series(std::iter::once(Polygon::new(upper.chain(lower).collect::<Vec<_>>(), LINE.mix(0.15))))?;
    if let Some(paper) = panel.paper {
        chart.draw_series(DashedLineSeries::new([(0.0, paper), (x_max, paper)], 6, 4, PAPER.stroke_width(1)))?;
    }
    chart.draw_series(LineSeries::new(panel.points.iter().map(|&(x, mean, _)| (x, mean)), LINE.stroke_width(2)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{key, tests::cell};
    use super::*;

    #[test]
    fn a_panel_is_the_mean_over_seeds() {
        let cells: Cells = [0, 1].map(|seed| (key("ppo", "Pendulum-v1", "paper", seed), cell(seed, 0.0))).into();
        let panels = panels(&cells, &Paper::read().unwrap(), (Suite::Classic, "ppo", "paper"));
        assert_eq!((panels.len(), panels[0].title.as_str()), (1, "Pendulum-v1, 2 seeds"));
        assert_eq!(panels[0].points, [(500.0, -900.0, 0.0), (1000.0, -300.0, 0.0)]);
        let svg = svg("T", &panels).unwrap();
        assert!(svg.contains("Pendulum-v1, 2 seeds") && svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn between_two_points_a_curve_is_straight() {
        let curve = [(10, 1.0), (20, 3.0)];
        assert_eq!([0, 10, 15, 20, 99].map(|steps| value_at(&curve, steps)), [1.0, 1.0, 2.0, 3.0, 3.0]);
    }
}
