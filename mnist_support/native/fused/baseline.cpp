// The passes for every processor of the architecture: SSE2 on x86-64.
#include "block.h"

#include <cstdint>
#include <cstring>
#include <new>

#define MNIST_PROCESSOR baseline
#define MNIST_LANES 4
#include "for_processor.h"
