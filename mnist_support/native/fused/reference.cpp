// What the fused block computes, in plain loops with double precision sums. Only tests link this
// file. They compare the fast passes with it.
#include "reference.h"

#include <cmath>
#include <vector>

namespace {

using namespace mnist;

// Indices into the layouts drawn in block.h.
struct Places {
    const Block& block;

    std::size_t input(std::size_t image, std::size_t row, std::size_t column, std::size_t c) const {
        return ((image * block.height + row) * block.width + column) * block.in_channels + c;
    }
    std::size_t weight(std::size_t k, std::size_t c, std::size_t row, std::size_t column) const {
        return ((k * block.in_channels + c) * block.kernel + row) * block.kernel + column;
    }
};

// Calls body(input, weight) with the indices of every pixel and weight that the convolution
// multiplies for output channel k at a row and column of its output. Padding pixels are 0 and
// skipped.
template <typename Body>
void for_each_product(
    const Block& block,
    std::size_t image,
    std::size_t row,
    std::size_t column,
    std::size_t k,
    Body body
) {
    const Places places{block};
    for (std::size_t c = 0; c < block.in_channels; ++c) {
        for (std::size_t kernel_row = 0; kernel_row < block.kernel; ++kernel_row) {
            for (std::size_t kernel_column = 0; kernel_column < block.kernel; ++kernel_column) {
                // Negative values wrap around and are then too large as well.
                const std::size_t y = row + kernel_row - block.padding;
                const std::size_t x = column + kernel_column - block.padding;
                if (y < block.height && x < block.width) {
                    body(
                        places.input(image, y, x, c), places.weight(k, c, kernel_row, kernel_column)
                    );
                }
            }
        }
    }
}

// Calls body(image, row, column, k, at) for every element of the output, where `at` is its index.
template <typename Body>
void for_each_output(const Block& block, std::size_t images, Body body) {
    std::size_t at = 0;
    for (std::size_t image = 0; image < images; ++image) {
        for (std::size_t row = 0; row < block.out_height(); ++row) {
            for (std::size_t column = 0; column < block.out_width(); ++column) {
                for (std::size_t k = 0; k < block.out_channels; ++k) {
                    body(image, row, column, k, at++);
                }
            }
        }
    }
}

} // namespace

void mnist_reference_forward(const Block* block, const Forward* pass) {
    for_each_output(
        *block, pass->images,
        [&](std::size_t image, std::size_t row, std::size_t column, std::size_t k, std::size_t at) {
            double max = 0.0;
            for (std::size_t position = 0; position < block->positions(); ++position) {
                double sum = pass->bias[k];
                for_each_product(
                    *block, image, row * block->pool + position / block->pool,
                    column * block->pool + position % block->pool, k,
                    [&](std::size_t pixel, std::size_t tap) {
                        sum += double{pass->input[pixel]} * pass->weight[tap];
                    }
                );
                // The first of equal values wins, and NaN beats every number.
                if (position == 0 || sum > max || std::isnan(sum)) {
                    max = sum;
                    pass->argmax[at] = static_cast<Argmax>(position);
                }
            }
            pass->output[at] = static_cast<float>(max);
            if (max <= 0.0) {
                pass->output[at] = 0.0f;
                pass->argmax[at] = no_argmax;
            }
        }
    );
}

void mnist_reference_backward(const Block* block, const Backward* pass) {
    const std::size_t weights = block->out_channels * block->in_channels * block->taps();
    const std::size_t pixels = pass->images * block->height * block->width * block->in_channels;
    std::vector<double> input_gradient(pixels), weight_gradient(weights);
    std::vector<double> bias_gradient(block->out_channels);
    for_each_output(
        *block, pass->images,
        [&](std::size_t image, std::size_t row, std::size_t column, std::size_t k, std::size_t at) {
            const Argmax position = pass->argmax[at];
            if (position == no_argmax) {
                return;
            }
            const double gradient = pass->gradient[at];
            bias_gradient[k] += gradient;
            for_each_product(
                *block, image, row * block->pool + position / block->pool,
                column * block->pool + position % block->pool, k,
                [&](std::size_t pixel, std::size_t tap) {
                    weight_gradient[tap] += gradient * pass->input[pixel];
                    input_gradient[pixel] += gradient * pass->weight[tap];
                }
            );
        }
    );
    const auto write = [](const std::vector<double>& from, float* to) {
        for (const double value : from) {
            *to++ = static_cast<float>(value);
        }
    };
    write(input_gradient, pass->input_gradient);
    write(weight_gradient, pass->weight_gradient);
    write(bias_gradient, pass->bias_gradient);
}
