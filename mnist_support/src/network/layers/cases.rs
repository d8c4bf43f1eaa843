//! Every layer against PyTorch's module, on the same input and with the same weights.

use serde::Deserialize;
use tch::{Kind, Tensor};

use super::tests::{assert_close, fixture};
use crate::{
    DropoutMasks, Layer, Network,
    network::{
        Conv1dConfig, Conv2dConfig, ConvTranspose2dConfig, Padding, RecurrentConfig, Role,
        read_safetensors, write_safetensors,
    },
};

#[derive(Deserialize)]
struct Case {
    name: String,
    input_shape: Vec<i64>,
    layer: Layer,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!(
        "../../../tests/fixtures/pytorch_layer_cases.json"
    ))
    .unwrap()
}

#[test]
fn outputs_and_gradients_are_those_of_pytorch() {
    let tensors = fixture("pytorch_layer_cases.safetensors");
    for Case {
        name,
        input_shape,
        layer,
    } in cases()
    {
        println!("{name}: {layer}");
        let of = |what: &str| &tensors[&format!("{name}.{what}")];
        let network = Network::new(&input_shape, vec![layer]).unwrap();
        let names = network.state_names();
        let own = |tensor: &String| tensor.trim_start_matches("0.").to_owned();
        let state = || -> Vec<Tensor> {
            let tensors = names.iter().zip(network.roles());
            tensors
                .map(|(tensor, role)| {
                    let tensor = of(&format!("state.{}", own(tensor))).copy();
                    tensor.set_requires_grad(role == Role::Parameter)
                })
                .collect()
        };
        let prefix = format!("{name}.state.");
        let expected = tensors.keys().filter(|key| key.starts_with(&prefix));
        assert_eq!(names.len(), expected.count(), "{name} has {names:?}");
        let evaluation = network.forward(&state(), of("input"), None).unwrap();
        assert_close(&evaluation, of("evaluation"));
        let shape = evaluation.size();
        assert_eq!(shape[1..], network.output_shape());

        let state = state();
        let embeds = !tensors.contains_key(&format!("{name}.gradient"));
        let input = of("input").copy().set_requires_grad(!embeds);
        let mut masks = DropoutMasks::new(1, 1, 0);
        let output = network.forward(&state, &input, Some(&mut masks)).unwrap();
        assert_close(&output, of("output"));
        (output * of("weights")).sum(Kind::Float).backward();
        if !embeds {
            assert_close(&input.grad(), of("gradient"));
        }
        for ((tensor, role), name) in state.iter().zip(network.roles()).zip(&names) {
            if role == Role::Parameter {
                assert_close(&tensor.grad(), of(&format!("gradient.{}", own(name))));
            }
        }
    }
}

#[test]
fn layers_and_their_weights_survive_being_written() {
    for Case {
        name,
        input_shape,
        layer,
    } in cases()
    {
        let network = Network::new(&input_shape, vec![layer]).unwrap();
        let json = serde_json::to_string(&network).unwrap();
        assert_eq!(
            serde_json::from_str::<Network>(&json).unwrap(),
            network,
            "{name}"
        );
        let state = network.initialize(1);
        let file = write_safetensors(&network, &state).unwrap();
        assert_eq!(read_safetensors(&network, &file).unwrap(), state, "{name}");
        assert!(network.to_string().lines().count() > 5, "{network}");
    }
}

#[test]
fn weights_start_within_pytorchs_bounds() {
    let bounds = [
        ("conv1d", 1.0 / 6.0_f64.sqrt()),
        ("conv1d_groups", 0.5),
        ("conv2d", 1.0 / 3.0),
        // The second size of its weight, 3, times the kernel's 9.
        ("conv_transpose2d", 1.0 / 27.0_f64.sqrt()),
        ("lstm", 0.5),
        ("gru", 0.5),
    ];
    for Case {
        name,
        input_shape,
        layer,
    } in cases()
    {
        let Some((_, bound)) = bounds.iter().find(|(case, _)| *case == name) else {
            continue;
        };
        let network = Network::new(&input_shape, vec![layer]).unwrap();
        let largest = (0..200).map(|seed| {
            let weight = network.initialize(seed).remove(0);
            weight.abs().max().double_value(&[])
        });
        let largest = largest.fold(0.0, f64::max);
        assert!(
            largest <= *bound && largest > 0.97 * bound,
            "{name}: {largest} of {bound}"
        );
    }
}

#[test]
fn settings_and_shapes_that_do_not_fit_are_named() {
    let recurrent = RecurrentConfig::default();
    let transposed = |output_padding| {
        let config = ConvTranspose2dConfig {
            output_padding,
            ..Default::default()
        };
        Layer::conv_transpose2d(4, 2, 3, config)
    };
    let grouped = |groups| {
        let config = Conv2dConfig {
            groups,
            ..Default::default()
        };
        Layer::conv2d(4, 6, 3, config)
    };
    let image: &[i64] = &[4, 6, 6];
    let strided = |padding: Padding| {
        let config = Conv2dConfig {
            stride: [1, 2].into(),
            padding,
            ..Default::default()
        };
        Layer::conv2d(4, 2, [3, 7], config)
    };
    let cases: [(&[i64], Layer, &str); 17] = [
        (
            &[7],
            Layer::lstm(3, 4, recurrent),
            "it needs a sequence of shape [steps, features]",
        ),
        (
            &[5, 2],
            Layer::gru(3, 4, recurrent),
            "input_size is 3, but the input has 2 features a step: set input_size to 2",
        ),
        (
            &[5, 2],
            Layer::lstm(2, 0, recurrent),
            "hidden_size is 0, it must be at least 1",
        ),
        (
            &[5],
            Layer::conv1d(1, 1, 1, Conv1dConfig::default()),
            "it needs a sequence of shape [channels, length]",
        ),
        (
            &[2, 2],
            Layer::conv1d(2, 1, 3, Conv1dConfig::default()),
            "a kernel of 3 leaves nothing of length 2",
        ),
        (
            image,
            grouped(4),
            "out_channels is 6, which 4 groups can't share equally",
        ),
        (
            image,
            grouped(3),
            "in_channels is 4, which 3 groups can't share equally",
        ),
        (
            image,
            strided(Padding::Same),
            "padding is 'same', which needs stride 1: give the padding as a number",
        ),
        (
            image,
            strided(Padding::Valid),
            "a kernel of 7 leaves nothing of width 6",
        ),
        (
            image,
            strided([2, -1].into()),
            "padding is -1, it must be at least 0",
        ),
        (
            image,
            transposed(1),
            "output_padding is 1, it must be below the stride, 1",
        ),
        (
            &[3, 6, 6],
            transposed(0),
            "in_channels is 4, but the input has 3 channels",
        ),
        (
            &[2, 5],
            Layer::layer_norm([4]),
            "normalized_shape is [4], but the input ends in [5]",
        ),
        (
            &[6],
            Layer::group_norm(4, 6),
            "num_channels is 6, which 4 groups can't share equally",
        ),
        (
            &[6],
            Layer::unflatten([4, 2]),
            "unflattened_size is [4, 2], which the input can't fill",
        ),
        (
            image,
            Layer::adaptive_avg_pool2d([0, 2]),
            "output_size is 0, it must be at least 1",
        ),
        (
            image,
            Layer::MaxPool2d {
                kernel_size: 3,
                stride: 1,
                padding: 2,
            },
            "padding is 2, it must be from 0 to half of the kernel, 1",
        ),
    ];
    for (shape, layer, expected) in cases {
        let kind = layer.kind();
        let error = Network::new(shape, vec![layer]).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
        assert!(error.starts_with(&format!("layer 0 ({kind})")), "{error}");
    }
}

#[test]
fn settings_that_were_added_later_may_be_left_out() {
    let before = r#"{"type":"Conv2d","in_channels":1,"out_channels":2,"kernel_size":3,"stride":1,"padding":0}"#;
    let layer: Layer = serde_json::from_str(before).unwrap();
    assert_eq!(layer, Layer::conv2d(1, 2, 3, Conv2dConfig::default()));
    assert_eq!(serde_json::to_string(&layer).unwrap(), before);
    let before = r#"{"type":"MaxPool2d","kernel_size":2,"stride":2}"#;
    let layer: Layer = serde_json::from_str(before).unwrap();
    assert_eq!(layer, Layer::max_pool2d(2));
    assert_eq!(serde_json::to_string(&layer).unwrap(), before);
}
