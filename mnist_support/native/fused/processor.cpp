// Which passes run where.
#include "block.h"

namespace mnist {

bool many_channels_can_forward(const Block& block) { return block.out_channels % widest == 0; }

bool many_channels_can_backward(const Block& block) {
    return block.window_fits_one_vector() || block.in_channels % widest == 0;
}

const Kernels& kernels() {
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
    static const Kernels& chosen = __builtin_cpu_supports("x86-64-v4") ? v4_kernels
        : __builtin_cpu_supports("x86-64-v3")                           ? v3_kernels
                                                                        : baseline_kernels;
    return chosen;
#else
    return baseline_kernels;
#endif
}

} // namespace mnist
