//! What every store must do with folders of images.

use mnist_support::lake::{Lake, LakeFrame};
use mnist_support::{
    Error,
    error::{LakeError, TableError},
};
use polars::prelude::{AnyValue, DataFrame, DataType};

use super::{put, sent};

/// The paths and the first bytes of the images.
fn images(frame: &DataFrame) -> Vec<(String, Vec<u8>)> {
    let paths = frame.column("path").unwrap().str().unwrap();
    let bytes = frame.column("image").unwrap().binary().unwrap();
    let rows = paths.iter().zip(bytes.iter());
    rows.map(|(path, bytes)| (path.unwrap().to_owned(), bytes.unwrap().to_vec()))
        .collect()
}

fn labels(table: &LakeFrame) -> Vec<AnyValue<'static>> {
    let frame = table.select(["label"]).unwrap().collect().unwrap();
    let column = frame.column("label").unwrap();
    let values = (0..frame.height()).map(|row| column.get(row).unwrap().into_static());
    values.collect()
}

pub(crate) fn a_folder_of_images_is_a_table_of_their_bytes(lake: &Lake) {
    for (name, bytes) in [
        ("pets/cat/1.png", "one"),
        ("pets/cat/2.JPG", "two"),
        ("pets/dog/big/3.jpeg", "three"),
        ("pets/dog/4.gif", "four"),
        ("pets/dog/.5.png", "hidden"),
        ("pets/readme.txt", "no image"),
    ] {
        put(lake, name, bytes);
    }
    let expected: Vec<(String, Vec<u8>)> = [
        ("cat/1.png", "one"),
        ("cat/2.JPG", "two"),
        ("dog/4.gif", "four"),
        ("dog/big/3.jpeg", "three"),
    ]
    .map(|(path, bytes)| (path.to_owned(), bytes.as_bytes().to_vec()))
    .to_vec();
    let table = lake.images("pets").unwrap();
    assert_eq!(table.columns(), ["path", "image", "label"]);
    let frame = table.collect().unwrap();
    assert_eq!(images(&frame), expected);
    assert_eq!(images(&table.head(3).unwrap()), expected[..3]);
    for n in 1..=4 {
        let parts = table.partitions(n).unwrap();
        assert_eq!(parts.len(), n);
        let rows = parts.iter().map(|part| table.read(&sent(part)).unwrap());
        let rows: Vec<_> = rows.flat_map(|rows| images(&rows)).collect();
        assert_eq!(rows, expected, "{n}");
    }
    assert!(table.partitions(5).is_err());
    let dogs = table.filter("label = 'dog'").unwrap().collect().unwrap();
    assert_eq!(images(&dogs), expected[2..3]);
    assert_eq!(table.limit(2).unwrap().collect().unwrap().height(), 2);
    let words = ["cat", "cat", "dog", "big"];
    assert_eq!(labels(&table), words.map(AnyValue::String));
}

pub(crate) fn the_label_of_an_image_is_its_folder(lake: &Lake) {
    for name in ["digits/0/a.png", "digits/10/a.png", "digits/9/a.png"] {
        put(lake, name, "bytes");
    }
    let expected = [0, 10, 9].map(AnyValue::Int64);
    assert_eq!(labels(&lake.images("digits").unwrap()), expected);
    assert_eq!(labels(&lake.images("digits/*/*.png").unwrap()), expected);
    assert_eq!(labels(&lake.table("digits").unwrap()), expected);
    let list = lake.images(["digits/9", "digits/0/a.png"]).unwrap();
    assert_eq!(labels(&list), [9, 0].map(AnyValue::Int64));
    let one = lake.images("digits/9/a.png").unwrap();
    assert_eq!(labels(&one), [AnyValue::Int64(9)]);
    assert_eq!(one.collect().unwrap().height(), 1);
    // In no folder, there is no label.
    assert_eq!(
        lake.images("digits/9").unwrap().columns(),
        ["path", "image"]
    );
    for name in ["split=test/label=3/a.png", "split=train/label=5/a.png"] {
        put(lake, &format!("hive/{name}"), "bytes");
    }
    let hive = lake.images("hive").unwrap();
    assert_eq!(hive.columns(), ["path", "image", "split", "label"]);
    assert_eq!(labels(&hive), [3, 5].map(AnyValue::Int64));
    let column = hive.collect().unwrap();
    let split = column.column("split").unwrap();
    assert_eq!(split.dtype(), &DataType::String);
    assert_eq!(split.get(1).unwrap(), AnyValue::String("train"));
}

pub(crate) fn images_that_are_missing_or_have_changed_are_named(lake: &Lake) {
    put(lake, "texts/a.txt", "text");
    for (path, hint) in [
        ("nothing", "no such file"),
        ("texts", "none of 1 files has the name of an image"),
        ("texts/*.png", "no file matches *.png"),
    ] {
        let error = lake.images(path).unwrap_err();
        assert!(
            matches!(&error, Error::Lake(LakeError::NotFound { .. })),
            "{error}"
        );
        assert!(error.to_string().contains(hint), "{error}");
    }
    put(lake, "pets/1.png", "one");
    put(lake, "pets/2.png", "two");
    let table = lake.images("pets").unwrap();
    put(lake, "pets/2.png", "three");
    let error = table.collect().unwrap_err();
    assert!(
        matches!(&error, Error::Table(TableError::Failed { table, .. }) if table.ends_with("pets/2.png")),
        "{error}"
    );
    // What is not asked for is not read.
    lake.delete("pets/2.png").unwrap();
    let paths = table.select(["path"]).unwrap().collect().unwrap();
    assert_eq!(paths.height(), 2);
    assert!(matches!(
        table.collect().unwrap_err(),
        Error::Lake(LakeError::NotFound { .. })
    ));
}

pub(crate) fn a_thousand_images_are_read_in_seconds(lake: &Lake) {
    let names: Vec<String> = (0..1000)
        .map(|index| format!("many/{index:04}.png"))
        .collect();
    std::thread::scope(|scope| {
        for names in names.chunks(125) {
            scope.spawn(move || names.iter().for_each(|name| put(lake, name, name.clone())));
        }
    });
    let start = std::time::Instant::now();
    let rows = images(&lake.images("many").unwrap().collect().unwrap());
    let took = start.elapsed();
    assert!(
        rows.iter()
            .map(|(path, bytes)| (format!("many/{path}"), bytes))
            .all(|(path, bytes)| path.as_bytes() == bytes)
    );
    assert_eq!(rows.len(), 1000);
    assert!(took.as_secs() < 20, "{took:?}");
}
