//! Buckets of Amazon S3, of stores that speak its protocol, and of Google Cloud Storage.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::gcp::GoogleCloudStorageBuilder;

use super::azure::choose_cryptography;
use super::credentials::{Authentication, Credentials};
use super::failure::storage_error;
use super::location::Provider;
use super::patience::{Patience, PatientConnector};
use crate::Result;

/// Opens a bucket with the credentials of the environment, in object_store's variables. This makes
/// no request.
pub(super) fn open(
    url: &str,
    provider: Provider,
    bucket: &str,
    credentials: &Credentials,
    patience: Patience,
) -> Result<Arc<dyn ObjectStore>> {
    choose_cryptography();
    let is_anonymous = matches!(credentials.authentication(), Authentication::Anonymous);
    let connector = PatientConnector(patience);
    let opened: object_store::Result<Arc<dyn ObjectStore>> = match provider {
        Provider::Amazon => {
            let mut builder = AmazonS3Builder::from_env()
                .with_bucket_name(bucket)
                .with_http_connector(connector)
                .with_retry(patience.retry_config());
            if is_anonymous {
                builder = builder.with_skip_signature(true);
            }
            builder.build().map(|store| Arc::new(store) as _)
        }
        Provider::Google => {
            let mut builder = GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(bucket)
                .with_http_connector(connector)
                .with_retry(patience.retry_config());
            if is_anonymous {
                builder = builder.with_skip_signature(true);
            }
            builder.build().map(|store| Arc::new(store) as _)
        }
    };
    opened.map_err(|error| storage_error("opening", url, error))
}
