#include "random.h"

#include <mutex>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

namespace mnist {

at::Generator& Random::generator() {
    if (!generator_) {
        generator_ = at::detail::createCPUGenerator(seed_);
    }
    return *generator_;
}

at::Tensor Random::mask(at::IntArrayRef shape, const at::Tensor& like, double p) {
    if (p >= 1) {
        return at::zeros(shape, like.options());
    }
    // Drawn on the CPU, so that all devices draw the same.
    at::Tensor mask = at::empty(shape, like.options().device(c10::kCPU));
    mask.bernoulli_(1 - p, generator()).div_(1 - p);
    return mask.to(like.device());
}

void Random::with_own_generator(const c10::Device& device, c10::function_ref<void()> call) {
    // The ranks of a fit may be threads. One at a time seeds the generator, draws from it, and puts
    // it back to where it was.
    static std::mutex drawing;
    const std::uint64_t seed = at::check_generator<at::CPUGeneratorImpl>(generator())->random64();
    const std::lock_guard<std::mutex> lock(drawing);
    at::Generator shared = at::globalContext().defaultGenerator(device);
    const at::Tensor before = shared.get_state();
    struct Restored {
        at::Generator& generator;
        const at::Tensor& state;
        ~Restored() { generator.set_state(state); }
    } restored{shared, before};
    shared.set_current_seed(seed);
    call();
}

} // namespace mnist
