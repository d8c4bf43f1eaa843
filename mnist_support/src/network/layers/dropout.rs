//! Dropout, with masks that can be reproduced.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tch::{TchError, Tensor};

use super::{Definition, Dropout, Layer, Mode};
use crate::Result;
use crate::network::onnx::OnnxGraph;
use crate::network::state::StateTensor;
use crate::random::{Purpose, stream};

impl Layer {
    /// A [`Layer::Dropout`].
    pub fn dropout(p: f64) -> Self {
        Self::Dropout { p }
    }
}

impl Definition for Dropout {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        let p = self.p;
        if !(0.0..1.0).contains(&p) {
            return Err(format!("p is {p}, it must be at least 0 and below 1"));
        }
        Ok(input.to_vec())
    }

    fn state(&self) -> Vec<StateTensor> {
        Vec::new()
    }

    fn forward(
        &self,
        _: &[Tensor],
        input: &Tensor,
        mode: &mut Mode<'_>,
    ) -> Result<Tensor, TchError> {
        match mode {
            Mode::Training(Some(masks)) if self.p > 0.0 => input.f_mul(&masks.draw(input, self.p)?),
            Mode::Training(None) => input.f_dropout(self.p, true),
            Mode::Training(Some(_)) | Mode::Evaluation => Ok(input.shallow_clone()),
        }
    }

    fn onnx(
        &self,
        _: &mut OnnxGraph,
        _: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        Ok(input.to_owned())
    }

    fn extra_repr(&self) -> String {
        format!("p={}", self.p)
    }
}

/// The dropout masks of one iteration on one rank.
///
/// libtorch has one generator for the whole process, so what one thread draws depends on the
/// others. These masks depend only on (seed, step, rank): the same three give the same masks.
///
/// ```
/// use mnist_support::network::{DropoutMasks, Layer, Network};
/// use tch::{Device, Kind, Tensor};
///
/// let network = Network::new(&[8], vec![Layer::dropout(0.5)])?;
/// let rows = Tensor::ones([3, 8], (Kind::Float, Device::Cpu));
/// let first = network.forward(&[], &rows, Some(&mut DropoutMasks::new(42, 0, 1)))?;
/// let again = network.forward(&[], &rows, Some(&mut DropoutMasks::new(42, 0, 1)))?;
/// assert_eq!(first, again);
/// # Ok::<(), mnist_support::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DropoutMasks {
    random: ChaCha8Rng,
}

impl DropoutMasks {
    /// The masks of rank `rank` in iteration `step`, which must not be repeated.
    pub fn new(seed: u64, step: u64, rank: u64) -> Self {
        Self {
            random: stream(Purpose::Dropout, seed, [step, rank]),
        }
    }

    /// Draws the next mask, with the shape, type and device of `like`: 0 with probability `p`,
    /// otherwise 1 / (1 - p), which preserves the mean (inverted dropout, as in PyTorch).
    ///
    /// # Errors
    /// [`crate::Error::Torch`] if the mask cannot be moved to `like`'s device.
    pub fn mask(&mut self, like: &Tensor, p: f64) -> Result<Tensor> {
        Ok(self.draw(like, p)?)
    }

    /// Draws the seed of a generator, for a network that has its own.
    pub(in crate::network) fn seed(&mut self) -> u64 {
        self.random.random()
    }

    pub(super) fn draw(&mut self, like: &Tensor, p: f64) -> Result<Tensor, TchError> {
        let shape = like.size();
        let mut bits = vec![0_u32; shape.iter().product::<i64>() as usize];
        self.random.fill(&mut bits);
        // A random u32 is below this threshold with probability p, up to 2^-32.
        let dropped_below = (p * 2.0_f64.powi(32)).round() as u64;
        let kept = (1.0 / (1.0 - p)) as f32;
        let values: Vec<f32> = bits
            .iter()
            .map(|&bits| {
                if u64::from(bits) < dropped_below {
                    0.0
                } else {
                    kept
                }
            })
            .collect();
        let mask = Tensor::f_from_slice(&values)?.f_view(shape.as_slice())?;
        mask.f_to_device(like.device())?.f_to_kind(like.f_kind()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;
    use tch::{Device, Kind};

    #[test]
    fn dropout_scales_what_it_keeps_and_does_nothing_in_evaluation() {
        let network = Network::new(&[50], vec![Layer::dropout(0.5)]).unwrap();
        let ones = Tensor::ones([40, 50], (Kind::Float, Device::Cpu));
        assert_eq!(network.forward(&[], &ones, None).unwrap(), ones);
        let dropped = network
            .forward(&[], &ones, Some(&mut DropoutMasks::new(1, 2, 3)))
            .unwrap();
        let zeros = i64::try_from(dropped.eq(0.0).sum(None)).unwrap();
        let twos = i64::try_from(dropped.eq(2.0).sum(None)).unwrap();
        assert_eq!(zeros + twos, 2000);
        assert!((850..1150).contains(&zeros), "{zeros}");
    }

    fn mask(seed: u64, step: u64, rank: u64) -> Tensor {
        let like = Tensor::zeros([300, 128], (Kind::Float, Device::Cpu));
        DropoutMasks::new(seed, step, rank)
            .mask(&like, 0.1)
            .unwrap()
    }

    #[test]
    fn the_same_triple_gives_the_same_masks_and_any_other_triple_others() {
        assert_eq!(mask(1, 2, 3), mask(1, 2, 3));
        for other in [mask(2, 2, 3), mask(1, 3, 3), mask(1, 2, 4), mask(3, 2, 1)] {
            assert_ne!(mask(1, 2, 3), other);
        }
    }

    #[test]
    fn masks_within_an_iteration_differ() {
        let like = Tensor::zeros([10, 10], (Kind::Float, Device::Cpu));
        let mut masks = DropoutMasks::new(1, 1, 1);
        assert_ne!(
            masks.mask(&like, 0.5).unwrap(),
            masks.mask(&like, 0.5).unwrap()
        );
    }

    #[test]
    fn a_fraction_of_p_is_dropped_and_the_mean_is_kept() {
        let mask = mask(9, 9, 9);
        let dropped = f64::try_from(mask.eq(0.0).to_kind(Kind::Double).mean(None)).unwrap();
        // With 38,400 draws, the standard deviation of the fraction is 0.0015.
        assert!((dropped - 0.1).abs() < 0.008, "{dropped}");
        let kept = f64::try_from(mask.max()).unwrap();
        assert!((kept - 1.0 / 0.9).abs() < 1e-6, "{kept}");
        let mean = f64::try_from(mask.mean(Kind::Double)).unwrap();
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
    }

    #[test]
    fn a_mask_has_the_dtype_of_its_input() {
        let like = Tensor::zeros([2, 3, 4], (Kind::Double, Device::Cpu));
        let mask = DropoutMasks::new(0, 0, 0).mask(&like, 0.5).unwrap();
        assert_eq!((mask.size(), mask.kind()), (vec![2, 3, 4], Kind::Double));
    }
}
