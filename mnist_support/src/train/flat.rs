//! All parameters of a network in one flat vector: one exchange and one optimiser step serve them all.

use tch::{Device, Tensor};

use crate::Result;

/// A network's parameters as leaves of the graph whose memory is one flat vector.
pub(super) struct FlatParameters {
    flat: Tensor,
    parameters: Vec<Tensor>,
}

impl FlatParameters {
    /// Copies `parameters` into a flat vector on `device`.
    pub(super) fn new(parameters: &[Tensor], device: Device) -> Result<Self> {
        let rows: Vec<Tensor> = parameters
            .iter()
            .map(|parameter| parameter.f_detach()?.f_to_device(device)?.f_reshape([-1]))
            .collect::<Result<_, _>>()?;
        let flat = Tensor::f_cat(&rows, 0)?;
        let mut offset = 0;
        let parameters = parameters
            .iter()
            .map(|parameter| {
                let (start, length) = (offset, parameter.numel() as i64);
                offset += length;
                flat.f_narrow(0, start, length)?
                    .f_view(parameter.size().as_slice())?
                    .f_detach()?
                    .f_set_requires_grad(true)
            })
            .collect::<Result<_, _>>()?;
        Ok(FlatParameters { flat, parameters })
    }

    /// The parameters, in the network's order and shapes; they follow the flat vector.
    pub(super) fn parameters(&self) -> &[Tensor] {
        &self.parameters
    }

    /// Where the parameters are.
    pub(super) fn device(&self) -> Device {
        self.flat.device()
    }

    /// The flat vector. Writing to it changes the parameters.
    pub(super) fn flat_mut(&mut self) -> &mut Tensor {
        &mut self.flat
    }

    /// The flat vector, sharing its memory.
    pub(super) fn flat(&self) -> Tensor {
        self.flat.shallow_clone()
    }

    /// A copy of the flat vector.
    pub(super) fn snapshot(&self) -> Result<Tensor> {
        Ok(self.flat.f_detach_copy()?)
    }

    /// Takes the values of a [`snapshot`](Self::snapshot) back.
    pub(super) fn restore(&mut self, snapshot: &Tensor) -> Result<()> {
        tch::no_grad(|| self.flat.f_copy_(snapshot))?;
        Ok(())
    }

    /// The gradient of `loss`, flat, followed by the values of `tail`.
    pub(super) fn gradient(&self, loss: &Tensor, tail: &[f32]) -> Result<Tensor> {
        let gradients = Tensor::f_run_backward(&[loss], &self.parameters, false, false)?;
        let mut rows = gradients
            .iter()
            .map(|gradient| gradient.f_reshape([-1]))
            .collect::<Result<Vec<_>, _>>()?;
        rows.push(Tensor::f_from_slice(tail)?.f_to_device(self.flat.device())?);
        Ok(Tensor::f_cat(&rows, 0)?)
    }

    /// The parameters on the CPU, in memory of their own.
    pub(super) fn to_weights(&self) -> Result<Vec<Tensor>> {
        Ok(self
            .parameters
            .iter()
            .map(|parameter| {
                parameter
                    .f_detach()?
                    .f_to_device(Device::Cpu)?
                    .f_detach_copy()
            })
            .collect::<Result<_, _>>()?)
    }
}
