// The fused block's interface to Rust. Errors are reported as described in message.h.
#pragma once

#include <cstdint>

namespace at {
class Tensor;
}

extern "C" {

// max_pool2d(relu(conv2d(input, weight, bias, padding=padding)), pool) as one operation in the
// autograd graph. All tensors are float32 on the CPU. output is set to a new tensor.
char* mnist_conv2d_relu_max_pool2d(
    const at::Tensor* input,
    const at::Tensor* weight,
    const at::Tensor* bias,
    std::int64_t padding,
    std::int64_t pool,
    at::Tensor** output
);

} // extern "C"
