// Images of several channels. The channels of a pixel lie side by side (NHWC), so what one row of
// the kernel reads, at any place, is one run of kernel * in_channels floats:
//
//     padded row, 2 channels     0 0  a A  b B  c C  d D  0 0
//     a kernel row of 3 reads         [-----------]             at output column 1
//
// The forward pass multiplies each of these floats by a vector of output channels; the backward
// pass takes the run itself by the vector. No im2col: nothing is copied but the images, once, with
// their padding.

namespace many_channels {

// How a few images lie in memory with their padding:
//
//     pixels   [slot][padded row][padded column][channel]
struct PaddedImages {
    const Block& block;
    std::size_t row, image; // strides
    std::size_t length;     // a vector may reach beyond the last pixel
    // For each argmax, how far what its position reads lies from the window's first pixel; 0 for
    // no_argmax, so that it can be looked up without a branch.
    Buffer<std::uint32_t> offsets;

    PaddedImages(const Block& block, std::size_t slots) :
        block(block),
        row(block.padded_width() * block.in_channels),
        image(block.padded_image()),
        length(slots * image + max_lanes),
        offsets(no_argmax + 1) {
        for (std::size_t position = 0; position < block.positions(); ++position) {
            const std::size_t y = position / block.pool, x = position % block.pool;
            offsets[position] = static_cast<std::uint32_t>(y * row + x * block.in_channels);
        }
    }

    // Copies an image into its padding, which stays what it is, or out of it.
    MNIST_INLINE void pad(const float* from, std::size_t slot, float* pixels) const {
        const std::size_t length_of_row = block.width * block.in_channels;
        for (std::size_t y = 0; y < block.height; ++y) {
            std::memcpy(
                pixels + inner(slot, y), from + y * length_of_row, length_of_row * sizeof(float)
            );
        }
    }
    MNIST_INLINE void unpad(const float* pixels, std::size_t slot, float* to) const {
        const std::size_t length_of_row = block.width * block.in_channels;
        for (std::size_t y = 0; y < block.height; ++y) {
            std::memcpy(
                to + y * length_of_row, pixels + inner(slot, y), length_of_row * sizeof(float)
            );
        }
    }
    // The first float of a row inside the padding.
    MNIST_INLINE std::size_t inner(std::size_t slot, std::size_t y) const {
        return slot * image + (y + block.padding) * row + block.padding * block.in_channels;
    }
    // The first pixel, the upper left one, of a window's receptive field.
    MNIST_INLINE std::size_t window(std::size_t slot, std::size_t y, std::size_t x) const {
        return slot * image + y * block.pool * row + x * block.pool * block.in_channels;
    }
};

// Calls body(out_channel, kernel_row, place, at) for every weight: `place` is where its factor lies
// in the run that the kernel's row reads, `at` where libtorch has the weight.
template <typename Body>
MNIST_INLINE void for_each_weight(const Block& block, Body body) {
    std::size_t at = 0;
    for (std::size_t out_channel = 0; out_channel < block.out_channels; ++out_channel) {
        for (std::size_t in_channel = 0; in_channel < block.in_channels; ++in_channel) {
            for (std::size_t y = 0; y < block.kernel; ++y) {
                for (std::size_t x = 0; x < block.kernel; ++x, ++at) {
                    body(out_channel, y, x * block.in_channels + in_channel, at);
                }
            }
        }
    }
}

// As many images as stay in the processor's nearest cache, but 1 to `most`.
inline std::size_t images_at_once(const Block& block, std::size_t most) {
    constexpr std::size_t cache = 48 * 1024 / sizeof(float);
    return larger(1, smaller(cache / block.padded_image(), most));
}

} // namespace many_channels
