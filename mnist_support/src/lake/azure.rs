//! A container on Azure, or on Azurite, as an object store.

use std::sync::{Arc, Mutex};

use object_store::azure::{AzureAuthorizer, AzureConfigKey, MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::client::{HttpConnector, HttpRequest, HttpRequestBody};
use url::{Host, Url};

use super::credentials::{Authentication, Credentials};
use super::failure::{storage_error, without_secrets};
use super::hosts::{BlobService, is_account_name};
use super::pasted::{account_of_endpoint, signature_pairs};
use super::patience::{Patience, PatientConnector};
use super::platform::{self, IdentityEndpoint, SecretEndpoint};
use super::runtime;
use crate::secrets::Secret;
use crate::{
    Error, Result,
    error::{Cause, LakeError},
};

/// A container, with what requests beyond object_store's need.
#[derive(Clone)]
pub(crate) struct Container {
    pub(crate) store: Arc<MicrosoftAzure>,
    pub(crate) url: String,
    address: Url,
    account: String,
    is_anonymous: bool,
    patience: Patience,
}

/// Opens `container` of the account whose blob service is `named`, or else of the account that the
/// credentials name. This makes no request.
pub(crate) fn open(
    url: &str,
    container: &str,
    named: Option<BlobService>,
    credentials: &Credentials,
    patience: Patience,
) -> Result<Container> {
    let credentials = credentials.resolved()?;
    let (account, endpoint) = service(url, named, &credentials)?;
    let invalid = |reason: String| invalid(url, reason);
    let plain_http = check_endpoint(&endpoint, &account).map_err(invalid)?;
    let mut address = Url::parse(&endpoint).map_err(|error| invalid(error.to_string()))?;
    address
        .path_segments_mut()
        .map_err(|()| invalid("the endpoint cannot have a path".into()))?
        .pop_if_empty()
        .push(container);
    choose_cryptography();
    let mut builder = MicrosoftAzureBuilder::new()
        .with_account(&account)
        .with_container_name(container)
        .with_endpoint(endpoint.clone())
        .with_client_options(Patience::client_options(plain_http))
        .with_http_connector(PatientConnector(patience))
        .with_retry(patience.retry_config());
    let cloud = BlobService::of_endpoint(&endpoint).map(|service| service.authority.to_owned());
    if let Some(authority) = credentials.authority.clone().or(cloud) {
        builder = builder.with_authority_host(authority);
    }
    let store = with_authentication(builder, url, &credentials, patience)?
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
        address,
        account,
        is_anonymous: matches!(credentials.authentication, Authentication::Anonymous),
        patience,
    })
}

fn invalid(url: &str, reason: String) -> Error {
    Error::Lake(LakeError::InvalidUrl {
        url: url.into(),
        reason,
    })
}

/// The account, and the address of its blob service.
///
/// The credentials' endpoint is their own account's. A URL that names another account goes to that
/// account, but never with a key or a signature of this one.
fn service(
    url: &str,
    named: Option<BlobService>,
    credentials: &Credentials,
) -> Result<(String, String)> {
    let endpoint = credentials.endpoint.as_deref();
    if let (Some(account), Some(other)) = (
        &credentials.account,
        endpoint.and_then(BlobService::of_endpoint),
    ) && *account != other.account
    {
        return Err(invalid(
            url,
            format!(
                "the endpoint in the secret scope is for {:?}, the account is {:?}",
                without_secrets(&other.account),
                without_secrets(account)
            ),
        ));
    }
    let of_endpoint = endpoint.and_then(account_of_endpoint);
    let own = credentials.account.clone().or(of_endpoint);
    let Some(named) = named else {
        let account = own.ok_or_else(|| {
            let reason = "it names no storage account; add the key account to the secret scope, or \
                          use abfss://";
            invalid(url, reason.into())
        })?;
        let is_name = is_account_name(&account) || account_of_endpoint_is(credentials, &account);
        if !is_name {
            let shown = without_secrets(&account);
            let reason = format!("{shown:?} is not a storage account's name");
            return Err(invalid(url, reason));
        }
        let endpoint = credentials.endpoint.clone();
        let public = || format!("https://{account}.blob.core.windows.net");
        let endpoint = endpoint.unwrap_or_else(public);
        return Ok((account, endpoint));
    };
    match own {
        Some(own) if own != named.account => {
            if let Authentication::AccessKey(_) | Authentication::SharedAccessSignature(_) =
                credentials.authentication
            {
                let reason = format!(
                    "the credentials are for the account {:?}, not for {:?}",
                    without_secrets(&own),
                    without_secrets(&named.account)
                );
                return Err(denied(url, &reason));
            }
            Ok((named.account, named.endpoint))
        }
        _ => {
            let endpoint = credentials.endpoint.clone().unwrap_or(named.endpoint);
            Ok((named.account, endpoint))
        }
    }
}

/// Whether the endpoint is a known host of the account, whose name then follows other rules.
fn account_of_endpoint_is(credentials: &Credentials, account: &str) -> bool {
    let endpoint = credentials.endpoint.as_deref();
    endpoint
        .and_then(BlobService::of_endpoint)
        .is_some_and(|service| service.account == account)
}

fn denied(url: &str, reason: &str) -> Error {
    Error::Lake(LakeError::AccessDenied {
        url: url.into(),
        reason: reason.into(),
        hint: "give the credentials in a secret scope: the keys tenant-id, client-id and client-secret, \
               or access-key, or sas, or authentication, which is anonymous for a public container"
            .into(),
    })
}

/// Checks the address of the service. Returns whether it is plain `http`.
fn check_endpoint(endpoint: &str, account: &str) -> std::result::Result<bool, String> {
    let shown = without_secrets(endpoint);
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
pub(super) fn choose_cryptography() {
    // An error means that another thread has just chosen one, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn with_authentication(
    builder: MicrosoftAzureBuilder,
    url: &str,
    credentials: &Credentials,
    patience: Patience,
) -> Result<MicrosoftAzureBuilder> {
    Ok(match &credentials.authentication {
        Authentication::None => return Err(denied(url, "there are no credentials")),
        Authentication::Anonymous => builder.with_skip_signature(true),
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
            let announced = platform::identity_endpoint(&platform::of_process);
            with_managed_identity(builder, url, client_id.clone(), announced, patience)?
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

fn with_managed_identity(
    builder: MicrosoftAzureBuilder,
    url: &str,
    client_id: Option<String>,
    announced: Option<IdentityEndpoint>,
    patience: Patience,
) -> Result<MicrosoftAzureBuilder> {
    if let Some(IdentityEndpoint::WithSecret {
        url: address,
        secret,
    }) = announced
    {
        // These endpoints are on the machine or on its own network, and speak plain HTTP.
        let client = PatientConnector(patience)
            .connect(&Patience::client_options(true))
            .map_err(|error| storage_error("opening", url, error))?;
        return Ok(builder.with_credentials(Arc::new(SecretEndpoint {
            client,
            url: address,
            secret,
            client_id,
            last: Mutex::default(),
        })));
    }
    let mut builder = builder.with_credential_type("managed_identity");
    if let Some(client_id) = client_id {
        builder = builder.with_client_id(client_id);
    }
    if let Some(IdentityEndpoint::Plain(address)) = announced {
        builder = builder.with_msi_endpoint(address);
    }
    Ok(builder)
}

fn pairs(url: &str, signature: &Secret) -> Result<Vec<(String, String)>> {
    signature_pairs(signature.expose()).ok_or_else(|| {
        denied(
            url,
            "the shared access signature is not a query string with a sig",
        )
    })
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
        if self.is_anonymous {
            return Err(denied(&self.url, "a container is not created anonymously"));
        }
        let credential = self
            .store
            .credentials()
            .get_credential()
            .await
            .map_err(store_error)?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = object_store::signer::Method::PUT;
        let mut address = self.address.clone();
        address.set_query(Some("restype=container"));
        *request.uri_mut() = address
            .as_str()
            .parse()
            .map_err(|_| failed("its address is not a URI".into()))?;
        request.headers_mut().insert(
            "content-length",
            object_store::HeaderValue::from_static("0"),
        );
        AzureAuthorizer::new(&credential, &self.account)
            .try_authorize(&mut request)
            .map_err(store_error)?;
        let plain_http = self.address.scheme() == "http";
        let client = PatientConnector(self.patience)
            .connect(&Patience::client_options(plain_http))
            .map_err(store_error)?;
        let response = client.execute(request).await.map_err(|error| {
            store_error(object_store::Error::Generic {
                store: "MicrosoftAzure",
                source: Box::new(error),
            })
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
        let url = "az://torchtut";
        open(url, "torchtut", None, credentials, Patience::default())
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
            Credentials::anonymous(),
        ] {
            open_az(&credentials.with_account("mylake")).unwrap();
        }
    }

    fn service_for(credentials: &Credentials) -> Result<(String, String)> {
        let named = BlobService::of_host("other.dfs.core.windows.net");
        service(
            "abfss://c@other.dfs.core.windows.net",
            named,
            &credentials.resolved()?,
        )
    }

    #[test]
    fn an_endpoint_never_redirects_another_accounts_url() {
        let of_mylake = [
            "https://mylake.blob.core.windows.net",
            "https://gateway.example.com",
            "http://127.0.0.1:10000/mylake",
        ];
        for endpoint in of_mylake {
            let credentials = Credentials::managed_identity()
                .with_account("mylake")
                .with_endpoint(endpoint);
            let found = service_for(&credentials).unwrap();
            assert_eq!(
                found,
                ("other".into(), "https://other.blob.core.windows.net".into()),
                "{endpoint}"
            );
        }
        // Nor if the account is only to be seen in the endpoint.
        let credentials = Credentials::managed_identity().with_endpoint(of_mylake[0]);
        assert_eq!(service_for(&credentials).unwrap().0, "other");
        // Its own account goes there.
        let credentials = Credentials::managed_identity()
            .with_account("other")
            .with_endpoint(of_mylake[1]);
        assert_eq!(service_for(&credentials).unwrap().1, of_mylake[1]);
    }

    #[test]
    fn a_key_or_a_signature_never_goes_to_another_account() {
        let connection = "AccountName=mylake;AccountKey=aHVudGVyMg==";
        let signed = "https://mylake.blob.core.windows.net/c?sv=2024&sig=hunter2";
        for credentials in [
            Credentials::access_key(Secret::new("aHVudGVyMg==")).with_account("mylake"),
            Credentials::shared_access_signature(Secret::new("sig=hunter2")).with_account("mylake"),
            Credentials::connection_string(Secret::new(connection)),
            Credentials::shared_access_signature(Secret::new(signed)),
        ] {
            let error = service_for(&credentials).unwrap_err();
            assert!(
                matches!(error, Error::Lake(LakeError::AccessDenied { .. })),
                "{error}"
            );
            let shown = format!("{error} {error:?}");
            assert!(
                shown.contains("mylake") && shown.contains("other"),
                "{shown}"
            );
            assert!(
                !shown.contains("hunter2") && !shown.contains("aHVudGVyMg"),
                "{shown}"
            );
        }
    }

    #[test]
    fn an_endpoint_of_another_account_than_the_scopes_is_refused() {
        let credentials = Credentials::managed_identity()
            .with_account("mylake")
            .with_endpoint("https://other.blob.core.windows.net");
        let error = open_az(&credentials).err().unwrap();
        assert!(error.to_string().contains("\"other\""), "{error}");
    }

    #[test]
    fn every_host_of_a_lake_opens_a_store() {
        for url in [
            "abfss://torchtut@mylake.dfs.core.chinacloudapi.cn",
            "abfss://torchtut@mylake.z12.dfs.storage.azure.net",
            "abfss://torchtut@mylake.privatelink.dfs.core.windows.net/a",
            "abfss://My%20Workspace@onelake.dfs.fabric.microsoft.com/a.Lakehouse/Files",
        ] {
            let credentials = Credentials::service_principal("t", "c", Secret::new("s"));
            let lake = crate::lake::Lake::open(url, &credentials).unwrap();
            assert_eq!(lake.url(), url);
        }
    }
}
