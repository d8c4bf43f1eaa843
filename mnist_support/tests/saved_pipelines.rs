//! Saving and loading fitted pipelines.

mod common;

use std::{fs, path::Path};

use common::{digits, estimator, pipeline, pixel_columns};
use mnist_support::{
    CnnConfig, Error, Result,
    error::{LakeError, NetworkError, PipelineError},
    lake::{Credentials, Lake},
    ml::PipelineModel,
};

fn open(folder: &Path) -> Lake {
    Lake::open(folder.to_str().unwrap(), &Credentials::local()).unwrap()
}

fn fitted(iterations: usize) -> PipelineModel {
    let frame = digits(200);
    pipeline(pixel_columns(&frame), estimator().iterations(iterations))
        .fit(&frame)
        .unwrap()
}

fn predictions(model: &PipelineModel) -> Vec<i64> {
    let frame = model.transform(digits(200)).unwrap();
    frame
        .column("prediction")
        .unwrap()
        .i64()
        .unwrap()
        .into_no_null_iter()
        .collect()
}

/// Returns the only file of the folder whose name begins with `stem`.
fn file(folder: &Path, stem: &str) -> std::path::PathBuf {
    let mut found = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(stem)
        });
    let path = found.next().unwrap();
    assert!(found.next().is_none());
    path
}

fn load(folder: &Path) -> Result<PipelineModel> {
    PipelineModel::load(&open(folder))
}

#[test]
fn a_loaded_pipeline_predicts_as_the_saved_one() {
    let folder = tempfile::tempdir().unwrap();
    let model = fitted(20);
    model.save(&open(folder.path())).unwrap();
    let loaded = load(folder.path()).unwrap();
    assert_eq!(predictions(&loaded), predictions(&model));
    assert_eq!(loaded.report().unwrap(), model.report().unwrap());
    assert_eq!(
        loaded.torch_model().unwrap().estimator(),
        model.torch_model().unwrap().estimator()
    );
    assert_eq!(
        loaded.scaler_model().unwrap(),
        model.scaler_model().unwrap()
    );
}

#[test]
fn saving_again_replaces_the_previous_model_and_leaves_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    fitted(5).save(&open(folder.path())).unwrap();
    let model = fitted(20);
    model.save(&open(folder.path())).unwrap();
    assert_eq!(
        predictions(&load(folder.path()).unwrap()),
        predictions(&model)
    );
    // model.json, the pipeline, the weights, and the user's own file.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
    assert_eq!(
        fs::read_to_string(folder.path().join("notes.txt")).unwrap(),
        "mine"
    );
}

#[test]
fn a_save_that_is_cut_short_leaves_the_previous_model_whole() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let previous = fitted(5);
    previous.save(&open(folder.path())).unwrap();
    // Everything that a save writes before its last file, model.json.
    fitted(20).save(&open(other.path())).unwrap();
    for stem in ["weights-", "pipeline-"] {
        let path = file(other.path(), stem);
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    assert_eq!(
        predictions(&load(folder.path()).unwrap()),
        predictions(&previous)
    );
}

#[test]
fn a_folder_without_a_model_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(
        load(folder.path()),
        Err(Error::Lake(LakeError::NotFound { .. }))
    ));
}

/// The expected error, and the damage to the file.
type Damage = (&'static str, fn(&Path));

#[test]
fn files_that_are_missing_cut_or_altered_are_named() {
    for stem in ["weights-", "pipeline-"] {
        let damage: [Damage; 3] = [
            ("missing", |path| fs::remove_file(path).unwrap()),
            ("bytes", |path| {
                let bytes = fs::read(path).unwrap();
                fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
            }),
            ("not what was written", |path| {
                let mut bytes = fs::read(path).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(path, bytes).unwrap();
            }),
        ];
        for (expected, damage) in damage {
            let folder = tempfile::tempdir().unwrap();
            fitted(1).save(&open(folder.path())).unwrap();
            damage(&file(folder.path(), stem));
            match load(folder.path()).unwrap_err() {
                Error::Pipeline(PipelineError::InvalidModel { file, reason, .. }) => {
                    assert!(file.starts_with(stem), "{file}");
                    assert!(reason.to_string().contains(expected), "{reason}");
                }
                other => panic!("{other}"),
            }
        }
    }
}

#[test]
fn a_manifest_that_is_cut_or_of_another_version_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fitted(1).save(&open(folder.path())).unwrap();
    let manifest = folder.path().join("model.json");
    let text = fs::read_to_string(&manifest).unwrap();
    for changed in [
        text[..text.len() / 2].to_owned(),
        text.replace("\"version\": 1", "\"version\": 99"),
        String::new(),
    ] {
        fs::write(&manifest, changed).unwrap();
        let error = load(folder.path()).unwrap_err();
        assert!(
            matches!(&error, Error::Pipeline(PipelineError::InvalidModel { file, .. }) if file == "model.json"),
            "{error}"
        );
    }
}

#[test]
fn weights_of_another_network_are_an_error_that_names_the_parameter() {
    use mnist_support::network::{read_safetensors, write_safetensors};
    let small = CnnConfig {
        linear_channels: vec![32, 10],
        ..CnnConfig::default()
    }
    .network()
    .unwrap();
    let bytes = write_safetensors(&small, &small.initialize(1)).unwrap();
    let error = read_safetensors(&CnnConfig::default().network().unwrap(), &bytes).unwrap_err();
    assert!(
        matches!(error, Error::Network(NetworkError::InvalidWeights { .. })),
        "{error}"
    );
}

#[test]
fn the_trained_network_can_be_taken_out_of_the_pipeline() {
    let model = fitted(1);
    let torch = model.torch_model().unwrap();
    assert_eq!(
        torch.weights().len(),
        torch.network().parameter_names().len()
    );
    assert_eq!(torch.network(), &CnnConfig::default().network().unwrap());
    assert_eq!(torch.estimator(), &estimator().iterations(1));
}
