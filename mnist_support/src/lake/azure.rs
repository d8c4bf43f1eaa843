//! A container on Azure, or on Azurite, as an object store.

use std::sync::Arc;
use std::time::Duration;

use object_store::azure::{
    AzureAuthorizer, AzureConfigKey, MicrosoftAzure, MicrosoftAzureBuilder, split_sas,
};
use object_store::client::{
    HttpConnector, HttpErrorKind, HttpRequest, HttpRequestBody, ReqwestConnector,
};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use url::{Host, Url};

use super::credentials::{Authentication, Credentials};
use super::failure::{storage_error, without_query_strings};
use super::location::is_account_name;
use super::runtime;
use crate::secrets::Secret;
use crate::{
    Error, Result,
    error::{Cause, LakeError},
};

/// The number of retries, and for how long after the first try.
const RETRIES: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(15);
/// A host that drops packets costs this much on each of the four tries.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A container, with what requests beyond object_store's need.
#[derive(Clone)]
pub(crate) struct Container {
    pub(crate) store: Arc<MicrosoftAzure>,
    pub(crate) url: String,
    address: String,
    account: String,
}

/// Opens `container`. This makes no request.
pub(crate) fn open(
    url: &str,
    container: &str,
    account: Option<String>,
    endpoint: Option<String>,
    credentials: &Credentials,
) -> Result<Container> {
    let invalid = |reason: String| {
        Error::Lake(LakeError::InvalidUrl {
            url: url.into(),
            reason,
        })
    };
    let account = account.or_else(|| credentials.account.clone()).ok_or_else(|| {
        invalid("it names no storage account; add the key account to the secret scope, or use abfss://".into())
    })?;
    if !is_account_name(&account) {
        return Err(invalid(format!(
            "{account:?} is not a storage account's name"
        )));
    }
    let endpoint = credentials
        .endpoint
        .clone()
        .or(endpoint)
        .unwrap_or_else(|| format!("https://{account}.blob.core.windows.net"));
    let plain_http = check_endpoint(&endpoint, &account).map_err(invalid)?;
    choose_cryptography();
    let builder = MicrosoftAzureBuilder::new()
        .with_account(&account)
        .with_container_name(container)
        .with_endpoint(endpoint.clone())
        .with_client_options(client_options(plain_http))
        .with_retry(retry_config());
    let store = with_authentication(builder, url, credentials)?
        .build()
        .map_err(|error| {
            // The builder's error may repeat a setting, so leave its text out.
            match &credentials.authentication {
                Authentication::AccessKey(_) => denied(url, "the access key is not base64"),
                _ => storage_error("opening", url, error),
            }
        })?;
    Ok(Container {
        store: Arc::new(store),
        url: url.into(),
        address: format!("{endpoint}/{container}"),
        account,
    })
}

fn denied(url: &str, reason: &str) -> Error {
    Error::Lake(LakeError::AccessDenied {
        url: url.into(),
        reason: reason.into(),
        hint: "give the credentials in a secret scope: the keys tenant-id, client-id and client-secret, \
               or access-key, or sas, or authentication"
            .into(),
    })
}

/// Checks the address of the service. Returns whether it is plain `http`.
fn check_endpoint(endpoint: &str, account: &str) -> std::result::Result<bool, String> {
    let shown = without_query_strings(endpoint);
    let parsed =
        Url::parse(endpoint).map_err(|error| format!("the endpoint {shown:?}: {error}"))?;
    let here = match parsed.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => return Err(format!("the endpoint {shown:?} names no host")),
    };
    if parsed.query().is_some() {
        return Err(format!(
            "the endpoint {shown:?} has a query string; a signature is the key sas"
        ));
    }
    match parsed.scheme() {
        "https" => Ok(false),
        "http" if here || account == "devstoreaccount1" => Ok(true),
        _ => Err(format!("the endpoint {shown:?} is not https")),
    }
}

/// Installs a TLS provider, unless the program has chosen one already.
fn choose_cryptography() {
    // An error means that another thread has just chosen one, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn client_options(plain_http: bool) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(plain_http)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout(REQUEST_TIMEOUT)
}

fn retry_config() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: RETRIES,
        retry_timeout: RETRY_TIMEOUT,
    }
}

fn with_authentication(
    builder: MicrosoftAzureBuilder,
    url: &str,
    credentials: &Credentials,
) -> Result<MicrosoftAzureBuilder> {
    let builder = match &credentials.authority {
        Some(authority) => builder.with_authority_host(authority),
        None => builder,
    };
    Ok(match &credentials.authentication {
        Authentication::None => return Err(denied(url, "there are no credentials")),
        Authentication::ServicePrincipal {
            tenant_id,
            client_id,
            client_secret,
        } => builder
            .with_credential_type("client_secret")
            .with_client_secret_authorization(client_id, client_secret.expose(), tenant_id),
        Authentication::AccessKey(key) => builder
            .with_credential_type("access_key")
            .with_access_key(key.expose()),
        Authentication::SharedAccessSignature(signature) => builder
            .with_credential_type("sas_token")
            .with_sas_authorization(pairs(url, signature)?),
        Authentication::ManagedIdentity { client_id } => {
            let builder = builder.with_credential_type("managed_identity");
            match client_id {
                Some(client_id) => builder.with_client_id(client_id),
                None => builder,
            }
        }
        Authentication::WorkloadIdentity {
            tenant_id,
            client_id,
            token_file,
        } => builder
            .with_credential_type("workload_identity")
            .with_tenant_id(tenant_id)
            .with_client_id(client_id)
            .with_config(
                AzureConfigKey::FederatedTokenFile,
                token_file.to_string_lossy(),
            ),
        Authentication::AzureCli => builder.with_credential_type("azure_cli"),
    })
}

fn pairs(url: &str, signature: &Secret) -> Result<Vec<(String, String)>> {
    let pairs = split_sas(signature.expose()).unwrap_or_default();
    if !pairs.iter().any(|(name, _)| name == "sig") {
        return Err(denied(
            url,
            "the shared access signature is not a query string with a sig",
        ));
    }
    Ok(pairs)
}

impl Container {
    /// Creates the container. Returns `false` if it exists already.
    ///
    /// object_store works within containers and cannot create one. So the request is built here,
    /// and signed by object_store's authoriser.
    pub(crate) fn create(&self) -> Result<bool> {
        let container = self.clone();
        runtime::wait("creating", &self.url, async move {
            container.send_create().await
        })?
    }

    async fn send_create(&self) -> Result<bool> {
        let failed = |reason: Cause| {
            Error::Lake(LakeError::Storage {
                operation: "creating",
                url: self.url.clone(),
                reason,
            })
        };
        let store_error = |error| storage_error("creating", &self.url, error);
        let credential = self
            .store
            .credentials()
            .get_credential()
            .await
            .map_err(store_error)?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = object_store::signer::Method::PUT;
        let address = format!("{}?restype=container", self.address);
        *request.uri_mut() = address
            .parse()
            .map_err(|_| failed("its address is not a URI".into()))?;
        request.headers_mut().insert(
            "content-length",
            object_store::HeaderValue::from_static("0"),
        );
        AzureAuthorizer::new(&credential, &self.account)
            .try_authorize(&mut request)
            .map_err(store_error)?;
        let plain_http = self.address.starts_with("http://");
        let client = ReqwestConnector::default()
            .connect(&client_options(plain_http))
            .map_err(store_error)?;
        let response = client
            .execute(request)
            .await
            .map_err(|error| match error.kind() {
                HttpErrorKind::Connect | HttpErrorKind::Timeout | HttpErrorKind::Interrupted => {
                    Error::Lake(LakeError::Unreachable {
                        url: self.url.clone(),
                        retries: 0,
                        reason: error.to_string(),
                    })
                }
                _ => failed(error.into()),
            })?;
        match response.status().as_u16() {
            200..300 => Ok(true),
            409 => Ok(false),
            401 | 403 => Err(denied(&self.url, &format!("status {}", response.status()))),
            _ => Err(failed(format!("status {}", response.status()).into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_az(credentials: &Credentials) -> Result<Container> {
        open("az://torchtut", "torchtut", None, None, credentials)
    }

    #[test]
    fn a_container_without_an_account_or_credentials_is_refused_with_the_keys_to_set() {
        let error = open_az(&Credentials::local()).err().unwrap();
        assert!(
            matches!(error, Error::Lake(LakeError::InvalidUrl { .. }))
                && error.to_string().contains("account"),
            "{error}"
        );
        let error = open_az(&Credentials::local().with_account("mylake"))
            .err()
            .unwrap();
        assert!(
            matches!(error, Error::Lake(LakeError::AccessDenied { .. })),
            "{error}"
        );
        assert!(error.to_string().contains("client-secret"), "{error}");
    }

    #[test]
    fn a_key_or_signature_that_cannot_be_one_is_refused_without_repeating_it() {
        for credentials in [
            Credentials::access_key(Secret::new("hunter2!")),
            Credentials::shared_access_signature(Secret::new("hunter2")),
            Credentials::shared_access_signature(Secret::new("sv=1&se=hunter2")),
        ] {
            let error = open_az(&credentials.with_account("mylake")).err().unwrap();
            assert!(
                matches!(error, Error::Lake(LakeError::AccessDenied { .. })),
                "{error}"
            );
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        assert_eq!(
            check_endpoint("http://127.0.0.1:10000/mylake", "mylake"),
            Ok(true)
        );
        assert_eq!(
            check_endpoint("http://azurite:10000/devstoreaccount1", "devstoreaccount1"),
            Ok(true)
        );
        assert_eq!(check_endpoint("https://example.com", "mylake"), Ok(false));
        assert!(check_endpoint("http://example.com", "mylake").is_err());
        assert!(check_endpoint("example.com", "mylake").is_err());
        let error = check_endpoint("https://example.com/?sig=hunter2", "mylake").unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn every_authentication_method_opens_a_store() {
        for credentials in [
            Credentials::service_principal("t", "c", Secret::new("s")),
            Credentials::access_key(Secret::new("a2V5")),
            Credentials::shared_access_signature(Secret::new("?sv=2024&sig=abc%3D")),
            Credentials::managed_identity(),
            Credentials::from(Authentication::WorkloadIdentity {
                tenant_id: "t".into(),
                client_id: "c".into(),
                token_file: "/var/run/token".into(),
            }),
            Credentials::azure_cli(),
        ] {
            open_az(&credentials.with_account("mylake")).unwrap();
        }
    }
}
