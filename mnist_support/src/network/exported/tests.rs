//! Files that were altered: whatever they hold, they are an error or a program, and no panic.

use std::{fs, path::Path, time::Instant};

use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use super::archive::Archive;
use crate::{DropoutMasks, Network, network::Role};

const NAMES: [&str; 6] = ["mlp", "residual", "lstm", "encoder", "tied", "points"];

fn file(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pt2");
    fs::read(folder.join(format!("{name}.pt2"))).unwrap()
}

/// The file with a part of one of its JSON files replaced.
fn replaced(name: &str, path: &str, from: &str, to: &str) -> Vec<u8> {
    let mut archive = Archive::read(&file(name)).unwrap();
    let text = String::from_utf8(archive.get(path).unwrap().to_vec()).unwrap();
    assert!(text.contains(from), "{path} has no {from}");
    archive.put(path, text.replacen(from, to, 1).into_bytes());
    archive.write().unwrap()
}

fn refusal(file: &[u8]) -> String {
    Network::from_pt2(file).unwrap_err().to_string()
}

#[test]
fn another_version_says_which_torch_wrote_it() {
    let major = r#""schema_version": {"major": 8"#;
    let file = replaced("mlp", "models/model.json", major, &major.replace('8', "9"));
    let found = refusal(&file);
    assert!(found.contains("written by torch 2.13.0"), "{found}");
    assert!(
        found.contains("in version 9.") && found.contains("reads version 8"),
        "{found}"
    );
}

#[test]
fn weights_that_do_not_fit_their_description_are_named() {
    let config = "data/weights/model_weights_config.json";
    let shape = r#""sizes": [{"as_int": 12}, {"as_int": 6}]"#;
    let found = refusal(&replaced(
        "mlp",
        config,
        shape,
        &shape.replace("12", "1200"),
    ));
    assert!(
        found.contains("layers.0.weight: its shape [1200, 6]"),
        "{found}"
    );
    let found = refusal(&replaced("mlp", config, shape, &shape.replace("12", "6")));
    assert!(found.contains("layers.0.weight"), "{found}");
    let found = refusal(&replaced(
        "mlp",
        config,
        r#""as_int": 12"#,
        r#""as_int": 9000000000000000000"#,
    ));
    assert!(
        found.contains("layers.0.weight") && found.contains("too large"),
        "{found}"
    );
    let found = refusal(&replaced(
        "mlp",
        config,
        r#""use_pickle": false"#,
        r#""use_pickle": true"#,
    ));
    assert!(found.contains("pickles are programs: not read"), "{found}");
}

#[test]
fn a_file_of_weights_that_is_missing_is_named() {
    let mut archive = Archive::read(&file("mlp")).unwrap();
    archive.remove(|path| path == "data/weights/weight_1");
    let found = refusal(&archive.write().unwrap());
    assert!(
        found.contains("data/weights/weight_1: the file does not have it"),
        "{found}"
    );
}

#[test]
fn a_value_that_is_used_before_it_is_computed_names_the_operator() {
    let from = r#""arg": {"as_tensor": {"name": "linear"}}"#;
    let to = r#""arg": {"as_tensor": {"name": "later"}}"#;
    let found = refusal(&replaced("mlp", "models/model.json", from, to));
    assert!(found.contains("torch.ops.aten.gelu.default"), "{found}");
    assert!(
        found.contains("\"later\" is used before it is computed"),
        "{found}"
    );
}

#[test]
fn a_convolution_a_relu_and_a_pooling_are_fused_to_the_same_values() {
    // The same graph, in which the ReLU is another operator that does the same.
    let plain = replaced(
        "residual",
        "models/model.json",
        "torch.ops.aten.relu.default",
        "torch.ops.aten.relu6.default",
    );
    let rows = (Tensor::rand([5, 64], (Kind::Float, Device::Cpu)) - 0.5) * 4.0;
    let [fused, plain] = [file("residual"), plain].map(|file| {
        let network = Network::from_pt2(file).unwrap();
        let state = network.initialize(0).into_iter().zip(network.roles());
        let state: Vec<Tensor> = state
            .map(|(tensor, role)| tensor.set_requires_grad(role == Role::Parameter))
            .collect();
        let output = network.forward(&state, &rows, None).unwrap();
        output.square().sum(None).backward();
        (output, state[0].grad())
    });
    assert!(fused.0.allclose(&plain.0, 1e-5, 1e-6, false));
    assert!(fused.1.allclose(&plain.1, 1e-4, 1e-5, false));
}

/// Changes a text here and there: numbers, names, single characters.
fn mutate(text: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    const NUMBERS: [&str; 9] = [
        "0",
        "-1",
        "1",
        "2",
        "7",
        "255",
        "65536",
        "-9223372036854775808",
        "9223372036854775807",
    ];
    let mut text = text.to_vec();
    for _ in 0..random.random_range(1..4) {
        let place = random.random_range(0..text.len());
        match random.random_range(0..4) {
            0 => text[place] = random.random(),
            1 => {
                let digits = |byte: &u8| byte.is_ascii_digit();
                if let Some(start) = text[place..]
                    .iter()
                    .position(digits)
                    .map(|start| place + start)
                {
                    let length = text[start..].iter().take_while(|byte| digits(byte)).count();
                    let number = NUMBERS.choose(random).unwrap().bytes();
                    text.splice(start..start + length, number);
                }
            }
            2 => {
                // A name from elsewhere in the file.
                let quoted = |text: &[u8], from: usize| {
                    let start = from + text[from..].iter().position(|byte| *byte == b'"')? + 1;
                    let length = text[start..].iter().position(|byte| *byte == b'"')?;
                    Some(start..start + length)
                };
                let other = random.random_range(0..text.len());
                if let (Some(here), Some(there)) = (quoted(&text, place), quoted(&text, other)) {
                    let name = text[there].to_vec();
                    text.splice(here, name);
                }
            }
            _ => {
                let length = random.random_range(1..20).min(text.len() - place);
                text.drain(place..place + length);
            }
        }
    }
    text
}

/// Reads altered files, and runs those that are still programs. Returns how many were.
fn fuzz(seed: u64, go_on: impl Fn(usize) -> bool) -> (usize, usize) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let files: Vec<Archive> = NAMES
        .iter()
        .map(|name| Archive::read(&file(name)).unwrap())
        .collect();
    let paths = [
        "models/model.json",
        "data/weights/model_weights_config.json",
    ];
    let (mut tried, mut run) = (0, 0);
    while go_on(tried) {
        let mut archive = files.choose(&mut random).unwrap().clone();
        let path = if random.random_bool(0.8) {
            paths[0]
        } else {
            paths[1]
        };
        let altered = mutate(archive.get(path).unwrap(), &mut random);
        archive.put(path, altered);
        let mut bytes = archive.write().unwrap();
        if random.random_bool(0.1) {
            let place = random.random_range(0..bytes.len());
            bytes[place] = random.random();
        }
        tried += 1;
        let Ok(network) = Network::from_pt2(&bytes) else {
            continue;
        };
        if network.input_width() > 10_000 {
            continue;
        }
        let state = network.initialize(0);
        let rows = Tensor::ones([3, network.input_width()], (Kind::Float, Device::Cpu));
        let mut masks = DropoutMasks::new(1, 1, 0);
        let _ = network.forward(&state, &rows, None);
        let _ = network.forward(&state, &rows, Some(&mut masks));
        run += 1;
    }
    (tried, run)
}

#[test]
fn altered_files_are_errors_or_programs() {
    let (tried, run) = fuzz(1, |tried| tried < 300);
    assert!(run > tried / 20, "{run} of {tried} ran");
}

/// `MNIST_FUZZ_SECONDS=600 cargo test --lib exported::tests::fuzz_for -- --ignored --nocapture`
#[test]
#[ignore = "takes as long as MNIST_FUZZ_SECONDS says"]
fn fuzz_for_a_while() {
    let seconds = std::env::var("MNIST_FUZZ_SECONDS")
        .unwrap()
        .parse()
        .unwrap();
    let (start, seed) = (Instant::now(), rand::random());
    println!("seed {seed}");
    let (tried, run) = fuzz(seed, |_| start.elapsed().as_secs() < seconds);
    println!("{tried} files, {run} of them ran");
}
