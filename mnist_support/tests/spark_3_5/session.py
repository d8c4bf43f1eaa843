"""Runs a pickled command on the executor's worker of Spark 3.5, in a classic session of two cores.

usage: session.py COMMAND WORLD_SIZE ANSWER FILE...

COMMAND is what this crate would send to a Connect server, which no Python package of Spark 3.5 has.
The FILEs are sent to the executor, and the rows that the command returns are written to ANSWER as an
Arrow IPC stream.
"""
import sys

import pyarrow
import pyspark.rdd
import pyspark.sql.udf
from pyspark.sql import SparkSession

ANSWER = pyarrow.schema(
    [("rank", pyarrow.int32()), ("kind", pyarrow.string()), ("json", pyarrow.string()), ("data", pyarrow.binary())])


def give(command):
    """Lets PySpark send this command in place of the functions that it would pickle itself."""
    prepare = pyspark.rdd._prepare_for_python_RDD

    def prepared(context, _):
        return (command,) + tuple(prepare(context, None))[1:]

    for module in (pyspark.rdd, pyspark.sql.udf):
        if hasattr(module, "_prepare_for_python_RDD"):
            module._prepare_for_python_RDD = prepared


def main(command, world_size, answer, *files):
    session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    for name in ("spark.driver.host", "spark.driver.bindAddress"):
        session = session.config(name, "127.0.0.1")
    session = session.getOrCreate()
    for file in files:
        session.sparkContext.addFile(file)
    with open(command, "rb") as file:
        give(file.read())
    ranks = session.range(0, int(world_size), 1, int(world_size))
    frame = ranks.mapInArrow(lambda batches: batches, "rank integer, kind string, json string, data binary", True)
    rows = [dict(row.asDict(), data=bytes(row.data)) for row in frame.collect()]
    with pyarrow.ipc.new_stream(answer, ANSWER) as stream:
        stream.write_table(pyarrow.Table.from_pylist(rows, schema=ANSWER))
    session.stop()


main(*sys.argv[1:])
