// The fused block: a convolution with stride 1, a ReLU and a max-pooling in one pass over the
// images, forward and backward. reference.cpp is the same in plain loops. Start there.
//
// Why fuse. Of the pool * pool sums in a pooling window, only the maximum is passed on, and only if
// the ReLU lets it through. So the forward pass never stores the output of the convolution, only
// the maximum and its argmax, one byte with its position in the window. The backward pass visits
// only that position, while libtorch's visits all of them: with a pooling of 2, a quarter of the
// work.
//
// One window, with a kernel of 3 (K) and a pooling of 2. It reads a receptive field of 4 by 4
// pixels (pool - 1 + kernel), in which the kernel has 4 positions (pool * pool):
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
// (ReLU and pooling commute: the maximum of max(x, 0) is max(maximum of x, 0).)
//
// The phases of a pass:
//
//   forward    pad     copy an image and put zeros around it, so that no loop checks for edges
//              sum     a few windows, positions and output channels at once, in registers
//              reduce  a running maximum and its position, then the ReLU
//              write   output and argmax
//   backward   pad     as above
//              route   each output gradient to the position that argmax names, or nowhere
//              add     gradient * pixels  to the weight's gradient,
//                      gradient * weights to the input's, gradient to the bias's
//              unpad   copy the input's gradient out of its padding
//
// Memory layouts. float32 on the CPU, as in libtorch with channels_last:
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
//   pooling.h           ReLU and pooling alone, if the convolution has to be libtorch's
//   vectors.h           vectors of floats, and unrolled loops over them
//   for_processor.h     all of these for one processor generation: baseline.cpp (4 floats in a
//                       vector), v3.cpp (AVX2: 8) and v4.cpp (AVX-512: 16)
//   processor.cpp       chooses the generation
//   function.cpp        chooses the pass and connects it to autograd (fused.h is Rust's view)
//
// A pass runs on the calling thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mnist {

// The number of floats in an AVX-512 vector, the widest.
constexpr std::size_t max_lanes = 16;

// The sizes of a block. The stride of the pooling is its size: windows neither overlap nor leave
// gaps.
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
    // The side of the receptive field of a pooling window.
    std::size_t receptive_field() const { return pool - 1 + kernel; }

    // The receptive field of a kernel of 3 and a pooling of 2.
    static constexpr std::size_t small_receptive_field = 4;
    bool receptive_row_fits_a_vector() const {
        return receptive_field() == small_receptive_field &&
               receptive_field() * in_channels <= max_lanes;
    }
};

// The position of a maximum in its window, or no_argmax if the ReLU made it 0.
using Argmax = std::uint8_t;
constexpr Argmax no_argmax = 255;

// What a forward pass reads and writes.
struct Forward {
    std::size_t images;
    const float *input, *weight, *bias;
    float* output;
    Argmax* argmax; // null if no backward pass will follow
};

// What a backward pass reads and what it writes or adds to. `gradient` is that of the output.
struct Backward {
    std::size_t images;
    const float *input, *weight, *gradient;
    const Argmax* argmax;
    float* input_gradient;                  // written; null if not needed
    float *weight_gradient, *bias_gradient; // added to
};

// The passes, compiled for one processor generation.
struct Passes {
    // For one-channel images. The backward pass computes no input gradient.
    void (*one_channel_forward)(const Block& block, const Forward& pass);
    void (*one_channel_backward)(const Block& block, const Backward& pass);
    // Only if many_channels_can_forward or many_channels_can_backward, respectively.
    void (*many_channels_forward)(const Block& block, const Forward& pass);
    void (*many_channels_backward)(const Block& block, const Backward& pass);
    // ReLU and pooling alone, from the output of the convolution to that of the block.
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

// Whether the output channels fill whole vectors.
bool many_channels_can_forward(const Block& block);
// Whether the input channels fill whole vectors, or are so few that a row of a receptive field fits
// into one.
bool many_channels_can_backward(const Block& block);

// The fastest passes that this processor can run.
const Passes& passes();

extern const Passes baseline_passes, v3_passes, v4_passes;

} // namespace mnist
