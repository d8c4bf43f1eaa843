// A convolution, a ReLU and a max-pooling as one pass over the images, forwards and backwards.
//
// Of the four, nine or more values that a pooling window sees only the highest reaches what
// follows, and only if it is above 0. So the forward pass never stores what the convolution made,
// only what is left of it and which position of its window each value came from; and the backward
// pass, dense in libtorch, only visits those positions.
//
// Everything here is floats on the CPU, one thread. Images lie one after the other, the channels of
// a pixel side by side; weights as libtorch has them, [out_channels, in_channels, kernel, kernel].
#pragma once

#include <cstddef>
#include <cstdint>

namespace mnist {

// The floats that the widest processors compute at once.
constexpr std::size_t widest = 16;

// A convolution of stride 1, and a pooling whose windows neither overlap nor leave gaps.
struct Block {
    std::size_t height, width, in_channels; // of the input
    std::size_t out_channels;
    std::size_t kernel, padding;
    std::size_t pool;

    std::size_t convolved_rows() const { return height + 2 * padding + 1 - kernel; }
    std::size_t convolved_columns() const { return width + 2 * padding + 1 - kernel; }
    std::size_t rows() const { return convolved_rows() / pool; }
    std::size_t columns() const { return convolved_columns() / pool; }
    // The numbers of an image with its padding.
    std::size_t padded_image() const {
        return (height + 2 * padding) * (width + 2 * padding) * in_channels;
    }
    std::size_t taps() const { return kernel * kernel; }
    std::size_t positions() const { return pool * pool; }
    // The side of what a window sees of the input.
    std::size_t window() const { return pool - 1 + kernel; }

    // As a kernel of 3 and a pooling of 2 make it.
    static constexpr std::size_t small_window = 4;
    bool window_fits_one_vector() const {
        return window() == small_window && window() * in_channels <= widest;
    }
};

// Which position of its window a value came from, counted row by row; or that the ReLU held it
// back.
using Winner = std::uint8_t;
constexpr Winner no_winner = 255;

struct Gradients {
    float* input;  // written; null where nobody needs it
    float* weight; // added to
    float* bias;   // added to
};

// The passes, compiled for one generation of processors.
struct Kernels {
    using Forward = void (*)(
        const Block& block,
        std::size_t images,
        const float* input,
        const float* weight,
        const float* bias,
        float* output,
        Winner* winners
    ); // winners may be null
    using Backward = void (*)(
        const Block& block,
        std::size_t images,
        const float* input,
        const float* weight,
        const float* gradient,
        const Winner* winners,
        const Gradients& gradients
    );

    // Images of one channel; there is no gradient of the input.
    Forward one_channel_forward;
    Backward one_channel_backward;
    // Where many_channels_can_forward and many_channels_can_backward.
    Forward many_channels_forward;
    Backward many_channels_backward;
    // The ReLU and the pooling alone, on what libtorch's convolution made.
    void (*pooling_forward)(
        const Block& block,
        std::size_t images,
        const float* convolved,
        float* output,
        Winner* winners
    );
    void (*pooling_backward)(
        const Block& block,
        std::size_t images,
        const float* gradient,
        const Winner* winners,
        float* convolved_gradient
    );
};

// Output channels that fill whole vectors.
bool many_channels_can_forward(const Block& block);
// Input channels that fill whole vectors, or so few that what a window sees of a row fits into one.
bool many_channels_can_backward(const Block& block);

// Those for the processor that this runs on.
const Kernels& kernels();

extern const Kernels baseline_kernels, v3_kernels, v4_kernels;

} // namespace mnist
