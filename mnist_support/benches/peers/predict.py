"""Predicts the classes of the test images, 1,000 at a time, in images per second.

Usage: predict.py LAKE
"""

import sys
import time

import torch

import answers
import digits
import network

BATCH = 1000
LAYOUTS = [
    "plain",
    "channels_last",
    "channels_last, pool first",
    "channels_last, pool first, frozen",
    "channels_last, pool first, compiled",
    "channels_last, pool first, bf16",
    "channels_last, pool first, bf16, compiled",
]

pixels, _ = digits.read(sys.argv[1], "test")
images = pixels / 255
models = {}


def precision(variant):
    return torch.bfloat16 if "bf16" in variant else torch.float32


def model(variant):
    torch.manual_seed(1)
    made = network.cnn(variant).eval().to(precision(variant))
    if "frozen" in variant:
        return torch.jit.freeze(torch.jit.trace(made, images[:BATCH]))
    return torch.compile(made) if "compiled" in variant else made


def classes(model, images):
    with torch.inference_mode():
        return torch.cat([model(rows).argmax(1) for rows in images.split(BATCH)])


def measure(request):
    variant = request["variant"]
    torch.set_num_threads(1 if variant.startswith("1 thread,") else 2)
    rows = images.to(precision(variant))
    if variant not in models:
        models[variant] = model(variant)
        for _ in range(3):
            classes(models[variant], rows)
    passes = request["images"] // len(images)
    start = time.perf_counter()
    for _ in range(passes):
        classes(models[variant], rows)
    return {"value": passes * len(images) / (time.perf_counter() - start)}


answers.serve([f"{threads}, {layout}" for threads in ["1 thread", "2 threads"] for layout in LAYOUTS], measure)
