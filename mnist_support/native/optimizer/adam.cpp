#include "adam.h"

#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>

#include "../message.h"

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
) {
    return mnist::caught([&] {
        // Each list has one tensor, except max_exp_avg_sqs, which is empty without amsgrad.
        const bool amsgrad = max_mean_square != nullptr, maximize = false;
        const at::TensorList highest =
            amsgrad ? at::TensorList(*max_mean_square) : at::TensorList();
        if (decoupled_weight_decay) {
            at::_fused_adamw_(
                *parameters, *gradient, *mean, *mean_square, highest, *steps, learning_rate,
                first_beta, second_beta, weight_decay, eps, amsgrad, maximize
            );
        } else {
            at::_fused_adam_(
                *parameters, *gradient, *mean, *mean_square, highest, *steps, learning_rate,
                first_beta, second_beta, weight_decay, eps, amsgrad, maximize
            );
        }
    });
}
