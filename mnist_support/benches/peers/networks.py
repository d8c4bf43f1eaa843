"""Trains other networks than the originals', in images per second.

Usage: networks.py LAKE NAME
       networks.py LAKE NAME FILE     writes the module as PyTorch exports it, and ends
"""

import sys
import time

import torch
from torch import nn

import answers
import digits
import network


class Images(nn.Module):
    """A network that takes its rows as images."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, rows):
        return self.layers(rows.view(-1, 1, 28, 28))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Sequential()
        if inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        return torch.relu(self.layers(x) + self.shortcut(x))


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(28, 64, batch_first=True)
        self.head = nn.Linear(64, 10)

    def forward(self, rows):
        outputs, _ = self.lstm(rows.view(-1, 28, 28))
        return self.head(outputs[:, -1])


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.project = nn.Linear(28, 32)
        self.encoder = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, batch_first=True)
        self.head = nn.Linear(32, 10)

    def forward(self, rows):
        return self.head(self.encoder(self.project(rows.view(-1, 28, 28))).mean(1))


def mlp():
    return nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
    )


def lenet5():
    return Images(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    )


def example():
    """The network of PyTorch's own example on MNIST, with logits."""
    return Images(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(9216, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )


def residual():
    return Images(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        Block(16, 16, 1),
        Block(16, 32, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


NETWORKS = {
    "mlp": mlp,
    "lenet5": lenet5,
    "example": example,
    "residual": residual,
    "lstm": Lstm,
    "transformer": Transformer,
    "cnn": network.Cnn,
}

lake, name = sys.argv[1:3]
if len(sys.argv) > 3:
    torch.manual_seed(1)
    batch = torch.export.Dim("batch")
    program = torch.export.export(
        NETWORKS[name]().train(), (torch.rand(4, 784),), dynamic_shapes=({0: batch},)
    )
    torch.export.save(program, sys.argv[3])
    sys.exit()

pixels, labels = digits.read(lake, "train")
images = pixels / 255
trainers = {}


def measure(request):
    variant = request["variant"]
    torch.set_num_threads(2)
    if variant not in trainers:
        torch.manual_seed(1)
        model = NETWORKS[name]()
        if variant == "channels_last":
            model = model.to(memory_format=torch.channels_last)
        trainers[variant] = network.Trainer(model, images, labels, request["batch"])
        trainers[variant].train(20)  # warm-up: memory and threads
    steps = request["images"] // request["batch"]
    start = time.perf_counter()
    trainers[variant].train(steps)
    return {"value": steps * request["batch"] / (time.perf_counter() - start)}


has_images = name in ("lenet5", "example", "residual", "cnn")
answers.serve(["plain", "channels_last"] if has_images else ["plain"], measure)
