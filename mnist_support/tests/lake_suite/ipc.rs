//! What every store must do with Arrow IPC files.

use std::sync::Arc;

use arrow_array::{RecordBatch, StringArray, UInt8Array};
use arrow_ipc::writer::FileWriter;
use bytes::Bytes;
use mnist_support::lake::Lake;
use mnist_support::{Error, error::TableError};

use super::{put, sent, u8s};

/// Returns an Arrow IPC file of `rows` rows in record batches of 10: a byte, and a text.
fn ipc_bytes(rows: u8) -> Bytes {
    let batch = |start: u8| {
        let bytes: Vec<u8> = (start..rows.min(start + 10)).collect();
        let texts = bytes.iter().map(|byte| format!("row {byte}"));
        RecordBatch::try_from_iter([
            ("text", Arc::new(StringArray::from_iter_values(texts)) as _),
            ("byte", Arc::new(UInt8Array::from(bytes)) as _),
        ])
        .unwrap()
    };
    let mut file = Vec::new();
    let mut writer = FileWriter::try_new(&mut file, &batch(0).schema()).unwrap();
    for start in (0..rows).step_by(10) {
        writer.write(&batch(start)).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    file.into()
}

pub(crate) fn an_ipc_file_is_read_whole_and_in_partitions(lake: &Lake) {
    put(lake, "table.feather", ipc_bytes(90));
    for frame in [lake.ipc("table.feather"), lake.table("table.feather")] {
        let frame = frame.unwrap();
        assert_eq!(frame.columns(), ["text", "byte"]);
        let whole = frame.collect().unwrap();
        assert!(u8s(&whole, "byte").into_iter().eq(0..90));
        assert_eq!(
            whole.column("text").unwrap().str().unwrap().get(57),
            Some("row 57")
        );
        assert_eq!(u8s(&frame.head(13).unwrap(), "byte").len(), 13);
        assert_eq!(frame.head(0).unwrap().shape(), (0, 2));
        for n in [1, 2, 9, 10, 40, 90] {
            let parts = frame.partitions(n).unwrap();
            let rows: Vec<Vec<u8>> = parts
                .iter()
                .map(|part| u8s(&frame.read(&sent(part)).unwrap(), "byte"))
                .collect();
            assert!(rows.iter().all(|rows| !rows.is_empty()));
            assert!(rows.concat().into_iter().eq(0..90), "{n}");
        }
    }
    put(lake, "parts/1.arrow", ipc_bytes(12));
    put(lake, "parts/2.arrow", ipc_bytes(3));
    let folder = lake.table("parts").unwrap();
    assert_eq!(
        folder
            .filter("text = 'row 2'")
            .unwrap()
            .collect()
            .unwrap()
            .height(),
        2
    );
    assert_eq!(folder.collect().unwrap().height(), 15);
}

pub(crate) fn an_ipc_file_that_is_damaged_is_refused(lake: &Lake) {
    let whole = ipc_bytes(90);
    for (bytes, what) in [
        (whole.slice(..whole.len() - 1), "cut by a byte"),
        (whole.slice(..whole.len() / 2), "cut in half"),
        (whole.slice(..7), "cut to nothing"),
        (Bytes::from("FEA1 and more"), "Feather of version 1"),
        (Bytes::from("a,b\n1,2\n"), "a CSV"),
    ] {
        put(lake, "damaged.arrow", bytes);
        let error = lake.ipc("damaged.arrow").unwrap_err();
        assert!(
            matches!(&error, Error::Table(TableError::Failed { table, .. }) if *table == format!("{lake}/damaged.arrow")),
            "{what}: {error}"
        );
    }
    for bytes in [Bytes::new(), ipc_bytes(0)] {
        put(lake, "empty.arrow", bytes);
        assert!(matches!(
            lake.ipc("empty.arrow"),
            Err(Error::Table(TableError::EmptyFile { .. }))
        ));
    }
}
