// c10d's TCPStore and ProcessGroupGloo for Rust.
//
// Errors are reported as described in message.h. Strings are UTF-8 and NUL-terminated.
#pragma once

#include <cstdint>

namespace at {
class Tensor;
}

extern "C" {

struct MnistGlooStore;
struct MnistGlooGroup;

// What to send to a peer and where to receive from it. Either may be null. The tensors are
// contiguous and on the CPU.
struct MnistGlooTransfer {
    std::int32_t peer;
    const at::Tensor* send;
    at::Tensor* receive;
};

// Connects to the store at host and port. If listen_fd is not -1, it is a socket that listens at
// that address. This process then also serves the store, which owns the socket.
char* mnist_gloo_store_open(
    const char* host,
    std::uint16_t port,
    int listen_fd,
    std::int64_t timeout_ms,
    MnistGlooStore** store
);
char* mnist_gloo_store_set(MnistGlooStore* store, const char* key, const char* value);
// value is set to null if the store has no such key, otherwise to a string to free with mnist_free.
char* mnist_gloo_store_get(MnistGlooStore* store, const char* key, char** value);
void mnist_gloo_store_close(MnistGlooStore* store);

// Connects to all other ranks. bind_to is an address of this machine or the name of one of its
// interfaces. The group keeps the store open for as long as it lives.
char* mnist_gloo_group_open(
    MnistGlooStore* store,
    const char* prefix,
    std::int32_t rank,
    std::int32_t world_size,
    const char* bind_to,
    bool bind_to_interface,
    std::int64_t timeout_ms,
    MnistGlooGroup** group
);
// Runs all transfers concurrently and returns when all have completed. After an error, peer is the
// rank that caused it, or -1, and the group can only be closed.
char* mnist_gloo_exchange(
    MnistGlooGroup* group,
    const MnistGlooTransfer* transfers,
    std::size_t length,
    std::uint32_t tag,
    std::int64_t timeout_ms,
    std::int32_t* peer
);
void mnist_gloo_group_close(MnistGlooGroup* group);

} // extern "C"
