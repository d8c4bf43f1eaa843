//! A convolution, a ReLU and a max-pooling fused into one operation: `native/fused` in C++, for
//! floats on the CPU.
//!
//! Before a pooling, only one value of each window matters. The operation stores no other, and its
//! backward pass visits only that one. With 2 by 2 windows this is a quarter of libtorch's work.

use std::{ffi::c_char, ptr};

use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

use super::layers::Layer;
use super::sizes::{Padding, Size2};
use crate::native::check;

unsafe extern "C" {
    fn mnist_conv2d_relu_max_pool2d(
        input: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        padding: i64,
        pool: i64,
        output: *mut *mut C_tensor,
    ) -> *mut c_char;
}

/// The number of layers in a block, which the operation replaces.
pub(super) const BLOCK_LAYERS: usize = 3;

/// A convolution, a ReLU and a max-pooling that can be fused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    padding: i64,
    pool: i64,
}

impl Block {
    /// The block that `layers` begin with, if any.
    pub(super) fn starting(layers: &[Layer]) -> Option<Block> {
        // The operation stores a position within a window in one byte.
        const LARGEST_POOL: i64 = 15;
        let [
            Layer::Conv2d {
                kernel_size,
                stride,
                padding,
                dilation,
                groups: 1,
                bias: true,
                ..
            },
            Layer::ReLU,
            Layer::MaxPool2d {
                kernel_size: pool,
                stride: pool_stride,
                padding: 0,
            },
            ..,
        ] = layers
        else {
            return None;
        };
        let kernel = kernel_size.square()?;
        let padding = match padding {
            Padding::Zeros(zeros) => zeros.square()?,
            Padding::Same if kernel % 2 == 1 => kernel / 2,
            Padding::Same => return None,
            Padding::Valid => 0,
        };
        let plain = [*stride, *dilation] == [Size2::from(1); 2];
        let fits = plain && pool == pool_stride && *pool <= LARGEST_POOL;
        fits.then_some(Block {
            padding,
            pool: *pool,
        })
    }

    /// Runs the block on images of shape [rows, channels, height, width].
    ///
    /// # Errors
    /// libtorch's message, for tensors that don't fit together.
    pub(super) fn apply(
        self,
        input: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
    ) -> Result<Tensor, String> {
        let mut output = ptr::null_mut();
        // SAFETY: the three tensors are borrowed for longer than the call, which only reads them
        // and takes its own references to what the graph needs. `output` is set whenever the call
        // returns null.
        check(unsafe {
            mnist_conv2d_relu_max_pool2d(
                input.as_ptr(),
                weight.as_ptr(),
                bias.as_ptr(),
                self.padding,
                self.pool,
                &mut output,
            )
        })?;
        // SAFETY: a new tensor that nothing else frees.
        Ok(unsafe { Tensor::from_ptr(output) })
    }
}

/// Whether the operation supports a tensor's kind and device.
pub(super) fn supports(tensor: &Tensor) -> bool {
    tensor.device() == Device::Cpu && tensor.kind() == Kind::Float
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Conv2dConfig, Network};

    fn random(shape: &[i64]) -> Tensor {
        Tensor::randn(shape, (Kind::Float, Device::Cpu))
    }

    fn leaf(tensor: &Tensor) -> Tensor {
        tensor.copy().set_requires_grad(true)
    }

    /// Output and gradients of input, weight and bias, fused or not.
    fn outcome(
        run: impl Fn(&Tensor, &Tensor, &Tensor) -> Tensor,
        tensors: &[Tensor; 3],
        weights: &Tensor,
        with_input: bool,
    ) -> Vec<Tensor> {
        let [input, weight, bias] = tensors.each_ref().map(leaf);
        let input = if with_input { input } else { input.detach() };
        let output = run(&input, &weight, &bias);
        (&output * weights).sum(Kind::Float).backward();
        let mut all = vec![output.detach(), weight.grad(), bias.grad()];
        if with_input {
            all.push(input.grad());
        }
        all
    }

    /// 1 for every output that rounding cannot give to another position of its window, else 0.
    ///
    /// Where two sums of a window, or a sum and ReLU's zero, differ by less than their rounding,
    /// the gradient goes to either, and both are right.
    fn far_from_ties([input, weight, bias]: &[Tensor; 3], padding: i64, pool: i64) -> Tensor {
        let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
        let sums = double(input)
            .conv2d(
                &double(weight),
                Some(double(bias)),
                [1, 1],
                [padding; 2],
                [1, 1],
                1,
            )
            .unfold(2, pool, pool)
            .unfold(3, pool, pool)
            .flatten(4, 5);
        // Next to the sums stands ReLU's zero, twice, for windows of one.
        let zeros = sums.slice(4, 0, 1, 1).zeros_like();
        let (largest, _) = Tensor::cat(&[&sums, &zeros, &zeros], 4).topk(2, 4, true, true);
        let gap = largest.select(4, 0) - largest.select(4, 1);
        let negative = sums.amax([4], false).lt(-1e-4);
        gap.gt(1e-4).logical_or(&negative).to_kind(Kind::Float)
    }

    #[test]
    fn sums_that_rounding_could_exchange_are_not_compared() {
        let input = Tensor::from_slice(&[
            1.0_f32, 1.000_01, 0.5, 0.25, 3.0, 1.0, -1.0, -2.0, 1e-5, -1.0,
        ])
        .reshape([1, 1, 1, 10]);
        let one = Tensor::ones([1, 1, 1, 1], (Kind::Float, Device::Cpu));
        let bias = Tensor::zeros([1], (Kind::Float, Device::Cpu));
        let tensors = [input.reshape([5, 1, 1, 2]).repeat([1, 1, 2, 1]), one, bias];
        let _ = tensors[0]
            .slice(2, 1, None, 1)
            .subtract_(&Tensor::from(0.1_f32));
        let kept = far_from_ties(&tensors, 0, 2);
        assert_eq!(
            Vec::<f32>::try_from(kept.reshape([-1])).unwrap(),
            [0.0, 1.0, 1.0, 1.0, 0.0]
        );
    }

    /// Compares the block with libtorch's three operations.
    fn check_against_libtorch(
        [rows, channels, height, width]: [i64; 4],
        [outputs, kernel, padding, pool]: [i64; 4],
    ) {
        let scale = 1.0 / ((channels * kernel * kernel) as f64).sqrt();
        let tensors = [
            random(&[rows, channels, height, width]),
            random(&[outputs, channels, kernel, kernel]) * scale,
            random(&[outputs]) * scale,
        ];
        let pooled = |side: i64| (side + 2 * padding + 1 - kernel) / pool;
        let weights = random(&[rows, outputs, pooled(height), pooled(width)])
            * far_from_ties(&tensors, padding, pool);
        let ours = |input: &Tensor, weight: &Tensor, bias: &Tensor| {
            Block { padding, pool }.apply(input, weight, bias).unwrap()
        };
        let theirs = |input: &Tensor, weight: &Tensor, bias: &Tensor| {
            input
                .conv2d(weight, Some(bias), [1, 1], [padding; 2], [1, 1], 1)
                .relu()
                .max_pool2d([pool; 2], [pool; 2], [0, 0], [1, 1], false)
        };
        for with_input in [false, true] {
            let found = outcome(ours, &tensors, &weights, with_input);
            let expected = outcome(theirs, &tensors, &weights, with_input);
            for (name, (found, expected)) in ["output", "weight", "bias", "input"]
                .into_iter()
                .zip(found.iter().zip(&expected))
            {
                assert_eq!(found.size(), expected.size(), "{name}");
                let largest = f64::try_from(expected.abs().max()).unwrap().max(1.0);
                let off = f64::try_from((found - expected).abs().max()).unwrap() / largest;
                assert!(
                    off < 1e-5,
                    "{name} of {channels} to {outputs} channels, {height} x {width}, kernel {kernel}, \
                     padding {padding}, pool {pool}: off by {off}"
                );
            }
        }
    }

    #[test]
    fn outputs_and_gradients_are_those_of_libtorchs_three_operations() {
        // The four blocks of the original CNN, then other sizes, kernels, paddings, windows and
        // channels.
        for (input, settings) in [
            ([7, 1, 28, 28], [4, 3, 1, 2]),
            ([7, 4, 14, 14], [16, 3, 1, 2]),
            ([7, 16, 7, 7], [32, 3, 1, 2]),
            ([7, 32, 3, 3], [64, 3, 1, 2]),
            ([3, 1, 9, 41], [5, 5, 2, 3]),
            ([3, 1, 6, 5], [16, 1, 0, 1]),
            ([3, 1, 8, 8], [3, 2, 0, 2]),
            ([3, 1, 5, 67], [9, 3, 1, 2]),
            ([3, 1, 7, 30], [6, 1, 2, 2]),
            ([3, 3, 11, 8], [16, 3, 1, 2]),
            ([3, 3, 11, 8], [48, 5, 3, 4]),
            ([3, 2, 9, 10], [16, 4, 1, 3]),
            ([3, 16, 8, 9], [16, 2, 1, 3]),
            ([3, 16, 9, 8], [7, 3, 1, 2]),
            ([3, 5, 9, 8], [33, 3, 2, 2]),
            ([1, 48, 4, 4], [16, 3, 0, 2]),
            ([19, 16, 9, 9], [32, 5, 2, 2]),
            ([13, 4, 6, 40], [16, 3, 1, 2]),
        ] {
            check_against_libtorch(input, settings);
        }
    }

    #[test]
    fn the_same_holds_for_the_passes_of_older_processors() {
        // The tests below start this program again, without this test.
        assert!(std::env::var_os("ATEN_CPU_CAPABILITY").is_none());
        for capability in ["avx2", "default"] {
            let tests = std::env::current_exe().unwrap();
            let output = std::process::Command::new(tests)
                .args(["network::fused", "--skip", "older_processors"])
                .env("ATEN_CPU_CAPABILITY", capability)
                .output()
                .unwrap();
            let printed = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{capability}: {printed}");
            assert!(printed.contains("12 passed"), "{printed}");
        }
    }

    #[test]
    fn the_bits_do_not_depend_on_how_many_threads_libtorch_may_use() {
        let tensors = [
            random(&[130, 4, 12, 12]),
            random(&[16, 4, 3, 3]),
            random(&[16]),
        ];
        let weights = random(&[130, 16, 6, 6]);
        let block = Block {
            padding: 1,
            pool: 2,
        };
        let [one, three] = [1, 3].map(|threads| {
            let (tensors, weights) = (tensors.each_ref().map(Tensor::copy), weights.copy());
            std::thread::spawn(move || {
                tch::set_num_threads(threads);
                let run = |input: &Tensor, weight: &Tensor, bias: &Tensor| {
                    block.apply(input, weight, bias).unwrap()
                };
                outcome(run, &tensors, &weights, true)
            })
            .join()
            .unwrap()
        });
        assert_eq!(one, three);
    }

    #[test]
    fn a_nan_pixel_is_seen_in_the_output() {
        for channels in [1, 4, 16] {
            let input = Tensor::zeros([1, channels, 4, 4], (Kind::Float, Device::Cpu));
            let _ = input.get(0).get(channels - 1).get(2).get(1).fill_(f64::NAN);
            let block = Block {
                padding: 1,
                pool: 2,
            };
            let output = block
                .apply(&input, &random(&[16, channels, 3, 3]), &random(&[16]))
                .unwrap();
            let nans = i64::try_from(output.isnan().sum(Kind::Int64)).unwrap();
            // The 3 by 3 kernels around it reach all four windows.
            assert_eq!(nans, 4 * 16);
        }
    }

    #[test]
    fn no_rows_give_no_rows_and_no_gradient() {
        let weight = leaf(&random(&[16, 4, 3, 3]));
        let block = Block {
            padding: 1,
            pool: 2,
        };
        let output = block
            .apply(&random(&[0, 4, 8, 8]), &weight, &random(&[16]))
            .unwrap();
        assert_eq!(output.size(), [0, 16, 4, 4]);
        output.sum(Kind::Float).backward();
        assert_eq!(f64::try_from(weight.grad().abs().max()).unwrap(), 0.0);
    }

    #[test]
    fn mismatched_tensors_are_an_error() {
        let block = Block {
            padding: 0,
            pool: 2,
        };
        let (weight, bias) = (random(&[16, 4, 3, 3]), random(&[16]));
        for input in [
            random(&[2, 3, 8, 8]),
            random(&[2, 4, 3, 3]),
            random(&[2, 4, 8]),
            random(&[2, 4, 8, 8]).to_kind(Kind::Double),
        ] {
            let message = block.apply(&input, &weight, &bias).unwrap_err();
            assert!(!message.contains('\n'), "{message}");
        }
        let input = random(&[2, 4, 8, 8]);
        assert!(block.apply(&input, &weight, &random(&[15])).is_err());
        let (nothing, weight) = (random(&[2, 0, 8, 8]), random(&[16, 0, 3, 3]));
        assert!(block.apply(&nothing, &weight, &bias).is_err());
    }

    #[test]
    fn a_block_is_a_convolution_of_stride_1_a_relu_and_a_pooling_without_overlap() {
        let with = |kernel: Size2, stride: i64, padding: Padding| {
            let config = Conv2dConfig {
                stride: stride.into(),
                padding,
                ..Default::default()
            };
            Layer::conv2d(1, 4, kernel, config)
        };
        let conv = |stride| with(3.into(), stride, 1.into());
        let overlapping = Layer::MaxPool2d {
            kernel_size: 3,
            stride: 2,
            padding: 0,
        };
        let block = |layers: &[Layer]| Block::starting(layers);
        let pool = Layer::max_pool2d(2);
        assert_eq!(
            block(&[conv(1), Layer::ReLU, pool.clone(), Layer::Flatten]),
            Some(Block {
                padding: 1,
                pool: 2
            })
        );
        for (padding, zeros) in [(Padding::Same, 2), (Padding::Valid, 0)] {
            let same = with(5.into(), 1, padding);
            assert_eq!(
                block(&[same, Layer::ReLU, pool.clone()]),
                Some(Block {
                    padding: zeros,
                    pool: 2
                })
            );
        }
        for layers in [
            vec![conv(2), Layer::ReLU, pool.clone()],
            vec![with([3, 5].into(), 1, 1.into()), Layer::ReLU, pool.clone()],
            vec![with(3.into(), 1, [1, 0].into()), Layer::ReLU, pool.clone()],
            vec![with(2.into(), 1, Padding::Same), Layer::ReLU, pool.clone()],
            vec![conv(1), Layer::ReLU, overlapping],
            vec![conv(1), Layer::Tanh, pool.clone()],
            vec![conv(1), Layer::ReLU],
            vec![Layer::ReLU, pool],
        ] {
            assert_eq!(block(&layers), None);
            Network::new(&[1, 28, 28], layers).unwrap();
        }
    }
}
