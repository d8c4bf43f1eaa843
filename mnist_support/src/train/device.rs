//! Where tensors live.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A device by PyTorch's names: `cpu`, `cuda`, `cuda:1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// The NVIDIA GPU of this number.
    Cuda(usize),
}

impl Device {
    /// The device as tch knows it.
    ///
    /// # Errors
    /// [`Error::DeviceUnavailable`] where this machine or this libtorch has no such GPU.
    pub fn open(self) -> Result<tch::Device> {
        match self {
            Device::Cpu => Ok(tch::Device::Cpu),
            Device::Cuda(number) => {
                let available = tch::Cuda::device_count();
                if number < available.max(0) as usize {
                    return Ok(tch::Device::Cuda(number));
                }
                Err(Error::DeviceUnavailable {
                    device: self.to_string(),
                    reason: if available > 0 {
                        format!("this machine has {available} GPUs, numbered from 0")
                    } else {
                        "libtorch sees no GPU: it needs an NVIDIA GPU with its driver, and libtorch with CUDA \
                         (`make setup TORCH=cuda`)"
                            .to_owned()
                    },
                })
            }
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(name: &str) -> Result<Device> {
        match name.split_once(':') {
            None if name == "cpu" => Some(Device::Cpu),
            None if name == "cuda" => Some(Device::Cuda(0)),
            Some(("cuda", number)) => number.parse().ok().map(Device::Cuda),
            _ => None,
        }
        .ok_or_else(|| Error::DeviceUnavailable {
            device: name.to_owned(),
            reason: "known are cpu, cuda, and cuda:0, cuda:1 and so on".to_owned(),
        })
    }
}

impl From<Device> for String {
    fn from(device: Device) -> String {
        device.to_string()
    }
}

impl TryFrom<String> for Device {
    type Error = Error;

    fn try_from(name: String) -> Result<Device> {
        name.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_read_and_print_as_pytorch_names_them() {
        for (name, device, printed) in [
            ("cpu", Device::Cpu, "cpu"),
            ("cuda", Device::Cuda(0), "cuda:0"),
            ("cuda:3", Device::Cuda(3), "cuda:3"),
        ] {
            assert_eq!(name.parse::<Device>().unwrap(), device);
            assert_eq!(device.to_string(), printed);
        }
    }

    #[test]
    fn an_unknown_device_is_an_error_that_lists_the_known_ones() {
        for name in ["gpu", "cuda:x", "mps", ""] {
            let message = name.parse::<Device>().unwrap_err().to_string();
            assert!(message.contains("cuda:0"), "{message}");
        }
    }

    #[test]
    fn a_gpu_that_is_not_there_is_an_error_that_says_so() {
        let missing = tch::Cuda::device_count().max(0) as usize;
        let message = Device::Cuda(missing).open().unwrap_err().to_string();
        assert!(message.contains("GPU"), "{message}");
    }
}
