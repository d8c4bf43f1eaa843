// SIMD with the compiler's vector types: a vector holds `lanes` floats and is added, multiplied and
// compared like a single one.
//
// for_processor.h includes this file once for each processor generation, in a namespace of its own.
// No function template of the standard library may be used here: the linker keeps a single instance
// of it for all generations, which may contain instructions that this processor lacks.

#define MNIST_INLINE __attribute__((always_inline)) inline
// The same for a lambda, after its parameters.
#define MNIST_INLINED __attribute__((always_inline))
// For a long-running loop that needs every register: inside a large function, GCC gives it fewer.
#define MNIST_NOINLINE __attribute__((noinline))

// The number of floats in a register.
constexpr std::size_t lanes = MNIST_LANES;

typedef float Floats __attribute__((vector_size(4 * lanes)));
typedef std::int32_t Integers __attribute__((vector_size(4 * lanes)));
typedef Argmax Bytes __attribute__((vector_size(lanes)));

// Calls body(i) for every i below a constant, or body(i, j, ...) for several constants, with the
// last index varying fastest, as if every call were written out.
//
// An array of vectors, a "register tile", stays in registers only if the compiler knows every index
// into it as a constant. So all loops over a tile are unrolled.
template <std::size_t count, std::size_t... inner, typename Body>
MNIST_INLINE void unrolled(Body body) {
#if defined(__clang__)
#pragma unroll
#else
#pragma GCC unroll 16
#endif
    for (std::size_t i = 0; i < count; ++i) {
        if constexpr (sizeof...(inner) == 0) {
            body(i);
        } else {
            unrolled<inner...>([&](auto... others) MNIST_INLINED {
                body(i, others...);
            });
        }
    }
}

template <std::size_t number>
struct Count {
    static constexpr std::size_t value = number;
};

// Splits 0..length into tiles of `most`, and the remainder into tiles of 1. Calls
// body(Count<size>{}, first) for each, so that the size of a tile is a constant too.
template <std::size_t most, typename Body>
MNIST_INLINE void for_each_tile(std::size_t length, Body body) {
    std::size_t first = 0;
    for (; first + most <= length; first += most) {
        body(Count<most>{}, first);
    }
    for (; first < length; ++first) {
        body(Count<1>{}, first);
    }
}

MNIST_INLINE std::size_t smaller(std::size_t one, std::size_t other) {
    return one < other ? one : other;
}
MNIST_INLINE std::size_t larger(std::size_t one, std::size_t other) {
    return one > other ? one : other;
}

// memcpy, because floats are not aligned like vectors. It compiles to one instruction.
MNIST_INLINE Floats load(const float* from) {
    Floats values;
    std::memcpy(&values, from, sizeof values);
    return values;
}

MNIST_INLINE void store(float* to, Floats values) { std::memcpy(to, &values, sizeof values); }

MNIST_INLINE void add(float* to, Floats values) { store(to, load(to) + values); }

MNIST_INLINE Floats broadcast(float value) { return value - Floats{}; }
MNIST_INLINE Integers broadcast(std::int32_t value) { return value - Integers{}; }

// 0, 1, 2, ...
MNIST_INLINE Integers lane_numbers() {
    Integers numbers;
    unrolled<lanes>([&](auto lane) MNIST_INLINED {
        numbers[lane] = static_cast<std::int32_t>(lane);
    });
    return numbers;
}

// Lane i of the result is lane from[i] of `first`, or lane from[i] - lanes of `second`.
MNIST_INLINE Floats shuffle(Floats first, Floats second, Integers from) {
#if defined(__clang__)
    Floats values;
    unrolled<lanes>([&](auto lane) MNIST_INLINED {
        const auto at = static_cast<std::size_t>(from[lane]);
        values[lane] = at < lanes ? first[at] : second[at - lanes];
    });
    return values;
#else
    return __builtin_shuffle(first, second, from);
#endif
}

// The maximum of each lane so far, and its position in the pooling window.
struct RunningMax {
    Floats value{};
    Integers position{};

    // Positions come in order, starting at 0.
    MNIST_INLINE void take(std::size_t at, Floats values) {
        if (at == 0) {
            value = values;
            position = Integers{};
            return;
        }
        // As in libtorch, the first of equal values wins, and NaN beats every number.
        const Integers wins = (values > value) | (values != values);
        value = wins ? values : value;
        position = wins ? broadcast(static_cast<std::int32_t>(at)) : position;
    }

    MNIST_INLINE Integers clipped() const { return value <= Floats{}; }
    MNIST_INLINE Floats relu() const { return clipped() ? Floats{} : value; }
    MNIST_INLINE Integers argmax() const {
        return clipped() ? broadcast(std::int32_t{no_argmax}) : position;
    }
    MNIST_INLINE void store_argmax(Argmax* to) const {
        const Bytes bytes = __builtin_convertvector(argmax(), Bytes);
        std::memcpy(to, &bytes, sizeof bytes);
    }
};

MNIST_INLINE Integers load_argmax(const Argmax* from) {
    Bytes bytes;
    std::memcpy(&bytes, from, sizeof bytes);
    return __builtin_convertvector(bytes, Integers);
}

// The argmax is only written if a backward pass will follow. Otherwise the pointer is null.
MNIST_INLINE Argmax* advanced(Argmax* argmax, std::size_t by) {
    return argmax == nullptr ? nullptr : argmax + by;
}

// A zeroed array that starts at a cache line: a vector that straddles two lines costs twice.
template <typename Number>
struct Buffer {
    static constexpr std::align_val_t cache_line{64};
    std::size_t length;
    Number* values;

    explicit Buffer(std::size_t length) :
        length(length),
        values(static_cast<Number*>(::operator new(length * sizeof(Number), cache_line))) {
        clear();
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { ::operator delete(values, cache_line); }

    MNIST_INLINE Number& operator[](std::size_t at) { return values[at]; }
    MNIST_INLINE const Number& operator[](std::size_t at) const { return values[at]; }
    void clear() { std::memset(values, 0, length * sizeof(Number)); }
};

// Values and their gradients, half a page apart. A loop reads from one and adds to the other at the
// same index. If they were a whole number of pages apart, each load would wait for the preceding
// store, because the processor first compares only the low 12 bits of addresses ("4K aliasing").
struct WithGradient {
    static constexpr std::size_t page = 4096 / sizeof(float);
    std::size_t length;
    Buffer<float> both;

    explicit WithGradient(std::size_t length) :
        length(length), both((length + page - 1) / page * page + page / 2 + length) {}

    MNIST_INLINE float* values() { return both.values; }
    MNIST_INLINE float* gradient() { return both.values + both.length - length; }
    void clear_gradient() { std::memset(gradient(), 0, length * sizeof(float)); }
};
