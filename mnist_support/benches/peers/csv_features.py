"""From a CSV file to scaled features as float32, in seconds.

Usage: csv_features.py LAKE [pyarrow]
"""

import sys
import time

import numpy
import pandas
from sklearn.preprocessing import MinMaxScaler

import answers

VARIANTS = {
    "default": {},
    "as uint8": {"dtype": "uint8"},
    "as float32": {"dtype": "float32"},
}

file = f"{sys.argv[1]}/train.csv"
engine = {"engine": "pyarrow"} if sys.argv[2:] == ["pyarrow"] else {}


def measure(request):
    start = time.perf_counter()
    frame = pandas.read_csv(file, **VARIANTS[request["variant"]], **engine)
    labels = frame.pop("label").to_numpy("int64")
    if request["variant"] == "default":
        features = MinMaxScaler().fit_transform(frame).astype("float32")
    else:
        # The array belongs to this process, so the scaler may overwrite it.
        features = MinMaxScaler(copy=False).fit_transform(frame.to_numpy("float32", copy=True))
    seconds = time.perf_counter() - start
    assert features.shape == (60_000, 784) and features.dtype == numpy.float32 and len(labels) == 60_000
    return {"value": seconds}


answers.serve(VARIANTS, measure)
