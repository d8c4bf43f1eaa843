// How the C++ reports errors to Rust. No exception crosses over: a function that can fail returns
// null, or a message that the caller frees with mnist_free.
#pragma once

extern "C" void mnist_free(char* text);

namespace mnist {

// A copy, to be freed with mnist_free.
char* copy(const char* text);

// The message of the exception that is being handled; call it in a catch block.
char* message_of_current_exception();

// Calls a function. Returns null, or the message of what it threw.
template <typename Function>
char* caught(Function function) noexcept {
    try {
        function();
        return nullptr;
    } catch (...) {
        return message_of_current_exception();
    }
}

} // namespace mnist
