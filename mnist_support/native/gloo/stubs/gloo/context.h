// Gloo's connections to all peers. The bridge only holds a pointer to one.
#pragma once

#include <chrono>
#include <memory>

namespace gloo {

class Context {
public:
    void setTimeout(std::chrono::milliseconds timeout);
};

} // namespace gloo
