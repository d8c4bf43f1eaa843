//! The curves of a binary classification, and the areas under them.

use super::BinaryMetric;

/// A row of a binary classification.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scored {
    /// Larger for rows that are more likely positive.
    pub score: f64,
    pub positive: bool,
    pub weight: f64,
}

/// The positive and the negative rows that have at least a certain score, by weight.
#[derive(Clone, Copy, Debug, Default)]
struct Above {
    positives: f64,
    negatives: f64,
}

/// Returns the area under a curve as SparkML computes it (`BinaryClassificationMetrics` of
/// spark.mllib): rows of equal score are one point of the curve. If there are at least twice
/// `num_bins` points, every so many of them are merged that about `num_bins` remain; 0 merges none.
/// Between the points, the curve is a straight line.
pub(super) fn area(metric: BinaryMetric, mut rows: Vec<Scored>, num_bins: usize) -> f64 {
    rows.sort_by(|a, b| b.score.total_cmp(&a.score));
    let points = merged(points(&rows), num_bins);
    let all = points.last().copied().unwrap_or_default();
    let ratio = |part: f64, whole: f64, otherwise: f64| {
        if whole == 0.0 {
            otherwise
        } else {
            part / whole
        }
    };
    let recall = |above: &Above| ratio(above.positives, all.positives, 0.0);
    match metric {
        BinaryMetric::AreaUnderROC => {
            let curve = points
                .iter()
                .map(|above| (ratio(above.negatives, all.negatives, 0.0), recall(above)));
            trapezoids((0.0, 0.0), curve.chain([(1.0, 1.0)]))
        }
        BinaryMetric::AreaUnderPR => {
            let precision =
                |above: &Above| ratio(above.positives, above.positives + above.negatives, 1.0);
            let first = points.first().map_or(1.0, precision);
            let curve = points.iter().map(|above| (recall(above), precision(above)));
            trapezoids((0.0, first), curve)
        }
    }
}

/// Counts the rows above each distinct score.
fn points(sorted: &[Scored]) -> Vec<Above> {
    let mut above = Above::default();
    let ties = sorted.chunk_by(|a, b| a.score == b.score);
    let count = |tie: &[Scored]| {
        for row in tie {
            if row.positive {
                above.positives += row.weight;
            } else {
                above.negatives += row.weight;
            }
        }
        above
    };
    ties.map(count).collect()
}

/// Keeps the last of each group of points.
fn merged(points: Vec<Above>, num_bins: usize) -> Vec<Above> {
    let group = points.len().checked_div(num_bins).unwrap_or(0);
    if group < 2 {
        return points;
    }
    let groups = points.chunks(group);
    groups.filter_map(|group| group.last().copied()).collect()
}

fn trapezoids(first: (f64, f64), others: impl Iterator<Item = (f64, f64)>) -> f64 {
    let mut last = first;
    let area = |point: (f64, f64)| {
        let area = (point.0 - last.0) * (point.1 + last.1) / 2.0;
        last = point;
        area
    };
    others.map(area).sum()
}
