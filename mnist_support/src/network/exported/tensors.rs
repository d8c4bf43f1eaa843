//! The tensors of an archive: raw bytes, described by JSON.

use tch::{Device, Kind, Tensor};

use super::{
    archive::Archive,
    invalid,
    schema::{Size, TensorFile, TensorFiles, TensorMeta},
};
use crate::{Result, network::shape::elements};

/// The layout of a tensor that is neither sparse nor another library's.
const STRIDED: i64 = 7;

impl TensorMeta {
    /// The sizes, if none depends on the batch.
    pub(super) fn shape(&self) -> Option<Vec<i64>> {
        known(&self.sizes)
    }

    /// The dtype: its number among PyTorch's dtypes, and tch's kind where there is one.
    pub(super) fn kind(&self) -> Result<Kind, String> {
        kind(self.dtype)
            .ok_or_else(|| format!("its type is {}, which is not supported", name(self.dtype)))
    }
}

/// tch's kind for a dtype of the format.
fn kind(dtype: i64) -> Option<Kind> {
    Some(match dtype {
        1 => Kind::Uint8,
        2 => Kind::Int8,
        3 => Kind::Int16,
        4 => Kind::Int,
        5 => Kind::Int64,
        6 => Kind::Half,
        7 => Kind::Float,
        8 => Kind::Double,
        12 => Kind::Bool,
        13 => Kind::BFloat16,
        _ => return None,
    })
}

/// libtorch's own number for a dtype of the format.
pub(super) fn scalar_type(dtype: i64) -> Option<i64> {
    Some(match dtype {
        1..=12 => dtype - 1,
        13 => 15,
        _ => return None,
    })
}

/// PyTorch's name of a dtype of the format.
fn name(dtype: i64) -> String {
    match dtype {
        9 => "torch.complex32".to_owned(),
        10 => "torch.complex64".to_owned(),
        11 => "torch.complex128".to_owned(),
        other => format!("number {other} of torch's types"),
    }
}

/// PyTorch's name of a kind.
pub(super) fn dtype_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Uint8 => "torch.uint8",
        Kind::Int8 => "torch.int8",
        Kind::Int16 => "torch.int16",
        Kind::Int => "torch.int32",
        Kind::Int64 => "torch.int64",
        Kind::Half => "torch.float16",
        Kind::Float => "torch.float32",
        Kind::Double => "torch.float64",
        Kind::Bool => "torch.bool",
        Kind::BFloat16 => "torch.bfloat16",
        _ => "another type",
    }
}

fn known(sizes: &[Size]) -> Option<Vec<i64>> {
    let sizes = sizes.iter().map(|size| match size {
        Size::AsInt(size) => Some(*size),
        Size::AsExpr(_) => None,
    });
    sizes.collect()
}

/// The files of a folder of tensors, `weights` or `constants`.
pub(super) fn files(archive: &Archive, folder: &str) -> Result<TensorFiles> {
    let path = match folder {
        "weights" => "data/weights/model_weights_config.json",
        _ => "data/constants/model_constants_config.json",
    };
    serde_json::from_slice(archive.get(path)?).map_err(|error| invalid(path, error.to_string()))
}

/// Reads the tensor `name` from a folder of tensors.
pub(super) fn read(
    archive: &Archive,
    folder: &str,
    files: &TensorFiles,
    name: &str,
) -> Result<Tensor> {
    let Some(file) = files.config.get(name) else {
        return Err(invalid(name, format!("data/{folder} does not have it")));
    };
    let bytes = archive.get(&path(folder, file))?;
    decode(file, bytes).map_err(|reason| invalid(name, reason))
}

/// The path of a tensor's bytes in the archive.
pub(super) fn path(folder: &str, file: &TensorFile) -> String {
    format!("data/{folder}/{}", file.path_name)
}

/// How a tensor lies in its bytes.
struct Placement {
    kind: Kind,
    sizes: Vec<i64>,
    strides: Vec<i64>,
    offset: i64,
    /// The number of elements that the bytes need to have.
    extent: i64,
}

impl Placement {
    fn new(file: &TensorFile) -> Result<Self, String> {
        let meta = match &file.tensor_meta {
            Some(meta) if !file.use_pickle => meta,
            _ => return Err("it is pickled, and pickles are programs: not read".to_owned()),
        };
        if meta.layout != STRIDED {
            return Err("it is sparse: convert it with to_dense() before the export".to_owned());
        }
        let kind = meta.kind()?;
        let (sizes, strides) = (meta.shape(), known(&meta.strides));
        let (Some(sizes), Some(strides), Size::AsInt(offset)) =
            (sizes, strides, &meta.storage_offset)
        else {
            return Err("its size depends on the batch".to_owned());
        };
        let negative = sizes
            .iter()
            .chain(&strides)
            .chain([offset])
            .any(|&size| size < 0);
        let contradicts = || format!("its shape {sizes:?} contradicts its strides {strides:?}");
        if sizes.len() != strides.len() || negative {
            return Err(contradicts());
        }
        let extent = match elements(&sizes)? {
            0 => Some(0),
            _ => sizes
                .iter()
                .zip(&strides)
                .try_fold(offset.saturating_add(1), |extent, (size, stride)| {
                    (size - 1).checked_mul(*stride)?.checked_add(extent)
                }),
        };
        let extent = extent.ok_or_else(contradicts)?;
        elements(&[extent])?;
        Ok(Placement {
            kind,
            sizes,
            strides,
            offset: *offset,
            extent,
        })
    }

    /// A view of the tensor in its bytes.
    fn view(&self, storage: &Tensor) -> Result<Tensor, tch::TchError> {
        storage.f_as_strided(&self.sizes, &self.strides, self.offset)
    }
}

fn decode(file: &TensorFile, bytes: &[u8]) -> Result<Tensor, String> {
    let placement = Placement::new(file)?;
    let Placement {
        kind,
        sizes,
        extent,
        ..
    } = &placement;
    let width = kind.elt_size_in_bytes();
    let stored = (bytes.len() / width) as i64;
    if !bytes.len().is_multiple_of(width) || *extent > stored {
        return Err(format!(
            "its shape {sizes:?} does not fit its {} bytes: the file was cut off or altered",
            bytes.len()
        ));
    }
    let tensor = || match extent {
        0 => Tensor::f_zeros(sizes, (*kind, Device::Cpu)),
        _ => placement
            .view(&Tensor::f_from_data_size(bytes, &[stored], *kind)?)?
            .f_contiguous(),
    };
    tensor().map_err(|error| error.to_string())
}

/// The bytes of a tensor, as a file's description wants them.
pub(super) fn encode(file: &TensorFile, tensor: &Tensor) -> Result<Vec<u8>, String> {
    let placement = Placement::new(file)?;
    let Placement { kind, extent, .. } = &placement;
    let write = || {
        let storage = Tensor::f_zeros([*extent], (*kind, Device::Cpu))?;
        if *extent > 0 {
            placement.view(&storage)?.f_copy_(&tensor.f_detach()?)?;
        }
        let mut bytes = vec![0; *extent as usize * kind.elt_size_in_bytes()];
        storage.f_copy_data_u8(&mut bytes, *extent as usize)?;
        Ok(bytes)
    };
    write().map_err(|error: tch::TchError| error.to_string())
}
