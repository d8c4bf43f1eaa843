// All passes, in a namespace for this processor generation (MNIST_PROCESSOR), and their table.
namespace mnist {
namespace MNIST_PROCESSOR {

#include "vectors.h"

#include "many_channels.h"
#include "many_channels_backward.h"
#include "many_channels_forward.h"
#include "one_channel.h"
#include "one_channel_backward.h"
#include "one_channel_forward.h"
#include "pooling.h"

} // namespace MNIST_PROCESSOR

#define MNIST_JOINED(left, right) left##right
#define MNIST_TABLE(processor) MNIST_JOINED(processor, _passes)
extern const Passes MNIST_TABLE(MNIST_PROCESSOR) = {
    MNIST_PROCESSOR::one_channel::forward,   MNIST_PROCESSOR::one_channel::backward,
    MNIST_PROCESSOR::many_channels::forward, MNIST_PROCESSOR::many_channels::backward,
    MNIST_PROCESSOR::pooling::forward,       MNIST_PROCESSOR::pooling::backward,
};

} // namespace mnist
