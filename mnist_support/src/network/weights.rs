//! Reads and writes weights as safetensors, the format in which PyTorch users exchange them.

use safetensors::tensor::{Metadata, SafeTensorError, SafeTensors};
use tch::Tensor;

use super::data::Network;
use super::state::{Role, StateTensor};
use crate::{
    Error, Result,
    error::{Cause, NetworkError},
    tensor_file,
};

/// The name in [`NetworkError::InvalidWeights`] if the error is not about one parameter.
const WHOLE_FILE: &str = "(the whole file)";

/// Serialises the parameters and buffers to the bytes of a safetensors file, under PyTorch's names.
/// In Python, load them with `network.load_state_dict(safetensors.torch.load_file(path))`.
///
/// ```
/// use mnist_support::network::{CnnConfig, read_safetensors, write_safetensors};
///
/// let network = CnnConfig::default().network()?;
/// let parameters = network.initialize(42);
/// let bytes = write_safetensors(&network, &parameters)?;
/// assert_eq!(read_safetensors(&network, &bytes)?, parameters);
/// # Ok::<(), mnist_support::Error>(())
/// ```
///
/// # Errors
/// - [`NetworkError::InvalidWeights`] for a parameter of the wrong shape or type (`f32` is needed,
///   or `i64` for a counter).
/// - [`Error::ShapeMismatch`] for the wrong number of parameters.
pub fn write_safetensors(network: &Network, parameters: &[Tensor]) -> Result<Vec<u8>> {
    network.check_parameters(parameters)?;
    let state = network.state();
    for ((name, expected), tensor) in state.iter().zip(parameters) {
        let (kind, needed) = (tensor.f_kind()?, expected.role.kind());
        if kind != needed {
            let reason = format!("its type is {kind:?}, {needed:?} is needed");
            return Err(invalid(name, reason));
        }
    }
    let names = state.iter().map(|(name, _)| name.as_str());
    tensor_file::serialize(names.zip(parameters), None)
}

/// Reads the network's parameters and buffers from the bytes of a safetensors file, onto the CPU,
/// without gradients, in the order of [`Network::state_names`].
///
/// # Errors
/// [`NetworkError::InvalidWeights`], which names the parameter that is missing, unknown to the
/// network, of the wrong shape or type, or cut off, or says that the file is not safetensors.
pub fn read_safetensors(network: &Network, bytes: &[u8]) -> Result<Vec<Tensor>> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| unreadable(&error, bytes))?;
    let state = network.state();
    let mut parameters = Vec::with_capacity(state.len());
    for (name, StateTensor { shape, role, .. }) in &state {
        let view = file
            .tensor(name)
            .map_err(|_| invalid(name, format!("it is missing; {}", has(&file))))?;
        let found: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        if found != *shape {
            let reason = format!("its shape is {found:?}, where the network needs {shape:?}");
            return Err(invalid(name, reason));
        }
        let (found, needed) = (view.dtype(), tensor_file::dtype(role.kind())?);
        if found != needed {
            let to = match role {
                Role::Parameter | Role::Statistic => ": convert it with .float()",
                Role::Counter => ": convert it with .long()",
                Role::Constant(_) => "",
            };
            let reason = format!("its type is {found}, {needed} is needed{to}");
            return Err(invalid(name, reason));
        }
        parameters.push(tensor_file::read(&view, role.kind())?);
    }
    let mut others: Vec<&str> = file.names();
    others.retain(|name| !state.iter().any(|(own, _)| own == name));
    if let Some(other) = others.into_iter().min() {
        return Err(invalid(
            other,
            "the network has no such parameter".to_owned(),
        ));
    }
    Ok(parameters)
}

fn invalid(parameter: &str, reason: impl Into<Cause>) -> Error {
    Error::Network(NetworkError::InvalidWeights {
        parameter: parameter.to_owned(),
        reason: reason.into(),
    })
}

fn has(file: &SafeTensors<'_>) -> String {
    let mut names = file.names();
    names.sort_unstable();
    if names.is_empty() {
        "the file is empty".to_owned()
    } else {
        format!("the file has {}", names.join(", "))
    }
}

/// Names the parameter at which an unreadable file is broken, if it can be determined.
fn unreadable(error: &SafeTensorError, bytes: &[u8]) -> Error {
    match error {
        SafeTensorError::InvalidOffset(name) => invalid(
            name,
            "its offsets in the file are invalid: the header was altered".to_owned(),
        ),
        SafeTensorError::MetadataIncompleteBuffer => match first_cut(bytes) {
            Some(name) => invalid(
                &name,
                "the file is truncated: its values are incomplete".to_owned(),
            ),
            None => invalid(
                WHOLE_FILE,
                "there is more data than the header describes".to_owned(),
            ),
        },
        _ => invalid(
            WHOLE_FILE,
            format!("it is not a complete safetensors file: {error}"),
        ),
    }
}

/// The first tensor whose values extend beyond the end of the file.
fn first_cut(bytes: &[u8]) -> Option<String> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (header, data) = rest.split_at_checked(length)?;
    let header: Metadata = serde_json::from_slice(header).ok()?;
    let is_cut = |name: &String| {
        header
            .info(name)
            .is_some_and(|info| info.data_offsets.1 > data.len())
    };
    header.offset_keys().into_iter().find(is_cut)
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::{Dtype, TensorView};
    use tch::Kind;

    use super::*;
    use crate::network::{CnnConfig, Layer};

    fn network() -> Network {
        let layers = vec![Layer::linear(4, 3), Layer::ReLU, Layer::linear(3, 2)];
        Network::new(&[4], layers).unwrap()
    }

    /// The bytes of a file of these tensors, valid or not.
    fn file(tensors: &[(&str, Dtype, &[usize])]) -> Vec<u8> {
        let zeros = [0_u8; 1024];
        let views = tensors.iter().map(|&(name, dtype, shape)| {
            let length = shape.iter().product::<usize>() * dtype.bitsize() / 8;
            (
                name,
                TensorView::new(dtype, shape.to_vec(), &zeros[..length]).unwrap(),
            )
        });
        safetensors::serialize(views, None).unwrap()
    }

    fn refusal(bytes: &[u8]) -> (String, String) {
        match read_safetensors(&network(), bytes) {
            Err(Error::Network(NetworkError::InvalidWeights { parameter, reason })) => {
                (parameter, reason.to_string())
            }
            other => panic!("{other:?}"),
        }
    }

    const RIGHT: [(&str, Dtype, &[usize]); 4] = [
        ("0.weight", Dtype::F32, &[3, 4]),
        ("0.bias", Dtype::F32, &[3]),
        ("2.weight", Dtype::F32, &[2, 3]),
        ("2.bias", Dtype::F32, &[2]),
    ];

    #[test]
    fn parameters_come_back_bit_for_bit() {
        let cnn = CnnConfig::default().network().unwrap();
        let trainable = |tensor: Tensor| tensor.set_requires_grad(true);
        let parameters: Vec<Tensor> = cnn.initialize(3).into_iter().map(trainable).collect();
        let bytes = write_safetensors(&cnn, &parameters).unwrap();
        let read = read_safetensors(&cnn, &bytes).unwrap();
        assert_eq!(read, parameters);
        assert!(read.iter().all(|tensor| !tensor.requires_grad()));
        assert_eq!(
            read_safetensors(&network(), &file(&RIGHT)).unwrap().len(),
            4
        );
    }

    #[test]
    fn a_tensor_that_is_not_contiguous_is_written_in_its_logical_order() {
        let network = Network::new(&[2], vec![Layer::linear(2, 3)]).unwrap();
        let mut parameters = network.initialize(1);
        parameters[0] = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0])
            .view([2, 3])
            .tr();
        let bytes = write_safetensors(&network, &parameters).unwrap();
        assert_eq!(read_safetensors(&network, &bytes).unwrap(), parameters);
    }

    #[test]
    fn a_missing_parameter_is_named() {
        let (parameter, reason) = refusal(&file(&RIGHT[..3]));
        assert_eq!(parameter, "2.bias");
        assert_eq!(
            reason,
            "it is missing; the file has 0.bias, 0.weight, 2.weight"
        );
        assert_eq!(refusal(&file(&[])).1, "it is missing; the file is empty");
    }

    #[test]
    fn a_parameter_that_the_network_does_not_have_is_named() {
        let mut tensors = RIGHT.to_vec();
        tensors.push(("5.weight", Dtype::F32, &[1]));
        assert_eq!(refusal(&file(&tensors)).0, "5.weight");
    }

    #[test]
    fn a_parameter_of_the_wrong_shape_is_named_with_both_shapes() {
        let mut tensors = RIGHT;
        tensors[2].2 = &[3, 2];
        let (parameter, reason) = refusal(&file(&tensors));
        assert_eq!(parameter, "2.weight");
        assert_eq!(
            reason,
            "its shape is [3, 2], where the network needs [2, 3]"
        );
    }

    #[test]
    fn a_parameter_of_the_wrong_dtype_is_named() {
        let mut tensors = RIGHT;
        tensors[1].1 = Dtype::F64;
        let (parameter, reason) = refusal(&file(&tensors));
        assert_eq!(parameter, "0.bias");
        assert!(reason.contains("F64"), "{reason}");
    }

    #[test]
    fn a_file_truncated_anywhere_is_refused() {
        let bytes = file(&RIGHT);
        for length in 0..bytes.len() {
            let (parameter, reason) = refusal(&bytes[..length]);
            assert!(!parameter.is_empty() && !reason.is_empty());
        }
        let (parameter, reason) = refusal(&bytes[..bytes.len() - 1]);
        assert_eq!(parameter, "2.weight");
        assert!(reason.contains("truncated"), "{reason}");
        assert_eq!(refusal(&bytes[..4]).0, WHOLE_FILE);
    }

    #[test]
    fn an_altered_header_is_refused() {
        let bytes = file(&RIGHT);
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        for position in 0..header {
            let mut altered = bytes.clone();
            altered[position] ^= 0x04;
            let read = read_safetensors(&network(), &altered);
            let refused = matches!(
                read,
                Err(Error::Network(NetworkError::InvalidWeights { .. }))
            );
            assert!(refused, "byte {position}: {read:?}");
        }
        let text = String::from_utf8_lossy(&bytes[8..header]).replacen("[0,12]", "[4,12]", 1);
        let altered = [&bytes[..8], text.as_bytes(), &bytes[header..]].concat();
        let (parameter, reason) = refusal(&altered);
        assert_eq!(parameter, "0.bias");
        assert!(reason.contains("altered"), "{reason}");
    }

    #[test]
    fn data_after_the_end_is_refused() {
        let bytes = [file(&RIGHT), vec![0; 5]].concat();
        assert_eq!(refusal(&bytes).0, WHOLE_FILE);
    }

    #[test]
    fn parameters_of_another_network_or_type_are_not_written() {
        let network = network();
        let mut parameters = network.initialize(1);
        parameters[1] = parameters[1].to_kind(Kind::Double);
        match write_safetensors(&network, &parameters) {
            Err(Error::Network(NetworkError::InvalidWeights { parameter, .. })) => {
                assert_eq!(parameter, "0.bias")
            }
            other => panic!("{other:?}"),
        }
        assert!(write_safetensors(&network, &parameters[..2]).is_err());
    }
}

#[cfg(test)]
mod fuzz {
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::{CnnConfig, fuzz::Fuzz};

    fn network() -> Network {
        CnnConfig::default().network().unwrap()
    }

    fn fuzz() -> Fuzz {
        let network = network();
        let own = write_safetensors(&network, &network.initialize(1)).unwrap();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/");
        let other = std::fs::read(format!("{folder}pytorch_norm.safetensors")).unwrap();
        Fuzz {
            name: "safetensors",
            files: vec![own.clone(), own, other],
            parts: &[
                b"\"dtype\":\"F32\"",
                b"\"I64\"",
                b"\"shape\":[",
                b"\"data_offsets\":[0,4]",
                b"{",
                b"}",
                b"__metadata__",
                b"[[[[[[[[",
                b"\\u0000",
                b",",
            ],
        }
    }

    fn parse(network: &Network, bytes: &[u8], _: &mut ChaCha8Rng) -> bool {
        let read = read_safetensors(network, bytes);
        let parameters = read.map(|parameters| network.check_parameters(&parameters).unwrap());
        parameters.is_ok()
    }

    #[test]
    fn altered_files_are_errors_or_weights() {
        let network = network();
        let read = fuzz().a_few(|bytes, random| parse(&network, bytes, random));
        assert!(read > 10, "{read}");
    }

    #[test]
    #[ignore = "takes as long as MNIST_FUZZ_SECONDS says"]
    fn for_a_while() {
        let network = network();
        fuzz().for_a_while(|bytes, random| parse(&network, bytes, random));
    }
}
