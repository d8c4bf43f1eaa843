namespace many_channels {

// The channels of a window that have a gradient. Found without a branch: which they are is as good
// as random.
MNIST_INLINE std::size_t find_winners(
    const Winner* winners, std::size_t channels, std::size_t* found
) {
    std::size_t length = 0;
    for (std::size_t channel = 0; channel < channels; ++channel) {
        found[length] = channel;
        length += winners[channel] != no_winner;
    }
    return length;
}

// The backward pass where each of the `rows` rows that a window sees fits into `vectors` vectors:
// it stays in registers while the output channels add to it. Their kernels are laid out as the
// window sees them, once for each position.
template <std::size_t rows, std::size_t vectors>
MNIST_INLINE void backward_by_window(
    const Block& block,
    std::size_t images,
    const float* input,
    const float* weight,
    const float* gradient,
    const Winner* winners,
    const Gradients& gradients
) {
    const std::size_t channels = block.out_channels,
                      image_size = block.height * block.width * block.in_channels;
    constexpr std::size_t width = vectors * lanes;
    const Padded padded(block, 1);
    const std::size_t row = padded.row, positions = block.positions();
    Halves pixels(padded.length), kernels(positions * channels * rows * width);
    float *weights = kernels.read(), *sums = kernels.added();
    Buffer<std::size_t> won(channels + 1);
    const auto for_each_placed = [&](auto program) {
        for_each_weight(
            block, [&](std::size_t channel, std::size_t y, std::size_t place, std::size_t at) {
                for (std::size_t position = 0; position < positions; ++position) {
                    const std::size_t shifted = position % block.pool * block.in_channels + place;
                    program(
                        ((position * channels + channel) * rows + position / block.pool + y) *
                                width +
                            shifted,
                        at
                    );
                }
            }
        );
    };
    for_each_placed([&](std::size_t placed, std::size_t at) {
        weights[placed] = weight[at];
    });
    for (std::size_t image = 0; image < images; ++image) {
        padded.read(input + image * image_size, 0, pixels.read());
        pixels.clear_added();
        for (std::size_t y = 0; y < block.rows(); ++y) {
            for (std::size_t x = 0; x < block.columns();
                 ++x, gradient += channels, winners += channels) {
                const float* corner = pixels.read() + padded.window(0, y, x);
                float* corner_gradient = pixels.added() + padded.window(0, y, x);
                Floats seen[rows][vectors], seen_gradient[rows][vectors];
                MNIST_UNROLL
                for (std::size_t at = 0; at < rows; ++at) {
                    MNIST_UNROLL
                    for (std::size_t vector = 0; vector < vectors; ++vector) {
                        seen[at][vector] = load(corner + at * row + vector * lanes);
                        seen_gradient[at][vector] = Floats{};
                    }
                }
                const std::size_t found = find_winners(winners, channels, won.values);
                for (std::size_t next = 0; next < found; ++next) {
                    const std::size_t channel = won[next];
                    const std::size_t kernel =
                        (winners[channel] * channels + channel) * rows * width;
                    const float own = gradient[channel];
                    gradients.bias[channel] += own;
                    MNIST_UNROLL
                    for (std::size_t at = 0; at < rows; ++at) {
                        MNIST_UNROLL
                        for (std::size_t vector = 0; vector < vectors; ++vector) {
                            const std::size_t here = kernel + at * width + vector * lanes;
                            seen_gradient[at][vector] += own * load(weights + here);
                            add(sums + here, own * seen[at][vector]);
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
            padded.write(pixels.added(), 0, gradients.input + image * image_size);
        }
    }
    for_each_placed([&](std::size_t placed, std::size_t at) {
        gradients.weight[at] += sums[placed];
    });
}

// The windows that each output channel won, in some images.
struct Victories {
    struct Victory {
        std::uint32_t corner; // of what the position that won sees
        float gradient;
    };
    std::size_t most; // of one channel
    Buffer<Victory> of_channels;
    Buffer<std::size_t> lengths;

    Victories(std::size_t channels, std::size_t most) :
        most(most), of_channels(channels * most), lengths(channels) {}

    MNIST_INLINE const Victory* of(std::size_t channel) const {
        return &of_channels[channel * most];
    }

    // Adds those of a window, and their gradients to the bias's. Without a branch: who wins is as
    // good as random.
    MNIST_INLINE void add(
        const Padded& padded,
        std::size_t window,
        const Winner* winners,
        const float* gradient,
        float* bias
    ) {
        for (std::size_t channel = 0; channel < lengths.length; ++channel) {
            const bool won = winners[channel] != no_winner;
            Victory& next = of_channels[channel * most + lengths[channel]];
            next.corner = static_cast<std::uint32_t>(window) + padded.positions[winners[channel]];
            next.gradient = gradient[channel];
            lengths[channel] += won;
            bias[channel] += won ? gradient[channel] : 0.0f;
        }
    }
};

template <std::size_t number>
struct Count {
    static constexpr std::size_t count = number;
};

// For one output channel, a part of its kernel: so many rows, of each so many vectors. The part
// stays in registers, and so do the sums of its gradient, while the windows that the channel won go
// by.
template <std::size_t rows, std::size_t vectors>
MNIST_INLINE void backward_part(
    std::size_t row,
    std::size_t run,
    const float* weights,
    float* sums,
    const Victories::Victory* victories,
    std::size_t length,
    const float* pixels,
    float* pixel_gradients
) {
    Floats weight[rows][vectors], sum[rows][vectors];
    MNIST_UNROLL
    for (std::size_t y = 0; y < rows; ++y) {
        MNIST_UNROLL
        for (std::size_t vector = 0; vector < vectors; ++vector) {
            weight[y][vector] = load(weights + y * run + vector * lanes);
            sum[y][vector] = load(sums + y * run + vector * lanes);
        }
    }
    for (std::size_t next = 0; next < length; ++next) {
        const Floats own = splat(victories[next].gradient);
        const float* seen = pixels + victories[next].corner;
        float* seen_gradient = pixel_gradients + victories[next].corner;
        MNIST_UNROLL
        for (std::size_t y = 0; y < rows; ++y) {
            MNIST_UNROLL
            for (std::size_t vector = 0; vector < vectors; ++vector) {
                const std::size_t here = y * row + vector * lanes;
                sum[y][vector] += own * load(seen + here);
                add(seen_gradient + here, own * weight[y][vector]);
            }
        }
    }
    MNIST_UNROLL
    for (std::size_t y = 0; y < rows; ++y) {
        MNIST_UNROLL
        for (std::size_t vector = 0; vector < vectors; ++vector) {
            store(sums + y * run + vector * lanes, sum[y][vector]);
        }
    }
}

// The backward pass where the input's channels fill whole vectors.
MNIST_INLINE void backward_by_channel(
    const Block& block,
    std::size_t images,
    const float* input,
    const float* weight,
    const float* gradient,
    const Winner* winners,
    const Gradients& gradients
) {
    const std::size_t channels = block.out_channels,
                      image_size = block.height * block.width * block.in_channels;
    const std::size_t run = block.kernel * block.in_channels, kernel_size = block.kernel * run;
    const std::size_t at_once = images_at_once(block, 8);
    const Padded padded(block, at_once);
    const std::size_t row = padded.row;
    Halves pixels(padded.length);
    Buffer<float> weights(channels * kernel_size), sums(weights.length);
    const std::size_t windows = block.rows() * block.columns();
    Victories victories(channels, at_once * windows + 1);
    const auto for_each_placed = [&](auto program) {
        for_each_weight(
            block, [&](std::size_t channel, std::size_t y, std::size_t place, std::size_t at) {
                program(channel * kernel_size + y * run + place, at);
            }
        );
    };
    for_each_placed([&](std::size_t placed, std::size_t at) {
        weights[placed] = weight[at];
    });
    for (std::size_t first = 0; first < images; first += at_once) {
        const std::size_t here = images - first < at_once ? images - first : at_once;
        pixels.clear_added();
        victories.lengths.clear();
        for (std::size_t slot = 0; slot < here; ++slot) {
            padded.read(input + (first + slot) * image_size, slot, pixels.read());
        }
        // Image by image last: neighbouring windows add to the same pixels, and would wait for each
        // other.
        for (std::size_t window = 0; window < windows; ++window) {
            for (std::size_t slot = 0; slot < here; ++slot) {
                const std::size_t at = ((first + slot) * windows + window) * channels;
                const std::size_t corner =
                    padded.window(slot, window / block.columns(), window % block.columns());
                victories.add(padded, corner, winners + at, gradient + at, gradients.bias);
            }
        }
        for (std::size_t channel = 0; channel < channels; ++channel) {
            const auto parts = [&](std::size_t y, auto rows) {
                const auto part = [&](std::size_t place, auto vectors) {
                    const std::size_t at = y * row + place,
                                      in_kernel = channel * kernel_size + y * run + place;
                    backward_part<decltype(rows)::count, decltype(vectors)::count>(
                        row, run, &weights[in_kernel], &sums[in_kernel], victories.of(channel),
                        victories.lengths[channel], pixels.read() + at, pixels.added() + at
                    );
                };
                std::size_t place = 0;
                for (; place + 3 * lanes <= run; place += 3 * lanes) {
                    part(place, Count<3>{});
                }
                for (; place < run; place += lanes) {
                    part(place, Count<1>{});
                }
            };
            std::size_t y = 0;
            for (; y + 3 <= block.kernel; y += 3) {
                parts(y, Count<3>{});
            }
            for (; y < block.kernel; ++y) {
                parts(y, Count<1>{});
            }
        }
        for (std::size_t slot = 0; slot < here && gradients.input != nullptr; ++slot) {
            padded.write(pixels.added(), slot, gradients.input + (first + slot) * image_size);
        }
    }
    for_each_placed([&](std::size_t placed, std::size_t at) {
        gradients.weight[at] += sums[placed];
    });
}

inline void backward(
    const Block& block,
    std::size_t images,
    const float* input,
    const float* weight,
    const float* gradient,
    const Winner* winners,
    const Gradients& gradients
) {
    if (block.window_fits_one_vector()) {
        backward_by_window<Block::small_window, widest / lanes>(
            block, images, input, weight, gradient, winners, gradients
        );
    } else {
        backward_by_channel(block, images, input, weight, gradient, winners, gradients);
    }
}

} // namespace many_channels
