// Chooses the processor generation of the passes.
#include "block.h"

#include <cstdlib>
#include <cstring>

namespace mnist {

bool many_channels_can_forward(const Block& block) { return block.out_channels % max_lanes == 0; }

bool many_channels_can_backward(const Block& block) {
    return block.receptive_row_fits_a_vector() || block.in_channels % max_lanes == 0;
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
static const Passes& chosen() {
    // The variable by which libtorch chooses its own generation.
    const char* capability = std::getenv("ATEN_CPU_CAPABILITY");
    const auto asked_for = [&](const char* name) {
        return capability != nullptr && std::strcmp(capability, name) == 0;
    };
    if (asked_for("default") || !__builtin_cpu_supports("x86-64-v3")) {
        return baseline_passes;
    }
    return asked_for("avx2") || !__builtin_cpu_supports("x86-64-v4") ? v3_passes : v4_passes;
}
#else
static const Passes& chosen() { return baseline_passes; }
#endif

const Passes& passes() {
    static const Passes& passes = chosen();
    return passes;
}

} // namespace mnist
