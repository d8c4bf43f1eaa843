namespace one_channel {

// Convolves `positions` positions of a vector of windows, starting at `first`, for `channels`
// output channels. The register tile is one sum for each position and channel: each weight that is
// loaded is used for all positions, each vector of pixels for all channels.
template <std::size_t positions, std::size_t channels>
MNIST_INLINE void convolve(
    const Block& block,
    const std::size_t* offsets,
    const float* pixels,
    std::size_t first,
    const float* weight,
    const float* bias,
    RunningMax (&max)[channels]
) {
    const std::size_t taps = block.taps();
    Floats sums[positions][channels];
    unrolled<positions, channels>([&](auto at, auto channel) MNIST_INLINED {
        sums[at][channel] = broadcast(bias[channel]);
    });
    offsets += first * taps;
    for (std::size_t tap = 0; tap < taps; ++tap) {
        Floats weights[channels];
        unrolled<channels>([&](auto channel) MNIST_INLINED {
            weights[channel] = broadcast(weight[channel * taps + tap]);
        });
        unrolled<positions>([&](auto at) MNIST_INLINED {
            const Floats seen = load(pixels + offsets[at * taps + tap]);
            unrolled<channels>([&](auto channel) MNIST_INLINED {
                sums[at][channel] += weights[channel] * seen;
            });
        });
    }
    unrolled<positions, channels>([&](auto at, auto channel) MNIST_INLINED {
        max[channel].take(first + at, sums[at][channel]);
    });
}

// Writes `windows` lanes of one output channel. The channels of a window are contiguous.
MNIST_INLINE void write(
    const Block& block,
    const RunningMax (&max)[1],
    std::size_t windows,
    float* output,
    Argmax* argmax
) {
    const Floats values = max[0].relu();
    const Integers positions = max[0].argmax();
    for (std::size_t window = 0; window < windows; ++window) {
        output[window * block.out_channels] = values[window];
        if (argmax != nullptr) {
            argmax[window * block.out_channels] = static_cast<Argmax>(positions[window]);
        }
    }
}

// The same for four output channels, which are transposed first: from a vector of windows for each
// channel to four channels for each window.
//
//     a0 a1 a2 a3     singly, a with b     a0 b0 a1 b1 | a2 b2 a3 b3
//     b0 b1 b2 b3             c with d     c0 d0 c1 d1 | c2 d2 c3 d3
//     c0 c1 c2 c3     then in pairs        a0 b0 c0 d0   a1 b1 c1 d1 | a2 b2 c2 d2   a3 b3 c3 d3
//     d0 d1 d2 d3
MNIST_INLINE void write(
    const Block& block,
    const RunningMax (&max)[4],
    std::size_t windows,
    float* output,
    Argmax* argmax
) {
    // Interleaves the lanes of two vectors, one by one or in pairs. Adding `half` starts in the
    // middle of the vectors.
    const Integers lane = lane_numbers(), half = broadcast(static_cast<std::int32_t>(lanes / 2));
    const auto second = static_cast<std::int32_t>(lanes);
    const Integers singly = lane / 2 + lane % 2 * second;
    const Integers in_pairs = lane / 4 * 2 + lane % 2 + lane / 2 % 2 * second;
    float values[4 * lanes];
    for (std::size_t side = 0; side < 2; ++side) {
        const Integers lanes_of_side = side == 0 ? singly : singly + half;
        const Floats a_b = shuffle(max[0].relu(), max[1].relu(), lanes_of_side);
        const Floats c_d = shuffle(max[2].relu(), max[3].relu(), lanes_of_side);
        store(values + 2 * side * lanes, shuffle(a_b, c_d, in_pairs));
        store(values + (2 * side + 1) * lanes, shuffle(a_b, c_d, in_pairs + half));
    }
    for (std::size_t window = 0; window < windows; ++window) {
        std::memcpy(output + window * block.out_channels, values + 4 * window, 4 * sizeof(float));
    }
    if (argmax != nullptr) {
        // A lane becomes the four bytes of a window, with the first channel's in the lowest byte.
        // This is the memory order of the (little-endian) processors that this is compiled for.
        const Integers bytes =
            max[0].argmax() | max[1].argmax() << 8 | max[2].argmax() << 16 | max[3].argmax() << 24;
        for (std::size_t window = 0; window < windows; ++window) {
            const std::int32_t four = bytes[window];
            std::memcpy(argmax + window * block.out_channels, &four, sizeof four);
        }
    }
}

inline void forward(const Block& block, const Forward& pass) {
    // The tile of sums fills the registers: 32 with AVX-512, otherwise 16.
    constexpr std::size_t positions_at_once = lanes == max_lanes ? 4 : 2;
    Polyphase phases(block);
    const std::size_t channels = block.out_channels, width = block.out_width();
    const std::size_t image_size = block.height * block.width, taps = block.taps();
    const float *weight = pass.weight, *bias = pass.bias;
    float* output = pass.output;
    Argmax* argmax = pass.argmax;
    for (std::size_t image = 0; image < pass.images; ++image) {
        phases.fill(block, pass.input + image * image_size, (pass.images - 1 - image) * image_size);
        for (std::size_t y = 0; y < block.out_height(); ++y) {
            for (std::size_t x = 0; x < width; x += lanes) {
                const std::size_t windows = smaller(width - x, lanes);
                const float* pixels = phases.at_window(y, x);
                for_each_tile<4>(channels, [&](auto tile, auto channel) MNIST_INLINED {
                    RunningMax max[tile.value];
                    for_each_tile<positions_at_once>(
                        block.positions(), [&](auto positions, auto first) MNIST_INLINED {
                            convolve<positions.value, tile.value>(
                                block, phases.offsets.values, pixels, first,
                                weight + channel * taps, bias + channel, max
                            );
                        }
                    );
                    write(block, max, windows, output + channel, advanced(argmax, channel));
                });
                output += windows * channels;
                argmax = advanced(argmax, windows * channels);
            }
        }
    }
}

} // namespace one_channel
