//! Reads and writes safetensors, the format in which PyTorch users exchange weights.

use std::collections::HashMap;

use safetensors::{Dtype, tensor::TensorView};
use tch::{Device, Kind, TchError, Tensor};

use crate::Result;

// safetensors is little-endian, and the bytes are copied as they are.
const _: () = assert!(cfg!(target_endian = "little"));

/// The safetensors dtype of tensors of `kind`.
pub(crate) fn dtype(kind: Kind) -> Result<Dtype> {
    Ok(match kind {
        Kind::Float => Dtype::F32,
        Kind::Double => Dtype::F64,
        Kind::Half => Dtype::F16,
        Kind::BFloat16 => Dtype::BF16,
        Kind::Int64 => Dtype::I64,
        Kind::Int => Dtype::I32,
        Kind::Int16 => Dtype::I16,
        Kind::Int8 => Dtype::I8,
        Kind::Uint8 => Dtype::U8,
        Kind::Bool => Dtype::BOOL,
        other => {
            let reason = format!("tensors of kind {other:?} can't be written to safetensors");
            return Err(TchError::Kind(reason).into());
        }
    })
}

/// Serialises named tensors and optional metadata.
pub(crate) fn serialize<'a>(
    tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    metadata: Option<HashMap<String, String>>,
) -> Result<Vec<u8>> {
    let tensors = tensors
        .into_iter()
        .map(|(name, tensor)| {
            Ok((
                name,
                dtype(tensor.f_kind()?)?,
                tensor.size(),
                bytes(tensor)?,
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        let shape = shape.iter().map(|&size| size as usize).collect();
        let view = TensorView::new(*dtype, shape, bytes).expect("the bytes are the tensor's");
        (*name, view)
    });
    Ok(safetensors::serialize(views, metadata).expect("the tensors were checked"))
}

/// Copies a tensor out of a file, onto the CPU.
pub(crate) fn read(view: &TensorView<'_>, kind: Kind) -> Result<Tensor> {
    let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
    Ok(Tensor::f_from_data_size(view.data(), &shape, kind)?)
}

fn bytes(tensor: &Tensor) -> Result<Vec<u8>> {
    let tensor = tensor
        .f_detach()?
        .f_to_device(Device::Cpu)?
        .f_contiguous()?;
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok(bytes)
}
