//! The credentials for a lake.

use std::{fmt, path::PathBuf};

use super::failure::without_secrets;
use super::hosts::BlobService;
use super::pasted::trimmed;
use super::platform::{self, Variable};
use crate::secrets::{Secret, SecretScope};
use crate::{Error, Result};

/// Azurite's account.
const EMULATOR_ACCOUNT: &str = "devstoreaccount1";
/// Azurite's key. It is documented and the same everywhere, so it protects nothing.
const EMULATOR_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// How to authenticate with a store. Its `Debug` output shows no secret.
#[derive(Clone)]
pub enum Authentication {
    /// No authentication, which is enough for local files.
    None,
    /// Requests without credentials, which public containers answer.
    Anonymous,
    /// A service principal, with OAuth client credentials.
    ServicePrincipal {
        /// The directory (tenant) id.
        tenant_id: String,
        /// The application (client) id.
        client_id: String,
        /// The application's secret.
        client_secret: Secret,
    },
    /// One of the account's two keys, base64-encoded, or a connection string.
    AccessKey(Secret),
    /// A shared access signature: the query string, with or without its `?`, or the whole URL.
    SharedAccessSignature(Secret),
    /// The managed identity of the virtual machine or service that the program runs on. The
    /// variables `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`, or `MSI_ENDPOINT`, say where a service
    /// gives tokens; virtual machines have one address for it.
    ManagedIdentity {
        /// The client id of a user-assigned identity. `None` is the system-assigned one.
        client_id: Option<String>,
    },
    /// The identity of a Kubernetes workload: a token file, exchanged for a token of the directory.
    WorkloadIdentity {
        /// The directory (tenant) id.
        tenant_id: String,
        /// The application (client) id.
        client_id: String,
        /// The file with the workload's token.
        token_file: PathBuf,
    },
    /// The account signed in to the Azure CLI (`az login`).
    AzureCli,
}

/// A storage account and how to authenticate with it.
///
/// ```
/// use mnist_support::lake::Credentials;
/// use mnist_support::secrets::Secret;
///
/// let credentials = Credentials::access_key(Secret::new("a2V5")).with_account("mylake");
/// assert!(!format!("{credentials:?}").contains("a2V5"));
/// ```
#[derive(Clone)]
pub struct Credentials {
    pub(crate) account: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) authority: Option<String>,
    pub(crate) authentication: Authentication,
}

/// Any of its texts may have been pasted with a secret.
impl fmt::Debug for Authentication {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Authentication::None => formatter.write_str("None"),
            Authentication::Anonymous => formatter.write_str("Anonymous"),
            Authentication::ServicePrincipal {
                tenant_id,
                client_id,
                client_secret,
            } => formatter
                .debug_struct("ServicePrincipal")
                .field("tenant_id", &without_secrets(tenant_id))
                .field("client_id", &without_secrets(client_id))
                .field("client_secret", client_secret)
                .finish(),
            Authentication::AccessKey(key) => {
                formatter.debug_tuple("AccessKey").field(key).finish()
            }
            Authentication::SharedAccessSignature(signature) => {
                let mut shown = formatter.debug_tuple("SharedAccessSignature");
                shown.field(signature).finish()
            }
            Authentication::ManagedIdentity { client_id } => formatter
                .debug_struct("ManagedIdentity")
                .field("client_id", &client_id.as_deref().map(without_secrets))
                .finish(),
            Authentication::WorkloadIdentity {
                tenant_id,
                client_id,
                token_file,
            } => formatter
                .debug_struct("WorkloadIdentity")
                .field("tenant_id", &without_secrets(tenant_id))
                .field("client_id", &without_secrets(client_id))
                .field(
                    "token_file",
                    &without_secrets(&token_file.to_string_lossy()),
                )
                .finish(),
            Authentication::AzureCli => formatter.write_str("AzureCli"),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |address: &Option<String>| address.as_deref().map(without_secrets);
        formatter
            .debug_struct("Credentials")
            .field("account", &shown(&self.account))
            .field("endpoint", &shown(&self.endpoint))
            .field("authority", &shown(&self.authority))
            .field("authentication", &self.authentication)
            .finish()
    }
}

impl From<Authentication> for Credentials {
    fn from(authentication: Authentication) -> Credentials {
        Credentials {
            account: None,
            endpoint: None,
            authority: None,
            authentication,
        }
    }
}

impl Credentials {
    /// No credentials, for local files.
    pub fn local() -> Credentials {
        Authentication::None.into()
    }

    /// Requests without credentials, for public containers.
    ///
    /// ```
    /// use mnist_support::lake::{Credentials, Lake};
    ///
    /// let url = "abfss://public@mylake.dfs.core.windows.net";
    /// let lake = Lake::open(url, &Credentials::anonymous())?;
    /// # Ok::<(), mnist_support::Error>(())
    /// ```
    pub fn anonymous() -> Credentials {
        Authentication::Anonymous.into()
    }

    /// A service principal.
    pub fn service_principal(
        tenant_id: &str,
        client_id: &str,
        client_secret: Secret,
    ) -> Credentials {
        Authentication::ServicePrincipal {
            tenant_id: tenant_id.into(),
            client_id: client_id.into(),
            client_secret,
        }
        .into()
    }

    /// One of the account's keys. White space, line ends and quotes around it don't matter, here
    /// and in the other functions.
    pub fn access_key(key: Secret) -> Credentials {
        Authentication::AccessKey(key).into()
    }

    /// A connection string, as the portal shows it:
    /// `DefaultEndpointsProtocol=https;AccountName=…;AccountKey=…;EndpointSuffix=core.windows.net`.
    pub fn connection_string(text: Secret) -> Credentials {
        Authentication::AccessKey(text).into()
    }

    /// A shared access signature, or the URL that ends with one.
    pub fn shared_access_signature(signature: Secret) -> Credentials {
        Authentication::SharedAccessSignature(signature).into()
    }

    /// The managed identity of this machine.
    pub fn managed_identity() -> Credentials {
        Authentication::ManagedIdentity { client_id: None }.into()
    }

    /// The account signed in to the Azure CLI.
    pub fn azure_cli() -> Credentials {
        Authentication::AzureCli.into()
    }

    /// Azurite (the storage emulator) on this machine, listening on `port`, with its well-known
    /// account and key.
    pub fn azurite(port: u16) -> Credentials {
        Credentials::access_key(Secret::new(EMULATOR_KEY))
            .with_account(EMULATOR_ACCOUNT)
            .with_endpoint(&format!("http://127.0.0.1:{port}/{EMULATOR_ACCOUNT}"))
    }

    /// Sets the storage account, for `az://` URLs, which don't name it.
    pub fn with_account(mut self, account: &str) -> Credentials {
        self.account = Some(account.into());
        self
    }

    /// Sets the address of the account's blob service, if it is not
    /// `https://ACCOUNT.blob.core.windows.net`. URLs that name another account are not redirected.
    /// Plain `http` is accepted only for this machine and for Azurite's account.
    pub fn with_endpoint(mut self, endpoint: &str) -> Credentials {
        self.endpoint = Some(endpoint.trim_end_matches('/').into());
        self
    }

    /// Sets the host where a service principal or a workload signs in, if it is not the one of the
    /// cloud that the service's host belongs to.
    pub fn with_authority(mut self, authority: &str) -> Credentials {
        self.authority = Some(authority.trim_end_matches('/').into());
        self
    }

    /// The account that these credentials are for, if they name one.
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// The host that `abfss://` URLs of the account name, if the endpoint says so.
    pub(super) fn dfs_host(&self) -> Option<String> {
        let service = BlobService::of_endpoint(self.endpoint.as_deref()?)?;
        Some(service.dfs_host())
    }

    /// How to authenticate with the store.
    pub fn authentication(&self) -> &Authentication {
        &self.authentication
    }

    /// Reads the credentials from a secret scope.
    ///
    /// | keys | meaning |
    /// | --- | --- |
    /// | `account` (or `lake-name`) | the storage account, or its host |
    /// | `endpoint` | the address of its blob service, for Azurite and other clouds |
    /// | `authentication` | the method, see below |
    /// | `tenant-id`, `client-id`, `client-secret` | a service principal |
    /// | `access-key` | the account's key |
    /// | `sas` | a shared access signature, or the URL that ends with one |
    /// | `connection-string` | the account with a key or a signature, as the portal shows it |
    /// | `tenant-id`, `client-id`, `token-file` | a workload identity |
    /// | `client-id` | a user-assigned identity, with `managed-identity` |
    /// | `authority` | the host to sign in at, if it is not the one of the account's cloud |
    ///
    /// `authentication` is one of `service-principal`, `access-key`, `sas`, `connection-string`,
    /// `managed-identity`, `workload-identity`, `azure-cli` and `anonymous`. Without it, the first
    /// of `client-secret`, `access-key`, `sas`, `connection-string` and `token-file` that is set
    /// decides. If none is set, an account is opened with the identity that the platform announces
    /// (`AZURE_FEDERATED_TOKEN_FILE` with `AZURE_TENANT_ID` and `AZURE_CLIENT_ID`, or
    /// `IDENTITY_ENDPOINT` with `IDENTITY_HEADER`, or `MSI_ENDPOINT`), or else there are no
    /// credentials.
    ///
    /// White space, line ends and quotes around a value don't matter. A signature may be
    /// percent-encoded or not.
    ///
    /// # Errors
    /// - [`SecretError::NotFound`](crate::error::SecretError::NotFound) for a missing key that the
    ///   chosen method needs.
    /// - [`Error::InvalidSetting`] for an unknown `authentication`, an incomplete connection
    ///   string, and credentials of another account than `account`.
    pub fn from_scope(scope: &SecretScope) -> Result<Credentials> {
        Credentials::from_scope_on(scope, &platform::of_process)
    }

    /// Reads the credentials on a platform with these variables.
    fn from_scope_on(scope: &SecretScope, variable: Variable<'_>) -> Result<Credentials> {
        let account = match find(scope, "account")? {
            Some(account) => Some(account),
            None => find(scope, "lake-name")?,
        };
        let (mut authentication, mut authority) = Authentication::from_scope(scope, variable)?;
        if matches!(authentication, Authentication::None) && account.is_some() {
            (authentication, authority) = Authentication::of_platform(variable);
        }
        let mut credentials = Credentials::from(authentication);
        credentials.account = account;
        credentials.endpoint = find(scope, "endpoint")?;
        credentials.authority = find(scope, "authority")?.or(authority);
        credentials.resolved()
    }
}

impl Authentication {
    /// The method that a scope names, or that its keys imply, and where to sign in if the platform
    /// says so.
    fn from_scope(
        scope: &SecretScope,
        variable: Variable<'_>,
    ) -> Result<(Authentication, Option<String>)> {
        let text = |key| match find(scope, key)? {
            Some(found) => Ok(found),
            None => scope.get(key).map(|found| found.expose().to_owned()),
        };
        let secret = |key| text(key).map(Secret::new);
        let method = match find(scope, "authentication")? {
            Some(method) => method,
            None => match method_of_keys(scope)? {
                Some(method) => method.to_owned(),
                None => return Ok((Authentication::None, None)),
            },
        };
        if method == "workload-identity"
            && find(scope, "token-file")?.is_none()
            && let Some((announced, authority)) = platform::workload_identity(variable)
        {
            return Ok((announced, authority));
        }
        let authentication = match method.as_str() {
            "service-principal" => Authentication::ServicePrincipal {
                tenant_id: text("tenant-id")?,
                client_id: text("client-id")?,
                client_secret: secret("client-secret")?,
            },
            "access-key" => Authentication::AccessKey(secret("access-key")?),
            "sas" => Authentication::SharedAccessSignature(secret("sas")?),
            "connection-string" => Authentication::AccessKey(secret("connection-string")?),
            "managed-identity" => Authentication::ManagedIdentity {
                client_id: find(scope, "client-id")?,
            },
            "workload-identity" => Authentication::WorkloadIdentity {
                tenant_id: text("tenant-id")?,
                client_id: text("client-id")?,
                token_file: PathBuf::from(text("token-file")?),
            },
            "azure-cli" => Authentication::AzureCli,
            "anonymous" => Authentication::Anonymous,
            unknown => {
                return Err(Error::InvalidSetting {
                    setting: "authentication",
                    value: format!("{:?}", without_secrets(unknown)),
                    reason: "is not service-principal, access-key, sas, connection-string, \
                             managed-identity, workload-identity, azure-cli or anonymous"
                        .into(),
                });
            }
        };
        Ok((authentication, None))
    }

    /// The identity that the platform announces.
    fn of_platform(variable: Variable<'_>) -> (Authentication, Option<String>) {
        if let Some(announced) = platform::workload_identity(variable) {
            return announced;
        }
        match platform::identity_endpoint(variable) {
            Some(_) => {
                let client_id = variable("AZURE_CLIENT_ID");
                (Authentication::ManagedIdentity { client_id }, None)
            }
            None => (Authentication::None, None),
        }
    }
}

/// The method implied by the first of these keys in a scope.
fn method_of_keys(scope: &SecretScope) -> Result<Option<&'static str>> {
    for (key, method) in [
        ("client-secret", "service-principal"),
        ("access-key", "access-key"),
        ("sas", "sas"),
        ("connection-string", "connection-string"),
        ("token-file", "workload-identity"),
    ] {
        if find(scope, key)?.is_some() {
            return Ok(Some(method));
        }
    }
    Ok(None)
}

/// The value of an optional key, without what surrounds it. A blank one counts as not set.
fn find(scope: &SecretScope, key: &str) -> Result<Option<String>> {
    let found = scope.find(key)?;
    let value = found.map(|found| trimmed(found.expose()).to_owned());
    Ok(value.filter(|value| !value.is_empty()))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::error::SecretError;
    use std::os::unix::fs::PermissionsExt;

    /// A scope with just these keys. No environment has variables for its name.
    fn scope(keys: &[(&str, &str)]) -> (tempfile::TempDir, SecretScope) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credentials-test.json");
        let map: std::collections::BTreeMap<_, _> = keys.iter().copied().collect();
        std::fs::write(&file, serde_json::to_string(&map).unwrap()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let scope = SecretScope::open_in("credentials-test", folder.path()).unwrap();
        (folder, scope)
    }

    #[test]
    fn the_keys_of_a_scope_decide_the_authentication() {
        let ids = [("tenant-id", "t"), ("client-id", "c")];
        let method = |keys: &[(&str, &str)]| {
            let (_folder, scope) = scope(&[&ids, keys].concat());
            Credentials::from_scope(&scope).unwrap().authentication
        };
        assert!(matches!(
            method(&[("client-secret", "s")]),
            Authentication::ServicePrincipal { .. }
        ));
        assert!(matches!(
            method(&[("access-key", "k")]),
            Authentication::AccessKey(_)
        ));
        assert!(matches!(
            method(&[("sas", "s")]),
            Authentication::SharedAccessSignature(_)
        ));
        assert!(matches!(
            method(&[("token-file", "/t")]),
            Authentication::WorkloadIdentity { .. }
        ));
        assert!(matches!(
            method(&[("authentication", "managed-identity")]),
            Authentication::ManagedIdentity { client_id: Some(_) }
        ));
        assert!(matches!(
            method(&[("authentication", "azure-cli")]),
            Authentication::AzureCli
        ));
        assert!(matches!(method(&[]), Authentication::None));
    }

    #[test]
    fn the_lake_name_of_the_originals_is_the_account() {
        let (_folder, scope) = scope(&[("lake-name", "mylake"), ("access-key", "k")]);
        assert_eq!(
            Credentials::from_scope(&scope).unwrap().account(),
            Some("mylake")
        );
    }

    #[test]
    fn half_a_service_principal_names_the_key_that_is_missing() {
        let (_folder, scope) = scope(&[("client-secret", "hunter2"), ("tenant-id", "t")]);
        let error = Credentials::from_scope(&scope).unwrap_err();
        let Error::Secret(SecretError::NotFound { key, .. }) = &error else {
            panic!("{error}")
        };
        assert_eq!(key, "client-id");
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn an_unknown_method_is_refused_with_the_known_ones() {
        let (_folder, scope) = scope(&[("authentication", "password")]);
        let error = Credentials::from_scope(&scope).unwrap_err();
        assert!(
            error.to_string().contains("service-principal, access-key"),
            "{error}"
        );
    }

    #[test]
    fn no_secret_shows_in_the_credentials() {
        for credentials in [
            Credentials::service_principal("t", "c", Secret::new("hunter2")),
            Credentials::access_key(Secret::new("hunter2")),
            Credentials::shared_access_signature(Secret::new("sig=hunter2")),
        ] {
            let printed = format!("{credentials:?} {credentials:#?}");
            assert!(
                !printed.contains("hunter2") && printed.contains("[redacted]"),
                "{printed}"
            );
        }
    }

    fn read(keys: &[(&str, &str)], variables: &[(&str, &str)]) -> Credentials {
        let (_folder, scope) = scope(keys);
        let variable = |name: &str| {
            let found = variables.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Credentials::from_scope_on(&scope, &variable).unwrap()
    }

    #[test]
    fn an_account_without_credentials_is_opened_as_the_platform_announces() {
        let kubernetes = [
            ("AZURE_TENANT_ID", "t"),
            ("AZURE_CLIENT_ID", "c"),
            ("AZURE_FEDERATED_TOKEN_FILE", "/var/run/token"),
            ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/"),
        ];
        for keys in [
            &[("account", "mylake")][..],
            &[
                ("account", "mylake"),
                ("authentication", "workload-identity"),
            ],
        ] {
            let credentials = read(keys, &kubernetes);
            assert!(
                matches!(
                    credentials.authentication(),
                    Authentication::WorkloadIdentity { token_file, .. }
                        if token_file.ends_with("token")
                ),
                "{credentials:?}"
            );
            assert_eq!(
                credentials.authority.as_deref(),
                Some("https://login.microsoftonline.us")
            );
        }
        let service = [
            ("IDENTITY_ENDPOINT", "http://localhost:4141"),
            ("IDENTITY_HEADER", "hunter2"),
        ];
        let credentials = read(&[("account", "mylake")], &service);
        assert!(
            matches!(
                credentials.authentication(),
                Authentication::ManagedIdentity { client_id: None }
            ),
            "{credentials:?}"
        );
        // Credentials of the scope come first, and a local lake needs none.
        let credentials = read(&[("account", "mylake"), ("access-key", "a2V5")], &service);
        assert!(matches!(
            credentials.authentication(),
            Authentication::AccessKey(_)
        ));
        assert!(matches!(
            read(&[], &service).authentication(),
            Authentication::None
        ));
    }

    #[test]
    fn values_are_taken_as_they_are_pasted() {
        let credentials = read(
            &[
                ("account", " mylake\n"),
                ("tenant-id", "\"t\""),
                ("client-id", "c\r\n"),
                ("client-secret", " 'hunter2' "),
                ("authority", "login.microsoftonline.us/"),
                ("access-key", "  "),
            ],
            &[],
        );
        assert_eq!(credentials.account(), Some("mylake"));
        assert_eq!(
            credentials.authority.as_deref(),
            Some("https://login.microsoftonline.us")
        );
        let Authentication::ServicePrincipal {
            tenant_id,
            client_id,
            client_secret,
        } = credentials.authentication()
        else {
            panic!("{credentials:?}")
        };
        assert_eq!((tenant_id.as_str(), client_id.as_str()), ("t", "c"));
        assert_eq!(client_secret.expose(), "hunter2");
        let connection = "AccountName=mylake;AccountKey=a2V5";
        let credentials = read(&[("connection-string", connection)], &[]);
        assert_eq!(credentials.account(), Some("mylake"));
        assert!(matches!(
            read(&[("authentication", "anonymous")], &[]).authentication(),
            Authentication::Anonymous
        ));
    }
}
