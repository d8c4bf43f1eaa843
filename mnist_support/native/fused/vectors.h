// Several floats at once, in the compiler's own vector types.
//
// Included by for_processor.h, once for each generation of processors, in a namespace of its own.
// No template of the standard library may be used in there: the linker would keep one instance for
// all.

// Loops of a constant length, so that their vectors stay in registers.
#if defined(__clang__)
#define MNIST_UNROLL _Pragma("unroll")
#else
#define MNIST_UNROLL _Pragma("GCC unroll 16")
#endif

// As many floats as a register has.
constexpr std::size_t lanes = MNIST_LANES;

#define MNIST_INLINE __attribute__((always_inline)) inline

typedef float Floats __attribute__((vector_size(4 * lanes)));
typedef std::int32_t Integers __attribute__((vector_size(4 * lanes)));
typedef Winner Winners __attribute__((vector_size(lanes)));

MNIST_INLINE Floats load(const float* from) {
    Floats values;
    std::memcpy(&values, from, sizeof values);
    return values;
}

MNIST_INLINE void store(float* to, Floats values) { std::memcpy(to, &values, sizeof values); }

MNIST_INLINE void add(float* to, Floats values) { store(to, load(to) + values); }

MNIST_INLINE Floats splat(float value) { return value - Floats{}; }

MNIST_INLINE Integers each_lane() {
    Integers numbers;
    MNIST_UNROLL
    for (std::size_t lane = 0; lane < lanes; ++lane) {
        numbers[lane] = static_cast<std::int32_t>(lane);
    }
    return numbers;
}

// The lanes `from` of a vector, and of a second one whose lanes are counted on.
MNIST_INLINE Floats picked(Floats first, Floats second, Integers from) {
#if defined(__clang__)
    Floats values;
    MNIST_UNROLL
    for (std::size_t lane = 0; lane < lanes; ++lane) {
        const auto at = static_cast<std::size_t>(from[lane]);
        values[lane] = at < lanes ? first[at] : second[at - lanes];
    }
    return values;
#else
    return __builtin_shuffle(first, second, from);
#endif
}

// The highest value of each lane so far, and the position that it came from.
struct Highest {
    Floats value{};
    Integers position{};

    MNIST_INLINE void take(std::size_t at, Floats values) {
        if (at == 0) {
            value = values;
            position = Integers{};
            return;
        }
        // As in libtorch: the first of equals wins, and NaN over every number.
        const Integers wins = (values > value) | (values != values);
        value = wins ? values : value;
        position = wins ? static_cast<std::int32_t>(at) - Integers{} : position;
    }

    MNIST_INLINE Integers held_back() const { return value <= Floats{}; }
    MNIST_INLINE Floats rectified() const { return held_back() ? Floats{} : value; }
    MNIST_INLINE Integers winning_positions() const {
        return held_back() ? std::int32_t{no_winner} - Integers{} : position;
    }
    MNIST_INLINE Winners winners() const {
        return __builtin_convertvector(winning_positions(), Winners);
    }
};

// Numbers that begin as 0. The first is at the beginning of a cache line: a vector that lies across
// two costs twice.
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

// Floats that are read, and as many that are added to, half a page apart: a load waits for a store
// to another address where the two end in the same 12 bits.
struct Halves {
    static constexpr std::size_t page = 4096 / sizeof(float);
    std::size_t length;
    Buffer<float> both;

    explicit Halves(std::size_t length) :
        length(length), both((length + page - 1) / page * page + page / 2 + length) {}

    MNIST_INLINE float* read() { return both.values; }
    MNIST_INLINE float* added() { return both.values + both.length - length; }
    void clear_added() { std::memset(added(), 0, length * sizeof(float)); }
};
