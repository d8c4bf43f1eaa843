//! End to end on a real Azurite: rows from a container, a model into it and out again.

mod azurite;
mod common;

use azurite::Azurite;
use common::{digits, estimator, pipeline, pixel_columns};
use mnist_support::{
    Error,
    error::LakeError,
    lake::{Credentials, Lake},
    ml::PipelineModel,
};
use polars::prelude::ParquetWriter;

#[test]
fn a_pipeline_is_fitted_to_a_container_s_file_and_saved_beside_it() {
    let azurite = Azurite::shared();
    let lake = Lake::open("az://pipelines", &Credentials::azurite(azurite.port())).unwrap();
    assert!(lake.create_container().unwrap());
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .with_row_group_size(Some(100))
        .finish(&mut digits(400))
        .unwrap();
    lake.put("digits.parquet", bytes.into()).unwrap();

    let rows = lake.parquet("digits.parquet").unwrap();
    let estimator = estimator().checkpoint_every(10);
    let model = pipeline(pixel_columns(&digits(1)), estimator)
        .run_folder(&lake.folder("runs/first"))
        .fit(&rows)
        .unwrap();
    assert!(lake.folder("runs/first").list().unwrap().is_empty());

    let models = lake.folder("models/digits");
    assert!(matches!(
        PipelineModel::load(&models),
        Err(Error::Lake(LakeError::NotFound { .. }))
    ));
    model.save(&models).unwrap();
    model.save(&models).unwrap();
    assert_eq!(models.list().unwrap().len(), 3);
    let loaded = PipelineModel::load(&models).unwrap();
    let predicted = |model: &PipelineModel| {
        let frame = model.transform(&rows).unwrap();
        frame.column("prediction").unwrap().clone()
    };
    assert_eq!(predicted(&loaded), predicted(&model));

    let folder = lake.folder("predictions");
    model.transform_to(&rows, &folder).unwrap();
    let first = folder.parquet("part-00000.parquet").unwrap();
    assert!(first.columns().contains(&"prediction".to_owned()));
}
