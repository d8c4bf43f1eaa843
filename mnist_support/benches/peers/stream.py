"""Trains for one pass through a table that is read in a stream, in images per second from the files on.

Usage: stream.py LAKE FOLDER
"""

import sys
import time

import numpy
import pyarrow.dataset
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

import answers
import network

PASSES = {"no worker": 0, "1 worker": 1, "2 workers": 2}
# As many rows as a shuffle buffer of 100 MB holds.
BLOCK = 131_072

folder = sys.argv[2]


class Table(IterableDataset):
    """Mini-batches of the files of a worker, shuffled within blocks."""

    def __init__(self, batch):
        self.batch = batch

    def __iter__(self):
        files = pyarrow.dataset.dataset(folder).files
        worker = get_worker_info()
        if worker is not None:
            files = files[worker.id :: worker.num_workers]
        generator = torch.Generator().manual_seed(42)
        for block in pyarrow.dataset.dataset(files).to_batches(batch_size=BLOCK, batch_readahead=2):
            names = [name for name in block.schema.names if name != "label"]
            pixels = numpy.empty((len(block), len(names)), "uint8")
            for index, name in enumerate(names):
                pixels[:, index] = block.column(name).to_numpy(zero_copy_only=False)
            pixels = torch.from_numpy(pixels)
            labels = torch.from_numpy(block.column("label").to_numpy().astype("int64"))
            for rows in torch.randperm(len(block), generator=generator).split(self.batch):
                yield pixels[rows], labels[rows]


def measure(request):
    torch.manual_seed(request["seed"])
    torch.set_num_threads(2)
    model = network.cnn("channels_last, pool first")
    optimizer = torch.optim.Adam(model.parameters(), lr=request["learning_rate"], fused=True)
    loss_of = torch.nn.CrossEntropyLoss()
    workers = PASSES[request["variant"]]
    loader = DataLoader(Table(request["batch"]), batch_size=None, num_workers=workers)
    start, images = time.perf_counter(), 0
    for pixels, labels in loader:
        optimizer.zero_grad(set_to_none=True)
        loss_of(model(pixels / 255), labels).backward()
        optimizer.step()
        images += len(labels)
    assert images == request["images"], images
    return {"value": images / (time.perf_counter() - start)}


answers.serve(list(PASSES), measure)
