//! Every network of the row `networks` of `make bench`: as layers, and as PyTorch exports it.

#[path = "networks.rs"]
mod layers;

use std::path::Path;

use mnist_support::{Network, ml::TorchEstimator};

/// The networks with their names, in estimators for a short fit.
pub(crate) fn all() -> Vec<(String, TorchEstimator)> {
    let layers = ["mlp", "lenet5", "example", "residual", "lstm"]
        .map(|name| (name.to_owned(), layers::network(name).unwrap()));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pt2");
    // Exported by `networks.py`.
    let programs = ["digits_cnn", "digits_residual", "digits_transformer"].map(|name| {
        let file = std::fs::read(folder.join(format!("{name}.pt2"))).unwrap();
        (format!("{name}.pt2"), Network::from_pt2(file).unwrap())
    });
    let estimator = |network| {
        TorchEstimator::new(network)
            .features_col("scaledFeatures")
            .iterations(6)
            .mini_batch(20)
            .partitions(3)
            .verbose(0)
    };
    layers
        .into_iter()
        .chain(programs)
        .map(|(name, network)| (name, estimator(network)))
        .collect()
}
