"""The originals' network, and its training as fast as PyTorch can do it on a CPU."""

import contextlib
import math

import torch
from torch import nn


class Cnn(nn.Module):
    """Four convolutions, each with ReLU and pooling, and three linear layers.

    With `pool_first` the pooling comes before the ReLU: the same values, with a quarter of the ReLU's work.
    """

    def __init__(self, pool_first=False):
        super().__init__()
        channels = [1, 4, 16, 32, 64]
        layers = []
        for inputs, outputs in zip(channels, channels[1:]):
            layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
            activation = [nn.ReLU(), nn.MaxPool2d(2)]
            layers += reversed(activation) if pool_first else activation
        self.layers = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(64, 128),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(128, 64),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(64, 10),
        )

    def forward(self, rows):
        return self.layers(rows.view(-1, 1, 28, 28))


def cnn(layout):
    """Returns the network in a variant: `plain`, `channels_last`, or `channels_last, pool first`."""
    network = Cnn(pool_first="pool first" in layout)
    assert sum(parameter.numel() for parameter in network.parameters()) == 40_994
    return network.to(memory_format=torch.channels_last) if "channels_last" in layout else network


def one_cycle(step, steps, warm_up=0.2):
    """Returns the learning-rate factor at `step`, from 0: a linear warm-up, then cosine annealing to 0."""
    done = step / steps
    if done < warm_up:
        return min((step + 1) / (warm_up * steps), 1.0)
    return 0.5 * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up)))


class Trainer:
    """Trains `network` on rows in memory, reshuffled every epoch.

    Images of bytes are scaled on their way into the network. With `bf16`, PyTorch's autocast computes in bfloat16
    where it considers that accurate enough.
    """

    def __init__(self, network, images, labels, batch, learning_rate=0.001, bf16=False):
        self.network = network
        self.images, self.labels, self.batch = images, labels, batch
        self.optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate, fused=True)
        self.learning_rate = learning_rate
        self.loss = nn.CrossEntropyLoss()
        self.precision = torch.autocast("cpu", torch.bfloat16) if bf16 else contextlib.nullcontext()
        self.order, self.next = torch.randperm(len(images)), 0

    def step(self):
        if self.next + self.batch > len(self.order):
            self.order, self.next = torch.randperm(len(self.images)), 0
        rows = self.order[self.next : self.next + self.batch]
        self.next += self.batch
        images = self.images.index_select(0, rows)
        if images.dtype == torch.uint8:
            images = images.float().mul_(1 / 255)
        self.optimizer.zero_grad(set_to_none=True)
        with self.precision:
            loss = self.loss(self.network(images), self.labels.index_select(0, rows))
        loss.backward()
        self.optimizer.step()

    def train(self, steps):
        for _ in range(steps):
            self.step()

    def train_one_cycle(self, steps):
        for step in range(steps):
            self.optimizer.param_groups[0]["lr"] = self.learning_rate * one_cycle(step, steps)
            self.step()
