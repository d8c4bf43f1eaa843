#include "bridge.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "../message.h"

using mnist::caught;
using mnist::copy;
using std::chrono::milliseconds;

struct MnistGlooStore {
    c10::intrusive_ptr<c10d::Store> store;
};

struct MnistGlooGroup {
    c10::intrusive_ptr<c10d::ProcessGroupGloo> group;
};

char* mnist_gloo_store_open(
    const char* host,
    std::uint16_t port,
    int listen_fd,
    std::int64_t timeout_ms,
    MnistGlooStore** store
) {
    return caught([&] {
        c10d::TCPStoreOptions options;
        options.port = port;
        options.timeout = milliseconds(timeout_ms);
        options.waitWorkers = false; // the caller counts the ranks, and can say which are missing
        if (listen_fd != -1) {
            options.isServer = true;
            options.masterListenFd = listen_fd;
        }
        *store = new MnistGlooStore{c10::make_intrusive<c10d::TCPStore>(host, options)};
    });
}

char* mnist_gloo_store_set(MnistGlooStore* store, const char* key, const char* value) {
    return caught([&] {
        store->store->set(std::string(key), std::string(value));
    });
}

char* mnist_gloo_store_get(MnistGlooStore* store, const char* key, char** value) {
    return caught([&] {
        *value = store->store->check({key}) ? copy(store->store->get_to_str(key).c_str()) : nullptr;
    });
}

void mnist_gloo_store_close(MnistGlooStore* store) { delete store; }

char* mnist_gloo_group_open(
    MnistGlooStore* store,
    const char* prefix,
    std::int32_t rank,
    std::int32_t world_size,
    const char* bind_to,
    bool bind_to_interface,
    std::int64_t timeout_ms,
    MnistGlooGroup** group
) {
    return caught([&] {
        using c10d::ProcessGroupGloo;
        const milliseconds timeout(timeout_ms);
        store->store->setTimeout(timeout);
        auto options = ProcessGroupGloo::Options::create(timeout);
        options->threads = 1; // for c10d's own algorithms, which are not used here
        options->devices.push_back(
            bind_to_interface ? ProcessGroupGloo::createDeviceForInterface(bind_to, false)
                              : ProcessGroupGloo::createDeviceForHostname(bind_to, false)
        );
        auto prefixed = c10::make_intrusive<c10d::PrefixStore>(prefix, store->store);
        *group = new MnistGlooGroup{
            c10::make_intrusive<ProcessGroupGloo>(prefixed, rank, world_size, options)
        };
    });
}

char* mnist_gloo_exchange(
    MnistGlooGroup* group,
    const MnistGlooTransfer* transfers,
    std::size_t length,
    std::uint32_t tag,
    std::int64_t timeout_ms,
    std::int32_t* peer
) {
    *peer = -1;
    return caught([&] {
        using Clock = std::chrono::steady_clock;
        struct Pending {
            std::int32_t peer;
            c10::intrusive_ptr<c10d::Work> work;
        };
        const auto deadline = Clock::now() + milliseconds(timeout_ms);
        std::vector<Pending> pending;
        pending.reserve(2 * length);
        const auto start = [&](const MnistGlooTransfer& transfer, const at::Tensor* tensor,
                               auto method) {
            if (tensor != nullptr) {
                *peer = transfer.peer;
                std::vector<at::Tensor> tensors{*tensor};
                pending.push_back(
                    {transfer.peer,
                     (group->group.get()->*method)(tensors, transfer.peer, static_cast<int>(tag))}
                );
            }
        };
        // A sender waits until its receiver is ready, so start the receives first.
        for (std::size_t index = 0; index < length; ++index) {
            start(transfers[index], transfers[index].receive, &c10d::ProcessGroupGloo::recv);
        }
        for (std::size_t index = 0; index < length; ++index) {
            start(transfers[index], transfers[index].send, &c10d::ProcessGroupGloo::send);
        }
        for (const auto& [from_or_to, work] : pending) {
            *peer = from_or_to;
            const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
            work->wait(std::max(left, milliseconds(1))); // 0 would mean c10d's default
        }
        *peer = -1;
    });
}

void mnist_gloo_group_close(MnistGlooGroup* group) { delete group; }
