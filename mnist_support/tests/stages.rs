//! Each stage gives what Spark's gives for the same frame. Spark itself computes what is expected,
//! in one local process for all cases.

#[path = "common/spark.rs"]
mod spark;

use std::{fs, process::Command};

use mnist_support::{
    Layer, Network,
    engine::Threads,
    lake::{Credentials, Lake},
    ml::{
        Bucketizer, HandleInvalid, Imputer, ImputerStrategy, IndexToString, MaxAbsScaler,
        MinMaxScaler, Normalizer, OneHotEncoder, Pipeline, PipelineModel, QuantileDiscretizer,
        RobustScaler, Stage, StandardScaler, StringIndexer, StringOrderType, TorchEstimator,
        VectorAssembler,
    },
    train::Silent,
};
use polars::prelude::*;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

/// The largest difference from Spark's value, relative to values above 1.
const TOLERANCE: f64 = 1e-9;

/// The handling of invalid values, in both languages.
const INVALID: [(HandleInvalid, &str); 3] = [
    (HandleInvalid::Error, "error"),
    (HandleInvalid::Skip, "skip"),
    (HandleInvalid::Keep, "keep"),
];

/// A column: its name, its type in Spark, and its values. Numbers that JSON lacks are text.
type Columns = Vec<(&'static str, &'static str, Vec<Value>)>;

/// A pipeline that Spark is to repeat: stages, with their class and settings in Spark.
struct Case {
    /// The frame that the stages are fitted to, and the one that they transform.
    frame: &'static str,
    apply: &'static str,
    stages: Vec<(Stage, &'static str, Value)>,
    columns: Vec<&'static str>,
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.parse().unwrap()),
        value => Some(value.as_f64().unwrap()),
    }
}

fn frame(columns: &Columns) -> DataFrame {
    let series = columns.iter().map(|(name, kind, values)| {
        let numbers = values.iter();
        let name = PlSmallStr::from_str(name);
        match *kind {
            "string" => {
                let texts: Vec<Option<&str>> = values.iter().map(Value::as_str).collect();
                Series::new(name, texts)
            }
            "boolean" => {
                let flags: Vec<Option<bool>> = values.iter().map(Value::as_bool).collect();
                Series::new(name, flags)
            }
            "vector" => {
                let lists = numbers.map(|list| {
                    let list = list.as_array().unwrap().iter().map(|v| number(v).unwrap());
                    Some(Series::from_vec("".into(), list.collect::<Vec<f64>>()))
                });
                let lists: ListChunked = lists.collect();
                lists.into_series().with_name(name)
            }
            kind => {
                let numbers: Vec<Option<f64>> = numbers.map(number).collect();
                let dtype = match kind {
                    "double" => DataType::Float64,
                    "float" => DataType::Float32,
                    "int" => DataType::Int32,
                    "long" => DataType::Int64,
                    other => panic!("{other}"),
                };
                Series::new(name, numbers).cast(&dtype).unwrap()
            }
        }
    });
    DataFrame::new_infer_height(series.map(Series::into_column).collect()).unwrap()
}

/// A random frame with words, nulls, NaN and ties.
fn random_frame(rows: usize, random: &mut impl Rng) -> Columns {
    let words = ["b", "a", "B", "-", "ä", "a b", "z", "\u{1F600}", "\u{FFFD}"];
    let mut column = |of: &mut dyn FnMut(&mut dyn Rng) -> Value| -> Vec<Value> {
        (0..rows).map(|_| of(random)).collect()
    };
    let word = column(&mut |random| match random.random_range(0..8) {
        0 => Value::Null,
        _ => words[random.random_range(0..words.len())].into(),
    });
    let hole = column(&mut |random| match random.random_range(0..8) {
        0 => Value::Null,
        1 => "NaN".into(),
        2..5 => f64::from(random.random_range(-3..3)).into(),
        _ => random.random_range(-10.0..10.0_f64).into(),
    });
    let holes = column(&mut |random| match random.random_range(0..4) {
        0 => Value::Null,
        _ => random.random_range(-9..9).into(),
    });
    vec![
        ("word", "string", word),
        ("hole", "double", hole),
        ("holes", "int", holes),
        (
            "a",
            "double",
            column(&mut |r| r.random_range(-1.0..1e3_f64).into()),
        ),
        ("b", "long", column(&mut |r| r.random_range(-5..6).into())),
        // Seconds since 1970.
        (
            "time",
            "long",
            column(&mut |r| r.random_range(1_700_000_000_i64..1_700_000_100).into()),
        ),
        (
            "flag",
            "boolean",
            column(&mut |r| r.random_range(0..2).eq(&0).into()),
        ),
        (
            "small",
            "float",
            column(&mut |r| f64::from(r.random_range(-8..8)).into()),
        ),
        (
            "category",
            "int",
            column(&mut |r| r.random_range(0..5).into()),
        ),
        ("same", "double", column(&mut |_| 7.5.into())),
        (
            "vector",
            "vector",
            column(&mut |r| json!([r.random_range(-1.0..1.0_f64), 0.0, r.random_range(0..3)])),
        ),
    ]
}

fn frames() -> Vec<(&'static str, Columns)> {
    let mut random = ChaCha8Rng::seed_from_u64(13);
    let train = random_frame(300, &mut random);
    let mut test = random_frame(40, &mut random);
    let clean: Columns = train
        .iter()
        .filter(|(_, _, values)| !values.iter().any(|v| v.is_null() || v == "NaN"))
        .cloned()
        .collect();
    let words = test.iter_mut().find(|(name, ..)| *name == "word").unwrap();
    words.2[3] = "never seen".into();
    let categories = test.iter_mut().find(|(name, ..)| *name == "category");
    categories.unwrap().2[5] = 9.into();
    vec![("train", train), ("test", test), ("clean", clean)]
}

fn assembler() -> (Stage, &'static str, Value) {
    let columns = ["a", "b", "time", "flag", "small", "same", "vector"];
    (
        VectorAssembler::new().input_cols(columns).into(),
        "VectorAssembler",
        json!({"inputCols": columns, "outputCol": "features"}),
    )
}

/// A stage after the assembler, on frames without holes.
fn on_vectors(stage: impl Into<Stage>, class: &'static str, mut params: Value) -> Case {
    params["inputCol"] = "features".into();
    params["outputCol"] = "out".into();
    Case {
        frame: "clean",
        apply: "clean",
        stages: vec![assembler(), (stage.into(), class, params)],
        columns: vec!["features", "out"],
    }
}

fn on(
    [frame, apply]: [&'static str; 2],
    stage: impl Into<Stage>,
    class: &'static str,
    params: Value,
    columns: &[&'static str],
) -> Case {
    Case {
        frame,
        apply,
        stages: vec![(stage.into(), class, params)],
        columns: columns.to_vec(),
    }
}

fn string_indexer_cases(cases: &mut Vec<Case>) {
    for (order, name) in [
        (StringOrderType::FrequencyDesc, "frequencyDesc"),
        (StringOrderType::FrequencyAsc, "frequencyAsc"),
        (StringOrderType::AlphabetDesc, "alphabetDesc"),
        (StringOrderType::AlphabetAsc, "alphabetAsc"),
    ] {
        for (invalid, invalid_name) in INVALID {
            for apply in ["train", "test"] {
                let indexer = StringIndexer::new()
                    .string_order_type(order)
                    .handle_invalid(invalid)
                    .input_cols(["word", "hole", "small", "b"])
                    .output_cols(["w", "h", "s", "l"]);
                cases.push(on(
                    ["train", apply],
                    indexer,
                    "StringIndexer",
                    json!({
                        "stringOrderType": name, "handleInvalid": invalid_name,
                        "inputCols": ["word", "hole", "small", "b"],
                        "outputCols": ["w", "h", "s", "l"],
                    }),
                    &["w", "h", "s", "l", "a"],
                ));
            }
        }
    }
    for (invalid, name) in [INVALID[1], INVALID[2]] {
        cases.push(Case {
            frame: "train",
            apply: "test",
            stages: vec![
                (
                    StringIndexer::new()
                        .input_col("word")
                        .output_col("index")
                        .handle_invalid(invalid)
                        .into(),
                    "StringIndexer",
                    json!({"inputCol": "word", "outputCol": "index", "handleInvalid": name}),
                ),
                (
                    IndexToString::new()
                        .input_col("index")
                        .output_col("back")
                        .into(),
                    "IndexToString",
                    json!({"inputCol": "index", "outputCol": "back"}),
                ),
                (
                    OneHotEncoder::new()
                        .input_col("index")
                        .output_col("hot")
                        .into(),
                    "OneHotEncoder",
                    json!({"inputCol": "index", "outputCol": "hot"}),
                ),
            ],
            columns: vec!["index", "back", "hot"],
        });
    }
    cases.push(on(
        ["clean", "clean"],
        IndexToString::new()
            .input_col("category")
            .output_col("out")
            .labels(["v", "w", "x", "y", "z"]),
        "IndexToString",
        json!({
            "inputCol": "category", "outputCol": "out", "labels": ["v", "w", "x", "y", "z"],
        }),
        &["out"],
    ));
}

fn encoder_cases(cases: &mut Vec<Case>) {
    for drop_last in [true, false] {
        for (invalid, name) in [INVALID[0], INVALID[2]] {
            for apply in ["train", "test"] {
                let encoder = OneHotEncoder::new()
                    .drop_last(drop_last)
                    .handle_invalid(invalid)
                    .input_cols(["category"])
                    .output_cols(["out"]);
                cases.push(on(
                    ["train", apply],
                    encoder,
                    "OneHotEncoder",
                    json!({
                        "dropLast": drop_last, "handleInvalid": name,
                        "inputCols": ["category"], "outputCols": ["out"],
                    }),
                    &["out"],
                ));
            }
        }
    }
}

fn imputer_cases(cases: &mut Vec<Case>) {
    for (strategy, name) in [
        (ImputerStrategy::Mean, "mean"),
        (ImputerStrategy::Median, "median"),
        (ImputerStrategy::Mode, "mode"),
    ] {
        for missing in [f64::NAN, -1.0] {
            let imputer = Imputer::new()
                .strategy(strategy)
                .missing_value(missing)
                .input_cols(["hole", "holes", "small", "b"])
                .output_cols(["h", "i", "s", "l"]);
            let written = if missing.is_nan() {
                json!("NaN")
            } else {
                json!(missing)
            };
            cases.push(on(
                ["train", "test"],
                imputer,
                "Imputer",
                json!({
                    "strategy": name, "missingValue": written,
                    "inputCols": ["hole", "holes", "small", "b"],
                    "outputCols": ["h", "i", "s", "l"],
                }),
                &["h", "i", "s", "l"],
            ));
        }
    }
}

fn scaler_cases(cases: &mut Vec<Case>) {
    cases.push(on_vectors(
        MaxAbsScaler::new().output_col("out"),
        "MaxAbsScaler",
        json!({}),
    ));
    for (min, max) in [(0.0, 1.0), (-3.0, 0.7)] {
        let scaler = MinMaxScaler::new().min(min).max(max).output_col("out");
        cases.push(on_vectors(
            scaler,
            "MinMaxScaler",
            json!({"min": min, "max": max}),
        ));
    }
    for (with_mean, with_std) in [(false, true), (true, true), (true, false)] {
        let scaler = StandardScaler::new()
            .with_mean(with_mean)
            .with_std(with_std);
        let params = json!({"withMean": with_mean, "withStd": with_std});
        cases.push(on_vectors(
            scaler.output_col("out"),
            "StandardScaler",
            params,
        ));
    }
    for (lower, upper, centering, scaling) in [
        (0.25, 0.75, false, true),
        (0.25, 0.75, true, true),
        (0.0999, 0.92, true, false),
        (0.3, 0.4, true, true),
    ] {
        let scaler = RobustScaler::new()
            .lower(lower)
            .upper(upper)
            .with_centering(centering)
            .with_scaling(scaling)
            .output_col("out");
        let params = json!({
            "lower": lower, "upper": upper, "withCentering": centering, "withScaling": scaling,
        });
        cases.push(on_vectors(scaler, "RobustScaler", params));
    }
    for p in [1.0, 2.0, 3.5, f64::INFINITY] {
        let normalizer = Normalizer::new().p(p).output_col("out");
        let written = if p.is_finite() {
            json!(p)
        } else {
            json!("Infinity")
        };
        cases.push(on_vectors(normalizer, "Normalizer", json!({"p": written})));
    }
}

fn bucket_cases(cases: &mut Vec<Case>) {
    for (invalid, name) in INVALID {
        let splits = [f64::NEG_INFINITY, -2.0, 0.0, 0.5, f64::INFINITY];
        let bucketizer = Bucketizer::new()
            .input_col("hole")
            .output_col("out")
            .handle_invalid(invalid)
            .splits(splits);
        cases.push(on(
            ["train", "train"],
            bucketizer,
            "Bucketizer",
            json!({
                "inputCol": "hole", "outputCol": "out", "handleInvalid": name,
                "splits": ["-Infinity", -2.0, 0.0, 0.5, "Infinity"],
            }),
            &["out", "a"],
        ));
        let several = Bucketizer::new()
            .input_cols(["b", "holes"])
            .output_cols(["x", "y"])
            .handle_invalid(invalid)
            .splits_array([vec![-5.0, 0.0, 5.0], vec![-9.0, 3.0, 8.0, 100.0]]);
        cases.push(on(
            ["train", "train"],
            several,
            "Bucketizer",
            json!({
                "inputCols": ["b", "holes"], "outputCols": ["x", "y"], "handleInvalid": name,
                "splitsArray": [[-5.0, 0.0, 5.0], [-9.0, 3.0, 8.0, 100.0]],
            }),
            &["x", "y"],
        ));
        for buckets in [2, 3, 10] {
            let discretizer = QuantileDiscretizer::new()
                .input_cols(["hole", "holes"])
                .output_cols(["x", "y"])
                .handle_invalid(invalid)
                .num_buckets(buckets);
            cases.push(on(
                ["train", "test"],
                discretizer,
                "QuantileDiscretizer",
                json!({
                    "inputCols": ["hole", "holes"], "outputCols": ["x", "y"],
                    "handleInvalid": name, "numBuckets": buckets,
                }),
                &["x", "y"],
            ));
        }
    }
}

fn assembler_cases(cases: &mut Vec<Case>) {
    for (invalid, name) in INVALID {
        for columns in [
            &["a", "flag", "vector"][..],
            &["hole", "vector", "holes", "small"],
        ] {
            let assembler = VectorAssembler::new()
                .input_cols(columns.to_vec())
                .handle_invalid(invalid)
                .output_col("out");
            cases.push(on(
                ["train", "train"],
                assembler,
                "VectorAssembler",
                json!({"inputCols": columns, "outputCol": "out", "handleInvalid": name}),
                &["out", "a"],
            ));
        }
    }
}

/// Spark's answers to the cases; `None` without Java.
fn spark_answers(frames: &[(&'static str, Columns)], cases: &[Case]) -> Option<Vec<Value>> {
    let java = spark::java()?;
    let folder = tempfile::tempdir().unwrap();
    let (questions, answers) = (
        folder.path().join("cases.json"),
        folder.path().join("results.json"),
    );
    let frames: Map<String, Value> = frames
        .iter()
        .map(|(name, columns)| {
            let columns = columns.iter().map(|(name, kind, values)| {
                ((*name).to_owned(), json!({"type": kind, "values": values}))
            });
            (
                (*name).to_owned(),
                columns.collect::<Map<String, Value>>().into(),
            )
        })
        .collect();
    let asked = cases.iter().map(|case| {
        let stages = case
            .stages
            .iter()
            .map(|(_, class, params)| json!([class, params]));
        let stages: Vec<Value> = stages.collect();
        json!({
            "frame": case.frame, "apply": case.apply, "stages": stages, "columns": case.columns,
        })
    });
    let asked: Vec<Value> = asked.collect();
    let asked = json!({"frames": frames, "cases": asked});
    fs::write(&questions, serde_json::to_vec(&asked).unwrap()).unwrap();
    let run = Command::new(spark::python())
        .arg("tests/fixtures/stages.py")
        .args([&questions, &answers])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("JAVA_HOME", java)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "Spark failed: {said}");
    Some(serde_json::from_slice(&fs::read(&answers).unwrap()).unwrap())
}

fn written(value: AnyValue<'_>) -> Value {
    match value {
        AnyValue::Null => Value::Null,
        AnyValue::String(text) => text.into(),
        AnyValue::StringOwned(text) => text.as_str().into(),
        AnyValue::List(list) => list.iter().map(written).collect(),
        value => {
            let number: f64 = value.try_extract().unwrap();
            match number.is_finite() {
                true => number.into(),
                false if number.is_nan() => "NaN".into(),
                false => format!("{}Infinity", if number < 0.0 { "-" } else { "" }).into(),
            }
        }
    }
}

/// What this crate gives for a case: columns of values.
fn answer(frames: &[(&'static str, Columns)], case: &Case) -> Result<Vec<Vec<Value>>, String> {
    let of_name = |wanted| {
        let (_, columns) = frames.iter().find(|(name, _)| *name == wanted).unwrap();
        frame(columns)
    };
    let mut pipeline = Pipeline::new();
    for (stage, ..) in &case.stages {
        pipeline = pipeline.stage(stage.clone());
    }
    let model = pipeline
        .fit_with(of_name(case.frame), &Threads, &Silent)
        .map_err(|error| error.to_string())?;
    let model = model.select(case.columns.iter().copied());
    let transformed = model.transform(of_name(case.apply));
    let transformed = transformed.map_err(|error| error.to_string())?;
    let columns = case.columns.iter().map(|name| {
        let column = transformed.column(name).unwrap().as_materialized_series();
        column.iter().map(written).collect()
    });
    Ok(columns.collect())
}

/// Whether two values are equal, numbers within the tolerance.
fn near(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len()
                && found
                    .iter()
                    .zip(expected)
                    .all(|(found, expected)| near(found, expected))
        }
        (Value::Number(found), Value::Number(expected)) => {
            let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
            (found - expected).abs() <= TOLERANCE * expected.abs().max(1.0)
        }
        (found, expected) => found == expected,
    }
}

/// The first difference from Spark's answer, if there is one.
fn difference(found: &Result<Vec<Vec<Value>>, String>, expected: &Value) -> Option<String> {
    let (found, expected) = match (found, expected.get("columns")) {
        (Err(_), None) => return None,
        (Ok(found), Some(expected)) => (found, expected.as_array().unwrap()),
        (Err(error), Some(_)) => return Some(format!("{error}; Spark has no error")),
        // Spark does not look at the vectors for their width.
        (Ok(_), None) if expected["error"].to_string().contains("VectorSizeHint") => return None,
        (Ok(_), None) => return Some(format!("no error; Spark: {expected}")),
    };
    for (column, (found, expected)) in found.iter().zip(expected).enumerate() {
        let expected = expected.as_array().unwrap();
        if found.len() != expected.len() {
            let rows = (found.len(), expected.len());
            return Some(format!("{} rows, Spark: {}", rows.0, rows.1));
        }
        let mut pairs = found.iter().zip(expected).enumerate();
        if let Some((row, (found, expected))) = pairs.find(|(_, (a, b))| !near(a, b)) {
            return Some(format!(
                "column {column}, row {row}: {found}, Spark: {expected}"
            ));
        }
    }
    None
}

#[test]
fn every_stage_gives_what_sparks_gives_for_the_same_frame() {
    let frames = frames();
    let mut cases = Vec::new();
    string_indexer_cases(&mut cases);
    encoder_cases(&mut cases);
    imputer_cases(&mut cases);
    scaler_cases(&mut cases);
    bucket_cases(&mut cases);
    assembler_cases(&mut cases);
    let Some(answers) = spark_answers(&frames, &cases) else {
        return;
    };
    assert_eq!(answers.len(), cases.len());
    let mut wrong = Vec::new();
    for (case, expected) in cases.iter().zip(&answers) {
        if let Some(difference) = difference(&answer(&frames, case), expected) {
            let stages = case
                .stages
                .iter()
                .map(|(_, class, params)| format!("{class} {params}"));
            let stages: Vec<String> = stages.collect();
            let (frame, apply) = (case.frame, case.apply);
            wrong.push(format!(
                "{} on {frame}, {apply}: {difference}",
                stages.join(", ")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let refused = answers
        .iter()
        .filter(|answer| answer.get("error").is_some());
    assert!(
        refused.count() < cases.len() / 4,
        "too many cases are errors in Spark"
    );
}

/// Flowers as people write them down: the species as a word, holes, another word, a time.
fn flowers() -> DataFrame {
    let species = ["setosa", "versicolor", "virginica"];
    let rows = 0..90_usize;
    let of = |row: usize| row % 3;
    df!(
        "length" => rows.clone().map(|row| (row % 7 > 0).then_some(2.0 * of(row) as f64 + 0.01 * row as f64)).collect::<Vec<_>>(),
        "colour" => rows.clone().map(|row| ["blue", "white", "red"][of(row)]).collect::<Vec<_>>(),
        "time" => rows.clone().map(|row| 1_700_000_000 + row as i64).collect::<Vec<_>>(),
        "species" => rows.map(|row| species[of(row)]).collect::<Vec<_>>(),
    )
    .unwrap()
}

fn of_flowers() -> Pipeline {
    let network = Network::new(&[4], vec![Layer::linear(4, 3)]).unwrap();
    Pipeline::new()
        .stage(
            StringIndexer::new()
                .input_cols(["species", "colour"])
                .output_cols(["label", "index"]),
        )
        .stage(OneHotEncoder::new().input_col("index").output_col("hot"))
        .stage(Imputer::new().input_col("length").output_col("known"))
        .stage(VectorAssembler::new().input_cols(["known", "hot", "time"]))
        .stage(MinMaxScaler::new())
        .stage(
            TorchEstimator::new(network)
                .features_col("scaledFeatures")
                .iterations(300)
                .learning_rate(0.1)
                .partitions(3),
        )
        .stage(
            IndexToString::new()
                .input_col("prediction")
                .output_col("predicted"),
        )
}

#[test]
fn words_go_in_and_words_come_out_and_a_saved_pipeline_gives_the_same() {
    let frame = flowers();
    let model = of_flowers().fit_with(&frame, &Threads, &Silent).unwrap();
    let unlabelled = frame.drop("species").unwrap();
    let predicted = model.transform(&unlabelled).unwrap();
    let words = |column: &Column| -> Vec<String> {
        let texts = column.str().unwrap().iter();
        texts.map(|text| text.unwrap().to_owned()).collect()
    };
    let right = words(frame.column("species").unwrap());
    let found = words(predicted.column("predicted").unwrap());
    let wrong = right
        .iter()
        .zip(&found)
        .filter(|(right, found)| right != found);
    assert!(wrong.count() < 5, "{found:?}");
    let folder = tempfile::tempdir().unwrap();
    let folder = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
    model.save(&folder).unwrap();
    let loaded = PipelineModel::load(&folder).unwrap();
    assert_eq!(loaded.transform(&unlabelled).unwrap(), predicted);
}

#[test]
fn ranks_whose_rows_are_all_left_out_train_along_and_no_rows_at_all_are_an_error() {
    let network = Network::new(&[1], vec![Layer::linear(1, 2)]).unwrap();
    let pipeline = Pipeline::new()
        .stage(
            VectorAssembler::new()
                .input_cols(["x"])
                .handle_invalid(HandleInvalid::Skip),
        )
        .stage(StandardScaler::new().with_mean(true))
        .stage(
            TorchEstimator::new(network)
                .features_col("scaledFeatures")
                .iterations(5)
                .mini_batch(2)
                .partitions(3),
        );
    let labels = [0, 1, 0, 1, 0, 1];
    let holes = df!("x" => [None, None, Some(1.0), Some(2.0), None, None], "label" => labels);
    let holes = holes.unwrap();
    let model = pipeline.fit_with(&holes, &Threads, &Silent).unwrap();
    assert_eq!(model.report().unwrap().training_rows, 2);
    assert_eq!(model.transform(&holes).unwrap().height(), 2);
    let nothing = df!("x" => [None::<f64>; 6], "label" => labels).unwrap();
    let error = pipeline.fit_with(&nothing, &Threads, &Silent).unwrap_err();
    assert!(error.to_string().contains("at least one row"), "{error}");
    assert_eq!(model.transform(&nothing).unwrap().height(), 0);
}
