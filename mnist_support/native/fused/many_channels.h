// Images with several channels. The channels of a pixel are contiguous (NHWC), so one row of the
// kernel reads a single run of kernel * in_channels floats at any position:
//
//     padded row, 2 channels     0 0  a A  b B  c C  d D  0 0
//     a kernel row of 3 reads         [-----------]             at output column 1
//
// The forward pass multiplies each of these floats by a vector of output channels. The backward
// pass loads the run itself as vectors. There is no im2col: only the images are copied, once, with
// their padding.

namespace many_channels {

// The memory layout of a few images with their padding:
//
//     pixels   [slot][padded row][padded column][channel]
struct PaddedImages {
    const Block& block;
    std::size_t row, image; // strides
    std::size_t length;     // a vector may extend beyond the last pixel
    // For each argmax, the offset of its position from the window's first pixel. The entry of
    // no_argmax is 0, so that it can be looked up without a branch.
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

    // Copies an image into its padding, which stays unchanged, or out of it.
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
    // The first (top left) pixel of a window's receptive field.
    MNIST_INLINE std::size_t window(std::size_t slot, std::size_t y, std::size_t x) const {
        return slot * image + y * block.pool * row + x * block.pool * block.in_channels;
    }
};

// Calls body(out_channel, kernel_row, place, at) for every weight: `place` is the index of its
// factor in the run that the kernel row reads, `at` the index of the weight in libtorch's layout.
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

// As many images as fit into the L1 cache, from 1 to `most`.
inline std::size_t images_at_once(const Block& block, std::size_t most) {
    constexpr std::size_t cache = 48 * 1024 / sizeof(float);
    return larger(1, smaller(cache / block.padded_image(), most));
}

} // namespace many_channels
