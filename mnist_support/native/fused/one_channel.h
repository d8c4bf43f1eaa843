// Images of one channel. The lanes of a vector are neighbouring windows of the pooling.
//
// The rows of an image, with their padding, are cut into as many phases as a window has columns: phase p
// holds every pool-th pixel from p on. What one tap of the kernel sees of neighbouring windows then lies
// side by side.

namespace one_channel {

inline std::size_t whole_vectors(std::size_t length) { return (length + lanes - 1) / lanes * lanes; }
inline std::size_t larger(std::size_t one, std::size_t other) { return one > other ? one : other; }

struct Phases {
    std::size_t pool, length; // of one phase of one row
    Buffer<float> pixels;
    // Where each tap, for each position in a window, begins to read.
    Buffer<std::size_t> offsets;

    // Pixels are written and windows read by whole vectors.
    explicit Phases(const Block& block)
        : pool(block.pool),
          length(
              whole_vectors(larger(block.columns(), (block.width + 1) / 2)) +
              (block.padding + pool + block.kernel) / pool),
          pixels((block.height + 2 * block.padding) * pool * length), offsets(block.positions() * block.taps()) {
        for (std::size_t position = 0; position < block.positions(); ++position) {
            for (std::size_t tap = 0; tap < block.taps(); ++tap) {
                const std::size_t row = position / pool + tap / block.kernel;
                const std::size_t column = position % pool + tap % block.kernel;
                offsets[position * block.taps() + tap] = (row * pool + column % pool) * length + column / pool;
            }
        }
    }

    // `beyond` says how many floats after the image may be read.
    MNIST_INLINE void read(const Block& block, const float* image, std::size_t beyond) {
        const std::size_t needed = 2 * whole_vectors((block.width + 1) / 2);
        for (std::size_t y = 0; y < block.height; ++y, image += block.width) {
            float* row = &pixels[(y + block.padding) * pool * length];
            if (pool == 2 && needed <= (block.height - y) * block.width + beyond) {
                read_two_phases(block, image, row);
                continue;
            }
            for (std::size_t phase = 0; phase < pool; ++phase) {
                const std::size_t first = (phase + pool - block.padding % pool) % pool;
                float* to = place(row, phase, first + block.padding);
                const float* end = row + (phase + 1) * length;
                for (std::size_t x = first; x < block.width && to < end; x += pool) {
                    *to++ = image[x];
                }
            }
        }
    }

    // A row of an image by the vector; zeros follow its last pixel.
    MNIST_INLINE void read_two_phases(const Block& block, const float* image, float* row) const {
        float* even = place(row, block.padding % 2, block.padding);
        float* odd = place(row, (block.padding + 1) % 2, block.padding + 1);
        const Integers each = each_lane();
        for (std::size_t x = 0; x < block.width; x += 2 * lanes, even += lanes, odd += lanes) {
            const Floats first = load(image + x), second = load(image + x + lanes);
            const auto left = static_cast<std::int32_t>(block.width - x);
            store(even, 2 * each < left ? picked(first, second, 2 * each) : Floats{});
            store(odd, 2 * each + 1 < left ? picked(first, second, 2 * each + 1) : Floats{});
        }
    }

    // Where a phase has a column of the padded image.
    MNIST_INLINE float* place(float* row, std::size_t phase, std::size_t column) const {
        return row + phase * length + column / pool;
    }

    // What the windows from this one on see.
    MNIST_INLINE const float* window(std::size_t row, std::size_t column) const {
        return &pixels[row * pool * pool * length + column];
    }
};

// The sums of some positions in a vector of windows, for some of the output channels at once.
template <std::size_t positions, std::size_t channels>
MNIST_INLINE void forward_positions(
    const Block& block, const std::size_t* offsets, const float* pixels, std::size_t first, const float* weight,
    const float* bias, Highest* highest) {
    const std::size_t taps = block.taps();
    Floats sums[positions][channels];
    MNIST_UNROLL
    for (std::size_t at = 0; at < positions; ++at) {
        MNIST_UNROLL
        for (std::size_t channel = 0; channel < channels; ++channel) {
            sums[at][channel] = splat(bias[channel]);
        }
    }
    offsets += first * taps;
    for (std::size_t tap = 0; tap < taps; ++tap) {
        Floats weights[channels];
        MNIST_UNROLL
        for (std::size_t channel = 0; channel < channels; ++channel) {
            weights[channel] = splat(weight[channel * taps + tap]);
        }
        MNIST_UNROLL
        for (std::size_t at = 0; at < positions; ++at) {
            const Floats seen = load(pixels + offsets[at * taps + tap]);
            MNIST_UNROLL
            for (std::size_t channel = 0; channel < channels; ++channel) {
                sums[at][channel] += weights[channel] * seen;
            }
        }
    }
    MNIST_UNROLL
    for (std::size_t at = 0; at < positions; ++at) {
        MNIST_UNROLL
        for (std::size_t channel = 0; channel < channels; ++channel) {
            highest[channel].take(first + at, sums[at][channel]);
        }
    }
}

// What is left of a vector of windows, for some of the output channels at once. As many sums are made at once
// as the registers hold.
template <std::size_t channels>
MNIST_INLINE void highest_of_windows(
    const Block& block, const std::size_t* offsets, const float* pixels, const float* weight, const float* bias,
    Highest* highest) {
    constexpr std::size_t at_once = lanes == widest ? 4 : 2;
    std::size_t position = 0;
    for (; position + at_once <= block.positions(); position += at_once) {
        forward_positions<at_once, channels>(block, offsets, pixels, position, weight, bias, highest);
    }
    for (; position < block.positions(); ++position) {
        forward_positions<1, channels>(block, offsets, pixels, position, weight, bias, highest);
    }
}

// Puts what is left of `windows` windows side by side, channels of a window together: for one output channel.
MNIST_INLINE void write_channel(
    const Block& block, const Highest& highest, std::size_t windows, float* output, Winner* winners) {
    const Floats values = highest.rectified();
    const Winners won = highest.winners();
    for (std::size_t window = 0; window < windows; ++window) {
        output[window * block.out_channels] = values[window];
        if (winners != nullptr) {
            winners[window * block.out_channels] = won[window];
        }
    }
}

// The same for four output channels.
MNIST_INLINE void write_four_channels(
    const Block& block, const Highest* highest, std::size_t windows, float* output, Winner* winners) {
    // Lane by lane from one vector and the other, beginning with their first lanes or in their middle.
    const Integers each = each_lane(), half = static_cast<std::int32_t>(lanes / 2) - Integers{};
    const Integers singly = each / 2 + each % 2 * static_cast<std::int32_t>(lanes);
    const Integers by_twos = each / 4 * 2 + each % 2 + each / 2 % 2 * static_cast<std::int32_t>(lanes);
    float values[4 * lanes];
    for (std::size_t side = 0; side < 2; ++side) {
        const Integers lanes_of_side = side == 0 ? singly : singly + half;
        const Floats first = picked(highest[0].rectified(), highest[1].rectified(), lanes_of_side);
        const Floats second = picked(highest[2].rectified(), highest[3].rectified(), lanes_of_side);
        store(values + 2 * side * lanes, picked(first, second, by_twos));
        store(values + (2 * side + 1) * lanes, picked(first, second, by_twos + half));
    }
    for (std::size_t window = 0; window < windows; ++window) {
        std::memcpy(output + window * block.out_channels, values + 4 * window, 4 * sizeof(float));
    }
    if (winners != nullptr) {
        // A lane is the four winners of a window: the processors that this is compiled for have the lowest byte first.
        const Integers won = highest[0].winning_positions() | highest[1].winning_positions() << 8 |
            highest[2].winning_positions() << 16 | highest[3].winning_positions() << 24;
        for (std::size_t window = 0; window < windows; ++window) {
            const std::int32_t four = won[window];
            std::memcpy(winners + window * block.out_channels, &four, sizeof four);
        }
    }
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
    const std::size_t image_size = block.height * block.width;
    for (std::size_t image = 0; image < images; ++image) {
        phases.read(block, input + image * image_size, (images - 1 - image) * image_size);
        for (std::size_t y = 0; y < block.rows(); ++y) {
            for (std::size_t x = 0; x < columns; x += lanes) {
                const std::size_t windows = columns - x < lanes ? columns - x : lanes;
                const float* pixels = phases.window(y, x);
                const auto won = [&](std::size_t channel) { return winners == nullptr ? nullptr : winners + channel; };
                std::size_t channel = 0;
                for (; channel + 4 <= channels; channel += 4) {
                    Highest highest[4];
                    highest_of_windows<4>(
                        block, phases.offsets.values, pixels, weight + channel * taps, bias + channel, highest);
                    write_four_channels(block, highest, windows, output + channel, won(channel));
                }
                for (; channel < channels; ++channel) {
                    Highest highest;
                    highest_of_windows<1>(
                        block, phases.offsets.values, pixels, weight + channel * taps, bias + channel, &highest);
                    write_channel(block, highest, windows, output + channel, won(channel));
                }
                output += windows * channels;
                winners = won(windows * channels);
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
    const std::size_t image_size = block.height * block.width;
    for (std::size_t image = 0; image < images; ++image) {
        phases.read(block, input + image * image_size, (images - 1 - image) * image_size);
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
