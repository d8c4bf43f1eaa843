"""Writes the data of the examples: pip install scikit-learn pillow pyarrow numpy deltalake.

- iris.csv: R. A. Fisher's measurements of 1936, from scikit-learn.
- digits/, mnist.csv.gz: handwritten digits of E. Alpaydin and C. Kaynak, "Optical Recognition of
  Handwritten Digits" (1998), https://doi.org/10.24432/C50P49, CC BY 4.0, from scikit-learn; the
  second resized and laid out as MNIST is.
- titanic.csv, breast_cancer.csv, fashion.parquet, housing/: made up, with the columns of the data
  sets that they are named after.

usage: make_data.py FOLDER
"""
import csv
import gzip
import io
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, WriterProperties, write_deltalake
from PIL import Image, ImageDraw
from sklearn.datasets import load_digits, load_iris

folder = Path(sys.argv[1])
random = np.random.default_rng(7)


def table(name, header, rows):
    with open(folder / name, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def iris():
    flowers = load_iris()
    names = ["sepal_length", "sepal_width", "petal_length", "petal_width", "species"]
    species = [flowers.target_names[target] for target in flowers.target]
    table("iris.csv", names, [[*row, name] for row, name in zip(flowers.data, species)])


def titanic(passengers=300):
    rows = []
    for _ in range(passengers):
        pclass = random.choice([1, 2, 3], p=[0.24, 0.21, 0.55])
        sex = random.choice(["male", "female"], p=[0.65, 0.35])
        age = float(np.clip(random.normal(44 - 5 * pclass, 12), 1, 80).round())
        fare = round(float(random.gamma(3, {1: 28, 2: 7, 3: 4}[pclass])), 4)
        embarked = random.choice(["S", "C", "Q"], p=[0.72, 0.19, 0.09])
        score = (2.6 if sex == "female" else 0) - 0.9 * (pclass - 2) - 0.02 * (age - 30) - 1.2
        survived = int(random.random() < 1 / (1 + np.exp(-1.6 * score)))
        rows.append([
            survived, pclass, sex, "" if random.random() < 0.2 else age, fare,
            "" if random.random() < 0.01 else embarked,
        ])
    table("titanic.csv", ["survived", "pclass", "sex", "age", "fare", "embarked"], rows)


def breast_cancer(samples=300):
    names = [
        "clump_thickness", "cell_size", "cell_shape", "marginal_adhesion", "epithelial_cell_size",
        "bare_nuclei", "bland_chromatin", "normal_nucleoli", "mitoses", "class",
    ]
    rows = []
    for _ in range(samples):
        malignant = random.random() < 0.35
        means = [7, 6.5, 6.5, 5.5, 5.5, 7.5, 6, 6, 2.5] if malignant else [3, 1.3, 1.4, 1.4, 2.1, 1.3, 2.1, 1.3, 1.1]
        spread = 2 if malignant else 1
        values = [int(np.clip(round(random.normal(mean, spread)), 1, 10)) for mean in means]
        if random.random() < 0.03:
            values[5] = "?"
        rows.append([*values, 4 if malignant else 2])
    table("breast_cancer.csv", names, rows)


def png(image):
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def digits(of_each=15):
    digits = load_digits()
    for digit in range(10):
        place = folder / "digits" / str(digit)
        place.mkdir(parents=True, exist_ok=True)
        for index in np.flatnonzero(digits.target == digit)[:of_each]:
            grey = (digits.images[index] * (255 / 16)).round().astype(np.uint8)
            (place / f"{index}.png").write_bytes(png(Image.fromarray(grey)))


def mnist(rows=120):
    digits = load_digits()
    text = io.StringIO()
    for index in range(rows):
        grey = (digits.images[index] * (255 / 16)).round().astype(np.uint8)
        whole = Image.new("L", (28, 28))
        whole.paste(Image.fromarray(grey).resize((20, 20), Image.Resampling.BILINEAR), (4, 4))
        values = np.array(whole).reshape(-1)
        text.write(",".join(map(str, [digits.target[index], *values])) + "\n")
    (folder / "mnist.csv.gz").write_bytes(gzip.compress(text.getvalue().encode(), 9, mtime=0))


def garment(kind):
    """A silhouette of 28 x 28 grey values."""
    image = Image.new("L", (28, 28))
    draw = ImageDraw.Draw(image)
    x, y = random.integers(-2, 3, 2)
    wide, fill = random.integers(0, 3), int(random.integers(120, 256))
    shapes = {
        "T-shirt": [[(9, 5), (19, 5), (19, 23), (9, 23)], [(3, 6), (25, 6), (25, 11), (3, 11)]],
        "Trouser": [[(9, 3), (19, 3), (19, 8), (9, 8)], [(9, 8), (13, 8), (13, 25), (9, 25)],
                    [(15, 8), (19, 8), (19, 25), (15, 25)]],
        "Dress": [[(12, 3), (16, 3), (21 + wide, 25), (7 - wide, 25)]],
        "Sneaker": [[(4, 17), (12, 12), (24, 17), (24, 21), (4, 21)]],
        "Bag": [[(5, 11), (23, 11), (23, 23), (5, 23)], [(10, 6), (18, 6), (18, 8), (10, 8)]],
    }
    for shape in shapes[kind]:
        draw.polygon([(px + x, py + y) for px, py in shape], fill=fill)
    noise = random.integers(0, 3, (28, 28)) * 8
    return Image.fromarray(np.clip(np.array(image) + noise, 0, 255).astype(np.uint8))


def fashion(of_each=20):
    kinds = ["T-shirt", "Trouser", "Dress", "Sneaker", "Bag"]
    labels = random.permutation(np.repeat(np.arange(len(kinds)), of_each))
    images = [{"bytes": png(garment(kinds[label])), "path": None} for label in labels]
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = pa.table({"image": pa.array(images, image), "label": pa.array(labels, pa.int64())})
    pq.write_table(rows, folder / "fashion.parquet", row_group_size=30, compression="zstd")


def housing(rows=400):
    proximity = random.choice(["INLAND", "NEAR BAY", "NEAR OCEAN"], rows, p=[0.5, 0.2, 0.3])
    income = random.gamma(4, 1, rows).round(4)
    age = random.integers(1, 53, rows)
    rooms = random.normal(5.4, 1, rows).round(2)
    place = np.select([proximity == "INLAND", proximity == "NEAR BAY"], [-0.6, 0.4], 0.2)
    noise = random.normal(0, 0.1, rows)
    value = 0.9 + 0.38 * income + 0.004 * age + 0.04 * rooms + place + noise
    columns = {
        "housing_median_age": pa.array(age, pa.int16()),
        "average_rooms": pa.array(rooms),
        "median_income": pa.array(income),
        "ocean_proximity": pa.array(proximity),
        "median_house_value": pa.array(value.round(3)),
    }
    table, place = pa.table(columns), folder / "housing"
    compression = WriterProperties(compression="ZSTD")
    options = {"partition_by": ["ocean_proximity"], "writer_properties": compression}
    write_deltalake(place, table.slice(0, rows // 2), **options)
    write_deltalake(place, table.slice(rows // 2), mode="append", **options)
    DeltaTable(place).delete("median_house_value > 4")


folder.mkdir(parents=True, exist_ok=True)
iris()
titanic()
breast_cancer()
digits()
mnist()
fashion()
housing()
