#include "program.h"

#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/max_pool2d.h>

#include "../fused/fused.h"
#include "../message.h"
#include "arguments.h"
#include "numbers.h"
#include "random.h"

namespace {

using c10::IValue;
using mnist::Argument;
using Values = std::vector<IValue>;

// What is special about an operator.
enum class Kind {
    plain,
    dropout,
    dropout_, // in place
    feature_dropout,
    random, // draws from libtorch's own generator
    convolution,
    view,
    embedding,
    batch_norm,
    fused, // a convolution, a ReLU and a max-pooling in one
};

struct Node {
    std::string name;
    std::optional<c10::OperatorHandle> handle;
    mnist::Function function = nullptr;
    Kind kind = Kind::plain;
    std::vector<Argument> arguments;
    // The argument that says whether this is training, and the probability of a dropout inside an
    // operator: -1 if there is none.
    std::ptrdiff_t training = -1;
    std::ptrdiff_t dropout_p = -1;
    std::vector<std::int64_t> outputs;
    bool list = false;
    // The place of the operator in the exported graph, for messages.
    std::int64_t index = 0;
    // What a fused block needs beside its arguments.
    std::int64_t padding = 0;
    std::int64_t pool = 0;
    // The slots that nobody reads after this node.
    std::vector<std::size_t> released;
};

// How an operator changes an input.
enum class Change { none, counted, other };

struct Input {
    bool used = false;
    Change change = Change::none;
};

} // namespace

struct mnist_program {
    std::vector<Node> nodes;
    std::vector<Input> inputs;
    // The constant inputs have their values here.
    Values slots;
    // For each slot, the input whose memory it may share, or -1.
    std::vector<std::ptrdiff_t> roots;
    // Whether a slot came from a view, which a copy may replace in channels_last.
    std::vector<bool> viewed;
    bool channels_last = true;
    std::size_t output = 0;
    std::vector<std::size_t> sources;
    std::vector<std::size_t> targets;
    std::size_t training = 0;
    std::size_t evaluation = 0;
};

namespace {

// The operators that dropout is, and those that draw although no tag says so.
Kind kind_of(const std::string& name, const c10::OperatorHandle& handle) {
    static const std::unordered_map<std::string, Kind> kinds = {
        {"aten::dropout", Kind::dropout},
        {"aten::dropout_", Kind::dropout_},
        {"aten::feature_dropout", Kind::feature_dropout},
        {"aten::feature_dropout_", Kind::random},
        {"aten::alpha_dropout", Kind::random},
        {"aten::alpha_dropout_", Kind::random},
        {"aten::feature_alpha_dropout", Kind::random},
        {"aten::feature_alpha_dropout_", Kind::random},
        {"aten::lstm", Kind::random},
        {"aten::gru", Kind::random},
        {"aten::rnn_tanh", Kind::random},
        {"aten::rnn_relu", Kind::random},
        {"aten::conv2d", Kind::convolution},
        {"aten::view", Kind::view},
        {"aten::embedding", Kind::embedding},
        {"aten::batch_norm", Kind::batch_norm},
    };
    if (const auto found = kinds.find(name); found != kinds.end()) {
        return found->second;
    }
    return handle.hasTag(at::Tag::nondeterministic_seeded) ? Kind::random : Kind::plain;
}

// Operators whose result depends on how a tensor lies in memory.
bool depends_on_strides(const std::string& name) {
    static const std::unordered_set<std::string> names = {
        "aten::as_strided",
        "aten::as_strided_",
        "aten::as_strided_copy",
        "aten::stride",
        "aten::sym_stride",
        "aten::is_contiguous",
        "aten::sym_is_contiguous",
        "aten::storage_offset",
        "aten::sym_storage_offset",
        "aten::resize_",
        "aten::resize",
        "aten::as_strided_scatter",
    };
    return names.count(name) != 0;
}

std::ptrdiff_t root_of(const mnist_program& program, const Argument& argument) {
    for (const std::int64_t slot : argument.slots) {
        if (slot >= 0 && program.roots[static_cast<std::size_t>(slot)] >= 0) {
            return program.roots[static_cast<std::size_t>(slot)];
        }
    }
    return -1;
}

void change(mnist_program& program, const Argument& argument, Change how) {
    for (const std::int64_t slot : argument.slots) {
        if (slot < 0) {
            continue;
        }
        if (program.viewed[static_cast<std::size_t>(slot)]) {
            // A copy in place of the view would keep the change from what it is a view of.
            program.channels_last = false;
        }
        const std::ptrdiff_t root = program.roots[static_cast<std::size_t>(slot)];
        if (root < 0) {
            continue;
        }
        Change& so_far = program.inputs[static_cast<std::size_t>(root)].change;
        so_far = so_far == Change::other ? so_far : how;
    }
}

// Follows which values share memory with inputs, and which operators change them.
void follow_memory(mnist_program& program, const Node& node) {
    const auto& schema = node.handle->schema().arguments();
    std::ptrdiff_t shared = -1;
    bool viewed = node.kind == Kind::view;
    bool aliases = false;
    for (std::size_t index = 0; index < schema.size(); ++index) {
        const auto* alias = schema[index].alias_info();
        const Argument& argument = node.arguments[index];
        if (alias == nullptr) {
            continue;
        }
        aliases = true;
        if (alias->isWrite()) {
            const bool counts = node.name == "aten::add_" && index == 0 &&
                                node.arguments[1].source == Argument::Source::constant;
            change(program, argument, counts ? Change::counted : Change::other);
        }
        if (shared < 0) {
            shared = root_of(program, argument);
        }
        for (const std::int64_t slot : argument.slots) {
            viewed = viewed || (slot >= 0 && program.viewed[static_cast<std::size_t>(slot)]);
        }
    }
    for (const std::int64_t output : node.outputs) {
        if (output >= 0) {
            program.roots[static_cast<std::size_t>(output)] = shared;
            program.viewed[static_cast<std::size_t>(output)] = aliases && viewed;
        }
    }
}

// Finds the argument that says whether an operator is in training.
void find_mode(mnist_program& program, Node& node) {
    const auto& schema = node.handle->schema().arguments();
    const auto index_of = [&](const char* name) {
        for (std::size_t index = 0; index < schema.size(); ++index) {
            if (schema[index].name() == name) {
                return static_cast<std::ptrdiff_t>(index);
            }
        }
        return std::ptrdiff_t{-1};
    };
    const auto argument = [&](std::ptrdiff_t index) -> Argument& {
        return node.arguments[static_cast<std::size_t>(index)];
    };
    if (const auto p = index_of("dropout_p"); p >= 0 && argument(p).constant.isDouble()) {
        if (argument(p).constant.toDouble() > 0) {
            node.dropout_p = p;
            ++program.training;
        } else {
            node.kind = Kind::plain; // draws nothing
        }
    }
    const auto mean = index_of("running_mean"), variance = index_of("running_var");
    for (const char* name : {"train", "training", "use_input_stats"}) {
        const auto flag = index_of(name);
        if (flag < 0 || !argument(flag).constant.isBool()) {
            continue;
        }
        const bool on = argument(flag).constant.toBool();
        // Without running statistics, a normalisation always goes by the batch.
        const bool by_batch = mean >= 0 && argument(mean).source == Argument::Source::constant;
        if (!by_batch) {
            ++(on ? program.training : program.evaluation);
            node.training = on ? flag : -1;
        }
        if (on && mean >= 0 && variance >= 0) {
            change(program, argument(mean), Change::other);
            change(program, argument(variance), Change::other);
        }
        if (!on) {
            node.kind = Kind::plain; // draws nothing
        }
    }
    if (const auto p = index_of("dropout");
        p >= 0 && argument(p).constant.isDouble() && argument(p).constant.toDouble() == 0) {
        node.kind = Kind::plain;
    }
}

void add_operator(
    mnist_program& program,
    Node& node,
    const std::string& overload,
    const char* const* names,
    const mnist_value* values,
    std::size_t count
) {
    node.handle = c10::Dispatcher::singleton().findSchema({node.name, overload});
    TORCH_CHECK(node.handle, "this libtorch does not have the operator");
    const auto& schema = node.handle->schema();
    TORCH_CHECK(!schema.is_vararg() && !schema.is_varret(), "its arguments have no types");
    std::vector<bool> taken(count, false);
    for (const auto& declared : schema.arguments()) {
        std::size_t given = 0;
        while (given < count && declared.name() != names[given]) {
            ++given;
        }
        if (given < count) {
            taken[given] = true;
            node.arguments.push_back(mnist::argument(values[given], declared.type()));
        } else {
            TORCH_CHECK(declared.default_value(), "the argument ", declared.name(), " is missing");
            Argument argument;
            argument.constant = *declared.default_value();
            node.arguments.push_back(std::move(argument));
        }
    }
    for (std::size_t given = 0; given < count; ++given) {
        TORCH_CHECK(taken[given], "it has no argument ", names[given]);
    }
    const std::size_t results = schema.returns().size();
    TORCH_CHECK(
        node.list ? results == 1 : results == node.outputs.size(), "it returns ", results, " values"
    );
    node.kind = kind_of(node.name, *node.handle);
    program.channels_last = program.channels_last && !depends_on_strides(node.name);
    find_mode(program, node);
    follow_memory(program, node);
}

// The slots that a node reads.
template <typename Visit>
void visit_reads(const Node& node, Visit visit) {
    for (const Argument& argument : node.arguments) {
        for (const std::int64_t slot : argument.slots) {
            if (slot >= 0) {
                visit(static_cast<std::size_t>(slot));
            }
        }
    }
}

// The pair of equal integers that an argument is, or -1.
std::int64_t square(const Argument& argument) {
    if (!argument.constant.isIntList()) {
        return -1;
    }
    const auto values = argument.constant.toIntVector();
    const bool equal = values.size() == 1 || (values.size() == 2 && values[0] == values[1]);
    return equal ? values[0] : -1;
}

// Replaces a convolution, a ReLU and a max-pooling by the fused block, where it can do the same.
void fuse(mnist_program& program) {
    std::vector<std::size_t> readers(program.slots.size(), 0);
    for (const Node& node : program.nodes) {
        visit_reads(node, [&](std::size_t slot) {
            ++readers[slot];
        });
    }
    ++readers[program.output];
    for (const std::size_t source : program.sources) {
        ++readers[source];
    }
    const auto follows = [&](const Node& node, const Node& next) {
        return node.outputs.size() == 1 && node.outputs[0] >= 0 &&
               readers[static_cast<std::size_t>(node.outputs[0])] == 1 && !next.arguments.empty() &&
               next.arguments[0].source == Argument::Source::slot &&
               next.arguments[0].slots.front() == node.outputs[0];
    };
    std::vector<Node> nodes;
    for (std::size_t index = 0; index < program.nodes.size(); ++index) {
        Node& first = program.nodes[index];
        if (index + 2 < program.nodes.size() && first.name == "aten::conv2d" &&
            first.arguments.size() == 7) {
            const Node& second = program.nodes[index + 1];
            const Node& third = program.nodes[index + 2];
            const auto& conv = first.arguments;
            const bool plain_convolution = conv[2].source == Argument::Source::slot &&
                                           square(conv[3]) == 1 && square(conv[4]) >= 0 &&
                                           square(conv[5]) == 1 && conv[6].constant.isInt() &&
                                           conv[6].constant.toInt() == 1;
            const bool relu = second.name == "aten::relu" || second.name == "aten::relu_";
            if (plain_convolution && relu && follows(first, second) &&
                third.name == "aten::max_pool2d" && follows(second, third)) {
                const auto& pool = third.arguments;
                const std::int64_t size = square(pool[1]);
                const bool by_default =
                    pool[2].constant.isIntList() && pool[2].constant.toIntVector().empty();
                // The block stores a position within a window in one byte.
                if (size >= 1 && size <= 15 && (by_default || square(pool[2]) == size) &&
                    square(pool[3]) == 0 && square(pool[4]) == 1 && !pool[5].constant.toBool()) {
                    first.kind = Kind::fused;
                    first.padding = square(conv[4]);
                    first.pool = size;
                    first.outputs = third.outputs;
                    index += 2;
                    nodes.push_back(std::move(first));
                    continue;
                }
            }
        }
        nodes.push_back(std::move(first));
    }
    program.nodes = std::move(nodes);
}

// Notes after which node each value is no longer needed.
void release_early(mnist_program& program) {
    std::vector<bool> needed(program.slots.size(), false);
    for (std::size_t input = 0; input < program.inputs.size(); ++input) {
        needed[input] = true;
    }
    needed[program.output] = true;
    for (const std::size_t source : program.sources) {
        needed[source] = true;
    }
    for (auto node = program.nodes.rbegin(); node != program.nodes.rend(); ++node) {
        const auto last = [&](std::size_t slot) {
            if (!needed[slot]) {
                needed[slot] = true;
                node->released.push_back(slot);
            }
        };
        visit_reads(*node, last);
        for (const std::int64_t output : node->outputs) {
            if (output >= 0) {
                last(static_cast<std::size_t>(output));
            }
        }
    }
}

// One run of a program.
struct Run {
    const mnist_program& program;
    bool training;
    c10::Device device;
    mnist::Random random;
    Values values;

    at::Tensor tensor(const Node& node, std::size_t argument) const {
        return node.arguments[argument].value(values, device).toTensor();
    }

    double number(const Node& node, std::size_t argument) const {
        return node.arguments[argument].value(values, device).toDouble();
    }

    torch::jit::Stack stack(const Node& node) const {
        torch::jit::Stack stack;
        stack.reserve(node.arguments.size());
        for (const Argument& argument : node.arguments) {
            stack.push_back(argument.value(values, device));
        }
        if (!training && node.training >= 0) {
            stack[static_cast<std::size_t>(node.training)] = false;
        }
        if (!training && node.dropout_p >= 0) {
            stack[static_cast<std::size_t>(node.dropout_p)] = 0.0;
        }
        return stack;
    }

    void set(const Node& node, std::size_t output, IValue value) {
        if (node.outputs[output] >= 0) {
            values[static_cast<std::size_t>(node.outputs[output])] = std::move(value);
        }
    }

    void call(const Node& node) {
        torch::jit::Stack stack = this->stack(node);
        if (node.kind == Kind::convolution) {
            suit_memory(stack);
        }
        if (node.kind == Kind::view && program.channels_last &&
            !stack[0].toTensor().is_contiguous()) {
            set(node, 0, stack[0].toTensor().reshape(stack[1].toIntVector()));
            return;
        }
        const auto boxed = [&] {
            node.handle->callBoxed(&stack);
        };
        const bool only_in_training = node.training >= 0 || node.dropout_p >= 0;
        if (node.kind == Kind::random && (training || !only_in_training)) {
            random.with_own_generator(device, boxed);
        } else {
            boxed();
        }
        if (node.list) {
            const auto list = stack.at(0).toListRef();
            TORCH_CHECK(
                list.size() == node.outputs.size(), "it returned ", list.size(), " tensors"
            );
            for (std::size_t output = 0; output < list.size(); ++output) {
                set(node, output, list[output]);
            }
            return;
        }
        TORCH_CHECK(stack.size() == node.outputs.size(), "it returned ", stack.size(), " values");
        for (std::size_t output = 0; output < stack.size(); ++output) {
            set(node, output, std::move(stack[output]));
        }
    }

    // On a CPU, libtorch's convolutions and poolings are faster in channels_last, and preserve it.
    void suit_memory(torch::jit::Stack& stack) const {
        if (!program.channels_last || !device.is_cpu()) {
            return;
        }
        const at::Tensor& images = stack[0].toTensor();
        if (images.dim() != 4) {
            return;
        }
        if (images.size(1) == 1) {
            // No data moves, but libtorch goes by the strides.
            stack[0] = images.contiguous()
                           .view({images.size(0), images.size(2), images.size(3), 1})
                           .permute({0, 3, 1, 2});
        } else {
            stack[0] = images.contiguous(at::MemoryFormat::ChannelsLast);
        }
    }

    void dropout(const Node& node) {
        const at::Tensor input = tensor(node, 0);
        const double p = number(node, 1);
        TORCH_CHECK(p >= 0 && p <= 1, "the probability of dropout is ", p);
        if (!training || node.training < 0 || p == 0) {
            set(node, 0, input);
            return;
        }
        std::vector<std::int64_t> shape = input.sizes().vec();
        if (node.kind == Kind::feature_dropout) {
            TORCH_CHECK(shape.size() >= 2, "dropout of channels needs at least two dimensions");
            std::fill(shape.begin() + 2, shape.end(), 1);
        }
        const at::Tensor mask = random.mask(shape, input, p);
        if (node.kind == Kind::dropout_) {
            at::Tensor own = input;
            set(node, 0, own.mul_(mask));
        } else {
            set(node, 0, input.mul(mask));
        }
    }

    void fused(const Node& node) {
        const at::Tensor images = tensor(node, 0), weight = tensor(node, 1), bias = tensor(node, 2);
        at::Tensor* output = nullptr;
        char* message =
            mnist_conv2d_relu_max_pool2d(&images, &weight, &bias, node.padding, node.pool, &output);
        if (message != nullptr) {
            const std::string text(message);
            mnist_free(message);
            TORCH_CHECK(false, text);
        }
        set(node, 0, *output);
        delete output;
    }

    // Whether the fused block can run: for floats on the CPU.
    bool fuses(const Node& node) const {
        for (std::size_t argument = 0; argument < 3; ++argument) {
            const at::Tensor own = tensor(node, argument);
            if (own.scalar_type() != at::kFloat || !own.is_cpu() ||
                (argument < 2 && own.dim() != 4)) {
                return false;
            }
        }
        return true;
    }

    // The three operators that a fused block replaced.
    void unfused(const Node& node) {
        torch::jit::Stack stack = this->stack(node);
        suit_memory(stack);
        node.handle->callBoxed(&stack);
        set(node, 0, at::max_pool2d(stack.at(0).toTensor().relu(), {node.pool, node.pool}));
    }

    // libtorch would divide by 0; PyTorch's module refuses it, too.
    void check_variance(const Node& node) const {
        const at::Tensor input = tensor(node, 0);
        const bool by_batch = stack(node)[5].toBool();
        TORCH_CHECK(
            !by_batch || input.dim() < 2 || input.numel() != input.size(1),
            "one value for each channel has no variance: use larger mini-batches"
        );
    }

    // Names the row that has an index outside of an embedding's table.
    void check_indices(const Node& node) const {
        const at::Tensor table = tensor(node, 0);
        const at::Tensor indices = tensor(node, 1);
        const at::Tensor outside = indices.lt(0).logical_or(indices.ge(table.size(0)));
        const at::Tensor places = outside.nonzero();
        if (places.size(0) == 0) {
            return;
        }
        const at::Tensor place = places[0];
        std::string where;
        for (std::int64_t dimension = 0; dimension < place.size(0); ++dimension) {
            const std::string position = std::to_string(place[dimension].item<std::int64_t>());
            where += dimension == 0   ? "row " + position
                     : dimension == 1 ? ", column " + position
                                      : ", " + position;
        }
        TORCH_CHECK(
            false, "the index ", indices.masked_select(outside)[0].item<std::int64_t>(), " in ",
            where, " of its input is outside of the embedding's table, which has ", table.size(0),
            " rows"
        );
    }

    void step(const Node& node) {
        if (node.function != nullptr) {
            set(node, 0, node.function(stack(node)));
            return;
        }
        switch (node.kind) {
            case Kind::dropout:
            case Kind::dropout_:
            case Kind::feature_dropout:
                return dropout(node);
            case Kind::fused:
                return fuses(node) ? fused(node) : unfused(node);
            case Kind::batch_norm:
                check_variance(node);
                return call(node);
            case Kind::embedding:
                try {
                    return call(node);
                } catch (const c10::Error&) {
                    check_indices(node);
                    throw;
                }
            default:
                return call(node);
        }
    }
};

Values starting_values(
    const mnist_program& program,
    const at::Tensor* const* inputs,
    std::size_t count,
    bool training,
    const c10::Device& device
) {
    Values values = program.slots;
    std::size_t next = 0;
    for (std::size_t input = 0; input < program.inputs.size(); ++input) {
        const bool changed = program.inputs[input].change != Change::none;
        if (!values[input].isNone()) {
            const at::Tensor constant = values[input].toTensor().to(device);
            values[input] = changed ? constant.clone() : constant;
            continue;
        }
        TORCH_CHECK(next < count, "too few inputs");
        const at::Tensor& given = *inputs[next++];
        // The rows are not to be changed, and nothing is in evaluation.
        const bool rows = next == count;
        values[input] = changed && (rows || !training) ? given.clone() : given;
    }
    TORCH_CHECK(next == count, "too many inputs");
    return values;
}

} // namespace

char* mnist_program_new(std::size_t slots, std::size_t inputs, mnist_program** program) {
    return mnist::caught([&] {
        TORCH_CHECK(inputs <= slots, "more inputs than slots");
        auto made = std::make_unique<mnist_program>();
        made->inputs.resize(inputs);
        made->slots.resize(slots);
        made->viewed.resize(slots, false);
        made->roots.resize(slots, -1);
        for (std::size_t input = 0; input < inputs; ++input) {
            made->roots[input] = static_cast<std::ptrdiff_t>(input);
        }
        *program = made.release();
    });
}

void mnist_program_free(mnist_program* program) { delete program; }

char* mnist_program_constant(mnist_program* program, std::size_t slot, const at::Tensor* value) {
    return mnist::caught([&] {
        program->slots.at(slot) = *value;
    });
}

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
) {
    return mnist::caught([&] {
        Node node;
        node.name = name;
        node.outputs.assign(outputs, outputs + output_count);
        node.list = list;
        node.index = static_cast<std::int64_t>(program->nodes.size());
        std::size_t needed = 0;
        node.function = mnist::function_on_numbers(node.name, &needed);
        if (node.function == nullptr) {
            add_operator(*program, node, overload, argument_names, arguments, argument_count);
        } else {
            TORCH_CHECK(argument_count == needed, "it takes ", needed, " arguments");
            TORCH_CHECK(output_count == 1, "it returns 1 value");
            for (std::size_t index = 0; index < argument_count; ++index) {
                node.arguments.push_back(mnist::argument(arguments[index], c10::NumberType::get()));
            }
        }
        visit_reads(node, [&](std::size_t slot) {
            if (slot < program->inputs.size()) {
                program->inputs[slot].used = true;
            }
        });
        program->nodes.push_back(std::move(node));
    });
}

char* mnist_program_finish(
    mnist_program* program,
    std::size_t output,
    const std::size_t* sources,
    const std::size_t* targets,
    std::size_t mutation_count
) {
    return mnist::caught([&] {
        program->output = output;
        program->sources.assign(sources, sources + mutation_count);
        program->targets.assign(targets, targets + mutation_count);
        for (const std::size_t target : program->targets) {
            Change& change = program->inputs.at(target).change;
            change = change == Change::none ? Change::counted : change;
        }
        fuse(*program);
        release_early(*program);
    });
}

void mnist_program_input(
    const mnist_program* program, std::size_t slot, bool* used, bool* changed, bool* counted
) {
    const Input& input = program->inputs[slot];
    *used = input.used;
    *changed = input.change != Change::none;
    *counted = input.change == Change::counted;
}

void mnist_program_modes(
    const mnist_program* program, std::size_t* training, std::size_t* evaluation
) {
    *training = program->training;
    *evaluation = program->evaluation;
}

char* mnist_program_run(
    const mnist_program* program,
    const at::Tensor* const* inputs,
    std::size_t input_count,
    bool training,
    std::uint64_t seed,
    at::Tensor** output,
    std::int64_t* failed
) {
    *failed = -1;
    return mnist::caught([&] {
        TORCH_CHECK(input_count > 0, "too few inputs");
        const c10::Device device = inputs[0]->device();
        Run run{*program, training, device, mnist::Random(seed), {}};
        run.values = starting_values(*program, inputs, input_count, training, device);
        for (const Node& node : program->nodes) {
            *failed = node.index;
            run.step(node);
            for (const std::size_t slot : node.released) {
                run.values[slot] = IValue();
            }
        }
        *failed = -1;
        if (training) {
            const at::NoGradGuard no_grad;
            for (std::size_t index = 0; index < program->sources.size(); ++index) {
                at::Tensor target = run.values[program->targets[index]].toTensor();
                target.copy_(run.values[program->sources[index]].toTensor());
            }
        }
        *output = new at::Tensor(run.values[program->output].toTensor());
    });
}
