//! Whole programs, from files as people have them to predictions.
//!
//! Each is three functions: the table, the pipeline, and a `main` that fits, predicts and
//! evaluates. They run as they are, in this process, and on a Spark cluster with
//! `SPARK_REMOTE=sc://HOST:PORT` in the environment, to the same bits. The files are in
//! `src/examples/data` of the crate, and `src/examples/make_data.py` says where they are from.
//!
//! | | shows |
//! |---|---|
//! | [`iris`] | a CSV file whose label is a word |
//! | [`titanic`] | words and holes in the features |
//! | [`breast_cancer`] | a CSV file in which `?` stands for a missing number |
//! | [`housing`] | a regression from a Delta table |
//! | [`fashion`] | PNG images in a Parquet file of Hugging Face's |
//! | [`digits`] | PNG files in folders |
//! | [`mnist`] | a compressed CSV file without a header |

macro_rules! example {
    ($name:ident: $($about:literal)+) => {
        $(#[doc = $about])+
        #[doc = "\n```"]
        #[doc = include_str!(concat!(stringify!($name), ".rs"))]
        #[doc = "```"]
        pub mod $name {}
    };
}

example!(iris: "Iris: a CSV file whose label is a word.");
example!(titanic: "Passengers, as in the Titanic data set: words and holes in the features.");
example!(breast_cancer:
    "Samples of tissue, as in the breast cancer data set of Wisconsin: a CSV file in which `?`"
    "stands for a missing number.");
example!(housing:
    "Districts of houses, as in the California housing data set: a regression from a Delta table.");
example!(fashion:
    "Garments, as in Fashion-MNIST: PNG images in a Parquet file, as Hugging Face keeps them.");
example!(digits: "Handwritten digits: PNG files in folders.");
example!(mnist: "Digits, as in MNIST: a compressed CSV file without a header.");
