// The fused passes as a differentiable operation for libtorch's autograd.
//
// It runs on the calling thread. The ranks of a fit already are threads. libtorch's intra-op thread
// pool cannot be used from outside, and a second pool would compete for the cores.
#include "fused.h"

#include <ATen/ops/conv2d.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include "../message.h"
#include "block.h"

namespace {

using at::Tensor;
using mnist::Argmax;
using mnist::Block;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Block block_of(const Tensor& input, const Tensor& weight, std::int64_t padding, std::int64_t pool) {
    TORCH_CHECK(input.dim() == 4 && weight.dim() == 4, "images and kernels have four dimensions");
    TORCH_CHECK(
        input.size(1) == weight.size(1) && weight.size(2) == weight.size(3),
        "the kernel does not fit the images"
    );
    TORCH_CHECK(
        padding >= 0 && pool >= 1 && pool * pool < mnist::no_argmax,
        "the padding or the pooling is out of range"
    );
    TORCH_CHECK(
        weight.size(2) >= 1 && input.size(2) + 2 * padding + 1 >= weight.size(2) + pool &&
            input.size(3) + 2 * padding + 1 >= weight.size(2) + pool,
        "nothing is left of an image"
    );
    TORCH_CHECK(input.size(1) >= 1, "the images have no channel");
    const auto size = [](std::int64_t value) {
        return static_cast<std::size_t>(value);
    };
    const Block block{
        size(input.size(2)),  size(input.size(3)), size(input.size(1)), size(weight.size(0)),
        size(weight.size(2)), size(padding),       size(pool)
    };
    // The passes index the floats of an image, or of a few small ones, with 32 bits.
    TORCH_CHECK(block.padded_image() < std::size_t{1} << 31, "the images are too large");
    return block;
}

// The memory that the passes read and write.
const float* floats(const Tensor& tensor) { return tensor.const_data_ptr<float>(); }
float* mutable_floats(const Tensor& tensor) { return tensor.mutable_data_ptr<float>(); }

Tensor channels_last(const Tensor& images) {
    return images.contiguous(at::MemoryFormat::ChannelsLast);
}

// A new tensor of the same number of images, [images, channels, height, width].
Tensor empty_images(
    const Tensor& like, std::size_t channels, std::size_t height, std::size_t width
) {
    const auto size = [](std::size_t value) {
        return static_cast<std::int64_t>(value);
    };
    return at::empty(
        {like.size(0), size(channels), size(height), size(width)}, like.options(),
        at::MemoryFormat::ChannelsLast
    );
}

// Computes the block's output. Also writes the argmax, if that tensor is defined.
Tensor forward_pass(
    const Block& block,
    const Tensor& input,
    const Tensor& weight,
    const Tensor& bias,
    const Tensor& argmax
) {
    const auto images = static_cast<std::size_t>(input.size(0));
    const auto& passes = mnist::passes();
    const Tensor output =
        empty_images(input, block.out_channels, block.out_height(), block.out_width());
    float* to = mutable_floats(output);
    Argmax* positions = argmax.defined() ? argmax.mutable_data_ptr<Argmax>() : nullptr;
    const bool one_channel = block.in_channels == 1;
    if (one_channel || mnist::many_channels_can_forward(block)) {
        const auto pass = one_channel ? passes.one_channel_forward : passes.many_channels_forward;
        pass(block, {images, floats(input), floats(weight), floats(bias), to, positions});
    } else {
        const auto padding = static_cast<std::int64_t>(block.padding);
        const Tensor convolved =
            channels_last(at::conv2d(input, weight, bias, {1, 1}, {padding, padding}));
        passes.pooling_forward(block, images, floats(convolved), to, positions);
    }
    return output;
}

// Computes the gradients of input, weight and bias.
variable_list backward_pass(
    const Block& block,
    const Tensor& input,
    const Tensor& weight,
    const Tensor& gradient,
    const Tensor& argmax,
    bool input_too
) {
    const auto images = static_cast<std::size_t>(input.size(0));
    const auto& passes = mnist::passes();
    const Argmax* positions = argmax.const_data_ptr<Argmax>();
    const bool one_channel = block.in_channels == 1 && !input_too;
    if (!one_channel && !mnist::many_channels_can_backward(block)) {
        const auto padding = static_cast<std::int64_t>(block.padding);
        const Tensor convolved =
            empty_images(input, block.out_channels, block.conv_height(), block.conv_width());
        passes.pooling_backward(
            block, images, floats(gradient), positions, mutable_floats(convolved)
        );
        auto [input_gradient, weight_gradient, bias_gradient] = at::convolution_backward(
            convolved, input, weight, at::IntArrayRef{weight.size(0)}, {1, 1}, {padding, padding},
            {1, 1}, false, {0, 0}, 1, {input_too, true, true}
        );
        return {input_gradient, weight_gradient, bias_gradient};
    }
    const auto pass = one_channel ? passes.one_channel_backward : passes.many_channels_backward;
    const Tensor input_gradient = input_too ? at::empty_like(input) : Tensor();
    const Tensor weight_gradient = at::zeros(weight.sizes(), weight.options());
    const Tensor bias_gradient = at::zeros({weight.size(0)}, weight.options());
    pass(
        block, {images, floats(input), floats(weight), floats(gradient), positions,
                input_too ? mutable_floats(input_gradient) : nullptr,
                mutable_floats(weight_gradient), mutable_floats(bias_gradient)}
    );
    return {input_gradient, weight_gradient, bias_gradient};
}

struct Conv2dReluMaxPool2d : torch::autograd::Function<Conv2dReluMaxPool2d> {
    static Tensor forward(
        AutogradContext* context,
        const Tensor& input,
        const Tensor& weight,
        const Tensor& bias,
        std::int64_t padding,
        std::int64_t pool
    ) {
        const Block block = block_of(input, weight, padding, pool);
        const Tensor argmax = at::empty(
            {input.size(0), static_cast<std::int64_t>(block.out_height() * block.out_width()),
             weight.size(0)},
            input.options().dtype(at::kByte)
        );
        context->save_for_backward({input, weight, argmax});
        context->saved_data["padding"] = padding;
        context->saved_data["pool"] = pool;
        return forward_pass(block, input, weight, bias, argmax);
    }

    static variable_list backward(AutogradContext* context, variable_list gradients) {
        const auto saved = context->get_saved_variables();
        const Tensor &input = saved[0], &weight = saved[1], &argmax = saved[2];
        const Block block = block_of(
            input, weight, context->saved_data["padding"].toInt(),
            context->saved_data["pool"].toInt()
        );
        variable_list own = backward_pass(
            block, input, weight, channels_last(gradients[0]), argmax, context->needs_input_grad(0)
        );
        own.resize(5); // padding and pool have no gradient
        return own;
    }
};

} // namespace

char* mnist_conv2d_relu_max_pool2d(
    const Tensor* input,
    const Tensor* weight,
    const Tensor* bias,
    std::int64_t padding,
    std::int64_t pool,
    Tensor** output
) {
    return mnist::caught([&] {
        for (const Tensor* tensor : {input, weight, bias}) {
            TORCH_CHECK(
                tensor->device().is_cpu() && tensor->scalar_type() == at::kFloat,
                "only floats on the CPU can be fused"
            );
        }
        TORCH_CHECK(
            bias->dim() == 1 && bias->size(0) == weight->size(0), "the bias does not fit the kernel"
        );
        // With one channel, both layouts are the same in memory, but the strides may differ.
        const Tensor images = input->size(1) == 1 ? input->contiguous() : channels_last(*input);
        const Tensor kernel = weight->contiguous(), biases = bias->contiguous();
        const bool recorded =
            at::GradMode::is_enabled() &&
            (input->requires_grad() || weight->requires_grad() || bias->requires_grad());
        *output = new Tensor(
            recorded ? Conv2dReluMaxPool2d::apply(images, kernel, biases, padding, pool)
                     : forward_pass(
                           block_of(images, kernel, padding, pool), images, kernel, biases, Tensor()
                       )
        );
    });
}
