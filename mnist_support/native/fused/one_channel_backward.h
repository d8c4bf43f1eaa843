namespace one_channel {

// The gradients of a vector of windows and the positions that won them, channel by channel.
template <std::size_t channels>
struct Separated {
    Floats gradients[channels];
    Integers winners[channels];
};

MNIST_INLINE void separate(
    const Block& block,
    std::size_t windows,
    const float* gradient,
    const Winner* winners,
    Separated<1>& separated
) {
    float values[lanes] = {};
    std::int32_t won[lanes] = {};
    for (std::size_t window = 0; window < windows; ++window) {
        values[window] = gradient[window * block.out_channels];
        won[window] = winners[window * block.out_channels];
    }
    separated.gradients[0] = load(values);
    std::memcpy(&separated.winners[0], won, sizeof won);
}

MNIST_INLINE void separate(
    const Block& block,
    std::size_t windows,
    const float* gradient,
    const Winner* winners,
    Separated<4>& separated
) {
    float values[4 * lanes] = {};
    std::int32_t won[lanes] = {}; // a lane is the four winners of a window, the lowest byte first
    for (std::size_t window = 0; window < windows; ++window) {
        std::memcpy(values + 4 * window, gradient + window * block.out_channels, 4 * sizeof(float));
        std::memcpy(won + window, winners + window * block.out_channels, 4);
    }
    Integers four;
    std::memcpy(&four, won, sizeof won);
    constexpr auto half = static_cast<std::int32_t>(lanes / 2),
                   whole = static_cast<std::int32_t>(lanes);
    const Integers each = each_lane(), in_lower_half = each < half;
    for (std::int32_t channel = 0; channel < 4; channel += 2) {
        // Of the first half of the windows one channel and then the next, and the same of the
        // second half.
        const Integers from = in_lower_half ? each * 4 + channel : (each - half) * 4 + channel + 1;
        const Floats first = picked(load(values), load(values + lanes), from);
        const Floats second = picked(load(values + 2 * lanes), load(values + 3 * lanes), from);
        separated.gradients[channel] = picked(first, second, in_lower_half ? each : each + half);
        separated.gradients[channel + 1] =
            picked(first, second, in_lower_half ? each + half : each + whole);
    }
    for (std::int32_t channel = 0; channel < 4; ++channel) {
        separated.winners[channel] = four >> (8 * channel) & 255;
    }
}

// For each channel, row and position in a window, the gradients of the windows that it won, and 0
// for the others.
struct Sparse {
    std::size_t columns, row, plane; // with whole vectors
    Buffer<float> gradients;

    explicit Sparse(const Block& block) :
        columns(whole_vectors(block.columns())),
        row(block.positions() * columns),
        plane(block.rows() * row),
        gradients(block.out_channels * plane) {}

    MNIST_INLINE const float* of(std::size_t channel) const { return &gradients[channel * plane]; }

    template <std::size_t channels>
    MNIST_INLINE void read(
        const Block& block,
        std::size_t y,
        std::size_t x,
        std::size_t first,
        const float* gradient,
        const Winner* winners,
        float* bias_sums
    ) {
        Separated<channels> separated;
        const std::size_t windows = block.columns() - x < lanes ? block.columns() - x : lanes;
        separate(block, windows, gradient + first, winners + first, separated);
        MNIST_UNROLL
        for (std::size_t channel = 0; channel < channels; ++channel) {
            float* to = &gradients[(first + channel) * plane + y * row + x];
            for (std::size_t position = 0; position < block.positions(); ++position) {
                const Integers won =
                    separated.winners[channel] == static_cast<std::int32_t>(position);
                const Floats own = won ? separated.gradients[channel] : Floats{};
                store(to + position * columns, own);
                add(bias_sums + (first + channel) * lanes, own);
            }
        }
    }
};

// Adds what some channels' gradients say of some of the taps.
template <std::size_t channels, std::size_t taps>
MNIST_INLINE void backward_taps(
    const Block& block,
    const Phases& phases,
    const float* sparse,
    std::size_t plane,
    std::size_t first,
    float* sums
) {
    Floats sum[channels][taps];
    MNIST_UNROLL
    for (std::size_t channel = 0; channel < channels; ++channel) {
        MNIST_UNROLL
        for (std::size_t tap = 0; tap < taps; ++tap) {
            sum[channel][tap] = load(sums + (channel * block.taps() + first + tap) * lanes);
        }
    }
    for (std::size_t y = 0; y < block.rows(); ++y) {
        for (std::size_t position = 0; position < block.positions(); ++position) {
            const std::size_t* offsets = &phases.offsets[position * block.taps() + first];
            for (std::size_t x = 0; x < block.columns(); x += lanes, sparse += lanes) {
                const float* pixels = phases.window(y, x);
                MNIST_UNROLL
                for (std::size_t tap = 0; tap < taps; ++tap) {
                    const Floats seen = load(pixels + offsets[tap]);
                    MNIST_UNROLL
                    for (std::size_t channel = 0; channel < channels; ++channel) {
                        sum[channel][tap] += load(sparse + channel * plane) * seen;
                    }
                }
            }
        }
    }
    MNIST_UNROLL
    for (std::size_t channel = 0; channel < channels; ++channel) {
        MNIST_UNROLL
        for (std::size_t tap = 0; tap < taps; ++tap) {
            store(sums + (channel * block.taps() + first + tap) * lanes, sum[channel][tap]);
        }
    }
}

template <std::size_t channels>
MNIST_INLINE void backward_channels(
    const Block& block, const Phases& phases, const Sparse& sparse, std::size_t first, float* sums
) {
    const float* own = sparse.of(first);
    sums += first * block.taps() * lanes;
    std::size_t tap = 0;
    for (; tap + 9 <= block.taps(); tap += 9) {
        backward_taps<channels, 9>(block, phases, own, sparse.plane, tap, sums);
    }
    for (; tap < block.taps(); ++tap) {
        backward_taps<channels, 1>(block, phases, own, sparse.plane, tap, sums);
    }
}

inline void backward(
    const Block& block,
    std::size_t images,
    const float* input,
    const float*,
    const float* gradient,
    const Winner* winners,
    const Gradients& gradients
) {
    // As many channels at once as leave the sums of nine taps in registers.
    constexpr std::size_t at_once = lanes == widest ? 2 : 1;
    Phases phases(block);
    Sparse sparse(block);
    const std::size_t channels = block.out_channels, taps = block.taps(),
                      image_size = block.height * block.width;
    Buffer<float> sums(channels * taps * lanes), bias_sums(channels * lanes);
    for (std::size_t image = 0; image < images; ++image) {
        phases.read(block, input + image * image_size, (images - 1 - image) * image_size);
        for (std::size_t y = 0; y < block.rows(); ++y) {
            for (std::size_t x = 0; x < block.columns(); x += lanes) {
                const std::size_t window = (image * block.rows() + y) * block.columns() + x;
                const float* here = gradient + window * channels;
                const Winner* won = winners + window * channels;
                std::size_t channel = 0;
                for (; channel + 4 <= channels; channel += 4) {
                    sparse.read<4>(block, y, x, channel, here, won, bias_sums.values);
                }
                for (; channel < channels; ++channel) {
                    sparse.read<1>(block, y, x, channel, here, won, bias_sums.values);
                }
            }
        }
        std::size_t channel = 0;
        for (; channel + at_once <= channels; channel += at_once) {
            backward_channels<at_once>(block, phases, sparse, channel, sums.values);
        }
        for (; channel < channels; ++channel) {
            backward_channels<1>(block, phases, sparse, channel, sums.values);
        }
    }
    for (std::size_t at = 0; at < sums.length; ++at) {
        gradients.weight[at / lanes] += sums[at];
    }
    for (std::size_t at = 0; at < bias_sums.length; ++at) {
        gradients.bias[at / lanes] += bias_sums[at];
    }
}

} // namespace one_channel
