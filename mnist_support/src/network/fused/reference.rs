//! Tests the fused operation against the plain loops of `native/fused/reference.cpp`.
//!
//! Most of these tests use small integers. No sum of them is rounded, so the order of additions
//! does not matter and every number must equal the reference bit for bit. Small integers are also
//! often equal within a window, so a different choice of the argmax would show in the gradients.

use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use tch::{Kind, Tensor};

use super::Block;

/// `mnist::Block`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Sizes {
    height: usize,
    width: usize,
    in_channels: usize,
    out_channels: usize,
    kernel: usize,
    padding: usize,
    pool: usize,
}

/// `mnist::Forward`.
#[repr(C)]
struct Forward {
    images: usize,
    input: *const f32,
    weight: *const f32,
    bias: *const f32,
    output: *mut f32,
    argmax: *mut u8,
}

/// `mnist::Backward`.
#[repr(C)]
struct Backward {
    images: usize,
    input: *const f32,
    weight: *const f32,
    gradient: *const f32,
    argmax: *const u8,
    input_gradient: *mut f32,
    weight_gradient: *mut f32,
    bias_gradient: *mut f32,
}

#[link(name = "mnist_reference", kind = "static")]
unsafe extern "C" {
    fn mnist_reference_forward(block: *const Sizes, pass: *const Forward);
    fn mnist_reference_backward(block: *const Sizes, pass: *const Backward);
}

impl Sizes {
    /// A random block, of any of the kinds that have a pass of their own, or in between.
    fn any(random: &mut ChaCha8Rng) -> Sizes {
        let (kernel, pool) = (random.random_range(1..=5), random.random_range(1..=4));
        let side = (kernel + pool - 1).max(3);
        Sizes {
            height: random.random_range(side..=side + 8),
            width: random.random_range(side..=side + 40),
            in_channels: [1, 2, 3, 4, 16, 32][random.random_range(0..6)],
            out_channels: [1, 3, 4, 7, 16, 32, 48][random.random_range(0..7)],
            kernel,
            padding: random.random_range(0..=3),
            pool,
        }
    }

    fn output(&self) -> [usize; 2] {
        [self.height, self.width]
            .map(|side| (side + 2 * self.padding + 1 - self.kernel) / self.pool)
    }
}

/// The inputs of both sides. The images are [images, height, width, channels], as the passes have
/// them.
struct Case {
    sizes: Sizes,
    images: usize,
    input: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    gradient: Vec<f32>,
}

/// The results, in the same layouts.
#[derive(Debug, PartialEq)]
struct Outcome {
    output: Vec<f32>,
    input_gradient: Vec<f32>,
    weight_gradient: Vec<f32>,
    bias_gradient: Vec<f32>,
}

impl Case {
    fn new(sizes: Sizes, images: usize, mut number: impl FnMut() -> f32) -> Case {
        let [height, width] = sizes.output();
        let mut numbers = |length: usize| (0..length).map(|_| number()).collect::<Vec<_>>();
        Case {
            sizes,
            images,
            input: numbers(images * sizes.height * sizes.width * sizes.in_channels),
            weight: numbers(sizes.out_channels * sizes.in_channels * sizes.kernel.pow(2)),
            bias: numbers(sizes.out_channels),
            gradient: numbers(images * height * width * sizes.out_channels),
        }
    }

    /// The result of the plain loops.
    fn expected(&self) -> Outcome {
        let mut argmax = vec![0; self.gradient.len()];
        let mut outcome = Outcome {
            output: vec![0.0; self.gradient.len()],
            input_gradient: vec![0.0; self.input.len()],
            weight_gradient: vec![0.0; self.weight.len()],
            bias_gradient: vec![0.0; self.bias.len()],
        };
        // SAFETY: every vector has the length that the sizes require, and outlives the calls.
        unsafe {
            mnist_reference_forward(
                &self.sizes,
                &Forward {
                    images: self.images,
                    input: self.input.as_ptr(),
                    weight: self.weight.as_ptr(),
                    bias: self.bias.as_ptr(),
                    output: outcome.output.as_mut_ptr(),
                    argmax: argmax.as_mut_ptr(),
                },
            );
            mnist_reference_backward(
                &self.sizes,
                &Backward {
                    images: self.images,
                    input: self.input.as_ptr(),
                    weight: self.weight.as_ptr(),
                    gradient: self.gradient.as_ptr(),
                    argmax: argmax.as_ptr(),
                    input_gradient: outcome.input_gradient.as_mut_ptr(),
                    weight_gradient: outcome.weight_gradient.as_mut_ptr(),
                    bias_gradient: outcome.bias_gradient.as_mut_ptr(),
                },
            );
        }
        outcome
    }

    /// The result of the fused operation, with the input and gradient in the given memory layout.
    fn found(&self, with_input: bool, layout: impl Fn(Tensor) -> Tensor) -> Outcome {
        let number = |size: usize| i64::try_from(size).unwrap();
        let images = |values: &[f32], [height, width]: [usize; 2], channels: usize| {
            let shape = [self.images, height, width, channels].map(number);
            let images = Tensor::from_slice(values).reshape(shape);
            let laid_out = layout(images.permute([0, 3, 1, 2]));
            assert_eq!(laid_out, images.permute([0, 3, 1, 2]));
            laid_out
        };
        let Sizes {
            in_channels,
            out_channels,
            ..
        } = self.sizes;
        let kernel = number(self.sizes.kernel);
        let shape = [number(out_channels), number(in_channels), kernel, kernel];
        let input = images(
            &self.input,
            [self.sizes.height, self.sizes.width],
            in_channels,
        )
        .set_requires_grad(with_input);
        let weight = Tensor::from_slice(&self.weight)
            .reshape(shape)
            .set_requires_grad(true);
        let bias = Tensor::from_slice(&self.bias).set_requires_grad(true);
        let block = Block {
            padding: number(self.sizes.padding),
            pool: number(self.sizes.pool),
        };
        let output = block.apply(&input, &weight, &bias).unwrap();
        let gradient = images(&self.gradient, self.sizes.output(), out_channels);
        (&output * gradient).sum(Kind::Float).backward();
        let numbers = |tensor: &Tensor| Vec::try_from(tensor.detach().reshape([-1])).unwrap();
        let channels_last = |tensor: &Tensor| numbers(&tensor.permute([0, 2, 3, 1]));
        Outcome {
            output: channels_last(&output),
            input_gradient: match with_input {
                true => channels_last(&input.grad()),
                false => vec![],
            },
            weight_gradient: numbers(&weight.grad()),
            bias_gradient: numbers(&bias.grad()),
        }
    }

    fn check(&self, layout: impl Fn(Tensor) -> Tensor) {
        let mut expected = self.expected();
        assert_eq!(self.found(true, &layout), expected, "{:?}", self.sizes);
        // Without an input gradient, one-channel images have a backward pass of their own.
        expected.input_gradient.clear();
        assert_eq!(self.found(false, &layout), expected, "{:?}", self.sizes);
    }
}

/// A random integer from -2 to 2.
fn small_integer(random: &mut ChaCha8Rng) -> f32 {
    f32::from(random.random_range(-2_i8..=2))
}

#[test]
fn on_integers_blocks_of_any_size_equal_the_plain_loops_bit_for_bit() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..60 {
        let sizes = Sizes::any(&mut random);
        let images = random.random_range(1..=9);
        Case::new(sizes, images, || small_integer(&mut random)).check(|images| images);
    }
}

const SMALL: Sizes = Sizes {
    height: 8,
    width: 9,
    in_channels: 4,
    out_channels: 16,
    kernel: 3,
    padding: 1,
    pool: 2,
};

#[test]
fn the_first_of_equal_values_in_a_window_gets_the_gradient() {
    for in_channels in [1, 3, 4, 16] {
        for out_channels in [5, 16] {
            let sizes = Sizes {
                in_channels,
                out_channels,
                padding: 0,
                ..SMALL
            };
            // All pixels are 1, so every position of a window has the same sum.
            let case = Case::new(sizes, 2, || 1.0);
            let gradient = case.found(true, |images| images).input_gradient;
            // First positions don't read the last row of an image, and last positions don't read
            // the first.
            let row = sizes.width * in_channels;
            let last_row = &gradient[(sizes.height - 1) * row..sizes.height * row];
            assert_eq!(gradient[0], out_channels as f32);
            assert!(last_row.iter().all(|&number| number == 0.0));
            case.check(|images| images);
        }
    }
}

#[test]
fn if_every_sum_is_negative_nothing_passes_in_either_direction() {
    for in_channels in [1, 3, 4, 16] {
        let sizes = Sizes {
            in_channels,
            ..SMALL
        };
        let mut case = Case::new(sizes, 3, || 1.0);
        case.weight.fill(-1.0);
        case.bias.fill(-1.0);
        let outcome = case.found(true, |images| images);
        for numbers in [
            &outcome.output,
            &outcome.weight_gradient,
            &outcome.input_gradient,
        ] {
            assert!(numbers.iter().all(|&number| number == 0.0));
        }
        case.check(|images| images);
    }
}

#[test]
fn the_memory_format_of_input_and_gradient_does_not_matter() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let layouts: [fn(Tensor) -> Tensor; 4] = [
        |images| images.contiguous(),
        // Columns before rows.
        |images| images.transpose(2, 3).contiguous().transpose(2, 3),
        // Every second column of twice as many.
        |images| {
            images
                .repeat_interleave_self_int(2, 3, None)
                .slice(3, 0, None, 2)
        },
        // The second half of a batch of twice as many images.
        |images| Tensor::cat(&[&images, &images], 0).slice(0, images.size()[0], None, 1),
    ];
    for layout in layouts {
        for in_channels in [1, 3, 4, 16] {
            let sizes = Sizes {
                in_channels,
                ..SMALL
            };
            Case::new(sizes, 2, || small_integer(&mut random)).check(layout);
        }
    }
}

#[test]
fn floats_agree_with_the_plain_loops_up_to_rounding() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    for _ in 0..30 {
        let sizes = Sizes::any(&mut random);
        let case = Case::new(sizes, 3, || random.random_range(-1.0..1.0));
        let (found, expected) = (case.found(true, |images| images), case.expected());
        for (found, expected) in [
            (found.output, expected.output),
            (found.input_gradient, expected.input_gradient),
            (found.weight_gradient, expected.weight_gradient),
            (found.bias_gradient, expected.bias_gradient),
        ] {
            let largest = expected
                .iter()
                .fold(1.0, |most: f32, one| most.max(one.abs()));
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-5 * largest, "{sizes:?}");
            }
        }
    }
}
