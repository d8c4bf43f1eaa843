//! A fitted pipeline as a folder of JSON and safetensors files.
//!
//! `model.json` lists the model's other files with their lengths and SHA-256 hashes. Their names
//! contain part of the hash, so a new model never overwrites a file of the previous one. The new
//! model replaces the previous one at the moment when `model.json` is written, which is atomic.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use tch::Tensor;

use super::{SavedStage, StageModel};
use crate::{
    Error, Network, Result,
    error::{Cause, LakeError, PipelineError},
    lake::Lake,
    network::{read_safetensors, write_safetensors},
};

const MANIFEST: &str = "model.json";
const FORMAT: &str = "mnist_support.pipeline";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: String,
    version: u32,
    /// The first is the pipeline. The others are the files it refers to.
    files: Vec<FileEntry>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileEntry {
    name: String,
    bytes: usize,
    sha256: String,
}

/// Writes a network's tensors to a file and returns its name.
pub(super) type PutTensors<'a> = dyn FnMut(&Network, &[Tensor]) -> Result<String> + 'a;

/// Reads a network's tensors from the named file.
pub(super) type GetTensors<'a> = dyn Fn(&Network, &str) -> Result<Vec<Tensor>> + 'a;

pub(crate) fn save(stages: &[StageModel], folder: &Lake) -> Result<()> {
    let mut files = Vec::new();
    let mut put_tensors = |network: &Network, tensors: &[Tensor]| {
        let bytes = write_safetensors(network, tensors)?;
        let entry = put(folder, "weights", "safetensors", bytes)?;
        let name = entry.name.clone();
        files.push(entry);
        Ok(name)
    };
    let saved = stages
        .iter()
        .map(|stage| stage.to_saved(&mut put_tensors))
        .collect::<Result<Vec<_>>>()?;
    files.insert(0, put(folder, "pipeline", "json", to_json(&saved))?);
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        version: VERSION,
        files,
    };
    folder.put(MANIFEST, Bytes::from(to_json(&manifest)))?;
    remove_previous(&manifest, folder)
}

/// Writes a file whose name contains its hash.
fn put(folder: &Lake, stem: &str, extension: &str, bytes: Vec<u8>) -> Result<FileEntry> {
    let sha256 = hash(&bytes);
    let entry = FileEntry {
        name: format!("{stem}-{}.{extension}", &sha256[..16]),
        bytes: bytes.len(),
        sha256,
    };
    folder.put(&entry.name, Bytes::from(bytes))?;
    Ok(entry)
}

/// Deletes the files of previous models. Only names that [`put`] gives match, so no file of the
/// user's.
fn remove_previous(manifest: &Manifest, folder: &Lake) -> Result<()> {
    let current: BTreeSet<&str> = manifest
        .files
        .iter()
        .map(|file| file.name.as_str())
        .collect();
    for name in folder.list()? {
        let ours = ["weights-", "pipeline-"].iter().any(|stem| {
            name.strip_prefix(stem)
                .and_then(|rest| rest.split_once('.'))
                .is_some_and(|(hash, _)| {
                    hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
                })
        });
        if ours && !current.contains(name.as_str()) {
            folder.delete(&name)?;
        }
    }
    Ok(())
}

pub(crate) fn load(folder: &Lake) -> Result<Vec<StageModel>> {
    let manifest: Manifest = from_json(&folder.get(MANIFEST)?, folder, MANIFEST)?;
    if manifest.format != FORMAT || manifest.version != VERSION {
        return Err(invalid(
            folder,
            MANIFEST,
            format!(
                "it holds {} version {}, this crate reads {FORMAT} version {VERSION}",
                manifest.format, manifest.version
            ),
        ));
    }
    let Some(pipeline) = manifest.files.first() else {
        return Err(invalid(folder, MANIFEST, "it lists no files".to_owned()));
    };
    let saved: Vec<SavedStage> = from_json(&get(folder, pipeline)?, folder, &pipeline.name)?;
    let get_tensors = |network: &Network, name: &str| {
        let entry = manifest.files.iter().find(|file| file.name == name);
        let entry =
            entry.ok_or_else(|| invalid(folder, MANIFEST, format!("it does not list {name}")))?;
        read_safetensors(network, &get(folder, entry)?)
    };
    let stages = saved
        .into_iter()
        .map(|stage| StageModel::from_saved(stage, &get_tensors))
        .collect::<Result<Vec<_>>>()?;
    for stage in &stages {
        let checked = stage.check();
        checked.map_err(|error| invalid(folder, &pipeline.name, error))?;
    }
    Ok(stages)
}

/// Reads a file and checks that it is the one that was written.
fn get(folder: &Lake, entry: &FileEntry) -> Result<Bytes> {
    let bytes = match folder.get(&entry.name) {
        Err(Error::Lake(LakeError::NotFound { .. })) => {
            return Err(invalid(folder, &entry.name, "it is missing".to_owned()));
        }
        other => other?,
    };
    if bytes.len() != entry.bytes {
        let reason = format!("it has {} bytes, {} were written", bytes.len(), entry.bytes);
        return Err(invalid(folder, &entry.name, reason));
    }
    if hash(&bytes) != entry.sha256 {
        return Err(invalid(
            folder,
            &entry.name,
            "its content is not what was written".to_owned(),
        ));
    }
    Ok(bytes)
}

fn hash(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("a model is numbers and text")
}

fn from_json<T: DeserializeOwned>(bytes: &[u8], folder: &Lake, file: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| invalid(folder, file, error))
}

fn invalid(folder: &Lake, file: &str, reason: impl Into<Cause>) -> Error {
    Error::Pipeline(PipelineError::InvalidModel {
        url: folder.to_string(),
        file: file.to_owned(),
        reason: reason.into(),
    })
}
