// A network interface and a piece of memory that is sent or received: pointers to the bridge.
#pragma once

#include <memory>

namespace gloo::transport {

class Device;

class UnboundBuffer {
public:
    virtual ~UnboundBuffer() = default;
};

} // namespace gloo::transport
