//! Each evaluator returns what Spark's returns for the same frame. Spark itself computes what is
//! expected, in one local process for all cases.

#[path = "common/spark.rs"]
mod spark;

use std::{fs, process::Command};

use mnist_support::evaluate::{
    BinaryClassificationEvaluator, BinaryMetric, Metric, MulticlassClassificationEvaluator,
    MultilabelClassificationEvaluator, MultilabelMetric, RegressionEvaluator, RegressionMetric,
};
use polars::prelude::*;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// The largest difference from Spark's value, relative to values above 1.
const TOLERANCE: f64 = 1e-9;

/// An evaluation by this crate that Spark is to repeat.
struct Case {
    /// The class in pyspark.ml.evaluation.
    evaluator: &'static str,
    params: Value,
    columns: Columns,
    found: f64,
    is_larger_better: bool,
}

/// The columns of a frame: numbers, or lists.
type Columns = Vec<(&'static str, Vec<Value>)>;

fn frame(columns: &Columns) -> DataFrame {
    let numbers = |values: &[Value]| -> Vec<f64> {
        let numbers = values.iter().map(|value| value.as_f64().unwrap());
        numbers.collect()
    };
    let series = columns.iter().map(|(name, values)| {
        let series = if values[0].is_array() {
            let lists = values.iter().map(|list| {
                let list = numbers(list.as_array().unwrap());
                Some(Series::from_vec("".into(), list))
            });
            lists.collect::<ListChunked>().into_series()
        } else {
            Series::from_vec("".into(), numbers(values))
        };
        series.with_name((*name).into()).into_column()
    });
    DataFrame::new_infer_height(series.collect()).unwrap()
}

fn column(values: impl IntoIterator<Item = impl Into<Value>>) -> Vec<Value> {
    values.into_iter().map(Into::into).collect()
}

/// Weights for `rows` rows, a few of them large.
fn weights(rows: usize, random: &mut impl Rng) -> Vec<Value> {
    column((0..rows).map(|_| random.random_range(0.01..1.0_f64).powi(-1) * 0.3))
}

/// Returns Spark's answers to the cases; `None` without Java.
fn spark_answers(cases: &[Case]) -> Option<Vec<Value>> {
    let java = spark::java()?;
    let folder = tempfile::tempdir().unwrap();
    let (questions, answers) = (
        folder.path().join("cases.json"),
        folder.path().join("results.json"),
    );
    let asked = cases.iter().map(|case| {
        let columns: serde_json::Map<String, Value> = case
            .columns
            .iter()
            .map(|(name, values)| ((*name).to_owned(), values.clone().into()))
            .collect();
        json!({"evaluator": case.evaluator, "params": case.params, "columns": columns})
    });
    let asked: Vec<Value> = asked.collect();
    fs::write(&questions, serde_json::to_vec(&asked).unwrap()).unwrap();
    let run = Command::new(spark::pyspark())
        .arg("tests/fixtures/evaluators.py")
        .args([&questions, &answers])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("JAVA_HOME", java)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "Spark failed: {said}");
    Some(serde_json::from_slice(&fs::read(&answers).unwrap()).unwrap())
}

/// Labels, predictions and probabilities.
fn classification(rows: usize, classes: usize, random: &mut impl Rng) -> Columns {
    // The last class is never a label, and the one before never a prediction.
    let labels: Vec<usize> = (0..rows)
        .map(|row| {
            if row == 0 {
                0
            } else {
                random.random_range(0..classes - 1)
            }
        })
        .collect();
    let predictions = labels.iter().map(|label| match random.random_range(0..3) {
        0 => *label,
        _ if classes > 2 => [0, 1, classes - 1][random.random_range(0..3)],
        _ => classes - 1,
    });
    let predictions: Vec<usize> = predictions.collect();
    let probabilities = (0..rows).map(|_| {
        let shares = (0..classes).map(|_| random.random_range(0.0..1.0_f64).powi(4));
        let mut shares: Vec<f64> = shares.collect();
        let all: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= all);
        // Certain rows, right or wrong.
        if random.random_range(0..20) == 0 {
            shares.fill(0.0);
            shares[0] = 1.0;
        }
        shares
    });
    let probabilities: Vec<Value> = column(probabilities);
    vec![
        ("label", column(labels)),
        ("prediction", column(predictions)),
        ("probability", probabilities),
    ]
}

fn multiclass_cases(cases: &mut Vec<Case>, random: &mut impl Rng) {
    for (rows, classes, weighted) in [
        (1, 2, false),
        (7, 3, true),
        (500, 10, false),
        (500, 4, true),
    ] {
        let mut columns = classification(rows, classes, random);
        if weighted {
            columns.push(("weight", weights(rows, random)));
        }
        for metric in Metric::ALL {
            let mut evaluator = MulticlassClassificationEvaluator::new()
                .metric_name(metric)
                .beta(0.5)
                .eps(1e-6);
            let mut params = json!({
                "metricName": metric.to_string(), "metricLabel": 0.0, "beta": 0.5, "eps": 1e-6,
            });
            if weighted {
                evaluator = evaluator.weight_col("weight");
                params["weightCol"] = "weight".into();
            }
            cases.push(Case {
                evaluator: "MulticlassClassificationEvaluator",
                params,
                found: evaluator.evaluate(&frame(&columns)).unwrap(),
                is_larger_better: evaluator.is_larger_better(),
                columns: columns.clone(),
            });
        }
    }
}

fn binary_frames(random: &mut impl Rng) -> Vec<Columns> {
    let mut frames: Vec<Columns> = Vec::new();
    for (rows, ties) in [
        (2, false),
        (50, true),
        (999, false),
        (2500, false),
        (2500, true),
    ] {
        let labels: Vec<usize> = (0..rows)
            .map(|row| {
                if row < 2 {
                    row
                } else {
                    random.random_range(0..2)
                }
            })
            .collect();
        let scores = labels.iter().map(|label| {
            let score = random.random_range(-1.0..1.0_f64) + *label as f64 * 0.4;
            if ties {
                (score * 10.0).round() / 10.0
            } else {
                score
            }
        });
        let scores: Vec<f64> = scores.map(|score| score + 0.0).collect();
        let vectors = scores.iter().map(|score| json!([-score, score])).collect();
        let weights = weights(rows, random);
        let labels = column(labels);
        frames.push(vec![
            ("label", labels.clone()),
            ("rawPrediction", column(scores)),
        ]);
        frames.push(vec![
            ("label", labels),
            ("rawPrediction", vectors),
            ("weight", weights),
        ]);
    }
    for label in [0, 1] {
        let scores = column([0.25, 0.5, 0.5]);
        frames.push(vec![
            ("label", column([label; 3])),
            ("rawPrediction", scores),
        ]);
    }
    // What weighs nothing is a point of the curve, too.
    frames.push(vec![
        ("label", column([0, 1, 0, 1])),
        ("rawPrediction", column([0.9, 0.8, 0.7, 0.6])),
        ("weight", column([0.0, 1.0, 2.0, 3.0])),
    ]);
    frames
}

fn binary_cases(cases: &mut Vec<Case>, random: &mut impl Rng) {
    for columns in binary_frames(random) {
        for (metric, num_bins) in [
            (BinaryMetric::AreaUnderROC, 1000),
            (BinaryMetric::AreaUnderPR, 1000),
            (BinaryMetric::AreaUnderROC, 0),
            (BinaryMetric::AreaUnderPR, 7),
        ] {
            let mut evaluator = BinaryClassificationEvaluator::new()
                .metric_name(metric)
                .num_bins(num_bins);
            let mut params = json!({"metricName": metric.to_string(), "numBins": num_bins});
            if columns.len() == 3 {
                evaluator = evaluator.weight_col("weight");
                params["weightCol"] = "weight".into();
            }
            cases.push(Case {
                evaluator: "BinaryClassificationEvaluator",
                params,
                found: evaluator.evaluate(&frame(&columns)).unwrap(),
                is_larger_better: evaluator.is_larger_better(),
                columns: columns.clone(),
            });
        }
    }
}

fn regression_cases(cases: &mut Vec<Case>, random: &mut impl Rng) {
    for (rows, mean, weighted) in [
        (1, 3.0, false),
        (2, 0.0, true),
        (100, 50.0, true),
        // Far from 0, Spark loses digits of the explained variance.
        (1000, -100.0, false),
    ] {
        let labels: Vec<f64> = (0..rows)
            .map(|_| mean + random.random_range(-2.0..2.0_f64))
            .collect();
        let predictions = labels
            .iter()
            .map(|label| label + random.random_range(-1.0..1.5_f64));
        let predictions: Vec<f64> = predictions.collect();
        let mut columns = vec![
            ("label", column(labels)),
            ("prediction", column(predictions)),
        ];
        if weighted {
            columns.push(("weight", weights(rows, random)));
        }
        for (metric, through_origin) in [
            (RegressionMetric::Rmse, false),
            (RegressionMetric::Mse, false),
            (RegressionMetric::Mae, false),
            (RegressionMetric::R2, false),
            (RegressionMetric::R2, true),
            (RegressionMetric::Var, false),
        ] {
            let mut evaluator = RegressionEvaluator::new()
                .metric_name(metric)
                .through_origin(through_origin);
            let mut params =
                json!({"metricName": metric.to_string(), "throughOrigin": through_origin});
            if weighted {
                evaluator = evaluator.weight_col("weight");
                params["weightCol"] = "weight".into();
            }
            cases.push(Case {
                evaluator: "RegressionEvaluator",
                params,
                found: evaluator.evaluate(&frame(&columns)).unwrap(),
                is_larger_better: evaluator.is_larger_better(),
                columns: columns.clone(),
            });
        }
    }
}

fn multilabel_cases(cases: &mut Vec<Case>, random: &mut impl Rng) {
    for (rows, labels, empty) in [(2, 2, false), (300, 5, false), (40, 4, true)] {
        let mut ours = vec![("label", Vec::new()), ("prediction", Vec::new())];
        let mut sparks = ours.clone();
        for row in 0..rows {
            for (place, (ours, sparks)) in ours.iter_mut().zip(&mut sparks).enumerate() {
                let mut list: Vec<u8> = (0..labels).map(|_| random.random_range(0..2)).collect();
                if !empty && place == 0 || row == 0 {
                    list[0] = 1;
                }
                if empty && row == 1 {
                    list.fill(0);
                }
                let set = (0..labels).filter(|label| list[*label] == 1);
                sparks.1.push(column(set).into());
                ours.1.push(list.into());
            }
        }
        for metric in MultilabelMetric::ALL {
            let evaluator = MultilabelClassificationEvaluator::new().metric_name(metric);
            cases.push(Case {
                evaluator: "MultilabelClassificationEvaluator",
                params: json!({"metricName": metric.to_string(), "metricLabel": 0.0}),
                found: evaluator.evaluate(&frame(&ours)).unwrap(),
                is_larger_better: evaluator.is_larger_better(),
                columns: sparks.clone(),
            });
        }
    }
}

/// Whether two numbers are equal, infinities and NaN included.
fn near(found: f64, expected: f64) -> bool {
    (found.is_nan() && expected.is_nan())
        || found == expected
        || (found - expected).abs() <= TOLERANCE * expected.abs().max(1.0)
}

/// Spark's number, which is text where it is not finite.
fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some(text) => text.parse().unwrap(),
        None => value.as_f64().unwrap(),
    }
}

#[test]
fn every_metric_equals_sparks_on_the_same_frame() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut cases = Vec::new();
    multiclass_cases(&mut cases, &mut random);
    binary_cases(&mut cases, &mut random);
    regression_cases(&mut cases, &mut random);
    multilabel_cases(&mut cases, &mut random);
    let Some(answers) = spark_answers(&cases) else {
        return;
    };
    assert_eq!(answers.len(), cases.len());
    let mut wrong = Vec::new();
    for (case, answer) in cases.iter().zip(&answers) {
        let expected = number(&answer["value"]);
        let same_direction = answer["is_larger_better"] == case.is_larger_better;
        if !near(case.found, expected) || !same_direction {
            wrong.push(format!(
                "{} {}, {} rows: {}, Spark: {answer}",
                case.evaluator,
                case.params,
                case.columns[0].1.len(),
                case.found
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
