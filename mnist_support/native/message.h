// How the bridges report errors. No exception leaves them: every function that can fail returns
// null, or a message to be freed with mnist_free.
#pragma once

extern "C" void mnist_free(char* text);

namespace mnist {

// A copy that mnist_free frees.
char* copy(const char* text);

// The message of the exception that is being handled.
char* message_of_current_exception();

// Runs a program and returns what it threw as a message.
template <typename Program>
char* caught(Program program) noexcept {
    try {
        program();
        return nullptr;
    } catch (...) {
        return message_of_current_exception();
    }
}

} // namespace mnist
