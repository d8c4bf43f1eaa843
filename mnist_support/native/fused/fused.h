// What Rust sees of the fused operation. Errors are as in message.h.
#pragma once

#include <cstdint>

namespace at {
class Tensor;
}

extern "C" {

// max_pool2d(relu(conv2d(input, weight, bias, padding)), pool), with stride 1 and a stride of pool,
// as one operation in libtorch's graph. All tensors are floats on the CPU; output becomes a new
// tensor.
char* mnist_conv2d_relu_max_pool2d(
    const at::Tensor* input,
    const at::Tensor* weight,
    const at::Tensor* bias,
    std::int64_t padding,
    std::int64_t pool,
    at::Tensor** output
);

} // extern "C"
