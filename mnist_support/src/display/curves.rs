//! Losses over the course of a training.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;
use super::picture::{FAINT, FONT, INK, Picture};
use super::ticks;
use crate::{Error, Result};

const NAME: &str = "the loss curves";
/// Pixels.
const SIZE: (u32, u32) = (720, 380);
/// Curves of at most this many points show each of them.
const MARKED_POINTS: usize = 40;

const TRAINING: RGBColor = RGBColor(66, 133, 190);
const VALIDATION: RGBColor = RGBColor(217, 95, 14);

/// The training and the validation loss as curves over `x_label`, such as "iteration" or "epoch". Points
/// are `(x, loss)`, in the order of x; either curve may be empty.
///
/// The loss axis is logarithmic where the losses span a factor of ten. The legend names the lowest
/// validation loss, which a ring marks. Points that are not finite leave a gap.
///
/// # Errors
/// [`Error::Drawing`] if there is no point with finite numbers.
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
    let finite = || {
        training
            .iter()
            .chain(validation)
            .filter(|point| drawn(point))
    };
    let (x_low, x_high) = span(finite().map(|point| point.0));
    let (y_low, y_high) = span(finite().map(|point| point.1));
    if x_low > x_high {
        return Err(Error::Drawing {
            picture: NAME,
            reason: "there is no point to draw".into(),
        });
    }
    let lowest = validation
        .iter()
        .filter(|point| drawn(point))
        .min_by(|one, other| one.1.total_cmp(&other.1));
    let validation_label = match lowest {
        Some((x, loss)) => {
            format!(
                "validation, lowest {loss:.4} at {x_label} {}",
                ticks::label(*x)
            )
        }
        None => "validation".to_owned(),
    };

    let picture = Picture::draw(NAME, SIZE, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(24)
            .x_label_area_size(80)
            .y_label_area_size(130)
            .build_cartesian_2d(
                Axis::of_steps(x_low, x_high),
                Axis::of_losses(y_low, y_high),
            )?;
        let centred = Pos::new(HPos::Center, VPos::Top);
        chart
            .configure_mesh()
            .bold_line_style(FAINT.stroke_width(2))
            .axis_style(RGBColor(150, 150, 150).stroke_width(2))
            .label_style((FONT, 32).into_font().color(&INK))
            .x_label_style((FONT, 32).into_font().color(&INK).pos(centred))
            .axis_desc_style((FONT, 36).into_font().color(&INK))
            .x_desc(x_label)
            .y_desc("loss")
            .x_label_formatter(&|x| ticks::label(*x))
            .y_label_formatter(&|loss| ticks::label(*loss))
            .draw()?;
        let curves = [
            (training, TRAINING, "training"),
            (validation, VALIDATION, validation_label.as_str()),
        ];
        for (points, colour, label) in curves {
            if !points.iter().any(drawn) {
                continue;
            }
            for (index, run) in points.split(|point| !drawn(point)).enumerate() {
                let line = LineSeries::new(run.iter().copied(), colour.stroke_width(4));
                let series = chart.draw_series(line)?;
                if index == 0 {
                    series.label(label).legend(move |(x, y)| {
                        PathElement::new([(x, y), (x + 44, y)], colour.stroke_width(6))
                    });
                }
            }
            if points.len() <= MARKED_POINTS {
                let marks = points.iter().copied().filter(drawn);
                chart.draw_series(marks.map(|at| Circle::new(at, 6, colour.filled())))?;
            }
        }
        if let Some(&at) = lowest {
            chart.draw_series([
                Circle::new(at, 12, WHITE.filled()),
                Circle::new(at, 12, VALIDATION.stroke_width(5)),
            ])?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .margin(16)
            .legend_area_size(60)
            .background_style(WHITE.mix(0.85))
            .border_style(FAINT.stroke_width(2))
            .label_font((FONT, 32).into_font().color(&INK))
            .draw()?;
        Ok(())
    })?;
    Ok(picture.describe(format!("loss curves; {validation_label}")))
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
    fn one_curve_or_one_point_is_enough() {
        let svg = loss_curves("epoch", &[(1.0, 0.5)], &[])
            .unwrap()
            .svg()
            .to_owned();
        assert!(svg.contains("\ntraining\n"), "{svg}");
        assert!(!svg.contains("validation"), "{svg}");
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
}
