//! What every store must do with CSV files.

use mnist_support::lake::{ColumnType, CsvOptions, Encoding, Lake, LakeFrame, NumberType};
use mnist_support::ml::PipelineModel;
use mnist_support::{Error, error::TableError};
use polars::prelude::{DataFrame, DataType};

use super::{floats, integers, put, sent, u8s};

pub(crate) fn a_csv_is_read_whole_and_by_its_head(lake: &Lake) {
    put(
        lake,
        "small.csv",
        "pixel1,size,label\r\n0,0.5,7\r\n255,300,1\r\n9,-1,2\r\n",
    );
    let frame = lake.csv("small.csv").unwrap();
    assert_eq!(frame.name(), format!("{lake}/small.csv"));
    assert_eq!(frame.columns(), ["pixel1", "size", "label"]);
    let whole = frame.collect().unwrap();
    assert_eq!(u8s(&whole, "pixel1"), [0, 255, 9]);
    assert_eq!(floats(&whole, "size"), [0.5, 300.0, -1.0]);
    assert_eq!(u8s(&whole, "label"), [7, 1, 2]);
    assert_eq!(u8s(&frame.head(2).unwrap(), "label"), [7, 1]);
    assert_eq!(frame.head(0).unwrap().height(), 0);
    assert_eq!(frame.head(99).unwrap().height(), 3);
    let floats = frame
        .with_dtype(NumberType::Float32)
        .unwrap()
        .collect()
        .unwrap();
    assert!(
        floats
            .columns()
            .iter()
            .all(|column| column.dtype() == &DataType::Float32)
    );
}

pub(crate) fn the_partitions_of_a_csv_hold_every_row_once_in_order(lake: &Lake) {
    // Lines of very different lengths, a quoted field, no newline at the end.
    let numbers = ["1", "22", "\"200\"", "4", "000000000000000005", "6", "7"];
    for end in ["", "\n", "\r\n\r\n\n"] {
        put(
            lake,
            "odd.csv",
            format!("n,label\n{},9{end}", numbers.join(",9\n")),
        );
        let frame = lake.csv("odd.csv").unwrap();
        for n in 1..=7 {
            let parts = frame.partitions(n).unwrap();
            assert_eq!(parts.len(), n);
            let rows: Vec<Vec<u8>> = parts
                .iter()
                .map(|part| u8s(&frame.read(&sent(part)).unwrap(), "n"))
                .collect();
            assert!(rows.iter().all(|rows| !rows.is_empty()));
            assert_eq!(rows.concat(), [1, 22, 200, 4, 5, 6, 7]);
        }
    }
}

/// Returns about 3 MB of rows `index, index % 256`.
fn large_csv(rows: usize) -> String {
    let mut text = String::from("index,byte,filler\n");
    for index in 0..rows {
        text.push_str(&format!("{index},{},0.{index:020}\n", index % 256));
    }
    text
}

pub(crate) fn a_large_csv_is_cut_at_line_ends(lake: &Lake) {
    let rows = 90_000;
    put(lake, "large.csv", large_csv(rows));
    let frame = lake.csv("large.csv").unwrap();
    let whole = frame.collect().unwrap();
    assert_eq!(whole.column("index").unwrap().dtype(), &DataType::Int64);
    assert_eq!(whole.column("byte").unwrap().dtype(), &DataType::UInt8);
    for n in [1, 2, 7] {
        let parts = frame.partitions(n).unwrap();
        let frames: Vec<DataFrame> = parts
            .iter()
            .map(|part| frame.read(&sent(part)).unwrap())
            .collect();
        let even = rows / n;
        assert!(
            frames
                .iter()
                .all(|part| part.height().abs_diff(even) < even / 10 + 1)
        );
        let indexes: Vec<i64> = frames
            .iter()
            .flat_map(|part| integers(part, "index"))
            .collect();
        assert!(indexes.iter().copied().eq(0..rows as i64));
    }
    assert_eq!(frame.head(20_000).unwrap().height(), 20_000);
}

pub(crate) fn a_column_is_as_wide_as_any_row_needs_in_every_part(lake: &Lake) {
    // Row 60,000 is not in any of the samples.
    let put_with = |line: &str| {
        let mut lines: Vec<String> = large_csv(90_000).lines().map(String::from).collect();
        lines[60_000] = line.into();
        put(lake, "wide.csv", lines.join("\n"));
        lake.csv("wide.csv").unwrap()
    };
    let frame = put_with("59999,-7,0.5");
    let transformed = PipelineModel::new().transform(&frame).unwrap();
    for whole in [frame.collect().unwrap(), transformed] {
        assert_eq!(
            integers(&whole, "byte")[59_998..60_000],
            [(59_998 % 256) as i64, -7]
        );
        assert_eq!(whole.height(), 90_000);
    }
    assert_eq!(integers(&frame.head(70_000).unwrap(), "byte")[59_999], -7);
    // Whoever reads a part by itself is told.
    let parts = frame.partitions(2).unwrap();
    assert!(frame.read(&parts[0]).is_ok());
    let error = frame.read(&parts[1]).unwrap_err();
    assert!(
        matches!(&error, Error::Table(TableError::WiderValue { row: 60_000, column, value, dtype, .. })
            if column == "byte" && value == "-7" && dtype.as_ref() == "Int64"),
        "{error}"
    );
    // Numbers that become text are what stands in the file.
    let frame = put_with("59999,none of them,0.5");
    let whole = PipelineModel::new().transform(&frame).unwrap();
    let bytes = whole.column("byte").unwrap().str().unwrap();
    assert_eq!(bytes.get(3), Some("3"));
    assert_eq!(bytes.get(59_999), Some("none of them"));
    assert_eq!(bytes.get(89_999), Some("143"));
    // Nobody looks at a column that is not wanted.
    let other = frame.select(["index"]).unwrap();
    let parts = other.partitions(2).unwrap();
    assert!(parts.iter().all(|part| other.read(part).is_ok()));
}

pub(crate) fn a_wrong_row_of_a_later_partition_has_its_number_in_the_file(lake: &Lake) {
    let read_last = |line: &str| {
        let mut lines: Vec<String> = large_csv(90_000).lines().map(String::from).collect();
        lines[60_000] = line.into();
        put(lake, "wrong.csv", lines.join("\n"));
        let frame = lake.csv("wrong.csv").unwrap();
        let parts = frame.partitions(4).unwrap();
        assert!(frame.read(&parts[0]).is_ok());
        frame.read(&parts[2]).unwrap_err()
    };
    let url = format!("{lake}/wrong.csv");
    let error = read_last("1,2");
    assert!(
        matches!(&error, Error::Table(TableError::RaggedRow { file, row: 60_000, expected: 3, found: 2 }) if *file == url),
        "{error}"
    );
    let error = read_last("1,2,3,4");
    assert!(
        matches!(
            error,
            Error::Table(TableError::RaggedRow {
                row: 60_000,
                found: 4,
                ..
            })
        ),
        "{error}"
    );
    let error = read_last("1,2,three");
    assert!(
        matches!(&error, Error::Table(TableError::WiderValue { file, row: 60_000, column, value, .. })
            if *file == url && column == "filler" && value == "three"),
        "{error}"
    );
    let error = read_last("1,2,\"3");
    assert!(
        error.to_string().contains("row 60000") && error.to_string().contains(&url),
        "{error}"
    );
}

pub(crate) fn a_csv_that_is_empty_says_what_is_missing(lake: &Lake) {
    for (text, said) in [
        ("", "first line"),
        ("\n\n", "first line"),
        ("a,b\n", "no row"),
        ("a,b\n\r\n", "no row"),
        ("a,b", "no row"),
    ] {
        put(lake, "empty.csv", text);
        let error = lake.csv("empty.csv").unwrap_err();
        assert!(
            matches!(&error, Error::Table(TableError::EmptyFile { file, .. }) if *file == format!("{lake}/empty.csv"))
        );
        assert!(error.to_string().contains(said), "{text:?}: {error}");
    }
}

/// Texts of a column, with a dash for null.
fn texts(frame: &DataFrame, column: &str) -> Vec<String> {
    let texts = frame.column(column).unwrap().str().unwrap().clone();
    texts
        .iter()
        .map(|text| text.unwrap_or("-").to_owned())
        .collect()
}

pub(crate) fn a_csv_is_read_as_it_comes(lake: &Lake) {
    let collect = |text: &str| {
        put(lake, "some.csv", text.to_owned());
        lake.csv("some.csv").unwrap().collect().unwrap()
    };
    let titanic = collect(
        "PassengerId,Name,Age,Survived\r\n1,\"Braund, Mr. Owen\",22,true\r\n\
         2,\"Cumings, \"\"Florence\"\"\",,false\r\n\r\n3,,26.5,true\r\n",
    );
    assert_eq!(
        texts(&titanic, "Name"),
        ["Braund, Mr. Owen", "Cumings, \"Florence\"", "-"]
    );
    let ages = titanic.column("Age").unwrap().f64().unwrap().to_vec();
    assert_eq!(ages, [Some(22.0), None, Some(26.5)]);
    assert_eq!(
        titanic.column("Survived").unwrap().dtype(),
        &DataType::Boolean
    );

    let german =
        collect("Datum;Preis;Zeit\n2026-01-31;1.234,50;2026-01-31 12:00\n2026-02-01;-2,5;\n");
    assert_eq!(floats(&german, "Preis"), [1234.5, -2.5]);
    assert_eq!(german.column("Datum").unwrap().dtype(), &DataType::Date);
    assert_eq!(german.column("Zeit").unwrap().null_count(), 1);

    let cancer = collect("5,1,?,2\n3,2,10,4\n");
    assert_eq!(
        cancer.get_column_names(),
        ["column_1", "column_2", "column_3", "column_4"]
    );
    assert_eq!(
        cancer.column("column_3").unwrap().u8().unwrap().to_vec(),
        [None, Some(10)]
    );
    let iris = collect("5.1,3.5,Iris-setosa\n4.9,3.0,Iris-setosa\n6.3,3.3,Iris-virginica\n");
    assert_eq!(iris.height(), 3);
    let adult = collect("39, State-gov, 77516\n50, Private, 83311\n38, Private, 215646\n");
    assert_eq!(
        texts(&adult, "column_2"),
        ["State-gov", "Private", "Private"]
    );
    let indexed = collect(",x\n0,5\n1,6\n");
    assert_eq!(indexed.get_column_names(), ["Unnamed: 0", "x"]);
}

pub(crate) fn what_a_csv_does_not_tell_is_set(lake: &Lake) {
    let read = |text: &[u8], options: CsvOptions| {
        put(lake, "some.csv", text.to_vec());
        let frame = lake.csv_with("some.csv", &options).unwrap();
        // Another process reads it alike.
        let source = serde_json::to_string(frame.source()).unwrap();
        assert_eq!(
            serde_json::from_str::<mnist_support::lake::FileSource>(&source).unwrap(),
            *frame.source()
        );
        frame.collect().unwrap()
    };
    let frame = read(b"0,1\n7,8\n", CsvOptions::new().header(true));
    assert_eq!(u8s(&frame, "1"), [8]);
    let frame = read(
        b"8001:yes\n8002:no\n",
        CsvOptions::new()
            .sep(b':')
            .names(["zip", "ok"])
            .true_values(["yes"])
            .false_values(["no"])
            .schema([("zip", ColumnType::String)]),
    );
    assert_eq!(texts(&frame, "zip"), ["8001", "8002"]);
    assert_eq!(frame.column("ok").unwrap().dtype(), &DataType::Boolean);
    let frame = read(
        b"n\ncaf\xe9\n",
        CsvOptions::new().encoding(Encoding::Latin1),
    );
    assert_eq!(texts(&frame, "n"), ["café"]);
    let utf16: Vec<u8> = "\u{feff}n\tm\nö\t5\n"
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    assert_eq!(texts(&read(&utf16, CsvOptions::new()), "n"), ["ö"]);

    put(lake, "some.csv", "a\n1\nx\n");
    let given = CsvOptions::new().schema([("a", ColumnType::Int64)]);
    let error = lake
        .csv_with("some.csv", &given)
        .unwrap()
        .collect()
        .unwrap_err();
    assert!(
        matches!(&error, Error::Table(TableError::InvalidValue { row: 2, value, .. }) if value == "x"),
        "{error}"
    );
    for (options, said) in [
        (
            CsvOptions::new().schema([("b", ColumnType::Int64)]),
            "\"b\"",
        ),
        (
            CsvOptions::new().sep(b';').quote(b';'),
            "also the setting sep",
        ),
        (CsvOptions::new().names(["a", "b"]), "2 names"),
    ] {
        let error = lake.csv_with("some.csv", &options).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}

pub(crate) fn a_compressed_csv_is_read_in_parts(lake: &Lake) {
    let text = large_csv(90_000);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, text.as_bytes()).unwrap();
    put(lake, "large.csv.gz", gzip.finish().unwrap());
    put(
        lake,
        "large.csv.zst",
        zstd::encode_all(text.as_bytes(), 1).unwrap(),
    );
    for name in ["large.csv.gz", "large.csv.zst"] {
        let frame = lake.table(name).unwrap();
        let indexes: Vec<i64> = frame
            .partitions(3)
            .unwrap()
            .iter()
            .flat_map(|part| integers(&frame.read(&sent(part)).unwrap(), "index"))
            .collect();
        assert!(indexes.iter().copied().eq(0..90_000));
    }
    put(
        lake,
        "cut.csv.gz",
        lake.get("large.csv.gz").unwrap().slice(..1000),
    );
    let error = lake.csv("cut.csv.gz").unwrap_err();
    assert!(error.to_string().contains("cut.csv.gz"), "{error}");
}

/// A frame's rows, read in `n` parts.
fn in_parts(frame: &LakeFrame, n: usize) -> DataFrame {
    let parts = frame.partitions(n).unwrap();
    let mut parts = parts.iter().map(|part| frame.read(&sent(part)).unwrap());
    let first = parts.next().unwrap();
    parts.fold(first, |whole, part| whole.vstack(&part).unwrap())
}

pub(crate) fn a_csv_with_line_breaks_in_quotes_is_cut_between_rows(lake: &Lake) {
    // Lines in quotes that look like rows.
    let mut text = String::from("id,note\n");
    for id in 0..40_000 {
        text.push_str(&format!(
            "{id},\"first\n{id},\"\"second\"\"\n{id},third\"\n"
        ));
        if id % 1000 == 0 {
            text.push('\n');
        }
    }
    put(lake, "quoted.csv", text.clone());
    let frame = lake.csv("quoted.csv").unwrap();
    let whole = frame.collect().unwrap();
    assert!(integers(&whole, "id").into_iter().eq(0..40_000));
    assert_eq!(texts(&whole, "note")[7], "first\n7,\"second\"\n7,third");
    for n in [1, 2, 7] {
        assert_eq!(in_parts(&frame, n), whole);
    }
    // A wrong row has its number and its line.
    let wrong = text.replace("\n30000,\"first", "\n30000,5,\"first");
    put(lake, "quoted.csv", wrong.clone());
    let frame = lake.csv("quoted.csv").unwrap();
    let parts = frame.partitions(3).unwrap();
    let error = frame.read(&parts[2]).unwrap_err();
    let before = &wrong[..wrong.find("30000,5,").unwrap()];
    let line = before.matches('\n').count() + 1;
    assert!(
        matches!(&error, Error::Table(TableError::RaggedRow { file, row: 30_001, found: 3, .. })
            if *file == format!("{lake}/quoted.csv, line {line}")),
        "{error}"
    );
}

pub(crate) fn the_types_of_a_folder_do_not_depend_on_its_parts(lake: &Lake) {
    for part in 0..40 {
        let odd = if part == 21 { "0.5" } else { "7" };
        put(
            lake,
            &format!("table/part-{part:05}.csv"),
            format!("a,b\n{part},{odd}\n{part},x\n"),
        );
    }
    let frame = lake.csv("table").unwrap();
    let whole = PipelineModel::new().transform(&frame).unwrap();
    assert_eq!(whole, frame.collect().unwrap());
    assert_eq!(texts(&whole, "b")[42..44], ["0.5", "x"]);
    put(lake, "table/part-00021.csv", "a,b\n21.5,x\n");
    let frame = lake.csv("table").unwrap();
    let whole = PipelineModel::new().transform(&frame).unwrap();
    assert_eq!(floats(&whole, "a")[42..44], [21.5, 22.0]);
    assert_eq!(whole, frame.collect().unwrap());
}
