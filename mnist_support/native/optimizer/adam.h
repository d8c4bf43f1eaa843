// What Rust sees of libtorch's fused Adam, which tch does not hand out. Errors are as in message.h.
#pragma once

namespace at {
class Tensor;
}

extern "C" {

// One step of torch.optim.Adam(fused=True), or of AdamW with decoupled_weight_decay. Parameters,
// mean and mean_square are changed in place; steps, one float, counts this step, too.
char* mnist_adam_step(
    at::Tensor* parameters,
    const at::Tensor* gradient,
    at::Tensor* mean,
    at::Tensor* mean_square,
    const at::Tensor* steps,
    double learning_rate,
    double first_beta,
    double second_beta,
    double weight_decay,
    double eps,
    bool decoupled_weight_decay
);

} // extern "C"
