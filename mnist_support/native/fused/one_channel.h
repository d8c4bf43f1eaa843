// Images of one channel. The lanes of a vector are neighbouring windows of the pooling.
//
// The rows of an image, with their padding, are cut into as many phases as a window has columns:
// phase p holds every pool-th pixel from p on. What one tap of the kernel sees of neighbouring
// windows then lies side by side.

namespace one_channel {

inline std::size_t whole_vectors(std::size_t length) {
    return (length + lanes - 1) / lanes * lanes;
}
inline std::size_t larger(std::size_t one, std::size_t other) { return one > other ? one : other; }

struct Phases {
    std::size_t pool, length; // of one phase of one row
    Buffer<float> pixels;
    // Where each tap, for each position in a window, begins to read.
    Buffer<std::size_t> offsets;

    // Pixels are written and windows read by whole vectors.
    explicit Phases(const Block& block) :
        pool(block.pool),
        length(
            whole_vectors(larger(block.columns(), (block.width + 1) / 2)) +
            (block.padding + pool + block.kernel) / pool
        ),
        pixels((block.height + 2 * block.padding) * pool * length),
        offsets(block.positions() * block.taps()) {
        for (std::size_t position = 0; position < block.positions(); ++position) {
            for (std::size_t tap = 0; tap < block.taps(); ++tap) {
                const std::size_t row = position / pool + tap / block.kernel;
                const std::size_t column = position % pool + tap % block.kernel;
                offsets[position * block.taps() + tap] =
                    (row * pool + column % pool) * length + column / pool;
            }
        }
    }

    // `beyond` says how many floats after the image may be read.
    MNIST_INLINE void read(const Block& block, const float* image, std::size_t beyond) {
        const std::size_t needed = 2 * whole_vectors((block.width + 1) / 2);
        for (std::size_t y = 0; y < block.height; ++y, image += block.width) {
            float* row = &pixels[(y + block.padding) * pool * length];
            if (pool == 2 && needed <= (block.height - y) * block.width + beyond) {
                read_two_phases(block, image, row);
                continue;
            }
            for (std::size_t phase = 0; phase < pool; ++phase) {
                const std::size_t first = (phase + pool - block.padding % pool) % pool;
                float* to = place(row, phase, first + block.padding);
                const float* end = row + (phase + 1) * length;
                for (std::size_t x = first; x < block.width && to < end; x += pool) {
                    *to++ = image[x];
                }
            }
        }
    }

    // A row of an image by the vector; zeros follow its last pixel.
    MNIST_INLINE void read_two_phases(const Block& block, const float* image, float* row) const {
        float* even = place(row, block.padding % 2, block.padding);
        float* odd = place(row, (block.padding + 1) % 2, block.padding + 1);
        const Integers each = each_lane();
        for (std::size_t x = 0; x < block.width; x += 2 * lanes, even += lanes, odd += lanes) {
            const Floats first = load(image + x), second = load(image + x + lanes);
            const auto left = static_cast<std::int32_t>(block.width - x);
            store(even, 2 * each < left ? picked(first, second, 2 * each) : Floats{});
            store(odd, 2 * each + 1 < left ? picked(first, second, 2 * each + 1) : Floats{});
        }
    }

    // Where a phase has a column of the padded image.
    MNIST_INLINE float* place(float* row, std::size_t phase, std::size_t column) const {
        return row + phase * length + column / pool;
    }

    // What the windows from this one on see.
    MNIST_INLINE const float* window(std::size_t row, std::size_t column) const {
        return &pixels[row * pool * pool * length + column];
    }
};

} // namespace one_channel
