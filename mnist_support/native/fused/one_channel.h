// One-channel images. The lanes of a vector are neighbouring pooling windows.
//
// Neighbouring windows begin `pool` pixels apart, so a vector of windows reads every pool-th pixel
// of a row for each tap. To make these pixels contiguous, each padded row is split into `pool`
// phases (a polyphase decomposition): phase p holds the columns p, p + pool, p + 2 pool, ...
//
//     padded row, pool = 2     0 a b c d e f g h 0
//     phase 0                  0 b d f h
//     phase 1                  a c e g 0
//
// Take a tap in kernel column c and a position in column p of its window. What the tap reads for
// the windows x, x + 1, x + 2, ... begins at index x + (p + c) / pool of phase (p + c) % pool, and
// is one load. For the first window, with c = 1 and p = 1, that is b d f h.
//
//     pixels   [padded row][phase][index in the phase, with room for whole vectors]

namespace one_channel {

inline std::size_t whole_vectors(std::size_t length) {
    return (length + lanes - 1) / lanes * lanes;
}

struct Polyphase {
    std::size_t pool, length; // of one phase of one row
    Buffer<float> pixels;
    // [position][tap]: the offset of what the tap reads from the window's first pixel.
    Buffer<std::size_t> offsets;

    // Pixels are written and windows read in whole vectors, beyond the last one that counts.
    explicit Polyphase(const Block& block) :
        pool(block.pool),
        length(
            whole_vectors(larger(block.out_width(), (block.width + 1) / 2)) +
            (block.padding + pool + block.kernel) / pool
        ),
        pixels(block.padded_height() * pool * length),
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

    // `readable` floats after the image may be read.
    MNIST_INLINE void fill(const Block& block, const float* image, std::size_t readable) {
        const std::size_t needed = 2 * whole_vectors((block.width + 1) / 2);
        for (std::size_t y = 0; y < block.height; ++y, image += block.width) {
            float* row = &pixels[(y + block.padding) * pool * length];
            if (pool == 2 && needed <= (block.height - y) * block.width + readable) {
                fill_two_phases(block, image, row);
                continue;
            }
            for (std::size_t phase = 0; phase < pool; ++phase) {
                const std::size_t first = (phase + pool - block.padding % pool) % pool;
                float* to = at_column(row, phase, first + block.padding);
                const float* end = row + (phase + 1) * length;
                for (std::size_t x = first; x < block.width && to < end; x += pool) {
                    *to++ = image[x];
                }
            }
        }
    }

    // Splits one row of an image, a vector at a time. Zeros follow its last pixel.
    MNIST_INLINE void fill_two_phases(const Block& block, const float* image, float* row) const {
        float* even = at_column(row, block.padding % 2, block.padding);
        float* odd = at_column(row, (block.padding + 1) % 2, block.padding + 1);
        const Integers lane = lane_numbers();
        for (std::size_t x = 0; x < block.width; x += 2 * lanes, even += lanes, odd += lanes) {
            const Floats first = load(image + x), second = load(image + x + lanes);
            const auto left = static_cast<std::int32_t>(block.width - x);
            store(even, 2 * lane < left ? shuffle(first, second, 2 * lane) : Floats{});
            store(odd, 2 * lane + 1 < left ? shuffle(first, second, 2 * lane + 1) : Floats{});
        }
    }

    // The address of a column of the padded image in a phase of a row.
    MNIST_INLINE float* at_column(float* row, std::size_t phase, std::size_t column) const {
        return row + phase * length + column / pool;
    }

    // The first pixel of the window at row y and column x of the output.
    MNIST_INLINE const float* at_window(std::size_t y, std::size_t x) const {
        return &pixels[y * pool * pool * length + x];
    }
};

} // namespace one_channel
