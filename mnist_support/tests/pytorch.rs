//! What PyTorch in Python makes of the files that are written here. `make test-pytorch` runs these
//! tests, after installing PyTorch with all that it needs (6 GB).

use std::{collections::HashMap, env, fs, path::Path, process::Command};

use mnist_support::{
    CnnConfig, Network,
    data::Features,
    engine::Threads,
    lake::{Credentials, Lake},
    ml::{MinMaxScaler, Pipeline, PipelineModel, TorchEstimator, TorchModel, VectorAssembler},
    network::write_safetensors,
    train::{Loss, Silent},
};
use polars::prelude::*;
use tch::Tensor;

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pt2")
}

/// Runs a Python program with PyTorch in a folder. The program fails if something is wrong.
fn python(folder: &Path, program: &str) {
    let python = env::var("MNIST_PYTORCH")
        .expect("MNIST_PYTORCH is not set: run these tests with make test-pytorch");
    let output = Command::new(python)
        .args(["-W", "ignore", "-c", program])
        .current_dir(folder)
        .env_remove("LD_LIBRARY_PATH")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The module after a few iterations, and its rows.
fn trained(name: &str) -> (TorchModel, Tensor) {
    let network = Network::from_pt2(fs::read(fixtures().join(format!("{name}.pt2"))).unwrap());
    let tensors = Tensor::read_safetensors(fixtures().join(format!("{name}.safetensors")));
    let mut tensors: HashMap<String, Tensor> = tensors.unwrap().into_iter().collect();
    let (features, labels) = (tensors.remove("features").unwrap(), &tensors["labels"]);
    let names: Vec<String> = (0..features.size()[1])
        .map(|index| format!("x{index}"))
        .collect();
    let mut columns: Vec<Column> = names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let values = Vec::<f32>::try_from(features.select(1, index as i64)).unwrap();
            Column::new(name.as_str().into(), values)
        })
        .collect();
    columns.push(Column::new(
        "label".into(),
        Vec::<i64>::try_from(labels).unwrap(),
    ));
    let estimator = TorchEstimator::new(network.unwrap())
        .iterations(20)
        .learning_rate(0.01);
    let model = Pipeline::new()
        .stage(VectorAssembler::new().input_cols(names))
        .stage(estimator)
        .fit_with(
            DataFrame::new_infer_height(columns).unwrap(),
            &Threads,
            &Silent,
        )
        .unwrap();
    (model.torch_model().unwrap().clone(), features)
}

#[test]
#[ignore = "needs PyTorch: make test-pytorch"]
fn torch_export_loads_a_trained_program_and_computes_the_same() {
    for name in ["mlp", "residual", "lstm", "encoder"] {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (model, features) = trained(name);
        let outputs = model
            .network()
            .forward(model.weights(), &features, None)
            .unwrap();
        fs::write(path("evaluation.pt2"), model.to_pt2().unwrap()).unwrap();
        let training = model.network().to_pt2(model.weights(), true).unwrap();
        fs::write(path("training.pt2"), training).unwrap();
        fs::write(path("model.safetensors"), model.to_safetensors()).unwrap();
        let expected = [("features", &features), ("outputs", &outputs)];
        Tensor::write_safetensors(&expected, path("expected.safetensors")).unwrap();
        python(
            folder.path(),
            r#"
import torch
from safetensors.torch import load_file

expected = load_file("expected.safetensors")
evaluation = torch.export.load("evaluation.pt2")
features = expected["features"]
if any("embedding" in name for name in evaluation.state_dict):
    features = features.long()
outputs = evaluation.module()(features)
difference = (outputs - expected["outputs"]).abs().max().item()
assert difference < 1e-5, difference
assert evaluation.module()(features[:2]).shape == expected["outputs"][:2].shape

state = load_file("model.safetensors")
for program in (evaluation, torch.export.load("training.pt2")):
    assert set(program.state_dict) == set(state), (set(program.state_dict), set(state))
    for name, value in program.state_dict.items():
        assert torch.equal(value, state[name]), name

# It trains further.
module = torch.export.load("training.pt2").module()
optimizer = torch.optim.SGD(module.parameters(), 1e-3)
module(features).square().mean().backward()
optimizer.step()
"#,
        );
    }
}

#[test]
#[ignore = "needs PyTorch: make test-pytorch"]
fn a_module_loads_the_safetensors_of_its_program() {
    let folder = tempfile::tempdir().unwrap();
    let (model, features) = trained("mlp");
    let outputs = model
        .network()
        .forward(model.weights(), &features, None)
        .unwrap();
    let file = write_safetensors(model.network(), model.weights()).unwrap();
    fs::write(folder.path().join("model.safetensors"), file).unwrap();
    let expected = [("features", &features), ("outputs", &outputs)];
    Tensor::write_safetensors(&expected, folder.path().join("expected.safetensors")).unwrap();
    let program = format!(
        r#"
import sys
sys.path.insert(0, {fixtures:?})
import torch
from safetensors.torch import load_file
from make_pytorch_programs import Mlp

module = Mlp()
module.load_state_dict(load_file("model.safetensors"))
expected = load_file("expected.safetensors")
outputs = module.eval()(expected["features"])
difference = (outputs - expected["outputs"]).abs().max().item()
assert difference < 1e-5, difference
"#,
        fixtures = fixtures().parent().unwrap()
    );
    python(folder.path(), &program);
}

/// What onnxruntime makes of the file `model.onnx` in a folder, compared with `expected`.
const ONNX: &str = r#"
import sys
import numpy
import onnxruntime
from safetensors.numpy import load_file

for name in NAMES:
    session = onnxruntime.InferenceSession(f"{name}/model.onnx")
    expected = load_file(f"{name}/expected.safetensors")
    rows = expected.pop("features").astype("float32")
    found = dict(zip([one.name for one in session.get_outputs()], session.run(None, {"features": rows})))
    assert set(found) == set(expected), (name, set(found))
    for output, values in expected.items():
        assert found[output].shape == values.shape, (name, output, found[output].shape)
        difference = numpy.abs(found[output] - values).max()
        assert difference <= (0 if values.dtype == "int64" else 1e-5), (name, output, difference)
"#;

fn write(folder: &Path, name: &str, model: &PipelineModel, expected: &[(&str, Tensor)]) {
    let own = folder.join(name);
    fs::create_dir(&own).unwrap();
    fs::write(own.join("model.onnx"), model.to_onnx().unwrap()).unwrap();
    Tensor::write_safetensors(expected, own.join("expected.safetensors")).unwrap();
}

#[test]
#[ignore = "needs PyTorch: make test-pytorch"]
fn onnxruntime_computes_the_same_for_every_layer() {
    let folder = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    for Case {
        name,
        input_shape,
        layer,
    } in cases()
    {
        let network = Network::new(&input_shape, vec![layer]).unwrap();
        let state = network.initialize(1);
        let shape = [40, network.input_width()];
        let rows = (Tensor::rand(shape, (tch::Kind::Float, tch::Device::Cpu)) * 6.0).floor();
        let outputs = network.forward(&state, &rows, None).unwrap().contiguous();
        let model = TorchModel::new(network, state).unwrap().loss(Loss::mse());
        let model = PipelineModel::new().stage(model);
        if let Err(error) = model.to_onnx() {
            let message = error.to_string();
            assert!(name.starts_with("adaptive"), "{name}: {message}");
            assert!(
                message.contains("ONNX has it for sizes alone that"),
                "{message}"
            );
            continue;
        }
        write(
            folder.path(),
            &name,
            &model,
            &[("features", rows), ("prediction", outputs)],
        );
        names.push(name);
    }
    assert!(names.len() > 28);
    python(folder.path(), &ONNX.replace("NAMES", &format!("{names:?}")));
}

#[test]
#[ignore = "needs PyTorch: make test-pytorch"]
fn onnxruntime_runs_exported_programs_as_far_as_their_operators_are_onnxs() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["mlp", "residual", "lstm", "encoder"];
    for name in names {
        let (model, features) = trained(name);
        let outputs = model
            .network()
            .forward(model.weights(), &features, None)
            .unwrap();
        let expected = [
            ("features", features),
            ("probability", outputs.softmax(1, None)),
            ("prediction", outputs.argmax(1, false)),
        ];
        write(
            folder.path(),
            name,
            &PipelineModel::new().stage(model),
            &expected,
        );
    }
    python(folder.path(), &ONNX.replace("NAMES", &format!("{names:?}")));
    let tied = Network::from_pt2(fs::read(fixtures().join("tied.pt2")).unwrap()).unwrap();
    let weights = tied.initialize(0);
    let tied = TorchModel::new(tied, weights).unwrap().loss(Loss::mse());
    let model = PipelineModel::new().stage(tied);
    let message = model.to_onnx().unwrap_err().to_string();
    let place = "operator torch.ops.aten.bitwise_not.default (";
    assert!(
        message.contains(place) && message.contains("ONNX"),
        "{message}"
    );
}

/// Modules that are exported, read here, and written to ONNX.
const MODULES: &str = r#"
import torch
import torch.nn as nn
import torch.nn.functional as F

class Hidden(nn.Module):
    def __init__(self, kind, layers, bidirectional):
        super().__init__()
        self.rnn = kind(4, 5, num_layers=layers, bidirectional=bidirectional, batch_first=True)
        self.head = nn.Linear(5, 3)

    def forward(self, x):
        _, hidden = self.rnn(x.view(-1, 6, 4))
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden
        return self.head(hidden[-1])

class All(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(4, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(10, 3)

    def forward(self, x):
        outputs, _ = self.rnn(x.view(-1, 6, 4))
        return self.head(outputs[:, 1:5:2].mean(1))

class Causal(nn.Module):
    def __init__(self):
        super().__init__()
        self.project = nn.Linear(4, 12)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        projected = self.project(x.view(-1, 6, 4))
        query, key, value = [projected[..., 4 * i : 4 * i + 4] for i in range(3)]
        y = F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=0.3)
        return self.head(y.select(1, 3))

class Same(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, (2, 3), padding="same", dilation=(2, 1))
        self.head = nn.Linear(48, 3)

    def forward(self, x):
        return self.head(torch.relu(self.conv(x.view(-1, 1, 4, 6))).flatten(1))

torch.manual_seed(0)
modules = {
    "lstm_hidden": Hidden(nn.LSTM, 1, False),
    "gru_hidden": Hidden(nn.GRU, 2, True),
    "lstm_all": All(),
    "causal": Causal(),
    "same": Same(),
}
batch = torch.export.Dim("batch")
for name, module in modules.items():
    program = torch.export.export(module.train(), (torch.randn(5, 24),), dynamic_shapes=({0: batch},))
    torch.export.save(program, f"{name}.pt2")
"#;

#[test]
#[ignore = "needs PyTorch: make test-pytorch"]
fn onnxruntime_runs_recurrent_layers_and_attention_of_exported_programs() {
    let folder = tempfile::tempdir().unwrap();
    python(folder.path(), MODULES);
    let names = ["lstm_hidden", "gru_hidden", "lstm_all", "causal", "same"];
    for name in names {
        let file = fs::read(folder.path().join(format!("{name}.pt2"))).unwrap();
        let network = Network::from_pt2(file).unwrap();
        let state = network.initialize(1);
        let rows = Tensor::randn([7, 24], (tch::Kind::Float, tch::Device::Cpu));
        let outputs = network.forward(&state, &rows, None).unwrap().contiguous();
        let model = TorchModel::new(network, state).unwrap().loss(Loss::mse());
        let expected = [("features", rows), ("prediction", outputs)];
        let model = PipelineModel::new().stage(model);
        write(folder.path(), name, &model, &expected);
    }
    python(folder.path(), &ONNX.replace("NAMES", &format!("{names:?}")));
}

#[test]
#[ignore = "needs PyTorch: make test-pytorch"]
fn onnxruntime_reads_the_test_images_like_the_pipeline() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/lake/torchtut");
    let lake = Lake::open(data.to_str().unwrap(), &Credentials::local()).unwrap();
    let test = lake.parquet("test.parquet").expect("run make data");
    let rows = test.collect().unwrap();
    let pixels = rows
        .get_column_names_owned()
        .into_iter()
        .map(|name| name.to_string());
    let pixels: Vec<String> = pixels.filter(|name| name != "label").collect();
    let pipeline = |estimator: TorchEstimator| {
        Pipeline::new()
            .stage(
                VectorAssembler::new()
                    .input_cols(pixels.clone())
                    .output_col("pixels"),
            )
            .stage(
                MinMaxScaler::new()
                    .input_col("pixels")
                    .output_col("features"),
            )
            .stage(estimator)
    };
    let estimator = TorchEstimator::new(CnnConfig::default().network().unwrap())
        .probability_col("probability")
        .iterations(60)
        .mini_batch(300);
    let train = lake.parquet("train.parquet").unwrap();
    let model = pipeline(estimator)
        .fit_with(&train, &Threads, &Silent)
        .unwrap();
    let read = model.transform(&test).unwrap();
    let classes = read.column("prediction").unwrap().i64().unwrap();
    let classes: Vec<i64> = classes.into_no_null_iter().collect();
    let lists = read.column("probability").unwrap().list().unwrap().clone();
    let probabilities: Vec<f32> = lists
        .series_iter()
        .flat_map(|row| {
            row.unwrap()
                .f32()
                .unwrap()
                .into_no_null_iter()
                .collect::<Vec<_>>()
        })
        .collect();
    let features = Features::from_frame(&rows, &pixels, "test.parquet").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let expected = [
        ("features", features.to_tensor().unwrap()),
        ("prediction", Tensor::from_slice(&classes)),
        (
            "probability",
            Tensor::from_slice(&probabilities).view([10_000, 10]),
        ),
    ];
    write(folder.path(), "digits", &model, &expected);
    python(folder.path(), &ONNX.replace("NAMES", "[\"digits\"]"));
}

/// Every layer in this crate's JSON, with the shape of its input.
#[derive(serde::Deserialize)]
struct Case {
    name: String,
    input_shape: Vec<i64>,
    layer: mnist_support::Layer,
}

fn cases() -> Vec<Case> {
    let cases = fs::read(fixtures().with_file_name("pytorch_layer_cases.json")).unwrap();
    serde_json::from_slice(&cases).unwrap()
}

#[test]
#[ignore = "needs PyTorch: make test-pytorch"]
fn the_printed_module_of_every_layer_computes_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    for Case {
        name,
        input_shape,
        layer,
    } in cases()
    {
        let network = Network::new(&input_shape, vec![layer]).unwrap();
        let own = folder.path().join(&name);
        fs::create_dir(&own).unwrap();
        let state = network.initialize(1);
        fs::write(own.join("network.py"), network.to_python()).unwrap();
        let weights = write_safetensors(&network, &state).unwrap();
        fs::write(own.join("model.safetensors"), weights).unwrap();
        let shape: Vec<i64> = [3].iter().chain(&input_shape).copied().collect();
        let rows = (Tensor::rand(&shape, (tch::Kind::Float, tch::Device::Cpu)) * 6.0).floor();
        let outputs = network.forward(&state, &rows, None).unwrap();
        let expected = [("rows", &rows), ("outputs", &outputs.contiguous())];
        Tensor::write_safetensors(&expected, own.join("expected.safetensors")).unwrap();
        names.push(name);
    }
    let program = r#"
import os
import runpy
import torch
from safetensors.torch import load_file

for name in NAMES:
    os.chdir(name)
    network = runpy.run_path("network.py")["network"]
    expected = load_file("expected.safetensors")
    rows = expected["rows"].long() if name == "embedding" else expected["rows"]
    difference = (network(rows) - expected["outputs"]).abs().max().item()
    assert difference < 1e-5, (name, difference)
    os.chdir("..")
"#;
    python(
        folder.path(),
        &program.replace("NAMES", &format!("{names:?}")),
    );
}
