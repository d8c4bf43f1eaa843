// The passes for x86-64-v3: AVX2 and FMA.
#include "block.h"

#include <cstdint>
#include <cstring>
#include <new>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("arch=x86-64-v3")
#define MNIST_PROCESSOR v3
#define MNIST_LANES 8
#include "for_processor.h"
#endif
