"""The original notebook on SparkTorch: the seconds from CSV to accuracy.

Usage: spark_torch.py LAKE
"""

import os
import sys
import time
from pathlib import Path

import torch
from pyspark.ml import Pipeline
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.feature import MinMaxScaler, VectorAssembler
from pyspark.sql import SparkSession
from sparktorch import SparkTorch, serialize_torch_obj

import answers
import network

# SparkTorch serialises the optimiser's class by its module's name, which torch shadows with a class.
torch.optim.adam = sys.modules["torch.optim.adam"]

# Otherwise the workers use the first python3 on the PATH.
os.environ["PYSPARK_PYTHON"] = sys.executable

spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.driver.memory", "4g")
    .config("spark.ui.enabled", "false")
    .getOrCreate()
)
spark.sparkContext.addPyFile(str(Path(__file__).with_name("network.py")))


def measure(request):
    start = time.perf_counter()
    train, test = (
        spark.read.csv(f"{sys.argv[1]}/{name}.csv", header=True, inferSchema=True) for name in ["train", "test"]
    )
    pixels = [column for column in train.columns if column != "label"]
    torch_obj = serialize_torch_obj(
        model=network.Cnn(),
        criterion=torch.nn.CrossEntropyLoss(),
        optimizer=torch.optim.Adam,
        lr=0.001,
    )
    pipeline = Pipeline(
        stages=[
            VectorAssembler(inputCols=pixels, outputCol="features"),
            MinMaxScaler(inputCol="features", outputCol="scaledFeatures"),
            SparkTorch(
                inputCol="scaledFeatures",
                labelCol="label",
                predictionCol="predictions",
                torchObj=torch_obj,
                iters=150,
                miniBatch=300,
                validationPct=0.3,
                earlyStopPatience=20,
                partitions=2,
                mode="synchronous",
                verbose=2,
            ),
        ]
    )
    predictions = pipeline.fit(train).transform(test)
    evaluator = MulticlassClassificationEvaluator(
        labelCol="label", predictionCol="predictions", metricName="accuracy"
    )
    accuracy = evaluator.evaluate(predictions)
    return {"value": time.perf_counter() - start, "accuracy": accuracy}


answers.serve(["local[2]"], measure)
