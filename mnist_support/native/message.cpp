#include "message.h"

#include <cstdlib>
#include <cstring>
#include <exception>

#include <c10/util/Exception.h>

void mnist_free(char* text) { std::free(text); }

namespace mnist {

char* copy(const char* text) {
    char* copied = strdup(text);
    if (copied == nullptr) {
        std::abort(); // not enough memory for a message; Rust's allocator also aborts
    }
    return copied;
}

char* message_of_current_exception() {
    try {
        throw;
    } catch (const c10::Error& error) {
        return copy(error.what_without_backtrace());
    } catch (const std::exception& error) {
        return copy(error.what());
    } catch (...) {
        return copy("an exception of unknown type");
    }
}

} // namespace mnist
