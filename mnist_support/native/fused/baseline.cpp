// The passes for every processor of the architecture: on x86-64, SSE2.
#include "block.h"

#include <cstdint>
#include <cstring>
#include <new>

#define MNIST_PROCESSOR baseline
#define MNIST_LANES 4
#include "for_processor.h"
