// SIMD in the compiler's own vector types: a vector holds `lanes` floats and is added, multiplied
// and compared as if it were one.
//
// for_processor.h includes this file once for each generation of processors, in a namespace of its
// own. No function template of the standard library may be used in there: the linker keeps one
// instance of it for all, perhaps the one with instructions that this processor lacks.

#define MNIST_INLINE __attribute__((always_inline)) inline
// The same for a lambda, after its parameters.
#define MNIST_INLINED __attribute__((always_inline))
// For a loop that runs long and needs every register: within a large function GCC gives it fewer.
#define MNIST_NOINLINE __attribute__((noinline))

// As many floats as a register holds.
constexpr std::size_t lanes = MNIST_LANES;

typedef float Floats __attribute__((vector_size(4 * lanes)));
typedef std::int32_t Integers __attribute__((vector_size(4 * lanes)));
typedef Argmax Bytes __attribute__((vector_size(lanes)));

// Calls body(i) for every i below a constant, or body(i, j, ...) for several constants, the last
// index fastest, as if every call were written out.
//
// An array of vectors, a "register tile", stays in registers only if each of its indices is a
// constant to the compiler. So whatever touches a tile is unrolled.
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

// Cuts 0..length into tiles of `most`, and what is left over into tiles of 1. Calls
// body(Count<size>{}, first) for each, so that the size of a tile is a constant, too.
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

// memcpy, because floats are not aligned as vectors must be; it becomes one instruction.
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

// The maximum of each lane so far, and the position in its pooling window that it came from.
struct RunningMax {
    Floats value{};
    Integers position{};

    // Positions come in order, from 0 on.
    MNIST_INLINE void take(std::size_t at, Floats values) {
        if (at == 0) {
            value = values;
            position = Integers{};
            return;
        }
        // As in libtorch: the first of equals wins, and NaN beats every number.
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

// An argmax is only written where a backward pass will follow: elsewhere the pointer is null.
MNIST_INLINE Argmax* advanced(Argmax* argmax, std::size_t by) {
    return argmax == nullptr ? nullptr : argmax + by;
}

// An array that begins as zeros, at the start of a cache line: a vector that lies across two lines
// costs twice.
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

// Values and, of the same length, their gradients, half a page apart. A loop reads the one and adds
// to the other at the same index; were they a whole number of pages apart, each load would wait for
// the store before it, because the processor compares the low 12 bits of addresses first ("4K
// aliasing").
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
