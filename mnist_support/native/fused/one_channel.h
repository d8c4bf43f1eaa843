// Images of one channel. The lanes of a vector are neighbouring windows of the pooling.
//
// The rows of an image, with their padding, are cut into as many phases as a window has columns: phase p
// holds every pool-th pixel from p on. What one tap of the kernel sees of neighbouring windows then lies
// side by side.

namespace one_channel {

inline std::size_t whole_vectors(std::size_t length) { return (length + lanes - 1) / lanes * lanes; }

struct Phases {
    std::size_t pool, length; // of one phase of one row
    Buffer<float> pixels;
    // Where each tap, for each position in a window, begins to read.
    Buffer<std::size_t> offsets;

    explicit Phases(const Block& block)
        : pool(block.pool), length(whole_vectors(block.columns()) + (pool + block.kernel) / pool),
          pixels((block.height + 2 * block.padding) * pool * length), offsets(block.positions() * block.taps()) {
        for (std::size_t position = 0; position < block.positions(); ++position) {
            for (std::size_t tap = 0; tap < block.taps(); ++tap) {
                const std::size_t row = position / pool + tap / block.kernel;
                const std::size_t column = position % pool + tap % block.kernel;
                offsets[position * block.taps() + tap] = (row * pool + column % pool) * length + column / pool;
            }
        }
    }

    MNIST_INLINE void read(const Block& block, const float* image) {
        for (std::size_t y = 0; y < block.height; ++y, image += block.width) {
            float* row = &pixels[(y + block.padding) * pool * length];
            for (std::size_t phase = 0; phase < pool; ++phase) {
                const std::size_t first = (phase + pool - block.padding % pool) % pool;
                float* to = row + phase * length + (first + block.padding) / pool;
                const float* end = row + (phase + 1) * length;
                for (std::size_t x = first; x < block.width && to < end; x += pool) {
                    *to++ = image[x];
                }
            }
        }
    }

    // What the windows from this one on see.
    MNIST_INLINE const float* window(std::size_t row, std::size_t column) const {
        return &pixels[row * pool * pool * length + column];
    }
};

// What is left of a vector of windows, for some of the output channels at once.
template <std::size_t channels>
MNIST_INLINE void forward_windows(
    const Block& block, const std::size_t* offsets, const float* pixels, const float* weight, const float* bias,
    float* values, Winner* winners, std::size_t stride) {
    Highest highest[channels];
    for (std::size_t position = 0; position < block.positions(); ++position, offsets += block.taps()) {
        Floats sums[channels];
        MNIST_UNROLL
        for (std::size_t channel = 0; channel < channels; ++channel) {
            sums[channel] = splat(bias[channel]);
        }
        for (std::size_t tap = 0; tap < block.taps(); ++tap) {
            const Floats seen = load(pixels + offsets[tap]);
            MNIST_UNROLL
            for (std::size_t channel = 0; channel < channels; ++channel) {
                sums[channel] += weight[channel * block.taps() + tap] * seen;
            }
        }
        MNIST_UNROLL
        for (std::size_t channel = 0; channel < channels; ++channel) {
            highest[channel].take(position, sums[channel]);
        }
    }
    MNIST_UNROLL
    for (std::size_t channel = 0; channel < channels; ++channel) {
        store(values + channel * stride, highest[channel].rectified());
        const Winners won = highest[channel].winners();
        std::memcpy(winners + channel * stride, &won, sizeof won);
    }
}

// From the values of each channel to the channels of each pixel.
template <typename Value>
MNIST_INLINE Value* interleave(const Value* values, std::size_t channels, std::size_t stride, std::size_t columns, Value* to) {
    for (std::size_t x = 0; x < columns; ++x) {
        MNIST_UNROLL
        for (std::size_t channel = 0; channel < channels; ++channel) {
            *to++ = values[channel * stride + x];
        }
    }
    return to;
}

// Adds what one channel's gradient says of some of the taps.
template <std::size_t taps>
MNIST_INLINE void backward_taps(
    const Block& block, const Phases& phases, const float* sparse, std::size_t first, float* sums) {
    Floats sum[taps];
    MNIST_UNROLL
    for (std::size_t tap = 0; tap < taps; ++tap) {
        sum[tap] = load(sums + tap * lanes);
    }
    for (std::size_t y = 0; y < block.rows(); ++y) {
        for (std::size_t position = 0; position < block.positions(); ++position) {
            const std::size_t* offsets = &phases.offsets[position * block.taps() + first];
            for (std::size_t x = 0; x < block.columns(); x += lanes, sparse += lanes) {
                const Floats gradient = load(sparse);
                const float* pixels = phases.window(y, x);
                MNIST_UNROLL
                for (std::size_t tap = 0; tap < taps; ++tap) {
                    sum[tap] += gradient * load(pixels + offsets[tap]);
                }
            }
        }
    }
    MNIST_UNROLL
    for (std::size_t tap = 0; tap < taps; ++tap) {
        store(sums + tap * lanes, sum[tap]);
    }
}

inline void forward(
    const Block& block, std::size_t images, const float* input, const float* weight, const float* bias, float* output,
    Winner* winners) {
    Phases phases(block);
    const std::size_t channels = block.out_channels, columns = block.columns(), taps = block.taps();
    const std::size_t stride = whole_vectors(columns);
    Buffer<float> values(channels * stride);
    Buffer<Winner> won(channels * stride);
    for (std::size_t image = 0; image < images; ++image, input += block.height * block.width) {
        phases.read(block, input);
        for (std::size_t y = 0; y < block.rows(); ++y) {
            for (std::size_t x = 0; x < columns; x += lanes) {
                const float* pixels = phases.window(y, x);
                std::size_t channel = 0;
                // Four at a time keep the processor's units busy.
                for (; channel + 4 <= channels; channel += 4) {
                    forward_windows<4>(
                        block, phases.offsets.values, pixels, weight + channel * taps, bias + channel,
                        &values[channel * stride + x], &won[channel * stride + x], stride);
                }
                for (; channel < channels; ++channel) {
                    forward_windows<1>(
                        block, phases.offsets.values, pixels, weight + channel * taps, bias + channel,
                        &values[channel * stride + x], &won[channel * stride + x], stride);
                }
            }
            output = interleave(values.values, channels, stride, columns, output);
            if (winners != nullptr) {
                winners = interleave(won.values, channels, stride, columns, winners);
            }
        }
    }
}

inline void backward(
    const Block& block, std::size_t images, const float* input, const float*, const float* gradient,
    const Winner* winners, const Gradients& gradients) {
    Phases phases(block);
    const std::size_t channels = block.out_channels, columns = block.columns(), taps = block.taps();
    const std::size_t stride = whole_vectors(columns);
    const std::size_t row = block.positions() * stride, plane = block.rows() * row;
    // Of each channel, row and position in the window: the gradient of the windows that it won.
    Buffer<float> sparse(channels * plane);
    Buffer<float> sums(channels * taps * lanes), bias_sums(channels * lanes);
    for (std::size_t image = 0; image < images; ++image, input += block.height * block.width) {
        phases.read(block, input);
        sparse.clear();
        for (std::size_t y = 0; y < block.rows(); ++y) {
            for (std::size_t x = 0; x < columns; ++x) {
                float* here = &sparse[y * row + x];
                for (std::size_t channel = 0; channel < channels; ++channel, ++winners, ++gradient) {
                    // No branch: whether a window has a winner is as good as random.
                    const bool won = *winners != no_winner;
                    here[channel * plane + (won ? *winners : 0) * stride] = won ? *gradient : 0.0f;
                }
            }
        }
        for (std::size_t channel = 0; channel < channels; ++channel) {
            const float* own = &sparse[channel * plane];
            Floats bias_sum = load(&bias_sums[channel * lanes]);
            for (std::size_t at = 0; at < plane; at += lanes) {
                bias_sum += load(own + at);
            }
            store(&bias_sums[channel * lanes], bias_sum);
            std::size_t tap = 0;
            float* sum = &sums[channel * taps * lanes];
            for (; tap + 9 <= taps; tap += 9) {
                backward_taps<9>(block, phases, own, tap, sum + tap * lanes);
            }
            for (; tap < taps; ++tap) {
                backward_taps<1>(block, phases, own, tap, sum + tap * lanes);
            }
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
