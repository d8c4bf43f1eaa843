//! Modules that PyTorch exported (`tests/fixtures/pt2`), read and trained here. PyTorch is the
//! judge.

use std::{collections::HashMap, fs, path::Path, sync::Mutex};

use mnist_support::{
    DropoutMasks, Error, Network, Result,
    engine::Threads,
    error::NetworkError,
    lake::{Credentials, Lake},
    ml::{Pipeline, PipelineModel, TorchEstimator, VectorAssembler},
    network::{read_safetensors, write_safetensors},
    train::{Optimizer, Progress, ProgressEvent, Silent},
};
use polars::prelude::*;
use tch::{Kind, Tensor};

/// The modules that PyTorch trained, too.
const NAMES: [&str; 4] = ["mlp", "residual", "lstm", "encoder"];

fn file(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pt2");
    fs::read(folder.join(name)).unwrap()
}

fn network(name: &str) -> Network {
    Network::from_pt2(file(&format!("{name}.pt2"))).unwrap()
}

/// What PyTorch made of the module.
fn tensors(name: &str) -> HashMap<String, Tensor> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pt2");
    let tensors = Tensor::read_safetensors(folder.join(format!("{name}.safetensors"))).unwrap();
    tensors.into_iter().collect()
}

fn refusal(name: &str) -> String {
    match Network::from_pt2(file(&format!("{name}.pt2"))) {
        Err(error @ Error::Network(NetworkError::InvalidProgram { .. })) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

/// The rows as a frame, and a pipeline that assembles them.
fn problem(tensors: &HashMap<String, Tensor>) -> (DataFrame, Pipeline) {
    let features = &tensors["features"];
    let names: Vec<String> = (0..features.size()[1])
        .map(|column| format!("x{column}"))
        .collect();
    let mut columns: Vec<Column> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let values = Vec::<f32>::try_from(features.select(1, index as i64)).unwrap();
        columns.push(Column::new(name.as_str().into(), values));
    }
    if let Some(labels) = tensors.get("labels") {
        let labels = Vec::<i64>::try_from(labels).unwrap();
        columns.push(Column::new("label".into(), labels));
    }
    let assembler = VectorAssembler::new().input_cols(names);
    (
        DataFrame::new_infer_height(columns).unwrap(),
        Pipeline::new().stage(assembler),
    )
}

fn optimizer(name: &str) -> (Optimizer, f64) {
    match name {
        "mlp" => (Optimizer::sgd(0.9), 0.1),
        _ => (Optimizer::adam(), 0.01),
    }
}

/// Trains like the script that wrote the fixtures: on all rows at once.
fn fit(name: &str, partitions: usize) -> PipelineModel {
    let (frame, pipeline) = problem(&tensors(name));
    let (optimizer, learning_rate) = optimizer(name);
    let estimator = TorchEstimator::new(network(name))
        .raw_prediction_col("outputs")
        .optimizer(optimizer)
        .learning_rate(learning_rate)
        .iterations(50)
        .partitions(partitions);
    pipeline
        .stage(estimator)
        .fit_with(frame, &Threads, &Silent)
        .unwrap()
}

/// The largest difference, relative to the largest value if that is above 1.
fn largest_difference(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let largest = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
    largest(&(found - expected)) / largest(expected).max(1.0)
}

#[test]
fn losses_and_weights_are_those_of_pytorch_over_50_steps() {
    for name in NAMES {
        let tensors = tensors(name);
        let model = fit(name, 1);
        let losses = Vec::<f64>::try_from(&tensors["losses"]).unwrap();
        let history = &model.report().unwrap().history;
        assert_eq!(history.len(), losses.len());
        for (point, expected) in history.iter().zip(losses) {
            let difference = (point.training_loss - expected).abs();
            assert!(difference < 1e-4, "{name}, {point:?}: {expected}");
        }
        let model = model.torch_model().unwrap();
        for (name, weight) in model.network().state_names().iter().zip(model.weights()) {
            let expected = &tensors[&format!("trained.{name}")];
            // The gradient of the keys' bias is 0 but for rounding, which Adam makes steps of.
            if name.ends_with("in_proj_bias") {
                continue;
            }
            let difference = largest_difference(weight, expected);
            assert!(difference < 2e-3, "{name}: {difference}");
        }
    }
}

fn bits(tensors: &[Tensor]) -> Vec<Vec<u8>> {
    let bits = |tensor: &Tensor| {
        let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
        tensor.copy_data_u8(&mut bytes, tensor.numel());
        bytes
    };
    tensors.iter().map(bits).collect()
}

#[test]
fn three_ranks_train_to_the_same_bits_each_time() {
    for name in NAMES {
        let weights = || bits(fit(name, 3).torch_model().unwrap().weights());
        assert_eq!(weights(), weights(), "{name}");
    }
}

#[test]
fn a_program_starts_from_its_own_weights_or_from_those_that_it_is_given() {
    let network = network("mlp");
    let own = network.initialize(1);
    assert_eq!(own, network.initialize(2));
    assert_eq!(own.len(), network.state_names().len());
    assert_eq!(network.state_names()[0], "layers.0.weight");
    assert_eq!(network.parameter_names().len(), 6);

    let trained = fit("mlp", 1);
    let (frame, pipeline) = problem(&tensors("mlp"));
    let one = |network: Network| TorchEstimator::new(network).iterations(1).partitions(1);
    let loss = |estimator: TorchEstimator| {
        let model = pipeline.clone().stage(estimator);
        let model = model.fit_with(frame.clone(), &Threads, &Silent).unwrap();
        model.report().unwrap().history[0].training_loss
    };
    let first = loss(one(network.clone()));
    assert!((first - tensors("mlp")["losses"].double_value(&[0])).abs() < 1e-5);
    let model = trained.torch_model().unwrap();
    let given = loss(one(network).initial_weights(model));
    // The network of a model starts from what it has learnt.
    let again = loss(one(model.network().clone()));
    assert_eq!(given, again);
    assert!(given < 0.1 * first, "{given} {first}");
}

#[test]
fn what_is_frozen_stays_as_it_is() {
    let (frame, pipeline) = problem(&tensors("residual"));
    let network = network("residual");
    let estimator = TorchEstimator::new(network.clone())
        .freeze(["stem.*"])
        .iterations(3);
    let model = pipeline
        .stage(estimator)
        .fit_with(frame, &Threads, &Silent)
        .unwrap();
    let weights = model.torch_model().unwrap().weights();
    for ((name, before), after) in network
        .state_names()
        .iter()
        .zip(network.initialize(0))
        .zip(weights)
    {
        let counts = name.ends_with("num_batches_tracked");
        assert_eq!(before == *after, name.starts_with("stem."), "{name}");
        assert!(!counts || after.int64_value(&[]) == 3);
    }
}

#[test]
fn predictions_are_pytorchs_from_the_saved_model_too() {
    let folder = tempfile::tempdir().unwrap();
    for name in NAMES {
        let tensors = tensors(name);
        let (frame, pipeline) = problem(&tensors);
        let estimator = TorchEstimator::new(network(name))
            .raw_prediction_col("outputs")
            .iterations(1);
        let network = network(name);
        let weights = network.state_names().into_iter();
        let weights: Vec<Tensor> = weights
            .map(|name| tensors[&format!("trained.{name}")].shallow_clone())
            .collect();
        let file = write_safetensors(&network, &weights).unwrap();
        let estimator = estimator
            .initial_weights(file)
            .learning_rate(1e-12)
            .partitions(1);
        let model = pipeline
            .stage(estimator)
            .fit_with(frame.clone(), &Threads, &Silent)
            .unwrap();
        let lake = Lake::open(
            folder.path().join(name).to_str().unwrap(),
            &Credentials::local(),
        )
        .unwrap();
        model.save(&lake).unwrap();
        let loaded = PipelineModel::load(&lake).unwrap();
        assert_eq!(
            bits(loaded.torch_model().unwrap().weights()),
            bits(model.torch_model().unwrap().weights())
        );
        let [found, again] = [&model, &loaded].map(|model| {
            let frame = model.transform(frame.clone()).unwrap();
            let lists = frame.column("outputs").unwrap().list().unwrap().clone();
            let values: Vec<f32> = lists
                .series_iter()
                .flat_map(|list| {
                    list.unwrap()
                        .f32()
                        .unwrap()
                        .into_no_null_iter()
                        .collect::<Vec<_>>()
                })
                .collect();
            values
        });
        assert_eq!(found, again);
        // Training moved the running statistics a little: compare where there are none.
        if matches!(name, "lstm" | "encoder") {
            let outputs = Vec::<f32>::try_from(tensors["outputs"].reshape([-1])).unwrap();
            for (found, expected) in found.iter().zip(&outputs) {
                assert!(
                    (found - expected).abs() < 1e-4,
                    "{name}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn outputs_in_evaluation_are_pytorchs() {
    for name in NAMES {
        let tensors = tensors(name);
        let network = network(name);
        let weights: Vec<Tensor> = network
            .state_names()
            .iter()
            .map(|name| tensors[&format!("trained.{name}")].shallow_clone())
            .collect();
        let before = bits(&weights);
        let outputs = network
            .forward(&weights, &tensors["features"], None)
            .unwrap();
        let difference = largest_difference(&outputs, &tensors["outputs"]);
        assert!(difference < 1e-5, "{name}: {difference}");
        assert_eq!(bits(&weights), before, "evaluation changes nothing");
        // Batches of any size, none included.
        for rows in [0, 1, 7] {
            let some = network.forward(&weights, &tensors["features"].narrow(0, 0, rows), None);
            let difference = some.unwrap() - outputs.narrow(0, 0, rows);
            assert!(rows == 0 || difference.abs().max().double_value(&[]) < 1e-5);
        }
    }
}

#[test]
fn shared_weights_masks_constants_and_computed_sizes_are_pytorchs() {
    let network = network("tied");
    assert_eq!(
        network.state_names(),
        ["mix", "unused", "embedding.weight", "mask"]
    );
    let tensors = tensors("tied");
    let outputs = network
        .forward(&network.initialize(0), &tensors["features"], None)
        .unwrap();
    assert!(largest_difference(&outputs, &tensors["outputs"]) < 1e-5);
    // All names but the second of a shared weight: PyTorch's own safetensors do the same.
    let file = write_safetensors(&network, &network.initialize(0)).unwrap();
    assert_eq!(
        read_safetensors(&network, &file).unwrap(),
        network.initialize(0)
    );
}

#[test]
fn an_index_outside_of_a_table_names_its_row_and_column() {
    let network = network("tied");
    let features = tensors("tied").remove("features").unwrap();
    let fails = |value: f64| {
        let features = features.copy();
        let _ = features.get(3).narrow(0, 2, 1).fill_(value);
        network
            .forward(&network.initialize(0), &features, None)
            .unwrap_err()
            .to_string()
    };
    let message = fails(20.0);
    let expected = "the index 20 in row 3, column 2 of its input is outside of the embedding's table, which has 20 rows";
    assert!(message.contains(expected), "{message}");
    assert!(
        message.contains("torch.ops.aten.embedding.default (modules.py, line "),
        "{message}"
    );
    assert!(fails(-1.0).contains("the index -1 in row 3, column 2"));
    assert_eq!(
        fails(0.5),
        "row 3, column 2 of a batch: 0.5: the network takes whole numbers"
    );
    assert!(fails(f64::NAN).contains("NaN"));
}

#[test]
fn a_batch_that_memory_cannot_hold_is_refused_with_the_operator_that_needs_it() {
    let network = network("wide");
    let rows = Tensor::ones([100_000, 4], (Kind::Float, tch::Device::Cpu));
    let error = network.forward(&network.initialize(0), &rows, None);
    let message = error.unwrap_err().to_string();
    assert!(
        message.contains("torch.ops.aten.repeat.default (modules.py, line "),
        "{message}"
    );
    let expected = "its result takes 400 TB for 100,000 rows, and this machine has ";
    assert!(message.contains(expected), "{message}");
    assert!(message.ends_with("take smaller batches"), "{message}");
}

#[test]
fn random_numbers_depend_on_seed_step_and_rank_alone() {
    let network = network("draws");
    let state = network.initialize(0);
    let rows = Tensor::ones([6, 64], (Kind::Float, tch::Device::Cpu));
    let draw = |seed, step, rank| {
        let mut masks = DropoutMasks::new(seed, step, rank);
        network.forward(&state, &rows, Some(&mut masks)).unwrap()
    };
    tch::manual_seed(3);
    let undisturbed = Tensor::rand([4], (Kind::Float, tch::Device::Cpu));
    tch::manual_seed(3);
    let expected = draw(1, 2, 0);
    assert_eq!(
        Tensor::rand([4], (Kind::Float, tch::Device::Cpu)),
        undisturbed
    );
    for other in [draw(2, 2, 0), draw(1, 3, 0), draw(1, 2, 1)] {
        assert_ne!(other, expected);
    }
    // Other threads draw at the same time.
    std::thread::scope(|scope| {
        let ranks: Vec<_> = (0..4)
            .map(|rank| {
                let state: Vec<Tensor> = state.iter().map(Tensor::shallow_clone).collect();
                let (network, rows) = (&network, rows.shallow_clone());
                scope.spawn(move || {
                    let draw = |step| {
                        let mut masks = DropoutMasks::new(1, step, rank);
                        network.forward(&state, &rows, Some(&mut masks)).unwrap()
                    };
                    (0..20).map(draw).collect::<Vec<Tensor>>()
                })
            })
            .collect();
        for (rank, outputs) in ranks
            .into_iter()
            .map(|rank| rank.join().unwrap())
            .enumerate()
        {
            for (step, output) in outputs.iter().enumerate() {
                assert_eq!(*output, draw(1, step as u64, rank as u64));
            }
        }
    });
    // Dropout is off in evaluation. What the module draws itself is the same each time.
    let evaluation = || network.forward(&state, &rows, None).unwrap();
    assert_eq!(evaluation(), evaluation());
}

#[test]
fn a_network_survives_json_with_its_weights() {
    for name in NAMES {
        let network = network(name);
        let json = serde_json::to_string(&network).unwrap();
        let read: Network = serde_json::from_str(&json).unwrap();
        assert_eq!(read, network);
        assert_eq!(bits(&read.initialize(0)), bits(&network.initialize(0)));
    }
    assert!(
        serde_json::from_str::<Network>(r#"{"exported_program":{"archive":"","weights":null}}"#)
            .is_err()
    );
}

#[test]
fn a_trained_program_is_written_back_and_read_again() {
    let model = fit("residual", 2);
    let model = model.torch_model().unwrap();
    let (network, weights) = (model.network(), model.weights());
    let rows = &tensors("residual")["features"];
    let outputs = network.forward(weights, rows, None).unwrap();
    for file in [
        model.to_pt2().unwrap(),
        network.to_pt2(weights, true).unwrap(),
    ] {
        let read = Network::from_pt2(file).unwrap();
        assert_eq!(read.state_names(), network.state_names());
        assert_eq!(bits(&read.initialize(0)), bits(weights));
        assert_eq!(
            read.forward(&read.initialize(0), rows, None).unwrap(),
            outputs
        );
    }
}

#[test]
fn the_table_shows_the_modules() {
    let table = network("residual").to_string();
    println!("{table}");
    for line in [
        "stem.0",
        "Conv2d",
        "body.1.bn2",
        "BatchNorm2d",
        "[rows, 4, 4, 4]",
    ] {
        assert!(table.contains(line), "{table}");
    }
    let widths: Vec<usize> = table.lines().map(str::len).collect();
    assert!(
        widths[..widths.len() - 1]
            .iter()
            .all(|width| *width == widths[0]),
        "{table}"
    );
}

#[test]
fn what_cannot_run_is_refused_with_what_to_do() {
    let cases = [
        ("two_inputs", "the input: forward takes 2 tensors (x, y)"),
        (
            "fixed",
            "its batch size is fixed to 5: export it with torch.export.export(module.train()",
        ),
        (
            "branch",
            "operator torch.ops.higher_order.cond (modules.py, line ",
        ),
        ("branch", "return torch.cond(x.sum() > 0"),
        (
            "custom",
            "operator torch.ops.shop.scale.default (modules.py, line ",
        ),
        (
            "custom",
            "it is a custom operator, whose code is not in the file",
        ),
        ("double", "it is torch.float64"),
        ("bfloat16", "it is torch.bfloat16"),
    ];
    for (name, expected) in cases {
        let refusal = refusal(name);
        assert!(refusal.contains(expected), "{name}: {refusal}");
    }
}

/// Keeps the warnings of a fit.
#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Progress for Warnings {
    fn report(&self, event: &ProgressEvent) {
        if let ProgressEvent::Warning { message } = event {
            self.0.lock().unwrap().push(message.clone());
        }
    }
}

/// The warnings and the result of a fit of two iterations on random rows.
fn attempt(
    network: Network,
    change: impl Fn(TorchEstimator) -> TorchEstimator,
) -> (Vec<String>, Result<PipelineModel>) {
    let features =
        (Tensor::rand([24, network.input_width()], (Kind::Float, tch::Device::Cpu)) * 20.0).floor();
    let labels = Tensor::from_slice(&(0..24).map(|row| row % 2).collect::<Vec<i64>>());
    let tensors = [
        ("features".to_owned(), features),
        ("labels".to_owned(), labels),
    ];
    let (frame, pipeline) = problem(&tensors.into_iter().collect());
    let estimator = change(TorchEstimator::new(network).iterations(2).partitions(1));
    let warnings = Warnings::default();
    let model = pipeline
        .stage(estimator)
        .fit_with(frame, &Threads, &warnings);
    (warnings.0.into_inner().unwrap(), model)
}

#[test]
fn a_program_exported_in_evaluation_mode_is_a_warning() {
    let (warnings, model) = attempt(network("evaluation"), |estimator| estimator);
    model.unwrap();
    let [warning] = warnings.as_slice() else {
        panic!("{warnings:?}");
    };
    assert!(
        warning.contains("exported in evaluation mode: dropout is gone"),
        "{warning}"
    );
    assert!(attempt(network("mlp"), |estimator| estimator).0.is_empty());
}

#[test]
fn a_parameter_that_gets_no_gradient_is_named_and_one_that_is_not_used_is_a_warning() {
    let detached = network("detached");
    let (_, model) = attempt(detached.clone(), |estimator| estimator);
    assert_eq!(
        model.unwrap_err().to_string(),
        "the parameter \"scale\" gets no gradient, since the loss does not depend on it: \
         freeze it with freeze([\"scale\"])"
    );
    attempt(detached, |estimator| estimator.freeze(["scale"]))
        .1
        .unwrap();
    let (warnings, model) = attempt(network("tied"), |estimator| estimator);
    model.unwrap();
    assert_eq!(
        warnings,
        ["the network does not use the parameter \"unused\": it stays as it is"]
    );
}

#[test]
fn a_mini_batch_above_the_rows_of_a_program_is_an_error_that_says_so() {
    let (_, model) = attempt(network("at_most_16"), |estimator| estimator);
    let message = model.unwrap_err().to_string();
    assert!(
        message.contains("at most 16 rows in a batch, and this batch has 24"),
        "{message}"
    );
    attempt(network("at_most_16"), |estimator| estimator.mini_batch(16))
        .1
        .unwrap();
}

#[test]
fn one_row_has_no_variance() {
    let network = network("mlp");
    let row = Tensor::zeros([1, 6], (Kind::Float, tch::Device::Cpu));
    let state = network.initialize(0);
    let error = network
        .forward(&state, &row, Some(&mut DropoutMasks::new(1, 1, 0)))
        .unwrap_err();
    let expected = "one value for each channel has no variance: use larger mini-batches";
    assert!(error.to_string().ends_with(expected), "{error}");
    assert_eq!(network.forward(&state, &row, None).unwrap().size(), [1, 3]);
}

#[test]
fn more_rows_than_a_program_was_exported_for_are_refused_in_training_and_batched_in_prediction() {
    let network = network("at_most_16");
    let rows = Tensor::rand([40, 4], (Kind::Float, tch::Device::Cpu));
    let state = network.initialize(0);
    let error = network
        .forward(&state, &rows, None)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("at most 16 rows in a batch, and this batch has 40"),
        "{error}"
    );
    assert_eq!(network.outputs(&state, &rows).unwrap().size(), [40, 2]);
}

#[test]
fn a_vector_of_one_number_for_each_row_is_one_output() {
    let network = network("squeezed");
    assert_eq!(network.output_shape(), [1]);
    let rows = Tensor::rand([3, 4], (Kind::Float, tch::Device::Cpu));
    assert_eq!(
        network
            .forward(&network.initialize(0), &rows, None)
            .unwrap()
            .size(),
        [3, 1]
    );
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let file = file("mlp.pt2");
    for length in (0..file.len()).step_by(61) {
        assert!(
            Network::from_pt2(&file[..length]).is_err(),
            "{length} bytes"
        );
    }
}
