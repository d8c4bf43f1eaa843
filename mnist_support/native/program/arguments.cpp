#include "arguments.h"

#include <ATen/ScalarOps.h>
#include <c10/util/Exception.h>

namespace mnist {

namespace {

using c10::IValue;
using c10::TypeKind;
using c10::TypePtr;

TypePtr without_optional(const TypePtr& type) {
    const auto optional = type->cast<c10::OptionalType>();
    return optional ? optional->getElementType() : type;
}

bool is_integer(const TypePtr& type) {
    // Dtypes, layouts and memory formats are integers in a schema, too.
    switch (type->kind()) {
        case TypeKind::IntType:
        case TypeKind::SymIntType:
        case TypeKind::ScalarTypeType:
        case TypeKind::LayoutType:
        case TypeKind::MemoryFormatType:
            return true;
        default:
            return false;
    }
}

// A number where a tensor is needed takes part in type promotion as a number.
IValue wrapped_number(const IValue& number) {
    at::Tensor tensor = c10::scalar_to_tensor(number.toScalar());
    tensor.unsafeGetTensorImpl()->set_wrapped_number(true);
    return tensor;
}

// Converts a value to what an argument of type `type` takes: Python is less strict.
IValue converted(const IValue& value, const TypePtr& type) {
    const auto kind = type->kind();
    if (kind == TypeKind::FloatType || kind == TypeKind::SymFloatType) {
        return value.isInt() ? IValue(static_cast<double>(value.toInt())) : value;
    }
    if (kind == TypeKind::TensorType && (value.isInt() || value.isDouble() || value.isBool())) {
        return wrapped_number(value);
    }
    return value;
}

void check(bool suits, const TypePtr& type) {
    TORCH_CHECK(suits, "an argument is not of the type ", type->str());
}

// A value that is no list and no slot.
IValue scalar(const mnist_value& value, const TypePtr& type) {
    const auto kind = type->kind();
    const bool number = kind == TypeKind::NumberType;
    const bool real = number || kind == TypeKind::FloatType || kind == TypeKind::SymFloatType;
    const bool tensor = kind == TypeKind::TensorType;
    switch (value.kind) {
        case mnist_int:
            check(is_integer(type) || real || tensor || kind == TypeKind::BoolType, type);
            if (kind == TypeKind::BoolType) {
                return value.integer != 0;
            }
            return converted(value.integer, type);
        case mnist_float:
            check(real || tensor, type);
            return converted(value.number, type);
        case mnist_bool:
            check(
                number || tensor || kind == TypeKind::BoolType || kind == TypeKind::SymBoolType,
                type
            );
            return converted(value.integer != 0, type);
        case mnist_text:
            check(kind == TypeKind::StringType, type);
            return std::string(value.text, value.length);
        default:
            check(false, type);
            return {};
    }
}

// A list of the type that an operator takes.
IValue list(const std::vector<IValue>& elements, const TypePtr& type) {
    if (is_integer(type)) {
        c10::List<std::int64_t> list;
        for (const IValue& element : elements) {
            list.push_back(element.toInt());
        }
        return list;
    }
    switch (type->kind()) {
        case TypeKind::FloatType: {
            c10::List<double> list;
            for (const IValue& element : elements) {
                list.push_back(element.toDouble());
            }
            return list;
        }
        case TypeKind::BoolType: {
            c10::List<bool> list;
            for (const IValue& element : elements) {
                list.push_back(element.toBool());
            }
            return list;
        }
        case TypeKind::TensorType: {
            c10::List<at::Tensor> list;
            for (const IValue& element : elements) {
                list.push_back(element.toTensor());
            }
            return list;
        }
        case TypeKind::OptionalType: {
            c10::List<std::optional<at::Tensor>> list;
            for (const IValue& element : elements) {
                list.push_back(element.toOptional<at::Tensor>());
            }
            return list;
        }
        default: {
            c10::impl::GenericList list(type);
            for (const IValue& element : elements) {
                list.push_back(element);
            }
            return list;
        }
    }
}

Argument list_argument(const mnist_value& value, const c10::ListType& type, TypePtr own) {
    const TypePtr element = type.getElementType();
    Argument argument;
    argument.type = std::move(own);
    bool constant = true;
    for (std::size_t index = 0; index < value.length; ++index) {
        const mnist_value& item = value.items[index];
        const bool slot = item.kind == mnist_slot;
        constant = constant && !slot;
        argument.slots.push_back(slot ? item.integer : -1);
        const bool none = slot || item.kind == mnist_none;
        check(slot || !none || element->kind() == TypeKind::OptionalType, element);
        argument.constants.push_back(none ? IValue() : scalar(item, without_optional(element)));
    }
    if (constant) {
        argument.constant = list(argument.constants, element);
    } else {
        argument.source = Argument::Source::slots;
    }
    return argument;
}

} // namespace

IValue Argument::value(const std::vector<IValue>& values, const c10::Device& device) const {
    switch (source) {
        case Source::slot:
            return converted(values[static_cast<std::size_t>(slots.front())], type);
        case Source::slots: {
            std::vector<IValue> elements = constants;
            for (std::size_t index = 0; index < slots.size(); ++index) {
                if (slots[index] >= 0) {
                    elements[index] = values[static_cast<std::size_t>(slots[index])];
                }
            }
            return list(elements, type->expectRef<c10::ListType>().getElementType());
        }
        case Source::device:
            return device;
        default:
            return constant;
    }
}

Argument argument(const mnist_value& value, const TypePtr& declared) {
    const TypePtr type = without_optional(declared);
    const auto as_list = type->cast<c10::ListType>();
    Argument argument;
    argument.type = type;
    switch (value.kind) {
        case mnist_none:
            check(declared->kind() == TypeKind::OptionalType, declared);
            return argument;
        case mnist_slot:
            argument.source = Argument::Source::slot;
            argument.slots = {value.integer};
            return argument;
        case mnist_device:
            check(type->kind() == TypeKind::DeviceObjType, type);
            argument.source = Argument::Source::device;
            return argument;
        case mnist_list:
            check(as_list != nullptr, type);
            return list_argument(value, *as_list, type);
        default:
            if (as_list) {
                // int[2] takes one number for both.
                argument.constant =
                    list({scalar(value, as_list->getElementType())}, as_list->getElementType());
            } else {
                argument.constant = scalar(value, type);
            }
            return argument;
    }
}

} // namespace mnist
