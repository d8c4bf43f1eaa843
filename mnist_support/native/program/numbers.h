// Python's functions on numbers, with which exported programs compute sizes.
#pragma once

#include <string>
#include <vector>

#include <ATen/core/ivalue.h>

namespace mnist {

using Function = c10::IValue (*)(const std::vector<c10::IValue>&);

// The function of this name, such as `_operator.mul`, and how many arguments it takes. Null if
// there is none.
Function function_on_numbers(const std::string& name, std::size_t* arguments);

} // namespace mnist
