// The arguments of operators: from mnist_value to what a boxed call takes.
#pragma once

#include <vector>

#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>

#include "program.h"

namespace mnist {

// An argument of an operator. It is constant, or made of the values of slots when it is called.
struct Argument {
    enum class Source { constant, slot, slots, device };

    Source source = Source::constant;
    c10::IValue constant;
    // For `slots`, the elements of the list: the slots, or -1 and the element in `constants`.
    std::vector<std::int64_t> slots;
    std::vector<c10::IValue> constants;
    c10::TypePtr type;

    // The value in a call.
    c10::IValue value(const std::vector<c10::IValue>& values, const c10::Device& device) const;
};

// Checks that `value` suits an argument of type `type`.
Argument argument(const mnist_value& value, const c10::TypePtr& type);

} // namespace mnist
