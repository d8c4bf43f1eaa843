"""Trains in one process with one or more threads, in images per second or the seconds of a whole training.

Usage: train.py LAKE
"""

import sys
import time

import torch

import answers
import digits
import network

LAYOUTS = ["plain", "channels_last", "channels_last, pool first", "channels_last, pool first, bytes"]
COMPILED = "channels_last, pool first, compiled"
BF16 = "channels_last, pool first, bf16"

lake = sys.argv[1]
pixels, labels = digits.read(lake, "train")
images = pixels / 255
test_pixels, test_labels = digits.read(lake, "test")
test_images = test_pixels / 255
trainers = {}


def trainer(variant, batch, learning_rate):
    model = network.cnn(variant)
    if "compiled" in variant:
        model = torch.compile(model)
    rows = pixels if "bytes" in variant else images
    return network.Trainer(model, rows, labels, batch, learning_rate, bf16="bf16" in variant)


def measure(request):
    variant = request["variant"]
    torch.set_num_threads(1 if variant.startswith("1 thread,") else 2)
    if request["measure"] == "one_cycle":
        return one_cycle(request, variant)
    if variant not in trainers:
        torch.manual_seed(1)
        trainers[variant] = trainer(variant, request["batch"], 0.001)
        trainers[variant].train(20)  # warm-up: memory, threads, compilation
    steps = request["images"] // request["batch"]
    start = time.perf_counter()
    trainers[variant].train(steps)
    return {"value": steps * request["batch"] / (time.perf_counter() - start)}


def one_cycle(request, variant):
    """Returns the seconds of a training of one cycle, and its final accuracy on the test images."""
    torch.manual_seed(request["seed"])
    started = trainer(variant, request["batch"], request["learning_rate"])
    steps = request["images"] // request["batch"]
    start = time.perf_counter()
    started.train_one_cycle(steps)
    seconds = time.perf_counter() - start
    model = started.network.eval()
    with torch.inference_mode():
        right = sum(
            (model(rows).argmax(1) == truth).sum().item()
            for rows, truth in zip(test_images.split(1000), test_labels.split(1000))
        )
    return {"value": seconds, "accuracy": right / len(test_labels)}


answers.serve(
    [f"{threads}, {layout}" for threads in ["1 thread", "2 threads"] for layout in [*LAYOUTS, COMPILED, BF16]],
    measure,
)
