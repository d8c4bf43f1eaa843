namespace one_channel {

// The sums of some positions in a vector of windows, for some of the output channels at once.
template <std::size_t positions, std::size_t channels>
MNIST_INLINE void forward_positions(
    const Block& block,
    const std::size_t* offsets,
    const float* pixels,
    std::size_t first,
    const float* weight,
    const float* bias,
    Highest* highest
) {
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

// What is left of a vector of windows, for some of the output channels at once. As many sums are
// made at once as the registers hold.
template <std::size_t channels>
MNIST_INLINE void highest_of_windows(
    const Block& block,
    const std::size_t* offsets,
    const float* pixels,
    const float* weight,
    const float* bias,
    Highest* highest
) {
    constexpr std::size_t at_once = lanes == widest ? 4 : 2;
    std::size_t position = 0;
    for (; position + at_once <= block.positions(); position += at_once) {
        forward_positions<at_once, channels>(
            block, offsets, pixels, position, weight, bias, highest
        );
    }
    for (; position < block.positions(); ++position) {
        forward_positions<1, channels>(block, offsets, pixels, position, weight, bias, highest);
    }
}

// Puts what is left of `windows` windows side by side, channels of a window together: for one
// output channel.
MNIST_INLINE void write_channel(
    const Block& block, const Highest& highest, std::size_t windows, float* output, Winner* winners
) {
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
    const Block& block, const Highest* highest, std::size_t windows, float* output, Winner* winners
) {
    // Lane by lane from one vector and the other, beginning with their first lanes or in their
    // middle.
    const Integers each = each_lane(), half = static_cast<std::int32_t>(lanes / 2) - Integers{};
    const Integers singly = each / 2 + each % 2 * static_cast<std::int32_t>(lanes);
    const Integers by_twos =
        each / 4 * 2 + each % 2 + each / 2 % 2 * static_cast<std::int32_t>(lanes);
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
        // A lane is the four winners of a window: the processors that this is compiled for have the
        // lowest byte first.
        const Integers won = highest[0].winning_positions() | highest[1].winning_positions() << 8 |
                             highest[2].winning_positions() << 16 |
                             highest[3].winning_positions() << 24;
        for (std::size_t window = 0; window < windows; ++window) {
            const std::int32_t four = won[window];
            std::memcpy(winners + window * block.out_channels, &four, sizeof four);
        }
    }
}

inline void forward(
    const Block& block,
    std::size_t images,
    const float* input,
    const float* weight,
    const float* bias,
    float* output,
    Winner* winners
) {
    Phases phases(block);
    const std::size_t channels = block.out_channels, columns = block.columns(), taps = block.taps();
    const std::size_t image_size = block.height * block.width;
    for (std::size_t image = 0; image < images; ++image) {
        phases.read(block, input + image * image_size, (images - 1 - image) * image_size);
        for (std::size_t y = 0; y < block.rows(); ++y) {
            for (std::size_t x = 0; x < columns; x += lanes) {
                const std::size_t windows = columns - x < lanes ? columns - x : lanes;
                const float* pixels = phases.window(y, x);
                const auto won = [&](std::size_t channel) {
                    return winners == nullptr ? nullptr : winners + channel;
                };
                std::size_t channel = 0;
                for (; channel + 4 <= channels; channel += 4) {
                    Highest highest[4];
                    highest_of_windows<4>(
                        block, phases.offsets.values, pixels, weight + channel * taps,
                        bias + channel, highest
                    );
                    write_four_channels(block, highest, windows, output + channel, won(channel));
                }
                for (; channel < channels; ++channel) {
                    Highest highest;
                    highest_of_windows<1>(
                        block, phases.offsets.values, pixels, weight + channel * taps,
                        bias + channel, &highest
                    );
                    write_channel(block, highest, windows, output + channel, won(channel));
                }
                output += windows * channels;
                winners = won(windows * channels);
            }
        }
    }
}

} // namespace one_channel
