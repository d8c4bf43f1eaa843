namespace many_channels {

// Convolves `positions` positions, starting at `first`, of `windows` windows, for `vectors` vectors
// of output channels. The register tile is one sum for each of them: each vector of weights that is
// loaded is used for all positions of all windows.
template <std::size_t windows, std::size_t positions, std::size_t vectors>
MNIST_INLINE void convolve(
    const PaddedImages& images,
    const float* const* corners,
    std::size_t first,
    const float* weight,
    const float* bias,
    RunningMax (&max)[windows][vectors]
) {
    const Block& block = images.block;
    const std::size_t run = block.kernel * block.in_channels, row = images.row;
    const float* seen[windows][positions];
    Floats sums[windows][positions][vectors];
    unrolled<windows, positions>([&](auto window, auto at) MNIST_INLINED {
        seen[window][at] = corners[window] + images.offsets[first + at];
        unrolled<vectors>([&](auto vector) MNIST_INLINED {
            sums[window][at][vector] = load(bias + vector * lanes);
        });
    });
    for (std::size_t y = 0; y < block.kernel; ++y) {
        for (std::size_t place = 0; place < run; ++place, weight += block.out_channels) {
            Floats weights[vectors];
            unrolled<vectors>([&](auto vector) MNIST_INLINED {
                weights[vector] = load(weight + vector * lanes);
            });
            unrolled<windows, positions>([&](auto window, auto at) MNIST_INLINED {
                const Floats pixel = broadcast(seen[window][at][y * row + place]);
                unrolled<vectors>([&](auto vector) MNIST_INLINED {
                    sums[window][at][vector] += weights[vector] * pixel;
                });
            });
        }
    }
    unrolled<windows, positions, vectors>([&](auto window, auto at, auto vector) MNIST_INLINED {
        max[window][vector].take(first + at, sums[window][at][vector]);
    });
}

// Computes the output of `windows` consecutive windows.
template <std::size_t windows>
MNIST_NOINLINE void forward_windows(
    const PaddedImages& images,
    const float* const* corners,
    const float* weights,
    const float* bias,
    float* output,
    Argmax* argmax
) {
    const std::size_t channels = images.block.out_channels;
    for_each_tile<2>(channels / lanes, [&](auto vectors, auto first) MNIST_INLINED {
        const std::size_t channel = first * lanes;
        RunningMax max[windows][vectors.value];
        for_each_tile<4>(
            images.block.positions(), [&](auto positions, auto position) MNIST_INLINED {
                convolve<windows, positions.value, vectors.value>(
                    images, corners, position, weights + channel, bias + channel, max
                );
            }
        );
        unrolled<windows, vectors.value>([&](auto window, auto vector) MNIST_INLINED {
            const std::size_t at = window * channels + channel + vector * lanes;
            store(output + at, max[window][vector].relu());
            if (argmax != nullptr) {
                max[window][vector].store_argmax(argmax + at);
            }
        });
    });
}

inline void forward(const Block& block, const Forward& pass) {
    // With a pooling of 2, the tile of sums (4 windows, 4 positions, 2 vectors) fills the registers
    // of AVX-512. One window fills those of the others.
    constexpr std::size_t windows_at_once = lanes == max_lanes ? 4 : 1;
    const std::size_t channels = block.out_channels, run = block.kernel * block.in_channels;
    const std::size_t image_size = block.height * block.width * block.in_channels;
    // Output channels last, so that they load as vectors: [kernel row][place][output channel].
    Buffer<float> weights(block.kernel * run * channels);
    for_each_weight(block, [&](auto channel, auto y, auto place, auto at) MNIST_INLINED {
        weights[(y * run + place) * channels + channel] = pass.weight[at];
    });
    // With as many images as windows at once, no window is left over, however few an image has.
    const std::size_t slots = images_at_once(block, windows_at_once);
    const PaddedImages images(block, slots);
    Buffer<float> pixels(images.length);
    const float* corners[windows_at_once];
    float* output = pass.output;
    Argmax* argmax = pass.argmax;
    const auto write = [&](auto windows, const float* const* from) MNIST_INLINED {
        forward_windows<windows.value>(images, from, weights.values, pass.bias, output, argmax);
        output += windows.value * channels;
        argmax = advanced(argmax, windows.value * channels);
    };
    for (std::size_t image = 0; image < pass.images;) {
        std::size_t waiting = 0;
        for (std::size_t slot = 0; slot < slots && image < pass.images; ++slot, ++image) {
            images.pad(pass.input + image * image_size, slot, pixels.values);
            for (std::size_t y = 0; y < block.out_height(); ++y) {
                for (std::size_t x = 0; x < block.out_width(); ++x) {
                    corners[waiting++] = &pixels[images.window(slot, y, x)];
                    if (waiting == windows_at_once) {
                        write(Count<windows_at_once>{}, corners);
                        waiting = 0;
                    }
                }
            }
        }
        for (std::size_t window = 0; window < waiting; ++window) {
            write(Count<1>{}, corners + window);
        }
    }
}

} // namespace many_channels
