// Output channels by the vector. What one row of a kernel sees is a run of floats, because the channels
// of neighbouring pixels lie side by side.

namespace many_channels {

// Images with their padding.
struct Padded {
    std::size_t row, image; // floats from one to the next
    Buffer<float> pixels;

    // A vector may reach beyond the last pixel.
    explicit Padded(const Block& block, std::size_t images = 1)
        : row((block.width + 2 * block.padding) * block.in_channels), image((block.height + 2 * block.padding) * row),
          pixels(images * image + widest) {}

    MNIST_INLINE float* inner(const Block& block, std::size_t slot, std::size_t y) {
        return &pixels[slot * image + (y + block.padding) * row + block.padding * block.in_channels];
    }
    MNIST_INLINE void read(const Block& block, std::size_t slot, const float* from) {
        const std::size_t length = block.width * block.in_channels;
        for (std::size_t y = 0; y < block.height; ++y) {
            std::memcpy(inner(block, slot, y), from + y * length, length * sizeof(float));
        }
    }
    MNIST_INLINE void write(const Block& block, std::size_t slot, float* to) {
        const std::size_t length = block.width * block.in_channels;
        for (std::size_t y = 0; y < block.height; ++y) {
            std::memcpy(to + y * length, inner(block, slot, y), length * sizeof(float));
        }
    }
    // The upper left corner of what a window sees.
    MNIST_INLINE float* window(const Block& block, std::size_t slot, std::size_t y, std::size_t x) {
        return &pixels[slot * image + y * block.pool * row + x * block.pool * block.in_channels];
    }
};

// Calls program(channel, y, place, at) for every weight: output channel, row of the kernel, place in the
// run of that row, and where libtorch has it.
template <typename Program>
MNIST_INLINE void for_each_weight(const Block& block, Program program) {
    std::size_t at = 0;
    for (std::size_t channel = 0; channel < block.out_channels; ++channel) {
        for (std::size_t in_channel = 0; in_channel < block.in_channels; ++in_channel) {
            for (std::size_t y = 0; y < block.kernel; ++y) {
                for (std::size_t x = 0; x < block.kernel; ++x, ++at) {
                    program(channel, y, x * block.in_channels + in_channel, at);
                }
            }
        }
    }
}

// The output channels of a window that have a gradient. Found without a branch: which they are is as good
// as random.
struct Won {
    Buffer<std::size_t> channels;

    explicit Won(const Block& block) : channels(block.out_channels + 1) {}

    MNIST_INLINE std::size_t find(const Winner* winners, std::size_t length) {
        std::size_t found = 0;
        for (std::size_t channel = 0; channel < length; ++channel) {
            channels[found] = channel;
            found += winners[channel] != no_winner;
        }
        return found;
    }
};

// So many windows at once that every weight that is read is used often and the processor's units never wait for
// a sum, and so few that, with a pooling of 2, the sums stay in registers.
constexpr std::size_t windows_at_once = lanes == widest ? 4 : 1;

// The sums of some positions of some windows at once, for `vectors` vectors of output channels.
template <std::size_t windows, std::size_t positions, std::size_t vectors>
MNIST_INLINE void forward_positions(
    const Block& block, const float* const* corners, std::size_t row, std::size_t first, const float* weight,
    const float* bias, Highest (*highest)[vectors]) {
    const std::size_t run = block.kernel * block.in_channels;
    const float* seen[windows][positions];
    Floats sums[windows][positions][vectors];
    MNIST_UNROLL
    for (std::size_t window = 0; window < windows; ++window) {
        MNIST_UNROLL
        for (std::size_t at = 0; at < positions; ++at) {
            const std::size_t position = first + at;
            seen[window][at] = corners[window] + position / block.pool * row + position % block.pool * block.in_channels;
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
    const Block& block, const float* const* corners, std::size_t row, const float* weight, const float* bias,
    float* output, Winner* winners) {
    Highest highest[windows][vectors];
    std::size_t position = 0;
    for (; position + 4 <= block.positions(); position += 4) {
        forward_positions<windows, 4, vectors>(block, corners, row, position, weight, bias, highest);
    }
    for (; position < block.positions(); ++position) {
        forward_positions<windows, 1, vectors>(block, corners, row, position, weight, bias, highest);
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
    const Block& block, const float* const* corners, std::size_t row, const float* weights, const float* bias,
    float*& output, Winner*& winners) {
    const auto won = [&](std::size_t channel) { return winners == nullptr ? nullptr : winners + channel; };
    std::size_t channel = 0;
    for (; channel + 2 * lanes <= block.out_channels; channel += 2 * lanes) {
        forward_vectors<windows, 2>(
            block, corners, row, weights + channel, bias + channel, output + channel, won(channel));
    }
    for (; channel < block.out_channels; channel += lanes) {
        forward_vectors<windows, 1>(
            block, corners, row, weights + channel, bias + channel, output + channel, won(channel));
    }
    output += windows * block.out_channels;
    winners = won(windows * block.out_channels);
}

// The backward pass where each of the `rows` rows that a window sees fits into `vectors` vectors: it stays in registers while
// the output channels add to it. Their kernels are laid out as the window sees them, once for each
// position.
template <std::size_t rows, std::size_t vectors>
MNIST_INLINE void backward_in_registers(
    const Block& block, std::size_t images, const float* input, const float* weight, const float* gradient,
    const Winner* winners, const Gradients& gradients) {
    const std::size_t channels = block.out_channels, image_size = block.height * block.width * block.in_channels;
    constexpr std::size_t width = vectors * lanes;
    Padded padded(block), padded_gradient(block);
    Won won(block);
    const std::size_t row = padded.row, positions = block.positions();
    Buffer<float> weights(positions * channels * rows * width), sums(weights.length);
    const auto for_each_placed = [&](auto program) {
        for_each_weight(block, [&](std::size_t channel, std::size_t y, std::size_t place, std::size_t at) {
            for (std::size_t position = 0; position < positions; ++position) {
                const std::size_t shifted = position % block.pool * block.in_channels + place;
                program(((position * channels + channel) * rows + position / block.pool + y) * width + shifted, at);
            }
        });
    };
    for_each_placed([&](std::size_t placed, std::size_t at) { weights[placed] = weight[at]; });
    for (std::size_t image = 0; image < images; ++image) {
        padded.read(block, 0, input + image * image_size);
        padded_gradient.pixels.clear();
        for (std::size_t y = 0; y < block.rows(); ++y) {
            for (std::size_t x = 0; x < block.columns(); ++x, gradient += channels, winners += channels) {
                const float* corner = padded.window(block, 0, y, x);
                float* corner_gradient = padded_gradient.window(block, 0, y, x);
                Floats seen[rows][vectors], seen_gradient[rows][vectors];
                MNIST_UNROLL
                for (std::size_t at = 0; at < rows; ++at) {
                    MNIST_UNROLL
                    for (std::size_t vector = 0; vector < vectors; ++vector) {
                        seen[at][vector] = load(corner + at * row + vector * lanes);
                        seen_gradient[at][vector] = Floats{};
                    }
                }
                const std::size_t found = won.find(winners, channels);
                for (std::size_t next = 0; next < found; ++next) {
                    const std::size_t channel = won.channels[next];
                    const std::size_t kernel = (winners[channel] * channels + channel) * rows * width;
                    const float own = gradient[channel];
                    gradients.bias[channel] += own;
                    MNIST_UNROLL
                    for (std::size_t at = 0; at < rows; ++at) {
                        MNIST_UNROLL
                        for (std::size_t vector = 0; vector < vectors; ++vector) {
                            const std::size_t here = kernel + at * width + vector * lanes;
                            seen_gradient[at][vector] += own * load(&weights[here]);
                            add(&sums[here], own * seen[at][vector]);
                        }
                    }
                }
                MNIST_UNROLL
                for (std::size_t at = 0; at < rows; ++at) {
                    MNIST_UNROLL
                    for (std::size_t vector = 0; vector < vectors; ++vector) {
                        add(corner_gradient + at * row + vector * lanes, seen_gradient[at][vector]);
                    }
                }
            }
        }
        if (gradients.input != nullptr) {
            padded_gradient.write(block, 0, gradients.input + image * image_size);
        }
    }
    for_each_placed([&](std::size_t placed, std::size_t at) { gradients.weight[at] += sums[placed]; });
}

// The backward pass where the input's channels fill whole vectors.
MNIST_INLINE void backward_in_memory(
    const Block& block, std::size_t images, const float* input, const float* weight, const float* gradient,
    const Winner* winners, const Gradients& gradients) {
    const std::size_t channels = block.out_channels, image_size = block.height * block.width * block.in_channels;
    const std::size_t run = block.kernel * block.in_channels, kernel_size = block.kernel * run;
    Padded padded(block), padded_gradient(block);
    Won won(block);
    const std::size_t row = padded.row;
    Buffer<float> weights(channels * kernel_size), sums(weights.length);
    const auto for_each_placed = [&](auto program) {
        for_each_weight(block, [&](std::size_t channel, std::size_t y, std::size_t place, std::size_t at) {
            program(channel * kernel_size + y * run + place, at);
        });
    };
    for_each_placed([&](std::size_t placed, std::size_t at) { weights[placed] = weight[at]; });
    for (std::size_t image = 0; image < images; ++image) {
        padded.read(block, 0, input + image * image_size);
        padded_gradient.pixels.clear();
        for (std::size_t y = 0; y < block.rows(); ++y) {
            for (std::size_t x = 0; x < block.columns(); ++x, gradient += channels, winners += channels) {
                const float* corner = padded.window(block, 0, y, x);
                float* corner_gradient = padded_gradient.window(block, 0, y, x);
                const std::size_t found = won.find(winners, channels);
                for (std::size_t next = 0; next < found; ++next) {
                    const std::size_t channel = won.channels[next], position = winners[channel];
                    const std::size_t offset = position / block.pool * row + position % block.pool * block.in_channels;
                    const float* own_weights = &weights[channel * kernel_size];
                    float* own_sums = &sums[channel * kernel_size];
                    const float own = gradient[channel];
                    gradients.bias[channel] += own;
                    for (std::size_t kernel_row = 0; kernel_row < block.kernel; ++kernel_row) {
                        const float* seen = corner + offset + kernel_row * row;
                        float* seen_gradient = corner_gradient + offset + kernel_row * row;
                        for (std::size_t place = 0; place < run; place += lanes) {
                            add(own_sums + place, own * load(seen + place));
                            add(seen_gradient + place, own * load(own_weights + place));
                        }
                        own_weights += run;
                        own_sums += run;
                    }
                }
            }
        }
        if (gradients.input != nullptr) {
            padded_gradient.write(block, 0, gradients.input + image * image_size);
        }
    }
    for_each_placed([&](std::size_t placed, std::size_t at) { gradients.weight[at] += sums[placed]; });
}

inline void forward(
    const Block& block, std::size_t images, const float* input, const float* weight, const float* bias, float* output,
    Winner* winners) {
    const std::size_t channels = block.out_channels, run = block.kernel * block.in_channels;
    const std::size_t image_size = block.height * block.width * block.in_channels;
    // The output channels of a weight side by side.
    Buffer<float> weights(block.kernel * run * channels);
    for_each_weight(block, [&](std::size_t channel, std::size_t y, std::size_t place, std::size_t at) {
        weights[(y * run + place) * channels + channel] = weight[at];
    });
    // As many images as windows at once: then no window is left over, however few an image has.
    Padded padded(block, windows_at_once);
    for (std::size_t image = 0; image < images;) {
        const float* corners[windows_at_once];
        std::size_t waiting = 0;
        for (std::size_t slot = 0; slot < windows_at_once && image < images; ++slot, ++image) {
            padded.read(block, slot, input + image * image_size);
            for (std::size_t y = 0; y < block.rows(); ++y) {
                for (std::size_t x = 0; x < block.columns(); ++x) {
                    corners[waiting++] = padded.window(block, slot, y, x);
                    if (waiting == windows_at_once) {
                        forward_windows<windows_at_once>(
                            block, corners, padded.row, weights.values, bias, output, winners);
                        waiting = 0;
                    }
                }
            }
        }
        // But at the end.
        for (std::size_t window = 0; window < waiting; ++window) {
            forward_windows<1>(block, corners + window, padded.row, weights.values, bias, output, winners);
        }
    }
}

inline void backward(
    const Block& block, std::size_t images, const float* input, const float* weight, const float* gradient,
    const Winner* winners, const Gradients& gradients) {
    if (block.window_fits_one_vector()) {
        backward_in_registers<Block::small_window, widest / lanes>(block, images, input, weight, gradient, winners, gradients);
    } else {
        backward_in_memory(block, images, input, weight, gradient, winners, gradients);
    }
}

} // namespace many_channels
