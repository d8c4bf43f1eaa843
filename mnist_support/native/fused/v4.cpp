// The passes for x86-64-v4: AVX-512.
#include "block.h"

#include <cstdint>
#include <cstring>
#include <new>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("arch=x86-64-v4")
#define MNIST_PROCESSOR v4
#define MNIST_LANES 16
#include "for_processor.h"
#endif
