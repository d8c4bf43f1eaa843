//! The table of names in the documentation says what the code does. With `MNIST_WRITE_NAMES=1` the
//! test writes it.

use std::{
    fmt::{Debug, Display},
    fs,
    path::Path,
};

use mnist_support::evaluate::{BinaryMetric, Metric, MultilabelMetric, RegressionMetric};

fn source(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(path)).unwrap()
}

/// The variants of an enum in a source file, each with its documentation.
fn variants(path: &str, name: &str) -> Vec<(String, String)> {
    let source = source(path);
    let (_, body) = source.split_once(&format!("pub enum {name} {{\n")).unwrap();
    let (mut variants, mut docs) = (Vec::new(), String::new());
    for line in body.lines().take_while(|line| *line != "}") {
        let text = line.trim();
        if let Some(doc) = text.strip_prefix("/// ") {
            docs += doc;
            docs.push(' ');
        } else if line.starts_with("    ") && !line.starts_with("     ") {
            let variant: String = text
                .chars()
                .take_while(char::is_ascii_alphanumeric)
                .collect();
            if !variant.is_empty() {
                variants.push((variant, docs.clone()));
            }
            if !text.starts_with('#') {
                docs.clear();
            }
        }
    }
    variants
}

/// PyTorch's names in the documentation of variants: the first words in backticks.
fn of_torch(path: &str, name: &str) -> Vec<[String; 2]> {
    let variants = variants(path, name).into_iter();
    variants
        .flat_map(|(variant, docs)| {
            let torch: Vec<String> = docs
                .split('`')
                .filter(|word| word.starts_with("torch."))
                .map(str::to_owned)
                .collect();
            let here = format!("`{name}::{variant}`");
            torch
                .into_iter()
                .map(move |torch| [format!("`{torch}`"), here.clone()])
        })
        .collect()
}

/// SparkML's names of metrics, which they print.
fn of_spark<M: Display + Debug>(evaluator: &str, name: &str, metrics: &[M]) -> Vec<[String; 2]> {
    let rows = metrics.iter();
    rows.map(|metric| {
        [
            format!("{evaluator}, `{metric}`"),
            format!("`{name}::{metric:?}`"),
        ]
    })
    .collect()
}

fn table(title: &str, head: [&str; 2], mut rows: Vec<[String; 2]>) -> String {
    rows.sort();
    let mut text = format!("\n# {title}\n\n| {} | {} |\n|---|---|\n", head[0], head[1]);
    for [theirs, ours] in rows {
        text += &format!("| {theirs} | {ours} |\n");
    }
    text
}

fn names() -> String {
    // Layers that PyTorch has no module for: programs there write them as functions.
    let layers = variants("network/layers/mod.rs", "Layer").into_iter();
    let layers = layers.map(|(layer, _)| {
        let torch = match layer.as_str() {
            "Residual" => "`x + layers(x)`".to_owned(),
            "Parallel" => "`torch.cat([a(x), b(x)], 1)`, `a(x) + b(x)`".to_owned(),
            _ => format!("`torch.nn.{layer}`"),
        };
        [torch, format!("`Layer::{layer}`")]
    });
    let mut metrics = of_spark("MulticlassClassificationEvaluator", "Metric", &Metric::ALL);
    metrics.extend(of_spark(
        "MultilabelClassificationEvaluator",
        "MultilabelMetric",
        &MultilabelMetric::ALL,
    ));
    metrics.extend(of_spark(
        "RegressionEvaluator",
        "RegressionMetric",
        &RegressionMetric::ALL,
    ));
    let binary = [BinaryMetric::AreaUnderROC, BinaryMetric::AreaUnderPR];
    metrics.extend(of_spark(
        "BinaryClassificationEvaluator",
        "BinaryMetric",
        &binary,
    ));
    // SparkML has no stage that trains a network.
    let stages = variants("stages/mod.rs", "Stage").into_iter();
    let stages = stages.filter(|(stage, _)| stage != "TorchEstimator");
    let stages = stages.map(|(stage, _)| {
        let theirs = match stage.as_str() {
            // SparkML leaves it to a UDF.
            "ImageDecoder" => {
                "`torchvision.io.decode_image`, `torchvision.transforms.Resize`".to_owned()
            }
            _ => format!("`pyspark.ml.feature.{stage}`"),
        };
        [theirs, format!("`ml::{stage}`")]
    });
    let here = "here";
    [
        "PyTorch's and SparkML's names, and those of this crate.\n".to_owned(),
        table("Layers", ["PyTorch", here], layers.collect()),
        table(
            "Losses",
            ["PyTorch", here],
            of_torch("train/loss/mod.rs", "Loss"),
        ),
        table(
            "Optimisers",
            ["PyTorch", here],
            of_torch("train/optimizer/mod.rs", "Optimizer"),
        ),
        table(
            "Learning rates",
            ["PyTorch", here],
            of_torch("train/schedule/mod.rs", "LearningRateSchedule"),
        ),
        table("Stages", ["SparkML, torchvision", here], stages.collect()),
        table("Metrics", ["SparkML", here], metrics),
    ]
    .concat()
}

#[test]
fn the_table_of_names_is_what_the_code_has() {
    let names = names();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/names.md");
    if std::env::var_os("MNIST_WRITE_NAMES").is_some() {
        fs::write(&path, &names).unwrap();
    }
    let written = fs::read_to_string(path).unwrap();
    assert_eq!(
        written, names,
        "write it with MNIST_WRITE_NAMES=1 cargo test --test names"
    );
    for expected in [
        "| `torch.nn.Conv2d` | `Layer::Conv2d` |",
        "| `torch.nn.BCEWithLogitsLoss` | `Loss::BceWithLogits` |",
        "| `torch.optim.AdamW` | `Optimizer::Adam` |",
        "| `torch.optim.lr_scheduler.StepLR` | `LearningRateSchedule::StepLr` |",
        "| `pyspark.ml.feature.StringIndexer` | `ml::StringIndexer` |",
        "| BinaryClassificationEvaluator, `areaUnderROC` | `BinaryMetric::AreaUnderROC` |",
    ] {
        assert!(names.contains(expected), "{expected} is not in\n{names}");
    }
}
