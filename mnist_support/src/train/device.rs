//! The devices that tensors live on.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, error::TrainingError};

/// A device, by PyTorch's names: `cpu`, `cuda`, `cuda:1`.
///
/// The name is not resolved until the device is opened, so that a machine without a GPU can ask for
/// one on the machine that trains.
///
/// ```
/// use mnist_support::train::Device;
///
/// assert_eq!(Device::from("cuda"), Device::Cuda(0));
/// assert_eq!(Device::from("cpu").open()?, tch::Device::Cpu);
/// # Ok::<(), mnist_support::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum Device {
    /// The CPU.
    #[default]
    Cpu,
    /// The NVIDIA GPU with this index.
    Cuda(usize),
    /// A name that is not a device's. Using it is an error.
    Unknown(String),
}

impl Device {
    /// Returns tch's device.
    ///
    /// # Errors
    /// [`TrainingError::DeviceUnavailable`] if this machine or this libtorch has no such GPU, or if
    /// the name is not a device's.
    pub fn open(&self) -> Result<tch::Device> {
        self.validate()?;
        let Device::Cuda(number) = *self else {
            return Ok(tch::Device::Cpu);
        };
        let available = tch::Cuda::device_count();
        if number < available.max(0) as usize {
            return Ok(tch::Device::Cuda(number));
        }
        Err(self.unavailable(if available > 0 {
            format!("this machine has {available} GPUs, numbered from 0")
        } else {
            "libtorch sees no GPU: it needs an NVIDIA GPU with its driver, and libtorch with CUDA \
             (`make setup TORCH=cuda`); the processor is device(\"cpu\")"
                .to_owned()
        }))
    }

    /// Checks that the name is a device's, whether or not this machine has it.
    pub(crate) fn validate(&self) -> Result<()> {
        match self {
            Device::Unknown(_) => Err(self.unavailable(
                "known devices are cpu, cuda, and cuda:0, cuda:1 and so on".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    fn unavailable(&self, reason: String) -> Error {
        Error::Training(TrainingError::DeviceUnavailable {
            device: self.to_string(),
            reason,
        })
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(number) => write!(f, "cuda:{number}"),
            Device::Unknown(name) => f.write_str(name),
        }
    }
}

impl From<&str> for Device {
    fn from(name: &str) -> Device {
        let known = match name.split_once(':') {
            None if name == "cpu" => Some(Device::Cpu),
            None if name == "cuda" => Some(Device::Cuda(0)),
            Some(("cuda", number)) => number.parse().ok().map(Device::Cuda),
            _ => None,
        };
        known.unwrap_or_else(|| Device::Unknown(name.to_owned()))
    }
}

impl From<String> for Device {
    fn from(name: String) -> Device {
        Device::from(name.as_str())
    }
}

impl From<Device> for String {
    fn from(device: Device) -> String {
        device.to_string()
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
            ("gpu", Device::Unknown("gpu".to_owned()), "gpu"),
        ] {
            assert_eq!(Device::from(name), device);
            assert_eq!(device.to_string(), printed);
        }
    }

    #[test]
    fn an_unknown_device_is_an_error_that_lists_the_known_ones() {
        for name in ["gpu", "cuda:x", "mps", ""] {
            let message = Device::from(name).open().unwrap_err().to_string();
            assert!(message.contains("cuda:0"), "{message}");
        }
    }

    #[test]
    fn a_missing_gpu_is_an_error_that_says_so() {
        let missing = tch::Cuda::device_count().max(0) as usize;
        let message = Device::Cuda(missing).open().unwrap_err().to_string();
        assert!(message.contains("GPU"), "{message}");
    }
}
