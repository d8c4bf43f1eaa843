"""Trains with DistributedDataParallel on Gloo, with one thread per process, in images per second over all processes.

Usage: torchrun --standalone --nproc-per-node 2 train_gloo.py LAKE
"""

import os
import sys
import time

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import answers
import digits
import network

VARIANTS = {
    "DDP, channels_last": {},
    "DDP, channels_last, pool first": {},
    "DDP, channels_last, pool first, bucket view": {"gradient_as_bucket_view": True},
    "DDP, channels_last, pool first, bucket view, static graph": {
        "gradient_as_bucket_view": True,
        "static_graph": True,
    },
}

torch.set_num_threads(1)
# All processes are on this machine, so the loopback interface is the fastest connection.
os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
dist.init_process_group("gloo")
rank, world_size = dist.get_rank(), dist.get_world_size()
pixels, labels = digits.read(sys.argv[1], "train")
images, labels = pixels[rank::world_size] / 255, labels[rank::world_size]
trainers = {}


def measure(request):
    """Must be called by every process with the same request."""
    variant, batch = request["variant"], request["batch"]
    if variant not in trainers:
        torch.manual_seed(rank)
        model = DistributedDataParallel(network.cnn(variant), **VARIANTS[variant])
        trainers[variant] = network.Trainer(model, images, labels, batch // world_size)
        trainers[variant].train(20)
    steps = request["images"] // batch
    dist.barrier()
    start = time.perf_counter()
    trainers[variant].train(steps)
    dist.barrier()
    return {"value": steps * batch / (time.perf_counter() - start)}


def hand_on(request):
    """Measures on the other processes what rank 0 was asked to measure."""
    dist.broadcast_object_list([request])
    return measure(request)


if rank == 0:
    answers.serve(VARIANTS, hand_on)
    dist.broadcast_object_list([None])
else:
    while True:
        request = [None]
        dist.broadcast_object_list(request)
        if request[0] is None:
            break
        measure(request[0])
dist.destroy_process_group()
