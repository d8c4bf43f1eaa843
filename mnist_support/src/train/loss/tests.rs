use std::collections::HashMap;

use super::*;
use crate::{
    Error, Layer,
    network::{assert_close, fixture},
};

/// A loss by its name in the fixture, and the names of its outputs and targets there.
fn cases() -> Vec<(&'static str, Loss, &'static str, &'static str)> {
    let class_weight = Some(vec![0.2, 1.0, 3.0]);
    vec![
        ("cross_entropy", Loss::cross_entropy(), "scores", "classes"),
        (
            "cross_entropy.weight",
            Loss::CrossEntropy(CrossEntropy {
                weight: class_weight.clone(),
                ignore_index: None,
                label_smoothing: 0.1,
            }),
            "scores",
            "classes",
        ),
        (
            "cross_entropy.ignore_index",
            Loss::CrossEntropy(CrossEntropy {
                weight: class_weight.clone(),
                ignore_index: Some(-1),
                label_smoothing: 0.0,
            }),
            "scores",
            "some_classes",
        ),
        ("nll", Loss::nll(), "log_probabilities", "classes"),
        (
            "nll.weight",
            Loss::Nll(Nll {
                weight: class_weight,
                ignore_index: Some(-1),
            }),
            "log_probabilities",
            "some_classes",
        ),
        ("mse", Loss::mse(), "scores", "numbers"),
        ("l1", Loss::l1(), "scores", "numbers"),
        ("smooth_l1", Loss::smooth_l1(), "scores", "numbers"),
        (
            "smooth_l1.beta",
            Loss::SmoothL1(SmoothL1 { beta: 0.3 }),
            "scores",
            "numbers",
        ),
        ("huber", Loss::huber(), "scores", "numbers"),
        (
            "huber.delta",
            Loss::Huber(Huber { delta: 0.3 }),
            "scores",
            "numbers",
        ),
        (
            "bce_with_logits",
            Loss::bce_with_logits(),
            "scores",
            "labels",
        ),
        (
            "bce_with_logits.pos_weight",
            Loss::BceWithLogits(BceWithLogits {
                pos_weight: Some(vec![0.5, 1.0, 4.0]),
            }),
            "scores",
            "labels",
        ),
        (
            "kl_div",
            Loss::kl_div(),
            "log_probabilities",
            "probabilities",
        ),
        (
            "kl_div.log_target",
            Loss::KlDiv(KlDiv { log_target: true }),
            "log_probabilities",
            "log_targets",
        ),
        ("poisson_nll", Loss::poisson_nll(), "scores", "counts"),
        (
            "poisson_nll.full",
            Loss::PoissonNll(PoissonNll {
                log_input: false,
                full: true,
                eps: 0.01,
            }),
            "probabilities",
            "counts",
        ),
    ]
}

/// The value of the loss and its gradient, as training computes them: sums, divided at the end.
fn mean(
    loss: &Loss,
    outputs: &Tensor,
    targets: &Tensor,
    weights: Option<&Tensor>,
) -> (Tensor, Tensor) {
    let outputs = outputs.copy().set_requires_grad(true);
    let sum = loss.sum(&outputs, targets, weights).unwrap();
    let mean = sum.loss / sum.weight;
    mean.backward();
    (mean.detach(), outputs.grad())
}

#[test]
fn every_loss_and_its_gradient_are_those_of_pytorch() {
    let expected = fixture("pytorch_losses.safetensors");
    for (name, loss, outputs, targets) in cases() {
        for (kind, weights) in [("mean", None), ("weighted", Some(&expected["weights"]))] {
            let (value, gradient) = mean(&loss, &expected[outputs], &expected[targets], weights);
            println!("{name} {kind}");
            assert_close(&value, &expected[&format!("{name}.{kind}")]);
            assert_close(&gradient, &expected[&format!("{name}.{kind}.gradient")]);
        }
    }
}

#[test]
fn weights_that_are_all_alike_change_nothing() {
    let expected = fixture("pytorch_losses.safetensors");
    let rows = expected["weights"].size()[0];
    let weights = Tensor::full([rows], 2.5, (tch::Kind::Float, tch::Device::Cpu));
    for (name, loss, outputs, targets) in cases() {
        let (outputs, targets) = (&expected[outputs], &expected[targets]);
        let (alike, _) = mean(&loss, outputs, targets, Some(&weights));
        let (without, _) = mean(&loss, outputs, targets, None);
        println!("{name}");
        assert_close(&alike, &without);
    }
}

#[test]
fn every_loss_comes_back_from_its_json() {
    let names: HashMap<&str, Loss> = cases()
        .into_iter()
        .map(|(name, loss, _, _)| (name, loss))
        .collect();
    for loss in names.values() {
        let json = serde_json::to_string(loss).unwrap();
        assert_eq!(serde_json::from_str::<Loss>(&json).unwrap(), *loss);
    }
}

#[test]
fn a_loss_of_an_older_model_comes_back() {
    let read = |json: &str| {
        Loss::deserialize_saved(&mut serde_json::Deserializer::from_str(json)).unwrap()
    };
    assert_eq!(read(r#""NegativeLogLikelihood""#), Loss::nll());
    let smoothed = Loss::CrossEntropy(CrossEntropy {
        label_smoothing: 0.5,
        ..CrossEntropy::default()
    });
    assert_eq!(
        read(r#"{"CrossEntropy": {"label_smoothing": 0.5}}"#),
        smoothed
    );
}

#[test]
fn a_setting_outside_its_range_is_named() {
    let smoothing = Loss::CrossEntropy(CrossEntropy {
        label_smoothing: 1.0,
        ..CrossEntropy::default()
    });
    let weights = |weight: Vec<f64>| {
        Loss::Nll(Nll {
            weight: Some(weight),
            ..Nll::default()
        })
    };
    let cases = [
        (smoothing, "label_smoothing"),
        (weights(vec![1.0, -1.0]), "weight"),
        (weights(vec![1.0, f64::NAN]), "weight"),
        (weights(vec![0.0, 0.0]), "weight"),
        (Loss::SmoothL1(SmoothL1 { beta: 0.0 }), "beta"),
        (
            Loss::Huber(Huber {
                delta: f64::INFINITY,
            }),
            "delta",
        ),
        (
            Loss::BceWithLogits(BceWithLogits {
                pos_weight: Some(vec![-1.0]),
            }),
            "pos_weight",
        ),
        (
            Loss::PoissonNll(PoissonNll {
                eps: 0.0,
                ..PoissonNll::default()
            }),
            "eps",
        ),
    ];
    for (loss, expected) in cases {
        let error = loss.validate().unwrap_err();
        let Error::InvalidSetting { setting, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(setting, expected);
    }
}

#[test]
fn an_output_that_does_not_suit_the_loss_is_named() {
    let network = |layers: Vec<Layer>| Network::new(&[1, 2, 2], layers).unwrap();
    let image = network(vec![Layer::ReLU]);
    let error = Loss::cross_entropy().validate_for(&image).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the network's output has shape [1, 2, 2], where [classes], one score for each class, \
         is needed"
    );
    let two = network(vec![Layer::Flatten, Layer::linear(4, 2)]);
    let loss = Loss::CrossEntropy(CrossEntropy {
        weight: Some(vec![1.0; 3]),
        ..CrossEntropy::default()
    });
    let error = loss.validate_for(&two).unwrap_err().to_string();
    assert!(
        error.contains("has 3 values, and the network has 2 outputs: give one for each"),
        "{error}"
    );
}

#[test]
fn a_last_layer_that_the_loss_applies_itself_is_warned_of_and_so_is_one_that_is_missing() {
    let ends_in = |last: Layer| Network::new(&[4], vec![Layer::linear(4, 2), last]).unwrap();
    let plain = Network::new(&[4], vec![Layer::linear(4, 2)]).unwrap();
    let warned = [
        (Loss::cross_entropy(), ends_in(Layer::LogSoftmax), "remove"),
        (Loss::bce_with_logits(), ends_in(Layer::Sigmoid), "remove"),
        (Loss::nll(), plain.clone(), "add the layer"),
        (Loss::kl_div(), plain.clone(), "add the layer"),
    ];
    for (loss, network, advice) in &warned {
        let warning = loss.warning(network).unwrap();
        assert!(warning.contains(advice), "{warning}");
    }
    for loss in [Loss::cross_entropy(), Loss::bce_with_logits(), Loss::mse()] {
        assert_eq!(loss.warning(&plain), None);
    }
    assert_eq!(Loss::nll().warning(&ends_in(Layer::LogSoftmax)), None);
}
