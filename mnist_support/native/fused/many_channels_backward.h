// Two variants, both sparse: only the argmax of a window has a gradient, and only if it is above 0.

namespace many_channels {

// First variant, window by window. Each of the `rows` rows of a window's receptive field fits into
// `vectors` vectors, so the field and its gradient stay in registers while the output channels add
// to it. Each channel's kernel is laid out once for each position, as the field sees it, so that
// nothing needs to be shifted. With a kernel of 3, a pooling of 2 and one channel:
//
//     position 0      position 1      position 2      position 3
//      K K K 0         0 K K K         0 0 0 0         0 0 0 0
//      K K K 0         0 K K K         K K K 0         0 K K K
//      K K K 0         0 K K K         K K K 0         0 K K K
//      0 0 0 0         0 0 0 0         K K K 0         0 K K K
//
//     placed   [position][output channel][row of the field][its floats, as whole vectors]
template <std::size_t rows, std::size_t vectors>
struct PlacedKernels {
    static constexpr std::size_t width = vectors * lanes, kernel = rows * width;
    const Block& block;
    WithGradient placed;

    explicit PlacedKernels(const Block& block) :
        block(block), placed(block.positions() * block.out_channels * kernel) {}

    // The index of a channel's kernel at a position.
    MNIST_INLINE std::size_t at(std::size_t position, std::size_t channel) const {
        return (position * block.out_channels + channel) * kernel;
    }
    // Calls body(placed, at) for each copy of each weight: its index here and in libtorch's layout.
    template <typename Body>
    MNIST_INLINE void for_each(Body body) const {
        for_each_weight(block, [&](auto channel, auto y, auto place, auto in_weight) MNIST_INLINED {
            for (std::size_t position = 0; position < block.positions(); ++position) {
                const std::size_t row = position / block.pool + y;
                const std::size_t column = position % block.pool * block.in_channels + place;
                body(at(position, channel) + row * width + column, in_weight);
            }
        });
    }
};

// Lists the channels of a window that have a gradient, in an array with room for one more. This has
// no branch, because none could be predicted: which channels of a window are active is as good as
// random.
MNIST_INLINE std::size_t find_active(
    const Argmax* argmax, std::size_t channels, std::size_t* active
) {
    std::size_t length = 0;
    for (std::size_t channel = 0; channel < channels; ++channel) {
        active[length] = channel;
        length += argmax[channel] != no_argmax;
    }
    return length;
}

template <std::size_t rows, std::size_t vectors>
MNIST_NOINLINE void backward_by_window(const Block& block, const Backward& pass) {
    const std::size_t channels = block.out_channels;
    const std::size_t image_size = block.height * block.width * block.in_channels;
    const PaddedImages images(block, 1);
    const std::size_t row = images.row;
    WithGradient pixels(images.length);
    PlacedKernels<rows, vectors> kernels(block);
    float *weights = kernels.placed.values(), *sums = kernels.placed.gradient();
    kernels.for_each([&](auto placed, auto at) MNIST_INLINED {
        weights[placed] = pass.weight[at];
    });
    Buffer<std::size_t> active(channels + 1);
    const float* gradient = pass.gradient;
    const Argmax* argmax = pass.argmax;
    float* bias_gradient = pass.bias_gradient;
    const auto backward_window = [&](const float* field, float* field_gradient) MNIST_INLINED {
        Floats seen[rows][vectors], sum[rows][vectors];
        unrolled<rows, vectors>([&](auto y, auto vector) MNIST_INLINED {
            seen[y][vector] = load(field + y * row + vector * lanes);
            sum[y][vector] = Floats{};
        });
        const std::size_t found = find_active(argmax, channels, active.values);
        for (std::size_t next = 0; next < found; ++next) {
            const std::size_t channel = active[next];
            const std::size_t kernel = kernels.at(argmax[channel], channel);
            const float routed = gradient[channel];
            bias_gradient[channel] += routed;
            unrolled<rows, vectors>([&](auto y, auto vector) MNIST_INLINED {
                const std::size_t here = kernel + y * kernels.width + vector * lanes;
                sum[y][vector] += routed * load(weights + here);
                add(sums + here, routed * seen[y][vector]);
            });
        }
        unrolled<rows, vectors>([&](auto y, auto vector) MNIST_INLINED {
            add(field_gradient + y * row + vector * lanes, sum[y][vector]);
        });
    };
    for (std::size_t image = 0; image < pass.images; ++image) {
        images.pad(pass.input + image * image_size, 0, pixels.values());
        pixels.clear_gradient();
        for (std::size_t y = 0; y < block.out_height(); ++y) {
            for (std::size_t x = 0; x < block.out_width(); ++x) {
                const std::size_t corner = images.window(0, y, x);
                backward_window(pixels.values() + corner, pixels.gradient() + corner);
                gradient += channels, argmax += channels;
            }
        }
        if (pass.input_gradient != nullptr) {
            images.unpad(pixels.gradient(), 0, pass.input_gradient + image * image_size);
        }
    }
    kernels.for_each([&](auto placed, auto at) MNIST_INLINED {
        pass.weight_gradient[at] += sums[placed];
    });
}

// Second variant, output channel by output channel. First the gradients are routed: each channel
// gets a list of the places where its kernel was the maximum. Then a part of the kernel and of its
// gradient stays in registers during a pass over the list.
struct RoutedGradients {
    struct Routed {
        std::uint32_t corner; // the first float that the kernel read there
        float gradient;
    };
    std::size_t most; // of one channel
    Buffer<Routed> lists;
    Buffer<std::size_t> lengths;

    RoutedGradients(std::size_t channels, std::size_t most) :
        most(most), lists(channels * most), lengths(channels) {}

    MNIST_INLINE const Routed* of(std::size_t channel) const { return &lists[channel * most]; }

    // Routes the gradients of a window, and adds them to the bias gradient. Branch-free, as above.
    MNIST_INLINE void route(
        const PaddedImages& images,
        std::size_t window,
        const Argmax* argmax,
        const float* gradient,
        float* bias
    ) {
        for (std::size_t channel = 0; channel < lengths.length; ++channel) {
            const bool active = argmax[channel] != no_argmax;
            Routed& next = lists[channel * most + lengths[channel]];
            next.corner = static_cast<std::uint32_t>(window) + images.offsets[argmax[channel]];
            next.gradient = gradient[channel];
            lengths[channel] += active;
            bias[channel] += active ? gradient[channel] : 0.0f;
        }
    }
};

// Handles a part of one output channel's kernel: `rows` rows of `vectors` vectors each. `stride` is
// the distance between rows of pixels, `run` the distance between rows of the kernel.
template <std::size_t rows, std::size_t vectors>
MNIST_NOINLINE void backward_part(
    std::size_t stride,
    std::size_t run,
    const float* weights,
    float* sums,
    const RoutedGradients::Routed* list,
    std::size_t length,
    const float* pixels,
    float* pixel_gradients
) {
    Floats weight[rows][vectors], sum[rows][vectors];
    unrolled<rows, vectors>([&](auto y, auto vector) MNIST_INLINED {
        weight[y][vector] = load(weights + y * run + vector * lanes);
        sum[y][vector] = load(sums + y * run + vector * lanes);
    });
    for (std::size_t next = 0; next < length; ++next) {
        const Floats routed = broadcast(list[next].gradient);
        const float* seen = pixels + list[next].corner;
        float* seen_gradient = pixel_gradients + list[next].corner;
        unrolled<rows, vectors>([&](auto y, auto vector) MNIST_INLINED {
            const std::size_t here = y * stride + vector * lanes;
            sum[y][vector] += routed * load(seen + here);
            add(seen_gradient + here, routed * weight[y][vector]);
        });
    }
    unrolled<rows, vectors>([&](auto y, auto vector) MNIST_INLINED {
        store(sums + y * run + vector * lanes, sum[y][vector]);
    });
}

// For input channels that fill whole vectors.
MNIST_NOINLINE inline void backward_by_channel(const Block& block, const Backward& pass) {
    const std::size_t channels = block.out_channels;
    const std::size_t image_size = block.height * block.width * block.in_channels;
    const std::size_t run = block.kernel * block.in_channels, kernel_size = block.kernel * run;
    const std::size_t windows = block.out_height() * block.out_width();
    const std::size_t slots = images_at_once(block, 8);
    const PaddedImages images(block, slots);
    WithGradient pixels(images.length);
    RoutedGradients routed(channels, slots * windows + 1);
    // [output channel][kernel row][place]
    Buffer<float> weights(channels * kernel_size), sums(weights.length);
    const auto for_each = [&](auto body) MNIST_INLINED {
        for_each_weight(block, [&](auto channel, auto y, auto place, auto at) MNIST_INLINED {
            body(channel * kernel_size + y * run + place, at);
        });
    };
    for_each([&](auto placed, auto at) MNIST_INLINED {
        weights[placed] = pass.weight[at];
    });
    for (std::size_t first = 0; first < pass.images; first += slots) {
        const std::size_t here = smaller(pass.images - first, slots);
        pixels.clear_gradient();
        routed.lengths.clear();
        for (std::size_t slot = 0; slot < here; ++slot) {
            images.pad(pass.input + (first + slot) * image_size, slot, pixels.values());
        }
        // Images in the innermost loop: neighbours in a list then add to pixels of different
        // images. Overlapping windows of one image would have to wait for each other's sums.
        for (std::size_t window = 0; window < windows; ++window) {
            for (std::size_t slot = 0; slot < here; ++slot) {
                const std::size_t at = ((first + slot) * windows + window) * channels;
                const std::size_t corner =
                    images.window(slot, window / block.out_width(), window % block.out_width());
                routed.route(
                    images, corner, pass.argmax + at, pass.gradient + at, pass.bias_gradient
                );
            }
        }
        for (std::size_t channel = 0; channel < channels; ++channel) {
            for_each_tile<3>(block.kernel, [&](auto rows, auto y) MNIST_INLINED {
                for_each_tile<3>(run / lanes, [&](auto vectors, auto vector) MNIST_INLINED {
                    const std::size_t place = vector * lanes, at = y * images.row + place;
                    const std::size_t in_kernel = channel * kernel_size + y * run + place;
                    backward_part<rows.value, vectors.value>(
                        images.row, run, &weights[in_kernel], &sums[in_kernel], routed.of(channel),
                        routed.lengths[channel], pixels.values() + at, pixels.gradient() + at
                    );
                });
            });
        }
        for (std::size_t slot = 0; slot < here && pass.input_gradient != nullptr; ++slot) {
            images.unpad(
                pixels.gradient(), slot, pass.input_gradient + (first + slot) * image_size
            );
        }
    }
    for_each([&](auto placed, auto at) MNIST_INLINED {
        pass.weight_gradient[at] += sums[placed];
    });
}

inline void backward(const Block& block, const Backward& pass) {
    if (block.receptive_row_fits_a_vector()) {
        constexpr std::size_t rows = Block::small_receptive_field;
        backward_by_window<rows, max_lanes / lanes>(block, pass);
    } else {
        backward_by_channel(block, pass);
    }
}

} // namespace many_channels
