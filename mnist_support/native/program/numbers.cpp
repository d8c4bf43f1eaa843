#include "numbers.h"

#include <cmath>
#include <cstdint>
#include <unordered_map>

#include <c10/util/Exception.h>

namespace mnist {

namespace {

using c10::IValue;
using Values = std::vector<IValue>;

bool integers(const Values& values) {
    for (const IValue& value : values) {
        if (!value.isInt() && !value.isBool()) {
            return false;
        }
    }
    return true;
}

std::int64_t integer(const IValue& value) {
    return value.isBool() ? static_cast<std::int64_t>(value.toBool()) : value.toInt();
}

double number(const IValue& value) {
    return value.isDouble() ? value.toDouble() : static_cast<double>(integer(value));
}

bool truth(const IValue& value) { return number(value) != 0; }

void check(bool overflows) { TORCH_CHECK(!overflows, "a size is too large"); }

IValue add(const Values& v) {
    if (!integers(v)) {
        return number(v[0]) + number(v[1]);
    }
    std::int64_t sum = 0;
    check(__builtin_add_overflow(integer(v[0]), integer(v[1]), &sum));
    return sum;
}

IValue sub(const Values& v) {
    if (!integers(v)) {
        return number(v[0]) - number(v[1]);
    }
    std::int64_t difference = 0;
    check(__builtin_sub_overflow(integer(v[0]), integer(v[1]), &difference));
    return difference;
}

IValue mul(const Values& v) {
    if (!integers(v)) {
        return number(v[0]) * number(v[1]);
    }
    std::int64_t product = 0;
    check(__builtin_mul_overflow(integer(v[0]), integer(v[1]), &product));
    return product;
}

IValue floordiv(const Values& v) {
    if (!integers(v)) {
        return std::floor(number(v[0]) / number(v[1]));
    }
    const std::int64_t above = integer(v[0]), below = integer(v[1]);
    TORCH_CHECK(below != 0, "division by zero");
    check(below == -1 && above == INT64_MIN);
    const std::int64_t quotient = above / below;
    return quotient - (above % below != 0 && (above < 0) != (below < 0) ? 1 : 0);
}

IValue mod(const Values& v) {
    if (!integers(v)) {
        const double below = number(v[1]), rest = std::fmod(number(v[0]), below);
        return rest != 0 && (rest < 0) != (below < 0) ? rest + below : rest;
    }
    const std::int64_t above = integer(v[0]), below = integer(v[1]);
    TORCH_CHECK(below != 0, "division by zero");
    const std::int64_t rest = below == -1 ? 0 : above % below;
    return rest != 0 && (rest < 0) != (below < 0) ? rest + below : rest;
}

IValue truediv(const Values& v) {
    TORCH_CHECK(number(v[1]) != 0, "division by zero");
    return number(v[0]) / number(v[1]);
}

IValue power(const Values& v) {
    if (!integers(v) || integer(v[1]) < 0) {
        return std::pow(number(v[0]), number(v[1]));
    }
    const std::int64_t base = integer(v[0]), exponent = integer(v[1]);
    if (base >= -1 && base <= 1) {
        return exponent == 0 ? std::int64_t{1} : exponent % 2 == 0 ? base * base : base;
    }
    check(exponent >= 64);
    std::int64_t result = 1;
    for (std::int64_t factor = 0; factor < exponent; ++factor) {
        check(__builtin_mul_overflow(result, base, &result));
    }
    return result;
}

IValue whole(double value) {
    check(!(std::abs(value) < 9e18));
    return static_cast<std::int64_t>(value);
}

struct Entry {
    std::size_t arguments;
    Function function;
};

const std::unordered_map<std::string, Entry>& functions() {
    static const std::unordered_map<std::string, Entry> functions = {
        {"_operator.add", {2, add}},
        {"_operator.sub", {2, sub}},
        {"_operator.mul", {2, mul}},
        {"_operator.floordiv", {2, floordiv}},
        {"_operator.truediv", {2, truediv}},
        {"_operator.mod", {2, mod}},
        {"_operator.pow", {2, power}},
        {"_operator.neg",
         {1,
          [](const Values& v) {
              return sub({std::int64_t{0}, v[0]});
          }}},
        {"_operator.pos",
         {1,
          [](const Values& v) {
              return v[0];
          }}},
        {"_operator.eq",
         {2,
          [](const Values& v) {
              return IValue(number(v[0]) == number(v[1]));
          }}},
        {"_operator.ne",
         {2,
          [](const Values& v) {
              return IValue(number(v[0]) != number(v[1]));
          }}},
        {"_operator.lt",
         {2,
          [](const Values& v) {
              return IValue(number(v[0]) < number(v[1]));
          }}},
        {"_operator.le",
         {2,
          [](const Values& v) {
              return IValue(number(v[0]) <= number(v[1]));
          }}},
        {"_operator.gt",
         {2,
          [](const Values& v) {
              return IValue(number(v[0]) > number(v[1]));
          }}},
        {"_operator.ge",
         {2,
          [](const Values& v) {
              return IValue(number(v[0]) >= number(v[1]));
          }}},
        {"_operator.and_",
         {2,
          [](const Values& v) {
              return IValue(truth(v[0]) && truth(v[1]));
          }}},
        {"_operator.or_",
         {2,
          [](const Values& v) {
              return IValue(truth(v[0]) || truth(v[1]));
          }}},
        {"_operator.not_",
         {1,
          [](const Values& v) {
              return IValue(!truth(v[0]));
          }}},
        {"math.ceil",
         {1,
          [](const Values& v) {
              return whole(std::ceil(number(v[0])));
          }}},
        {"math.floor",
         {1,
          [](const Values& v) {
              return whole(std::floor(number(v[0])));
          }}},
        {"math.trunc",
         {1,
          [](const Values& v) {
              return whole(std::trunc(number(v[0])));
          }}},
        {"torch.sym_int",
         {1,
          [](const Values& v) {
              return whole(std::trunc(number(v[0])));
          }}},
        {"torch.sym_float",
         {1,
          [](const Values& v) {
              return IValue(number(v[0]));
          }}},
        {"torch.sym_not",
         {1,
          [](const Values& v) {
              return IValue(!truth(v[0]));
          }}},
        {"torch.sym_sqrt",
         {1,
          [](const Values& v) {
              return IValue(std::sqrt(number(v[0])));
          }}},
        {"torch._sym_sqrt",
         {1,
          [](const Values& v) {
              return IValue(std::sqrt(number(v[0])));
          }}},
        {"torch.sym_max",
         {2,
          [](const Values& v) {
              return number(v[0]) >= number(v[1]) ? v[0] : v[1];
          }}},
        {"torch.sym_min",
         {2,
          [](const Values& v) {
              return number(v[0]) <= number(v[1]) ? v[0] : v[1];
          }}},
        {"torch.sym_ite", {3, [](const Values& v) {
                               return truth(v[0]) ? v[1] : v[2];
                           }}},
    };
    return functions;
}

} // namespace

Function function_on_numbers(const std::string& name, std::size_t* arguments) {
    const auto found = functions().find(name);
    if (found == functions().end()) {
        return nullptr;
    }
    *arguments = found->second.arguments;
    return found->second.function;
}

} // namespace mnist
