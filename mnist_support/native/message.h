// How the C++ code reports errors to Rust. No exception crosses the boundary: a function that can
// fail returns null, or a message that the caller frees with mnist_free.
#pragma once

extern "C" void mnist_free(char* text);

namespace mnist {

// Copies a string. Free the copy with mnist_free.
char* copy(const char* text);

// The message of the exception that is being handled. Call this in a catch block.
char* message_of_current_exception();

// Calls a function. Returns null, or the message of the exception that it threw.
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
