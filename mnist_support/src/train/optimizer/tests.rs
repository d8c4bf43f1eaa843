use super::*;
use crate::{Error, train::fixture};

#[test]
fn thirty_steps_of_each_optimizer_are_those_of_pytorch() {
    let fixture = fixture::read();
    for case in &fixture.optimizers {
        case.settings.validate().unwrap();
        let mut weights = Tensor::from_slice(&fixture.start);
        let mut optimizer = case.settings.start(&weights).unwrap();
        let mut saved = fixture.saved_steps.iter().zip(&case.weights).peekable();
        let steps = fixture.gradients.iter().zip(&fixture.rate_factors);
        for (step, (gradient, factor)) in (1..).zip(steps) {
            let gradient = Tensor::from_slice(gradient);
            let learning_rate = case.learning_rate * factor;
            optimizer
                .step(&mut weights, &gradient, learning_rate)
                .unwrap();
            if let Some((_, expected)) = saved.next_if(|(saved, _)| **saved == step) {
                let found = Vec::<f64>::try_from(&weights.to_kind(tch::Kind::Double)).unwrap();
                let expected: Vec<f64> = expected.iter().map(|value| f64::from(*value)).collect();
                let what = format!("{:?} after step {step}", case.settings);
                fixture::assert_close(&found, &expected, &what);
            }
        }
        assert!(saved.next().is_none());
    }
}

#[test]
fn an_optimizer_leaves_the_gradient_as_it_is() {
    for case in fixture::read().optimizers {
        let values = [1.0_f32, -2.0, 0.5];
        let mut weights = Tensor::from_slice(&values);
        let gradient = Tensor::from_slice(&[0.1_f32, 0.2, -3.0]);
        let mut optimizer = case.settings.start(&weights).unwrap();
        optimizer.step(&mut weights, &gradient, 0.1).unwrap();
        optimizer.step(&mut weights, &gradient, 0.1).unwrap();
        let expected = Tensor::from_slice(&[0.1_f32, 0.2, -3.0]);
        assert_eq!(gradient, expected, "{:?}", case.settings);
        assert_ne!(weights, Tensor::from_slice(&values), "{:?}", case.settings);
    }
}

#[test]
fn settings_are_written_by_pytorchs_names_and_left_out_they_are_its_defaults() {
    let json = r#"{"Sgd":{"momentum":0.9,"weight_decay":0.0,"nesterov":false}}"#;
    assert_eq!(serde_json::to_string(&Optimizer::sgd(0.9)).unwrap(), json);
    for (json, optimizer) in [
        (r#"{"Adam":{}}"#, Optimizer::adam()),
        (r#"{"NAdam":{}}"#, Optimizer::nadam()),
        (r#"{"RAdam":{}}"#, Optimizer::radam()),
        (r#"{"Adamax":{}}"#, Optimizer::adamax()),
        (r#"{"RmsProp":{}}"#, Optimizer::rms_prop()),
        (r#"{"Adagrad":{}}"#, Optimizer::adagrad()),
        (r#"{"Adadelta":{}}"#, Optimizer::adadelta()),
    ] {
        let read = serde_json::from_str::<Optimizer>(json).unwrap();
        assert_eq!(read, optimizer);
        let written = serde_json::to_string(&optimizer).unwrap();
        assert_eq!(
            serde_json::from_str::<Optimizer>(&written).unwrap(),
            optimizer
        );
    }
}

#[test]
fn settings_outside_their_range_are_named() {
    let read = |json: &str| serde_json::from_str::<Optimizer>(json).unwrap();
    for (expected, json) in [
        ("betas", r#"{"Adam":{"betas":[1.0,0.999]}}"#),
        ("eps", r#"{"Adam":{"eps":-1.0}}"#),
        ("weight_decay", r#"{"Adam":{"weight_decay":-0.1}}"#),
        ("momentum", r#"{"Sgd":{"momentum":1.0}}"#),
        ("momentum", r#"{"Sgd":{"nesterov":true}}"#),
        ("dampening", r#"{"Sgd":{"momentum":0.9,"dampening":1.1}}"#),
        (
            "dampening",
            r#"{"Sgd":{"momentum":0.9,"nesterov":true,"dampening":0.1}}"#,
        ),
        ("betas", r#"{"NAdam":{"betas":[0.9,-0.1]}}"#),
        ("momentum_decay", r#"{"NAdam":{"momentum_decay":-1.0}}"#),
        ("betas", r#"{"RAdam":{"betas":[0.9,1.0]}}"#),
        ("eps", r#"{"Adamax":{"eps":-1e-8}}"#),
        ("alpha", r#"{"RmsProp":{"alpha":1.0}}"#),
        ("momentum", r#"{"RmsProp":{"momentum":-0.1}}"#),
        ("lr_decay", r#"{"Adagrad":{"lr_decay":-0.1}}"#),
        (
            "initial_accumulator_value",
            r#"{"Adagrad":{"initial_accumulator_value":-1.0}}"#,
        ),
        ("rho", r#"{"Adadelta":{"rho":1.5}}"#),
        ("weight_decay", r#"{"Adadelta":{"weight_decay":-1.0}}"#),
    ] {
        match read(json).validate() {
            Err(Error::InvalidSetting { setting, .. }) => assert_eq!(setting, expected, "{json}"),
            other => panic!("{json}: {other:?}"),
        }
    }
    let nan = Optimizer::Adagrad(Adagrad {
        eps: f64::NAN,
        ..Default::default()
    });
    assert!(nan.validate().is_err());
}
