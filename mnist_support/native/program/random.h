// Random numbers in a program: they depend on a seed alone, whatever other threads draw.
#pragma once

#include <cstdint>
#include <optional>

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <c10/util/FunctionRef.h>

namespace mnist {

class Random {
public:
    explicit Random(std::uint64_t seed) : seed_(seed) {}

    // A dropout's mask: 0 with probability `p`, else 1 / (1 - p).
    at::Tensor mask(at::IntArrayRef shape, const at::Tensor& like, double p);

    // Calls an operator that draws from libtorch's own generator, which the whole process shares.
    void with_own_generator(const c10::Device& device, c10::function_ref<void()> call);

private:
    at::Generator& generator();

    std::uint64_t seed_;
    std::optional<at::Generator> generator_;
};

} // namespace mnist
