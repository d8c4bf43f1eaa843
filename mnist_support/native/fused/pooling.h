// ReLU and pooling alone, for blocks whose convolution is left to libtorch. The lanes of a vector
// are channels of one pixel.

namespace pooling {

// One window of one channel, for channels that do not fill a vector.
MNIST_INLINE float max_of_one(
    const Block& block, const float* corner, std::size_t row, Argmax& argmax
) {
    float max = corner[0];
    argmax = 0;
    for (std::size_t position = 1; position < block.positions(); ++position) {
        const std::size_t y = position / block.pool, x = position % block.pool;
        const float value = corner[y * row + x * block.out_channels];
        if (value > max || value != value) {
            max = value;
            argmax = static_cast<Argmax>(position);
        }
    }
    if (max <= 0.0f) {
        argmax = no_argmax;
        return 0.0f;
    }
    return max;
}

inline void forward(
    const Block& block, std::size_t images, const float* convolved, float* output, Argmax* argmax
) {
    const std::size_t channels = block.out_channels, row = block.conv_width() * channels;
    const std::size_t windows = block.out_height() * block.out_width();
    for (std::size_t image = 0; image < images; ++image, convolved += block.conv_height() * row) {
        for (std::size_t window = 0; window < windows; ++window) {
            const std::size_t y = window / block.out_width(), x = window % block.out_width();
            const float* corner = convolved + (y * row + x * channels) * block.pool;
            std::size_t channel = 0;
            for (; channel + lanes <= channels; channel += lanes) {
                RunningMax max;
                for (std::size_t position = 0; position < block.positions(); ++position) {
                    const std::size_t offset =
                        position / block.pool * row + position % block.pool * channels;
                    max.take(position, load(corner + offset + channel));
                }
                store(output + channel, max.relu());
                if (argmax != nullptr) {
                    max.store_argmax(argmax + channel);
                }
            }
            for (; channel < channels; ++channel) {
                Argmax position;
                output[channel] = max_of_one(block, corner + channel, row, position);
                if (argmax != nullptr) {
                    argmax[channel] = position;
                }
            }
            output += channels;
            argmax = advanced(argmax, channels);
        }
    }
}

inline void backward(
    const Block& block,
    std::size_t images,
    const float* gradient,
    const Argmax* argmax,
    float* conv_gradient
) {
    const std::size_t channels = block.out_channels, row = block.conv_width() * channels;
    const std::size_t covered = block.out_width() * block.pool * channels;
    for (std::size_t image = 0; image < images;
         ++image, conv_gradient += block.conv_height() * row) {
        for (std::size_t y = 0; y < block.out_height(); ++y) {
            float* rows = conv_gradient + y * block.pool * row;
            for (std::size_t x = 0; x < block.out_width(); ++x) {
                for (std::size_t position = 0; position < block.positions(); ++position) {
                    const auto here = static_cast<std::int32_t>(position);
                    const std::size_t column = x * block.pool + position % block.pool;
                    float* to = rows + position / block.pool * row + column * channels;
                    std::size_t channel = 0;
                    for (; channel + lanes <= channels; channel += lanes) {
                        const Integers routed = load_argmax(argmax + channel) == here;
                        store(to + channel, routed ? load(gradient + channel) : Floats{});
                    }
                    for (; channel < channels; ++channel) {
                        to[channel] = argmax[channel] == here ? gradient[channel] : 0.0f;
                    }
                }
                gradient += channels, argmax += channels;
            }
            // Zeros the columns that no window covers. The rows are zeroed below.
            for (std::size_t y_in_window = 0; y_in_window < block.pool; ++y_in_window) {
                std::memset(rows + y_in_window * row + covered, 0, (row - covered) * sizeof(float));
            }
        }
        const std::size_t rows_covered = block.out_height() * block.pool;
        std::memset(
            conv_gradient + rows_covered * row, 0,
            (block.conv_height() - rows_covered) * row * sizeof(float)
        );
    }
}

} // namespace pooling
