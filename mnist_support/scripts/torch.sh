#!/usr/bin/env bash
# Installs PyTorch's libraries into the Python environment. Usage: torch.sh cpu|cuda
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

one_at_a_time "$@"
case $1 in
cpu)
    # Without its dependencies: 1.2 GB rather than 4.7. These two libtorch_cpu.so is linked to.
    say "Installing libtorch $TORCH_VERSION for the CPU (1.2 GB, about 30 s)"
    pip_install --no-deps "torch==$TORCH_VERSION" \
        "nvidia-cuda-runtime==$CUDA_RUNTIME_VERSION" "nvidia-cuda-cupti==$CUDA_CUPTI_VERSION"
    ;;
cuda)
    say "Installing PyTorch $TORCH_VERSION with CUDA (4.7 GB, about 2 minutes)"
    pip_install "torch==$TORCH_VERSION"
    ;;
*)
    fail "TORCH=$1 is neither cpu nor cuda."
    ;;
esac
