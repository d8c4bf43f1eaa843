//! How layers run on libtorch: their order, their memory format, and which of them are fused.

use tch::{Device, Tensor};

use super::fused::{BLOCK_LAYERS, Block};
use super::layers::Layer;
use crate::Result;

/// One operation in running a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// The layer with this index.
    Layer(usize),
    /// The fused block that begins with the layer of this index.
    Block(usize, Block),
}

/// The operations that run the layers: fused blocks if `fuses`, otherwise one operation for each
/// layer.
///
/// max(ReLU(x)) = ReLU(max(x)) bit for bit, gradients included. A MaxPool2d after a ReLU outside of
/// a block therefore runs first, which leaves the ReLU a quarter of the values.
pub(super) fn ops(layers: &[Layer], fuses: bool) -> Vec<Op> {
    let mut ops = Vec::with_capacity(layers.len());
    let mut index = 0;
    while let Some(rest) = layers.get(index..).filter(|rest| !rest.is_empty()) {
        match (Block::starting(rest).filter(|_| fuses), rest) {
            (Some(block), _) => {
                ops.push(Op::Block(index, block));
                index += BLOCK_LAYERS;
            }
            (None, [Layer::ReLU, Layer::MaxPool2d { .. }, ..]) => {
                ops.extend([Op::Layer(index + 1), Op::Layer(index)]);
                index += 2;
            }
            (None, _) => {
                ops.push(Op::Layer(index));
                index += 1;
            }
        }
    }
    ops
}

/// Converts images to channels_last. On a CPU, libtorch's convolutions and poolings are faster in
/// this memory format, and preserve it. Shapes and names don't change.
pub(super) fn to_channels_last(images: &Tensor) -> Result<Tensor> {
    let size = images.size();
    let &[rows, channels, height, width] = size.as_slice() else {
        return Ok(images.shallow_clone());
    };
    if images.device() != Device::Cpu {
        return Ok(images.shallow_clone());
    }
    let pixels_last = if channels == 1 {
        // No data moves, but libtorch goes by the strides.
        images.f_reshape([rows, height, width, 1])?
    } else {
        images.f_permute([0, 2, 3, 1])?.f_contiguous()?
    };
    Ok(pixels_last.f_permute([0, 3, 1, 2])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Conv2dConfig, Network};
    use tch::Kind;

    fn random(shape: &[i64]) -> Tensor {
        Tensor::randn(shape, (Kind::Float, Device::Cpu))
    }

    fn trainable(network: &Network) -> Vec<Tensor> {
        let parameters = network.initialize(5).into_iter();
        parameters
            .map(|tensor| tensor.set_requires_grad(true))
            .collect()
    }

    #[test]
    fn pooling_before_relu_is_bit_identical_to_relu_before_pooling() {
        let layers = vec![
            Layer::ReLU,
            Layer::MaxPool2d {
                kernel_size: 3,
                stride: 2,
                padding: 0,
            },
        ];
        let network = Network::new(&[4, 15, 13], layers).unwrap();
        assert_eq!(ops(network.layers(), true), [Op::Layer(1), Op::Layer(0)]);
        let values = random(&[20, 4, 15, 13]);
        let weights = random(&[20, 4, 7, 6]);
        let [ours, theirs] = [0, 1].map(|_| values.copy().set_requires_grad(true));
        let pooled = network.forward(&[], &ours, None).unwrap();
        let expected = theirs
            .relu()
            .max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], false);
        assert_eq!(pooled, expected);
        (pooled * &weights).sum(None).backward();
        (expected * &weights).sum(None).backward();
        assert_eq!(ours.grad(), theirs.grad());
    }

    #[test]
    fn a_block_is_one_operation_and_elsewhere_a_pooling_goes_before_its_relu() {
        let conv = Layer::conv2d(1, 4, 3, Conv2dConfig::default());
        let pool = Layer::max_pool2d(2);
        let layers = [
            conv.clone(),
            Layer::ReLU,
            pool.clone(),
            conv,
            Layer::Tanh,
            Layer::ReLU,
            pool.clone(),
            pool,
            Layer::ReLU,
            Layer::avg_pool2d(2),
        ];
        let indices = |fuses| -> Vec<usize> {
            let ops = ops(&layers, fuses).into_iter();
            ops.map(|(Op::Layer(index) | Op::Block(index, _))| index)
                .collect()
        };
        assert_eq!(indices(false), [0, 2, 1, 3, 4, 6, 5, 7, 8, 9]);
        assert_eq!(indices(true), [0, 3, 4, 6, 5, 7, 8, 9]);
        assert!(matches!(ops(&layers, true)[0], Op::Block(0, _)));
        assert_eq!(ops(&layers, true)[1], Op::Layer(3));
    }

    #[test]
    fn values_and_gradients_are_those_of_the_plain_operations() {
        let config = Conv2dConfig {
            padding: 1.into(),
            ..Default::default()
        };
        let layers = vec![
            Layer::conv2d(3, 4, 3, config),
            Layer::ReLU,
            Layer::max_pool2d(2),
            Layer::conv2d(4, 5, 3, config),
            Layer::Flatten,
            Layer::linear(5 * 4 * 3, 2),
        ];
        let network = Network::new(&[3, 8, 6], layers).unwrap();
        let input = random(&[7, 3, 8, 6]);
        let (ours, theirs) = (trainable(&network), trainable(&network));
        let output = network.forward(&ours, &input, None).unwrap();
        let conv = |x: &Tensor, i: usize| {
            x.conv2d(&theirs[i], Some(&theirs[i + 1]), [1, 1], [1, 1], [1, 1], 1)
        };
        let hidden = conv(&input, 0)
            .relu()
            .max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
        let expected = conv(&hidden, 2)
            .flatten(1, -1)
            .linear(&theirs[4], Some(&theirs[5]));
        assert!(output.allclose(&expected, 1e-5, 1e-6, false));
        output.square().sum(None).backward();
        expected.square().sum(None).backward();
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!(ours.grad().allclose(&theirs.grad(), 1e-4, 1e-4, false));
        }
    }
}
