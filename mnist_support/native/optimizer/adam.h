// libtorch's fused Adam for Rust, which tch does not expose. Errors are reported as described in
// message.h.
#pragma once

namespace at {
class Tensor;
}

extern "C" {

// One step of torch.optim.Adam(fused=True), or of AdamW with decoupled_weight_decay. parameters,
// mean (PyTorch's exp_avg), mean_square (exp_avg_sq) and max_mean_square (max_exp_avg_sq; null
// without amsgrad) are updated in place. steps is a single float that already includes this step.
char* mnist_adam_step(
    at::Tensor* parameters,
    const at::Tensor* gradient,
    at::Tensor* mean,
    at::Tensor* mean_square,
    at::Tensor* max_mean_square,
    const at::Tensor* steps,
    double learning_rate,
    double first_beta,
    double second_beta,
    double weight_decay,
    double eps,
    bool decoupled_weight_decay
);

} // extern "C"
