"""The digits in memory."""

import pandas
import torch


def read(lake, name):
    """Returns the pixels, as bytes `[rows, 784]`, and the labels of a Parquet file in the lake."""
    frame = pandas.read_parquet(f"{lake}/{name}.parquet")
    labels = torch.from_numpy(frame.pop("label").to_numpy("int64", copy=True))
    return torch.from_numpy(frame.to_numpy("uint8", copy=True)), labels
