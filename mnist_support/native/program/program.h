// Runs a graph of ATen operators: the interface to Rust. Errors are reported as described in
// message.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace at {
class Tensor;
}

extern "C" {

struct mnist_program;

// The kinds of mnist_value. The numbers are also in native.rs.
enum mnist_kind : std::int32_t {
    mnist_none = 0,
    mnist_slot = 1, // integer is the index of a slot
    mnist_int = 2,
    mnist_float = 3,
    mnist_bool = 4,
    mnist_text = 5,
    mnist_list = 6,
    mnist_device = 7, // the device that the program runs on
};

// An argument of an operator. Enums such as dtypes are integers, as in a boxed call.
struct mnist_value {
    std::int32_t kind;
    std::int64_t integer;
    double number;
    const char* text;
    const mnist_value* items;
    std::size_t length;
};

// A program whose values have `slots` places. The first `inputs` are its inputs.
char* mnist_program_new(std::size_t slots, std::size_t inputs, mnist_program** program);

void mnist_program_free(mnist_program* program);

// Gives an input a value that never changes. A call takes the other inputs, in order.
char* mnist_program_constant(mnist_program* program, std::size_t slot, const at::Tensor* value);

// Appends a call of an operator, `aten::NAME` with its overload, or a Python function on numbers,
// such as `_operator.mul`. `outputs` are the slots of its results, -1 for one that nobody uses;
// with `list`, they are the elements of its one result.
char* mnist_program_add(
    mnist_program* program,
    const char* name,
    const char* overload,
    const char* const* argument_names,
    const mnist_value* arguments,
    std::size_t argument_count,
    const std::int64_t* outputs,
    std::size_t output_count,
    bool list
);

// Completes a program whose result is in the slot `output`. In training, the value of
// `sources[i]` is afterwards copied to the input `targets[i]`.
char* mnist_program_finish(
    mnist_program* program,
    std::size_t output,
    const std::size_t* sources,
    const std::size_t* targets,
    std::size_t mutation_count
);

// How a program treats an input: whether an operator reads it, whether training changes it, and
// whether it changes it in no other way than by adding a constant.
void mnist_program_input(
    const mnist_program* program, std::size_t slot, bool* used, bool* changed, bool* counted
);

// The number of operators that were exported in training, and in evaluation mode.
void mnist_program_modes(
    const mnist_program* program, std::size_t* training, std::size_t* evaluation
);

// Runs the program. `inputs` are those that are not constant. Random numbers depend on `seed`
// alone. If an operator fails, `failed` is its index, otherwise -1.
char* mnist_program_run(
    const mnist_program* program,
    const at::Tensor* const* inputs,
    std::size_t input_count,
    bool training,
    std::uint64_t seed,
    at::Tensor** output,
    std::int64_t* failed
);

} // extern "C"
