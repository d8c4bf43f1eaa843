//! SparkTorch's own twelve tests, in process. `spark_engine.rs` runs them on Spark.

#[path = "common/sparktorch.rs"]
mod sparktorch;
#[path = "common/targets.rs"]
mod targets;

use mnist_support::{engine::Threads, train::Silent};

#[test]
fn sparktorchs_twelve_cases_pass_in_process() {
    let cases = sparktorch::cases();
    assert_eq!(cases.len(), 12);
    for (name, estimator, check) in cases {
        let pipeline = targets::assembled().stage(estimator);
        let model = pipeline.fit_with(targets::points(), &Threads, &Silent);
        let model = model.unwrap_or_else(|error| panic!("{name}: {error}"));
        let frame = model.transform(targets::points()).unwrap();
        assert_eq!(frame.height(), 400, "{name}");
        check(&model, &frame);
    }
}
