// A network interface, and a buffer to send or receive. The bridge only holds pointers to them.
#pragma once

#include <memory>

namespace gloo::transport {

class Device;

class UnboundBuffer {
public:
    virtual ~UnboundBuffer() = default;
};

} // namespace gloo::transport
