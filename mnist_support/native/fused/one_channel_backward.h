namespace one_channel {

// The gradients and argmax of a vector of windows, split by channel.
template <std::size_t channels>
struct ByChannel {
    Floats gradient[channels];
    Integers argmax[channels];
};

MNIST_INLINE void take_apart(
    const Block& block,
    std::size_t windows,
    const float* gradient,
    const Argmax* argmax,
    ByChannel<1>& apart
) {
    float values[lanes] = {};
    std::int32_t positions[lanes] = {};
    for (std::size_t window = 0; window < windows; ++window) {
        values[window] = gradient[window * block.out_channels];
        positions[window] = argmax[window * block.out_channels];
    }
    apart.gradient[0] = load(values);
    std::memcpy(&apart.argmax[0], positions, sizeof positions);
}

// Four channels at once: the inverse of the transposition in `write` of the forward pass.
MNIST_INLINE void take_apart(
    const Block& block,
    std::size_t windows,
    const float* gradient,
    const Argmax* argmax,
    ByChannel<4>& apart
) {
    float values[4 * lanes] = {};
    std::int32_t bytes[lanes] = {}; // of a window's four channels, the first one lowest
    for (std::size_t window = 0; window < windows; ++window) {
        std::memcpy(values + 4 * window, gradient + window * block.out_channels, 4 * sizeof(float));
        std::memcpy(bytes + window, argmax + window * block.out_channels, 4);
    }
    Integers four;
    std::memcpy(&four, bytes, sizeof bytes);
    constexpr auto half = static_cast<std::int32_t>(lanes / 2);
    constexpr auto whole = static_cast<std::int32_t>(lanes);
    const Integers lane = lane_numbers(), in_lower_half = lane < half;
    for (std::int32_t channel = 0; channel < 4; channel += 2) {
        // Half a vector of one channel and half a vector of the next, for the first half of the
        // windows and for the second.
        const Integers from = in_lower_half ? lane * 4 + channel : (lane - half) * 4 + channel + 1;
        const Floats first = shuffle(load(values), load(values + lanes), from);
        const Floats second = shuffle(load(values + 2 * lanes), load(values + 3 * lanes), from);
        apart.gradient[channel] = shuffle(first, second, in_lower_half ? lane : lane + half);
        apart.gradient[channel + 1] =
            shuffle(first, second, in_lower_half ? lane + half : lane + whole);
    }
    for (std::int32_t channel = 0; channel < 4; ++channel) {
        apart.argmax[channel] = four >> (8 * channel) & 255;
    }
}

// The gradient of the convolution's output, as max_unpool2d makes it from the block's gradient: 0
// except where a position is its window's argmax. It is dense after all, because the lanes of a
// vector are windows with different argmaxes.
//
//     gradient   [output channel][output row][position][output column, to whole vectors]
struct Unpooled {
    std::size_t columns, row, plane; // strides of the last three
    Buffer<float> gradient;

    explicit Unpooled(const Block& block) :
        columns(whole_vectors(block.out_width())),
        row(block.positions() * columns),
        plane(block.out_height() * row),
        gradient(block.out_channels * plane) {}

    MNIST_INLINE const float* of(std::size_t channel) const { return &gradient[channel * plane]; }

    // Fills in the vector of windows that starts at row y and column x, for `channels` channels.
    template <std::size_t channels>
    MNIST_INLINE void fill(
        const Block& block,
        std::size_t y,
        std::size_t x,
        std::size_t first,
        const float* from,
        const Argmax* argmax,
        float* bias_sums
    ) {
        ByChannel<channels> apart;
        const std::size_t windows = smaller(block.out_width() - x, lanes);
        take_apart(block, windows, from + first, argmax + first, apart);
        unrolled<channels>([&](auto channel) MNIST_INLINED {
            float* to = &gradient[(first + channel) * plane + y * row + x];
            for (std::size_t position = 0; position < block.positions(); ++position) {
                const Integers here = apart.argmax[channel] == static_cast<std::int32_t>(position);
                const Floats routed = here ? apart.gradient[channel] : Floats{};
                store(to + position * columns, routed);
                add(bias_sums + (first + channel) * lanes, routed);
            }
        });
    }
};

// Accumulates the gradients of `taps` taps, starting at `first`, of `channels` output channels.
// They are the register tile, with one sum for each lane, during a pass over the whole image.
template <std::size_t channels, std::size_t taps>
MNIST_INLINE void add_weight_gradient(
    const Block& block,
    const Polyphase& phases,
    const float* unpooled,
    std::size_t plane,
    std::size_t first,
    float* sums
) {
    Floats sum[channels][taps];
    unrolled<channels, taps>([&](auto channel, auto tap) MNIST_INLINED {
        sum[channel][tap] = load(sums + (channel * block.taps() + first + tap) * lanes);
    });
    for (std::size_t y = 0; y < block.out_height(); ++y) {
        for (std::size_t position = 0; position < block.positions(); ++position) {
            const std::size_t* offsets = &phases.offsets[position * block.taps() + first];
            for (std::size_t x = 0; x < block.out_width(); x += lanes, unpooled += lanes) {
                const float* pixels = phases.at_window(y, x);
                unrolled<taps>([&](auto tap) MNIST_INLINED {
                    const Floats seen = load(pixels + offsets[tap]);
                    unrolled<channels>([&](auto channel) MNIST_INLINED {
                        sum[channel][tap] += load(unpooled + channel * plane) * seen;
                    });
                });
            }
        }
    }
    unrolled<channels, taps>([&](auto channel, auto tap) MNIST_INLINED {
        store(sums + (channel * block.taps() + first + tap) * lanes, sum[channel][tap]);
    });
}

inline void backward(const Block& block, const Backward& pass) {
    // The gradients of a 3 by 3 kernel fill the registers: 32 with AVX-512, otherwise 16.
    constexpr std::size_t channels_at_once = lanes == max_lanes ? 2 : 1, taps_at_once = 9;
    Polyphase phases(block);
    Unpooled unpooled(block);
    const std::size_t channels = block.out_channels, taps = block.taps();
    const std::size_t image_size = block.height * block.width;
    // Each lane has its own sums. The lanes are added up at the end.
    Buffer<float> sums(channels * taps * lanes), bias_sums(channels * lanes);
    for (std::size_t image = 0; image < pass.images; ++image) {
        phases.fill(block, pass.input + image * image_size, (pass.images - 1 - image) * image_size);
        for (std::size_t y = 0; y < block.out_height(); ++y) {
            for (std::size_t x = 0; x < block.out_width(); x += lanes) {
                const std::size_t window = (image * block.out_height() + y) * block.out_width() + x;
                const float* gradient = pass.gradient + window * channels;
                const Argmax* argmax = pass.argmax + window * channels;
                for_each_tile<4>(channels, [&](auto tile, auto first) MNIST_INLINED {
                    unpooled.fill<tile.value>(
                        block, y, x, first, gradient, argmax, bias_sums.values
                    );
                });
            }
        }
        for_each_tile<channels_at_once>(channels, [&](auto tile, auto channel) MNIST_INLINED {
            for_each_tile<taps_at_once>(taps, [&](auto tile_of_taps, auto first) MNIST_INLINED {
                add_weight_gradient<tile.value, tile_of_taps.value>(
                    block, phases, unpooled.of(channel), unpooled.plane, first,
                    &sums[channel * taps * lanes]
                );
            });
        });
    }
    for (std::size_t at = 0; at < sums.length; ++at) {
        pass.weight_gradient[at / lanes] += sums[at];
    }
    for (std::size_t at = 0; at < bias_sums.length; ++at) {
        pass.bias_gradient[at / lanes] += bias_sums[at];
    }
}

} // namespace one_channel
