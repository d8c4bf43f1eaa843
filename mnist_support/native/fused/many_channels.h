// Output channels by the vector. What one row of a kernel sees is a run of floats, because the
// channels of neighbouring pixels lie side by side.

namespace many_channels {

// Where images lie with their padding.
struct Padded {
    const Block& block;
    std::size_t row, image; // floats from one to the next
    std::size_t length;     // a vector may reach beyond the last pixel
    // For each position in a window, how far what it sees lies from what the window sees; 0 for
    // none.
    Buffer<std::uint32_t> positions;

    Padded(const Block& block, std::size_t images) :
        block(block),
        row((block.width + 2 * block.padding) * block.in_channels),
        image(block.padded_image()),
        length(images * image + widest),
        positions(no_winner + 1) {
        for (std::size_t position = 0; position < block.positions(); ++position) {
            const std::size_t y = position / block.pool, x = position % block.pool;
            positions[position] = static_cast<std::uint32_t>(y * row + x * block.in_channels);
        }
    }

    MNIST_INLINE std::size_t inner(std::size_t slot, std::size_t y) const {
        return slot * image + (y + block.padding) * row + block.padding * block.in_channels;
    }
    MNIST_INLINE void read(const float* from, std::size_t slot, float* pixels) const {
        const std::size_t run = block.width * block.in_channels;
        for (std::size_t y = 0; y < block.height; ++y) {
            std::memcpy(pixels + inner(slot, y), from + y * run, run * sizeof(float));
        }
    }
    MNIST_INLINE void write(const float* pixels, std::size_t slot, float* to) const {
        const std::size_t run = block.width * block.in_channels;
        for (std::size_t y = 0; y < block.height; ++y) {
            std::memcpy(to + y * run, pixels + inner(slot, y), run * sizeof(float));
        }
    }
    // The upper left corner of what a window sees.
    MNIST_INLINE std::size_t window(std::size_t slot, std::size_t y, std::size_t x) const {
        return slot * image + y * block.pool * row + x * block.pool * block.in_channels;
    }
};

// Calls program(channel, y, place, at) for every weight: output channel, row of the kernel, place
// in the run of that row, and where libtorch has it.
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

// So many images at once that they stay near the processor, and no more than that.
inline std::size_t images_at_once(const Block& block, std::size_t most) {
    constexpr std::size_t near = 48 * 1024 / sizeof(float);
    const std::size_t images = near / block.padded_image();
    return images < 1 ? 1 : images < most ? images : most;
}

} // namespace many_channels
