"""From a Parquet file to a matrix of its pixels, in seconds.

Usage: parquet_features.py LAKE
"""

import sys
import time

import numpy
import pyarrow.parquet

import answers


def stacked(table):
    return numpy.column_stack([column.to_numpy() for column in table.columns])


def filled(table):
    # Ahead of NumPy's own way: no copies in between.
    matrix = numpy.empty((table.num_rows, table.num_columns), "uint8")
    for index, column in enumerate(table.columns):
        matrix[:, index] = column.to_numpy()
    return matrix


def transposed(table):
    matrix = numpy.empty((table.num_columns, table.num_rows), "uint8")
    for index, column in enumerate(table.columns):
        matrix[index] = column.to_numpy()
    return numpy.ascontiguousarray(matrix.T)


def by_pandas(table):
    return numpy.ascontiguousarray(table.to_pandas().to_numpy())


VARIANTS = {
    "column_stack": stacked,
    "filled": filled,
    "transposed": transposed,
    "pandas": by_pandas,
}

file = f"{sys.argv[1]}/train.parquet"


def measure(request):
    start = time.perf_counter()
    table = pyarrow.parquet.read_table(file)
    labels = table.column("label").to_numpy()
    features = VARIANTS[request["variant"]](table.drop_columns("label"))
    seconds = time.perf_counter() - start
    assert features.shape == (60_000, 784) and features.dtype == numpy.uint8 and len(labels) == 60_000
    return {"value": seconds}


answers.serve(VARIANTS, measure)
