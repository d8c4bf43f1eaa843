//! Losses and metrics over the course of training.

use std::fmt;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;
use super::picture::{Area, FAINT, FONT, INK, Picture, failed, fitting, text_style};
use super::ticks;
use crate::{Result, error::Cause};

const NAME: &str = "the loss curves";
/// In pixels.
const SIZE: (u32, u32) = (720, 380);
/// In units, two per pixel: the margin, the height of the legend, the width of the loss labels.
const MARGIN: i32 = 24;
const LEGEND_HEIGHT: i32 = 48;
const LOSS_LABELS: i32 = 130;
/// Curves with at most this many points mark each of them.
const MARKED_POINTS: usize = 40;

const TRAINING: RGBColor = RGBColor(66, 133, 190);
const VALIDATION: RGBColor = RGBColor(217, 95, 14);
/// Of metrics, in their order.
const COLOURS: [RGBColor; 4] = [
    VALIDATION,
    TRAINING,
    RGBColor(44, 140, 72),
    RGBColor(130, 90, 170),
];

/// Plots the training and validation losses over `x_label`, such as "iteration" or "epoch". Points
/// are `(x, loss)`, ordered by x. Either curve may be empty.
///
/// The loss axis is logarithmic if the losses span a factor of ten. The legend states the lowest
/// validation loss, which is marked with a ring. Points that are not finite leave a gap.
///
/// # Errors
/// [`Error::Drawing`](crate::Error::Drawing) if there is no finite point.
///
/// ```
/// use mnist_support::display::loss_curves;
///
/// # fn main() -> mnist_support::Result<()> {
/// let training = [(1.0, 0.90), (2.0, 0.30), (3.0, 0.10)];
/// let validation = [(1.0, 0.50), (2.0, 0.20), (3.0, 0.25)];
/// let picture = loss_curves("epoch", &training, &validation)?;
/// assert!(picture.svg().contains("lowest 0.2000 at epoch 2"));
/// # Ok(())
/// # }
/// ```
pub fn loss_curves(
    x_label: &str,
    training: &[(f64, f64)],
    validation: &[(f64, f64)],
) -> Result<Picture> {
    let lowest = validation
        .iter()
        .filter(|point| drawn(point))
        .min_by(|one, other| one.1.total_cmp(&other.1));
    let mut curves = Vec::new();
    if training.iter().any(drawn) {
        curves.push(Curve {
            points: training,
            colour: TRAINING,
            label: "training".to_owned(),
        });
    }
    if let Some((x, loss)) = lowest {
        let x = ticks::label(*x);
        curves.push(Curve {
            points: validation,
            colour: VALIDATION,
            label: format!("validation, lowest {loss:.4} at {x_label} {x}"),
        });
    }
    let picture = draw(NAME, [x_label, "loss"], &curves, lowest)?;
    let last = curves.last().map_or("", |curve| &curve.label);
    Ok(picture.describe(format!("loss curves; {last}")))
}

/// Plots metrics of the validation rows over `x_label`, such as "iteration". Each has a name and
/// its points `(x, value)`, as [`FitReport::metric`](crate::train::FitReport::metric) returns them.
///
/// The legend states the last value of each. Points that are not finite leave a gap.
///
/// # Errors
/// [`Error::Drawing`](crate::Error::Drawing) if there is no finite point.
///
/// ```
/// use mnist_support::{display::metric_curves, evaluate::Metric};
///
/// # fn main() -> mnist_support::Result<()> {
/// let accuracy = vec![(10.0, 0.81), (20.0, 0.93), (30.0, 0.95)];
/// let picture = metric_curves("iteration", &[(Metric::Accuracy, accuracy)])?;
/// assert!(picture.svg().contains("accuracy, 0.9500 at iteration 30"));
/// # Ok(())
/// # }
/// ```
pub fn metric_curves<N: fmt::Display>(
    x_label: &str,
    metrics: &[(N, Vec<(f64, f64)>)],
) -> Result<Picture> {
    let mut curves = Vec::new();
    for ((name, points), colour) in metrics.iter().zip(COLOURS.into_iter().cycle()) {
        if let Some((x, value)) = points.iter().rfind(|point| drawn(point)) {
            let x = ticks::label(*x);
            curves.push(Curve {
                points,
                colour,
                label: format!("{name}, {value:.4} at {x_label} {x}"),
            });
        }
    }
    let picture = draw("the metrics", [x_label, "metric"], &curves, None)?;
    let labels: Vec<&str> = curves.iter().map(|curve| curve.label.as_str()).collect();
    Ok(picture.describe(format!("metrics; {}", labels.join("; "))))
}

/// Draws curves over axes of these labels below a legend, with a ring around the point `marked`.
fn draw(
    name: &'static str,
    axes: [&str; 2],
    curves: &[Curve],
    marked: Option<&(f64, f64)>,
) -> Result<Picture> {
    if curves.is_empty() {
        return Err(failed(name, "there is no point to draw"));
    }
    Picture::draw(name, SIZE, |area| {
        let (legend, plot) = area.split_vertically(LEGEND_HEIGHT);
        draw_legend(&legend, curves)?;
        let mut chart = draw_axes(&plot, axes, curves)?;
        for curve in curves {
            curve.draw(&mut chart)?;
        }
        if let Some(&at) = marked {
            chart.draw_series([
                Circle::new(at, 12, WHITE.filled()),
                Circle::new(at, 12, VALIDATION.stroke_width(5)),
            ])?;
        }
        Ok(())
    })
}

/// Draws the legend in one line above the plot, where it does not cover the curves.
fn draw_legend(area: &Area, curves: &[Curve]) -> Result<(), Cause> {
    let (width, height) = area.dim_in_pixel();
    let (mut x, y) = (MARGIN + LOSS_LABELS, height as i32 - 12);
    for curve in curves {
        let line = [(x, y), (x + 44, y)];
        area.draw(&PathElement::new(line, curve.colour.stroke_width(6)))?;
        x += 60;
        let size = fitting(&curve.label, width as i32 - MARGIN - x, 32);
        area.draw_text(&curve.label, &text_style(size, &INK, HPos::Left), (x, y))?;
        x += 16 * curve.label.chars().count() as i32 + 40;
    }
    Ok(())
}

fn draw_axes<'a, 'b>(
    area: &Area<'b>,
    [x_label, y_label]: [&str; 2],
    curves: &[Curve],
) -> Result<Chart<'a, 'b>, Cause> {
    let points = || {
        let points = curves.iter().flat_map(|curve| curve.points);
        points.filter(|point| drawn(point))
    };
    let (x_low, x_high) = span(points().map(|point| point.0));
    let (y_low, y_high) = span(points().map(|point| point.1));
    let mut chart = ChartBuilder::on(area)
        .margin(MARGIN)
        .x_label_area_size(80)
        .y_label_area_size(LOSS_LABELS)
        .build_cartesian_2d(
            Axis::of_steps(x_low, x_high),
            Axis::of_losses(y_low, y_high),
        )?;
    let numbers = (FONT, 32).into_font().color(&INK);
    chart
        .configure_mesh()
        .bold_line_style(FAINT.stroke_width(2))
        .axis_style(RGBColor(150, 150, 150).stroke_width(2))
        .label_style(numbers.clone())
        .x_label_style(numbers.pos(Pos::new(HPos::Center, VPos::Top)))
        .axis_desc_style((FONT, 36).into_font().color(&INK))
        .x_desc(x_label)
        .y_desc(y_label)
        .x_label_formatter(&|x| ticks::label(*x))
        .y_label_formatter(&|loss| ticks::label(*loss))
        .draw()?;
    Ok(chart)
}

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

struct Curve<'a> {
    points: &'a [(f64, f64)],
    colour: RGBColor,
    label: String,
}

impl Curve<'_> {
    fn draw(&self, chart: &mut Chart) -> Result<(), Cause> {
        for run in self.points.split(|point| !drawn(point)) {
            let line = LineSeries::new(run.iter().copied(), self.colour.stroke_width(4));
            chart.draw_series(line)?;
        }
        if self.points.len() <= MARKED_POINTS {
            let marks = self.points.iter().copied().filter(drawn);
            chart.draw_series(marks.map(|at| Circle::new(at, 6, self.colour.filled())))?;
        }
        Ok(())
    }
}

fn drawn(point: &(f64, f64)) -> bool {
    point.0.is_finite() && point.1.is_finite()
}

fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn both_curves_are_drawn_and_the_lowest_validation_loss_is_named() {
        let training: Vec<_> = (1..=150).map(|x| (x as f64, 2.0 / x as f64)).collect();
        let validation = [(50.0, 0.5), (100.0, 0.25), (150.0, 0.3)];
        let svg = loss_curves("iteration", &training, &validation)
            .unwrap()
            .svg()
            .to_owned();
        assert!(svg.contains("lowest 0.2500 at iteration 100"), "{svg}");
        assert!(svg.contains("\ntraining\n"), "{svg}");
    }

    #[test]
    fn the_legend_stands_above_every_curve() {
        let (falling, rising) = ([(1.0, 9.0), (2.0, 1.0)], [(1.0, 1.0), (2.0, 9.0)]);
        let picture = loss_curves("epoch", &falling, &rising).unwrap();
        // The lines in the legend are thicker than the curves.
        let heights = |width: u32| {
            let lines = picture.svg().split("<polyline").skip(1);
            let lines = lines.filter_map(move |line| {
                let (_, points) =
                    line.split_once(&format!("stroke-width=\"{width}\" points=\""))?;
                points.split('"').next()
            });
            let points = lines.flat_map(str::split_whitespace);
            points.map(|point| point.split_once(',').unwrap().1.parse::<i32>().unwrap())
        };
        let (legend, curves) = (heights(6).max().unwrap(), heights(4).min().unwrap());
        assert!(legend + 32 < curves, "{legend} {curves}");
    }

    #[test]
    fn one_curve_or_one_point_is_enough() {
        let picture = loss_curves("epoch", &[(1.0, 0.5)], &[]).unwrap();
        assert!(picture.svg().contains("\ntraining\n"), "{picture:?}");
        assert!(!picture.svg().contains("validation"), "{picture:?}");
        assert!(
            !format!("{picture:?}").contains("validation"),
            "{picture:?}"
        );
    }

    #[test]
    fn points_that_are_not_finite_leave_a_gap() {
        let training = [(1.0, 0.5), (2.0, f64::NAN), (3.0, 0.4), (4.0, 0.3)];
        let svg = loss_curves("epoch", &training, &[])
            .unwrap()
            .svg()
            .to_owned();
        assert!(!svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn no_points_at_all_are_refused() {
        for points in [&[][..], &[(1.0, f64::INFINITY)]] {
            let error = loss_curves("epoch", points, &[]).unwrap_err();
            assert!(matches!(error, Error::Drawing { .. }), "{error}");
        }
    }

    #[test]
    fn each_metric_has_a_curve_and_its_last_value_in_the_legend() {
        let rising = vec![(1.0, -0.5), (2.0, 0.25), (3.0, f64::NAN)];
        let metrics = [("r2", rising), ("nothing", vec![(1.0, f64::NAN)])];
        let picture = metric_curves("iteration", &metrics).unwrap();
        assert!(
            picture.svg().contains("r2, 0.2500 at iteration 2"),
            "{picture:?}"
        );
        assert!(!picture.svg().contains("nothing"), "{picture:?}");
        let error = metric_curves("iteration", &metrics[1..]).unwrap_err();
        assert!(matches!(error, Error::Drawing { .. }), "{error}");
    }
}
