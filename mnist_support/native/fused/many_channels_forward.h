namespace many_channels {

// So many windows at once that every weight that is read is used often and the processor's units
// never wait for a sum, and so few that, with a pooling of 2, the sums stay in registers.
constexpr std::size_t windows_at_once = lanes == widest ? 4 : 1;

// The sums of some positions of some windows at once, for `vectors` vectors of output channels.
template <std::size_t windows, std::size_t positions, std::size_t vectors>
MNIST_INLINE void forward_positions(
    const Padded& padded,
    const float* const* corners,
    std::size_t first,
    const float* weight,
    const float* bias,
    Highest (*highest)[vectors]
) {
    const Block& block = padded.block;
    const std::size_t run = block.kernel * block.in_channels, row = padded.row;
    const float* seen[windows][positions];
    Floats sums[windows][positions][vectors];
    MNIST_UNROLL
    for (std::size_t window = 0; window < windows; ++window) {
        MNIST_UNROLL
        for (std::size_t at = 0; at < positions; ++at) {
            seen[window][at] = corners[window] + padded.positions[first + at];
            MNIST_UNROLL
            for (std::size_t vector = 0; vector < vectors; ++vector) {
                sums[window][at][vector] = load(bias + vector * lanes);
            }
        }
    }
    for (std::size_t y = 0; y < block.kernel; ++y) {
        for (std::size_t place = 0; place < run; ++place, weight += block.out_channels) {
            Floats weights[vectors];
            MNIST_UNROLL
            for (std::size_t vector = 0; vector < vectors; ++vector) {
                weights[vector] = load(weight + vector * lanes);
            }
            MNIST_UNROLL
            for (std::size_t window = 0; window < windows; ++window) {
                MNIST_UNROLL
                for (std::size_t at = 0; at < positions; ++at) {
                    const Floats pixel = splat(seen[window][at][y * row + place]);
                    MNIST_UNROLL
                    for (std::size_t vector = 0; vector < vectors; ++vector) {
                        sums[window][at][vector] += weights[vector] * pixel;
                    }
                }
            }
        }
    }
    MNIST_UNROLL
    for (std::size_t window = 0; window < windows; ++window) {
        MNIST_UNROLL
        for (std::size_t at = 0; at < positions; ++at) {
            MNIST_UNROLL
            for (std::size_t vector = 0; vector < vectors; ++vector) {
                highest[window][vector].take(first + at, sums[window][at][vector]);
            }
        }
    }
}

template <std::size_t windows, std::size_t vectors>
MNIST_INLINE void forward_vectors(
    const Padded& padded,
    const float* const* corners,
    const float* weight,
    const float* bias,
    float* output,
    Winner* winners
) {
    const Block& block = padded.block;
    Highest highest[windows][vectors];
    std::size_t position = 0;
    for (; position + 4 <= block.positions(); position += 4) {
        forward_positions<windows, 4, vectors>(padded, corners, position, weight, bias, highest);
    }
    for (; position < block.positions(); ++position) {
        forward_positions<windows, 1, vectors>(padded, corners, position, weight, bias, highest);
    }
    MNIST_UNROLL
    for (std::size_t window = 0; window < windows; ++window) {
        MNIST_UNROLL
        for (std::size_t vector = 0; vector < vectors; ++vector) {
            const std::size_t at = window * block.out_channels + vector * lanes;
            store(output + at, highest[window][vector].rectified());
            if (winners != nullptr) {
                const Winners won = highest[window][vector].winners();
                std::memcpy(winners + at, &won, sizeof won);
            }
        }
    }
}

// What is left of some windows, for all output channels.
template <std::size_t windows>
MNIST_INLINE void forward_windows(
    const Padded& padded,
    const float* const* corners,
    const float* weights,
    const float* bias,
    float*& output,
    Winner*& winners
) {
    const Block& block = padded.block;
    const auto won = [&](std::size_t channel) {
        return winners == nullptr ? nullptr : winners + channel;
    };
    std::size_t channel = 0;
    for (; channel + 2 * lanes <= block.out_channels; channel += 2 * lanes) {
        forward_vectors<windows, 2>(
            padded, corners, weights + channel, bias + channel, output + channel, won(channel)
        );
    }
    for (; channel < block.out_channels; channel += lanes) {
        forward_vectors<windows, 1>(
            padded, corners, weights + channel, bias + channel, output + channel, won(channel)
        );
    }
    output += windows * block.out_channels;
    winners = won(windows * block.out_channels);
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
    const std::size_t channels = block.out_channels, run = block.kernel * block.in_channels;
    const std::size_t image_size = block.height * block.width * block.in_channels;
    // The output channels of a weight side by side.
    Buffer<float> weights(block.kernel * run * channels);
    for_each_weight(
        block, [&](std::size_t channel, std::size_t y, std::size_t place, std::size_t at) {
            weights[(y * run + place) * channels + channel] = weight[at];
        }
    );
    // Of as many images as windows at once no window is left over, however few an image has.
    const std::size_t at_once = images_at_once(block, windows_at_once);
    const Padded padded(block, at_once);
    Buffer<float> pixels(padded.length);
    for (std::size_t image = 0; image < images;) {
        const float* corners[windows_at_once];
        std::size_t waiting = 0;
        for (std::size_t slot = 0; slot < at_once && image < images; ++slot, ++image) {
            padded.read(input + image * image_size, slot, pixels.values);
            for (std::size_t y = 0; y < block.rows(); ++y) {
                for (std::size_t x = 0; x < block.columns(); ++x) {
                    corners[waiting++] = &pixels[padded.window(slot, y, x)];
                    if (waiting == windows_at_once) {
                        forward_windows<windows_at_once>(
                            padded, corners, weights.values, bias, output, winners
                        );
                        waiting = 0;
                    }
                }
            }
        }
        for (std::size_t window = 0; window < waiting; ++window) {
            forward_windows<1>(padded, corners + window, weights.values, bias, output, winners);
        }
    }
}

} // namespace many_channels
