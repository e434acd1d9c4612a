//! curve.svg: the return against steps.

use plotters::prelude::*;

use crate::failure::Failure;
use crate::text::thousands;

/// What the learning curve shows.
pub struct Curve {
    pub title: String,
    /// Steps and mean return of the last `mean_window` episodes.
    pub mean: Vec<(f64, f64)>,
    pub mean_window: usize,
    /// Steps and the returns that a tenth of the last `band_window` episodes stayed below.
    pub low: Vec<(f64, f64)>,
    /// Steps and the returns that a tenth of them went beyond.
    pub high: Vec<(f64, f64)>,
    pub band_window: usize,
    /// Steps and mean return of evaluations.
    pub evaluations: Vec<(f64, f64)>,
}

const SIZE: (u32, u32) = (900, 520);
const INK: RGBColor = RGBColor(55, 60, 70);
const GRID: RGBColor = RGBColor(228, 231, 236);
const LINE: RGBColor = RGBColor(31, 119, 180);
const MARK: RGBColor = RGBColor(214, 96, 40);
const FONT: &str = "Helvetica, Arial, sans-serif";

impl Curve {
    /// The picture as SVG.
    pub fn to_svg(&self) -> Result<String, Failure> {
        let mut svg = String::new();
        self.draw(&mut svg).map_err(|error| Failure::new(format!("curve.svg: {error}")))?;
        Ok(svg)
    }

    fn draw(&self, svg: &mut String) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        let (x_max, low, high) = self.ranges();
        let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, (FONT, 22).into_font().color(&INK))
            .margin_top(14)
            .margin_right(34)
            .margin_bottom(10)
            .margin_left(14)
            .x_label_area_size(48)
            .y_label_area_size(66)
            .build_cartesian_2d(0.0..x_max, low..high)?;
        chart
            .configure_mesh()
            .x_desc("environment steps")
            .y_desc("return of an episode")
            .x_labels(6)
            .y_labels(7)
            .x_label_formatter(&|x| thousands(*x))
            .y_label_formatter(&|y| thousands(*y))
            .axis_style(INK.mix(0.5))
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .label_style((FONT, 14).into_font().color(&INK))
            .axis_desc_style((FONT, 15).into_font().color(&INK))
            .draw()?;
        let band: Vec<(f64, f64)> = self.low.iter().chain(self.high.iter().rev()).copied().collect();
        if band.len() > 2 {
            chart
                .draw_series(std::iter::once(Polygon::new(band, LINE.mix(0.14))))?
                .label(format!("middle 80 % of the last {} episodes", thousands(self.band_window as f64)))
                .legend(|(x, y)| Rectangle::new([(x, y - 5), (x + 22, y + 5)], LINE.mix(0.14).filled()));
        }
        chart
            .draw_series(LineSeries::new(self.mean.iter().copied(), LINE.stroke_width(2)))?
            .label(format!("mean of the last {} episodes", thousands(self.mean_window as f64)))
            .legend(|(x, y)| PathElement::new([(x, y), (x + 22, y)], LINE.stroke_width(2)));
        if !self.evaluations.is_empty() {
            chart
                .draw_series(self.evaluations.iter().map(|&at| Circle::new(at, 5, MARK.filled())))?
                .label("evaluation")
                .legend(|(x, y)| Circle::new((x + 11, y), 5, MARK.filled()));
        }
        chart
            .configure_series_labels()
            .position(self.emptiest_corner(x_max, low, high))
            .margin(12)
            .legend_area_size(30)
            .background_style(WHITE.mix(0.85))
            .border_style(GRID)
            .label_font((FONT, 14).into_font().color(&INK))
            .draw()?;
        area.present()
    }

    /// The last step, and the lowest and highest return with a margin.
    fn ranges(&self) -> (f64, f64, f64) {
        let all = || self.mean.iter().chain(&self.low).chain(&self.high).chain(&self.evaluations);
        let x_max = all().map(|at| at.0).fold(1.0, f64::max);
        let low = all().map(|at| at.1).fold(f64::INFINITY, f64::min);
        let high = all().map(|at| at.1).fold(f64::NEG_INFINITY, f64::max);
        if low > high {
            return (x_max, 0.0, 1.0);
        }
        let margin = if high > low { 0.06 * (high - low) } else { 0.06 * high.abs().max(1.0) };
        (x_max, low - margin, high + margin)
    }

    /// The corner of the chart that the line stays out of most: the legend's place.
    fn emptiest_corner(&self, x_max: f64, low: f64, high: f64) -> SeriesLabelPosition {
        let inside = |right: bool, upper: bool| {
            let in_corner = |&&(x, y): &&(f64, f64)| {
                let (x, y) = (x / x_max, (y - low) / (high - low));
                let across = if right { x > 0.6 } else { x < 0.4 };
                let along = if upper { y > 0.7 } else { y < 0.3 };
                across && along
            };
            self.mean.iter().chain(&self.low).chain(&self.high).chain(&self.evaluations).filter(in_corner).count()
        };
        let corners = [
            (inside(true, false), SeriesLabelPosition::LowerRight),
            (inside(false, true), SeriesLabelPosition::UpperLeft),
            (inside(true, true), SeriesLabelPosition::UpperRight),
            (inside(false, false), SeriesLabelPosition::LowerLeft),
        ];
        corners.into_iter().min_by_key(|(points, _)| *points).map_or(SeriesLabelPosition::LowerRight, |(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(mean: Vec<(f64, f64)>) -> Curve {
        let (low, high) = (mean.clone(), mean.clone());
        let evaluations = vec![(10.0, 3.0)];
        Curve { title: "T".into(), mean, mean_window: 20, low, high, band_window: 100, evaluations }
    }

    #[test]
    fn no_episode_and_one_value_can_be_drawn() {
        for points in [Vec::new(), vec![(5.0, 0.0)], vec![(5.0, -1e9), (6.0, -1e9)]] {
            let svg = curve(points).to_svg().unwrap();
            assert!(svg.contains("environment steps") && svg.contains("mean of the last 20 episodes"));
            assert!(svg.trim_end().ends_with("</svg>"));
        }
    }
}
