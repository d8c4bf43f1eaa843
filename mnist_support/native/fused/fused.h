// The fused block for Rust. Errors are as in message.h.
#pragma once

#include <cstdint>

namespace at {
class Tensor;
}

extern "C" {

// max_pool2d(relu(conv2d(input, weight, bias, padding=padding)), pool), as one operation in
// autograd's graph. All tensors are float32 on the CPU; output becomes a new tensor.
char* mnist_conv2d_relu_max_pool2d(
    const at::Tensor* input,
    const at::Tensor* weight,
    const at::Tensor* bias,
    std::int64_t padding,
    std::int64_t pool,
    at::Tensor** output
);

} // extern "C"
