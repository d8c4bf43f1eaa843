// The ReLU and the pooling alone. The lanes of a vector are channels of one pixel.

namespace pooling {

// The window of one channel.
MNIST_INLINE float highest_of_one(
    const Block& block, const float* corner, std::size_t row, Winner& winner
) {
    float highest = corner[0];
    winner = 0;
    for (std::size_t position = 1; position < block.positions(); ++position) {
        const float value =
            corner[position / block.pool * row + position % block.pool * block.out_channels];
        if (value > highest || value != value) {
            highest = value;
            winner = static_cast<Winner>(position);
        }
    }
    if (highest <= 0.0f) {
        winner = no_winner;
        return 0.0f;
    }
    return highest;
}

inline void forward(
    const Block& block, std::size_t images, const float* convolved, float* output, Winner* winners
) {
    const std::size_t channels = block.out_channels, row = block.convolved_columns() * channels;
    for (std::size_t image = 0; image < images;
         ++image, convolved += block.convolved_rows() * row) {
        for (std::size_t window = 0; window < block.rows() * block.columns(); ++window) {
            const float* corner =
                convolved +
                (window / block.columns() * row + window % block.columns() * channels) * block.pool;
            std::size_t channel = 0;
            for (; channel + lanes <= channels; channel += lanes) {
                Highest highest;
                for (std::size_t position = 0; position < block.positions(); ++position) {
                    const std::size_t offset =
                        position / block.pool * row + position % block.pool * channels;
                    highest.take(position, load(corner + offset + channel));
                }
                store(output + channel, highest.rectified());
                if (winners != nullptr) {
                    const Winners won = highest.winners();
                    std::memcpy(winners + channel, &won, sizeof won);
                }
            }
            for (; channel < channels; ++channel) {
                Winner winner;
                output[channel] = highest_of_one(block, corner + channel, row, winner);
                if (winners != nullptr) {
                    winners[channel] = winner;
                }
            }
            output += channels;
            if (winners != nullptr) {
                winners += channels;
            }
        }
    }
}

inline void backward(
    const Block& block,
    std::size_t images,
    const float* gradient,
    const Winner* winners,
    float* convolved_gradient
) {
    const std::size_t channels = block.out_channels, row = block.convolved_columns() * channels;
    const std::size_t covered = block.columns() * block.pool * channels;
    for (std::size_t image = 0; image < images;
         ++image, convolved_gradient += block.convolved_rows() * row) {
        for (std::size_t y = 0; y < block.rows(); ++y) {
            float* rows = convolved_gradient + y * block.pool * row;
            for (std::size_t x = 0; x < block.columns();
                 ++x, gradient += channels, winners += channels) {
                for (std::size_t position = 0; position < block.positions(); ++position) {
                    const auto own = static_cast<Winner>(position);
                    float* to = rows + position / block.pool * row +
                                (x * block.pool + position % block.pool) * channels;
                    for (std::size_t channel = 0; channel < channels; ++channel) {
                        to[channel] = winners[channel] == own ? gradient[channel] : 0.0f;
                    }
                }
            }
            // The columns, and below the rows, that no window sees.
            for (std::size_t y_in_window = 0; y_in_window < block.pool; ++y_in_window) {
                std::memset(rows + y_in_window * row + covered, 0, (row - covered) * sizeof(float));
            }
        }
        const std::size_t seen = block.rows() * block.pool;
        std::memset(
            convolved_gradient + seen * row, 0,
            (block.convolved_rows() - seen) * row * sizeof(float)
        );
    }
}

} // namespace pooling
