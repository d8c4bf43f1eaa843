//! Every layer against PyTorch's module, on the same input and with the same weights.

use serde::Deserialize;
use tch::{Kind, Tensor};

use super::tests::{assert_close, fixture};
use crate::{
    DropoutMasks, Layer, Network,
    network::{Role, read_safetensors, write_safetensors},
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
