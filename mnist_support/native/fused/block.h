// The fused block: a convolution of stride 1, a ReLU and a max-pooling as one pass over the images,
// forward and backward. reference.cpp is the same in plain loops: begin there.
//
// Why fuse. Of the pool * pool sums in a pooling window only the maximum goes on, and only if the
// ReLU lets it through. So the forward pass never stores the convolution's output, only the maximum
// and its argmax: a byte that says which position of the window it came from. The backward pass
// visits only that position, where libtorch's visits all: with a pooling of 2, a quarter of them.
//
// One window, with a kernel of 3 (K) and a pooling of 2. It reads a receptive field of
// pool - 1 + kernel = 4 by 4 pixels, in which the kernel has pool * pool = 4 positions:
//
//       position 0        position 1        position 2        position 3
//        K K K .           . K K K           . . . .           . . . .
//        K K K .           . K K K           K K K .           . K K K
//        K K K .           . K K K           K K K .           . K K K
//        . . . .           . . . .           K K K .           . K K K
//           |                 |                 |                 |
//       sum + bias        sum + bias        sum + bias        sum + bias      convolution
//           +-----------------+--------+--------+-----------------+
//                                maximum, argmax                              pooling
//                                      |
//                     above 0? the maximum : 0 and no_argmax                  ReLU
//
// (ReLU and pooling may change places: the maximum of max(x, 0) is max(maximum of x, 0).)
//
// The phases of a pass:
//
//   forward    pad     copy an image, zeros around it: no loop asks whether it is at an edge
//              sum     a few windows, positions and output channels at once, in registers
//              reduce  a running maximum and its position, then the ReLU
//              write   output and argmax
//   backward   pad     as above
//              route   each output gradient to the position that argmax names, or nowhere
//              add     gradient * pixels  to the weight's gradient,
//                      gradient * weights to the input's, gradient to the bias's
//              unpad   copy the input's gradient out of its padding
//
// Memory. float32 on the CPU, as libtorch has it with channels_last:
//
//   input, its gradient                 [image][row][column][in channel]
//   weight, its gradient                [out channel][in channel][kernel row][kernel column]
//   bias, its gradient                  [out channel]
//   output, its gradient, and argmax    [image][row][column][out channel]
//
// The files:
//
//   reference.cpp       plain loops, which the tests compare with
//   one_channel*.h      grayscale images: a vector is neighbouring windows
//   many_channels*.h    other images: a vector is neighbouring channels
//   pooling.h           ReLU and pooling alone, where the convolution has to be libtorch's
//   vectors.h           vectors of floats, and what unrolls loops over them
//   for_processor.h     all of these for one generation of processors: baseline.cpp (4 floats to a
//                       vector), v3.cpp (AVX2: 8) and v4.cpp (AVX-512: 16)
//   processor.cpp       which generation runs here
//   function.cpp        which pass takes which tensors; libtorch's autograd; fused.h is Rust's view
//
// A pass runs on the thread that calls it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mnist {

// The floats in a vector of AVX-512, the widest.
constexpr std::size_t max_lanes = 16;

// The sizes of a block. The pooling's stride is its size: windows neither overlap nor leave gaps.
struct Block {
    std::size_t height, width, in_channels; // of the input
    std::size_t out_channels;
    std::size_t kernel, padding;
    std::size_t pool;

    std::size_t padded_height() const { return height + 2 * padding; }
    std::size_t padded_width() const { return width + 2 * padding; }
    // In floats.
    std::size_t padded_image() const { return padded_height() * padded_width() * in_channels; }
    std::size_t conv_height() const { return padded_height() + 1 - kernel; }
    std::size_t conv_width() const { return padded_width() + 1 - kernel; }
    std::size_t out_height() const { return conv_height() / pool; }
    std::size_t out_width() const { return conv_width() / pool; }
    // A tap is one row and column of the kernel, counted row by row.
    std::size_t taps() const { return kernel * kernel; }
    // A position is one row and column of a pooling window, counted row by row.
    std::size_t positions() const { return pool * pool; }
    // The side of what a pooling window depends on.
    std::size_t receptive_field() const { return pool - 1 + kernel; }

    // That of a kernel of 3 and a pooling of 2.
    static constexpr std::size_t small_receptive_field = 4;
    bool receptive_row_fits_a_vector() const {
        return receptive_field() == small_receptive_field &&
               receptive_field() * in_channels <= max_lanes;
    }
};

// The position in its window that a maximum came from; no_argmax where the ReLU made it 0.
using Argmax = std::uint8_t;
constexpr Argmax no_argmax = 255;

// What a forward pass reads and writes.
struct Forward {
    std::size_t images;
    const float *input, *weight, *bias;
    float* output;
    Argmax* argmax; // null where no backward pass will follow
};

// What a backward pass reads, `gradient` being the output's, and writes or adds to.
struct Backward {
    std::size_t images;
    const float *input, *weight, *gradient;
    const Argmax* argmax;
    float* input_gradient;                  // written; null where nobody needs it
    float *weight_gradient, *bias_gradient; // added to
};

// The passes, compiled for one generation of processors.
struct Passes {
    // Images of one channel; without a gradient of the input.
    void (*one_channel_forward)(const Block& block, const Forward& pass);
    void (*one_channel_backward)(const Block& block, const Backward& pass);
    // Where many_channels_can_forward and many_channels_can_backward.
    void (*many_channels_forward)(const Block& block, const Forward& pass);
    void (*many_channels_backward)(const Block& block, const Backward& pass);
    // The ReLU and the pooling alone, between the convolution's output and the block's.
    void (*pooling_forward)(
        const Block& block,
        std::size_t images,
        const float* convolved,
        float* output,
        Argmax* argmax
    );
    void (*pooling_backward)(
        const Block& block,
        std::size_t images,
        const float* gradient,
        const Argmax* argmax,
        float* conv_gradient
    );
};

// Output channels that fill whole vectors.
bool many_channels_can_forward(const Block& block);
// Input channels that fill whole vectors, or so few that a row of a receptive field fits into one.
bool many_channels_can_backward(const Block& block);

// The fastest that this processor can run.
const Passes& passes();

extern const Passes baseline_passes, v3_passes, v4_passes;

} // namespace mnist
