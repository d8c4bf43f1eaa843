//! A network's tensors during training. All parameters lie in one flat vector, so one all-reduce
//! and one optimiser step serve them all.

use tch::{Device, Kind, Tensor};

use crate::{Error, Network, Result, error::TrainingError, network::Role};

/// A network's parameters, as autograd leaves that share one flat vector's memory, and its buffers.
pub(super) struct FlatParameters {
    flat: Tensor,
    /// The network's tensors, in its order. Buffers have their own memory: the forward pass writes
    /// to them, and autograd would take that for an in-place change to the parameters beside them.
    tensors: Vec<Tensor>,
    roles: Vec<Trained>,
    /// The names of the parameters that are trained.
    names: Vec<String>,
}

/// What training does with a tensor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trained {
    /// The optimiser trains it.
    Parameter,
    /// It stays as it is.
    Frozen,
    /// The ranks average it.
    Statistic,
    /// Every rank counts.
    Counter,
}

impl Trained {
    fn new(role: Role, frozen: bool) -> Self {
        match role {
            Role::Parameter if frozen => Trained::Frozen,
            Role::Parameter => Trained::Parameter,
            Role::Statistic => Trained::Statistic,
            Role::Counter => Trained::Counter,
            Role::Constant(_) => Trained::Frozen,
        }
    }
}

impl FlatParameters {
    /// Copies the tensors of `network` to `device`, the parameters into a flat vector, except those
    /// that are `frozen`.
    pub(super) fn new(
        network: &Network,
        tensors: &[Tensor],
        frozen: &[bool],
        device: Device,
    ) -> Result<Self> {
        let roles = network.roles().into_iter().zip(frozen);
        let roles: Vec<Trained> = roles
            .map(|(role, frozen)| Trained::new(role, *frozen))
            .collect();
        let rows: Vec<Tensor> = of_role(tensors, &roles, Trained::Parameter)
            .map(|parameter| parameter.f_detach()?.f_to_device(device)?.f_reshape([-1]))
            .collect::<Result<_, _>>()?;
        let flat = Tensor::f_cat(&rows, 0)?;
        let mut offset = 0;
        let tensors = tensors
            .iter()
            .zip(&roles)
            .map(|(tensor, role)| match role {
                Trained::Parameter => {
                    let (start, length) = (offset, tensor.numel() as i64);
                    offset += length;
                    flat.f_narrow(0, start, length)?
                        .f_view(tensor.size().as_slice())?
                        .f_detach()?
                        .f_set_requires_grad(true)
                }
                Trained::Frozen | Trained::Statistic | Trained::Counter => {
                    tensor.f_to_device(device)?.f_detach_copy()
                }
            })
            .collect::<Result<_, _>>()?;
        let names = network.state_names().into_iter().zip(&roles);
        let names = names.filter(|(_, role)| **role == Trained::Parameter);
        Ok(FlatParameters {
            flat,
            tensors,
            names: names.map(|(name, _)| name).collect(),
            roles,
        })
    }

    /// The network's tensors, in its order and shapes. The parameters are views of the flat vector.
    pub(super) fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The device that the tensors are on.
    pub(super) fn device(&self) -> Device {
        self.flat.device()
    }

    /// The flat vector of the parameters. Writing to it changes the parameters.
    pub(super) fn flat_mut(&mut self) -> &mut Tensor {
        &mut self.flat
    }

    /// Copies all values into one vector: the parameters, then the buffers. Counters become floats,
    /// which are exact up to 16 million.
    pub(super) fn snapshot(&self) -> Result<Tensor> {
        let mut parts = vec![self.flat.f_detach()?];
        for buffer in self.buffers() {
            parts.push(buffer.f_to_kind(Kind::Float)?.f_reshape([-1])?);
        }
        Ok(Tensor::f_cat(&parts, 0)?)
    }

    /// Restores the values of a [`snapshot`](Self::snapshot).
    pub(super) fn restore(&mut self, snapshot: &Tensor) -> Result<()> {
        let length = self.flat.size()[0];
        let _no_grad = tch::no_grad_guard();
        self.flat.f_copy_(&snapshot.f_narrow(0, 0, length)?)?;
        fill(self.buffers(), snapshot, length)
    }

    /// Copies the values of the buffers, which a forward pass in training changes.
    pub(super) fn buffer_snapshot(&self) -> Result<Tensor> {
        let buffers = self.buffers();
        let parts = buffers.map(|buffer| buffer.f_to_kind(Kind::Float)?.f_reshape([-1]));
        let parts: Vec<Tensor> = parts.collect::<Result<_, _>>()?;
        match parts.is_empty() {
            true => Ok(Tensor::f_zeros([0], (Kind::Float, self.device()))?),
            false => Ok(Tensor::f_cat(&parts, 0)?),
        }
    }

    /// Restores the values of a [`buffer_snapshot`](Self::buffer_snapshot).
    pub(super) fn restore_buffers(&mut self, snapshot: &Tensor) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        fill(self.buffers(), snapshot, 0)
    }

    /// Returns the gradients of `loss`, one for each parameter, as vectors.
    ///
    /// # Errors
    /// [`TrainingError::NoGradient`] names a parameter that the loss does not depend on.
    pub(super) fn gradients(&self, loss: &Tensor) -> Result<Vec<Tensor>> {
        let parameters: Vec<&Tensor> = self.of_role(Trained::Parameter).collect();
        Tensor::f_run_backward(&[loss], &parameters, false, false)?
            .iter()
            .zip(&self.names)
            .map(|(gradient, name)| match gradient.defined() {
                true => Ok(gradient.f_reshape([-1])?),
                false => Err(Error::Training(TrainingError::NoGradient {
                    parameter: name.clone(),
                })),
            })
            .collect()
    }

    /// Returns gradients of 0, for a rank without rows.
    pub(super) fn no_gradients(&self) -> Result<Vec<Tensor>> {
        Ok(vec![self.flat.f_detach()?.f_zeros_like()?])
    }

    /// Returns this rank's contribution to the all-reduce: its `gradients`, the running statistics
    /// times its `rows`, and the values of `tail`.
    pub(super) fn contribution(
        &self,
        mut gradients: Vec<Tensor>,
        rows: f64,
        tail: &[f32],
    ) -> Result<Tensor> {
        for statistic in self.of_role(Trained::Statistic) {
            gradients.push(statistic.f_reshape([-1])?.f_mul_scalar(rows)?);
        }
        gradients.push(Tensor::f_from_slice(tail)?.f_to_device(self.flat.device())?);
        Ok(Tensor::f_cat(&gradients, 0)?)
    }

    /// Takes the means of the all-reduced [`contribution`](Self::contribution)s over all ranks:
    /// updates the running statistics, whose sum is weighted by `rows`, and returns the gradient,
    /// whose rows weigh `weight`.
    pub(super) fn load_means(&mut self, sums: &Tensor, rows: f64, weight: f64) -> Result<Tensor> {
        let length = self.flat.size()[0];
        if self.roles.contains(&Trained::Statistic) {
            let means = sums.f_div_scalar(rows)?;
            fill(self.of_role(Trained::Statistic), &means, length)?;
        }
        Ok(sums.f_narrow(0, 0, length)?.f_div_scalar_(weight)?)
    }

    /// Copies the tensors to the CPU.
    pub(super) fn to_weights(&self) -> Result<Vec<Tensor>> {
        Ok(self
            .tensors
            .iter()
            .map(|tensor| tensor.f_detach()?.f_to_device(Device::Cpu)?.f_detach_copy())
            .collect::<Result<_, _>>()?)
    }

    fn of_role(&self, role: Trained) -> impl Iterator<Item = &Tensor> {
        of_role(&self.tensors, &self.roles, role)
    }

    fn buffers(&self) -> impl Iterator<Item = &Tensor> {
        self.of_role(Trained::Statistic)
            .chain(self.of_role(Trained::Counter))
    }
}

fn of_role<'a>(
    tensors: &'a [Tensor],
    roles: &'a [Trained],
    role: Trained,
) -> impl Iterator<Item = &'a Tensor> {
    let pairs = tensors.iter().zip(roles);
    pairs.filter(move |pair| *pair.1 == role).map(|pair| pair.0)
}

/// Fills buffers, one after the other, with the values of `vector` from `offset` on.
fn fill<'a>(
    buffers: impl Iterator<Item = &'a Tensor>,
    vector: &Tensor,
    mut offset: i64,
) -> Result<()> {
    for buffer in buffers {
        let length = buffer.numel() as i64;
        let values = vector.f_narrow(0, offset, length)?;
        let shape = buffer.size();
        buffer
            .shallow_clone()
            .f_copy_(&values.f_view(shape.as_slice())?)?;
        offset += length;
    }
    Ok(())
}
