use ndarray::{Array1, Array2};
use tch::{Device, Kind};

use super::*;
use crate::traditional::{
    TensorDataset,
    transforms::{Normalize, RandomCrop, RandomHorizontalFlip},
};

fn dataset(rows: usize) -> TensorDataset {
    let features = Array2::from_shape_fn((rows, 2), |(row, column)| (10 * row + column) as f32);
    TensorDataset::new(&features, &Array1::from_iter(0..rows as i64)).unwrap()
}

/// Returns the labels of an epoch by batch, after checking that the features belong to them.
fn epoch(loader: &DataLoader) -> Vec<Vec<i64>> {
    loader
        .iter()
        .map(|batch| {
            let (features, labels) = batch.unwrap();
            let labels = Vec::<i64>::try_from(labels).unwrap();
            assert_eq!(features.size(), [labels.len() as i64, 2]);
            for (row, &label) in labels.iter().enumerate() {
                assert_eq!(
                    features.double_value(&[row as i64, 1]),
                    (10 * label + 1) as f64
                );
            }
            labels
        })
        .collect()
}

#[test]
fn batches_come_in_order_and_the_last_may_be_short() {
    let loader = DataLoader::new(&dataset(7), 3).unwrap();
    assert_eq!(epoch(&loader), [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
    assert_eq!(loader.len(), 3);
    assert_eq!(loader.iter().len(), 3);
    assert_eq!(
        DataLoader::new(&dataset(6), 3).unwrap().iter().count(),
        2,
        "no empty batch at the end"
    );
}

#[test]
fn every_epoch_is_a_new_order_of_all_samples() {
    let loader = DataLoader::new(&dataset(100), 30).unwrap().shuffle(42);
    let (first, second) = (epoch(&loader), epoch(&loader));
    assert_ne!(first, second);
    for batches in [first, second] {
        assert_eq!(
            batches.iter().map(Vec::len).collect::<Vec<_>>(),
            [30, 30, 30, 10]
        );
        let mut labels = batches.concat();
        assert_ne!(labels, (0..100).collect::<Vec<i64>>());
        labels.sort_unstable();
        assert_eq!(labels, (0..100).collect::<Vec<i64>>());
    }
}

#[test]
fn the_seed_and_the_epoch_decide_the_order() {
    let loader = |seed| DataLoader::new(&dataset(50), 50).unwrap().shuffle(seed);
    let (one, two) = (loader(1), loader(1));
    assert_eq!([epoch(&one), epoch(&one)], [epoch(&two), epoch(&two)]);
    assert_ne!(epoch(&loader(1)), epoch(&loader(2)));
    one.set_epoch(0);
    assert_eq!(epoch(&one), epoch(&loader(1)));
}

#[test]
fn a_batch_size_of_0_is_refused() {
    let error = DataLoader::new(&dataset(5), 0).unwrap_err();
    assert_eq!(error.to_string(), "batch_size = 0 must be at least 1");
}

#[test]
fn a_batch_above_the_dataset_takes_all_samples() {
    let loader = DataLoader::new(&dataset(5), 6).unwrap();
    assert_eq!(epoch(&loader), [vec![0, 1, 2, 3, 4]]);
    assert_eq!((loader.len(), loader.batch_size()), (1, 5));
    let error = DataLoader::new(&dataset(0), 6).unwrap_err();
    assert_eq!(
        error.to_string(),
        "batch_size = 6 has no samples to take: the dataset is empty"
    );
}

/// Samples that are computed one by one. Those from `broken` on can't be.
#[derive(Clone)]
struct Computed {
    samples: usize,
    broken: usize,
    panics: bool,
}

impl Dataset for Computed {
    fn len(&self) -> usize {
        self.samples
    }

    fn get(&self, index: usize) -> Result<(Tensor, Tensor)> {
        assert!(index < self.broken || !self.panics, "out of memory, say");
        if index >= self.broken {
            return Err(Error::NotFitted { what: "the sample" });
        }
        let image = Tensor::full([1, 4, 4], index as f64, (Kind::Float, Device::Cpu));
        Ok((image, Tensor::from(index as i64)))
    }
}

fn computed(samples: usize) -> Computed {
    Computed {
        samples,
        broken: samples,
        panics: false,
    }
}

#[test]
fn workers_change_neither_the_order_nor_what_transforms_draw() {
    let batches = |workers| {
        let loader = DataLoader::new(&computed(50), 8).unwrap().shuffle(42);
        let loader = loader
            .transform(RandomCrop::new(4, 2))
            .transform(RandomHorizontalFlip::new(0.5))
            .num_workers(workers);
        let epochs = (0..2).flat_map(|_| loader.iter().map(Result::unwrap));
        epochs.collect::<Vec<(Tensor, Tensor)>>()
    };
    let expected = batches(0);
    assert_eq!(expected.len(), 14);
    assert_eq!(expected[0].0.size(), [8, 1, 4, 4]);
    for workers in [1, 2, 3, 20] {
        assert_eq!(batches(workers), expected, "{workers} workers");
    }
}

#[test]
fn an_epoch_that_is_left_early_ends_its_workers() {
    let loader = DataLoader::new(&computed(1000), 1).unwrap().num_workers(3);
    for _ in 0..5 {
        assert!(loader.iter().next().unwrap().is_ok());
    }
    let counted = Arc::strong_count(&loader.dataset);
    assert_eq!(counted, 1, "no worker has it any more");
}

#[test]
fn a_sample_that_fails_ends_the_epoch_and_is_named() {
    for workers in [0, 2] {
        for (panics, reason) in [
            (false, "the sample is not fitted yet: call fit first"),
            (true, "out of memory, say"),
        ] {
            let dataset = Computed {
                samples: 40,
                broken: 17,
                panics,
            };
            let loader = DataLoader::new(&dataset, 5).unwrap().num_workers(workers);
            let batches: Vec<_> = loader.iter().collect();
            assert_eq!(batches.len(), 4);
            let error = batches[3].as_ref().unwrap_err().to_string();
            assert_eq!(error, format!("sample 17 of the dataset: {reason}"));
        }
    }
}

#[test]
fn samples_of_different_shapes_are_named() {
    #[derive(Clone)]
    struct Ragged;
    impl Dataset for Ragged {
        fn len(&self) -> usize {
            4
        }
        fn get(&self, index: usize) -> Result<(Tensor, Tensor)> {
            let features = Tensor::zeros([1 + index as i64 / 2], (Kind::Float, Device::Cpu));
            Ok((features, Tensor::from(0_i64)))
        }
    }
    let loader = DataLoader::new(&Ragged, 4).unwrap();
    let error = loader.iter().next().unwrap().unwrap_err().to_string();
    assert_eq!(
        error,
        "sample 2 of the dataset: its shape is [2], where the samples before have [1]"
    );
}

#[test]
fn a_transform_that_does_not_suit_the_samples_names_one() {
    let loader = DataLoader::new(&computed(4), 2).unwrap();
    let loader = loader.transform(Normalize::new([0.1, 0.2], [1.0, 1.0]));
    let error = loader.iter().next().unwrap().unwrap_err().to_string();
    assert!(
        error.starts_with("sample 0 of the dataset: mean = [0.1, 0.2] needs one value"),
        "{error}"
    );
}
