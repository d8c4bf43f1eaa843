//! The credentials for a lake.

use std::path::PathBuf;

use crate::secrets::{Secret, SecretScope};
use crate::{Error, Result};

/// Azurite's account.
const EMULATOR_ACCOUNT: &str = "devstoreaccount1";
/// Azurite's key. It is documented and the same everywhere, so it protects nothing.
const EMULATOR_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// How to authenticate with a store. Its `Debug` output shows no secret.
#[derive(Clone, Debug)]
pub enum Authentication {
    /// No authentication, which is enough for local files.
    None,
    /// A service principal, with OAuth client credentials.
    ServicePrincipal {
        /// The directory (tenant) id.
        tenant_id: String,
        /// The application (client) id.
        client_id: String,
        /// The application's secret.
        client_secret: Secret,
    },
    /// One of the account's two keys, base64-encoded.
    AccessKey(Secret),
    /// A shared access signature: the query string, with or without its `?`.
    SharedAccessSignature(Secret),
    /// The managed identity of the virtual machine or service that the program runs on.
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
#[derive(Clone, Debug)]
pub struct Credentials {
    pub(crate) account: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) authority: Option<String>,
    pub(crate) authentication: Authentication,
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

    /// One of the account's keys.
    pub fn access_key(key: Secret) -> Credentials {
        Authentication::AccessKey(key).into()
    }

    /// A shared access signature.
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

    /// Sets the address of the blob service, if it is not `https://ACCOUNT.blob.core.windows.net`.
    /// Plain `http` is accepted only for this machine and for Azurite's account.
    pub fn with_endpoint(mut self, endpoint: &str) -> Credentials {
        self.endpoint = Some(endpoint.trim_end_matches('/').into());
        self
    }

    /// Sets the host where a service principal signs in, if it is not
    /// `https://login.microsoftonline.com`.
    pub fn with_authority(mut self, authority: &str) -> Credentials {
        self.authority = Some(authority.trim_end_matches('/').into());
        self
    }

    /// The account that these credentials are for, if they name one.
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// How to authenticate with the store.
    pub fn authentication(&self) -> &Authentication {
        &self.authentication
    }

    /// Reads the credentials from a secret scope.
    ///
    /// | keys | meaning |
    /// | --- | --- |
    /// | `account` (or `lake-name`) | the storage account |
    /// | `endpoint` | the blob service's address, for Azurite |
    /// | `authentication` | the method, see below |
    /// | `tenant-id`, `client-id`, `client-secret` | a service principal |
    /// | `access-key` | the account's key |
    /// | `sas` | a shared access signature |
    /// | `tenant-id`, `client-id`, `token-file` | a workload identity |
    /// | `client-id` | a user-assigned identity, with `managed-identity` |
    /// | `authority` | the host to sign in at, if it is not Azure's public one |
    ///
    /// `authentication` is one of `service-principal`, `access-key`, `sas`, `managed-identity`,
    /// `workload-identity` and `azure-cli`. Without it, the first of `client-secret`, `access-key`,
    /// `sas` and `token-file` that is set decides. If none is set, there are no credentials.
    ///
    /// # Errors
    /// - [`SecretError::NotFound`](crate::error::SecretError::NotFound) for a missing key that the
    ///   chosen method needs.
    /// - [`Error::InvalidSetting`] for an unknown `authentication`.
    pub fn from_scope(scope: &SecretScope) -> Result<Credentials> {
        let mut credentials = Credentials::from(Authentication::from_scope(scope)?);
        credentials.account = match find(scope, "account")? {
            Some(account) => Some(account),
            None => find(scope, "lake-name")?,
        };
        if let Some(endpoint) = find(scope, "endpoint")? {
            credentials = credentials.with_endpoint(&endpoint);
        }
        if let Some(authority) = find(scope, "authority")? {
            credentials = credentials.with_authority(&authority);
        }
        Ok(credentials)
    }
}

impl Authentication {
    /// The method that a scope names, or that its keys imply.
    fn from_scope(scope: &SecretScope) -> Result<Authentication> {
        let text = |key| scope.get(key).map(|found| found.expose().to_owned());
        let method = match find(scope, "authentication")? {
            Some(method) => method,
            None => match method_of_keys(scope)? {
                Some(method) => method.to_owned(),
                None => return Ok(Authentication::None),
            },
        };
        Ok(match method.as_str() {
            "service-principal" => Authentication::ServicePrincipal {
                tenant_id: text("tenant-id")?,
                client_id: text("client-id")?,
                client_secret: scope.get("client-secret")?,
            },
            "access-key" => Authentication::AccessKey(scope.get("access-key")?),
            "sas" => Authentication::SharedAccessSignature(scope.get("sas")?),
            "managed-identity" => Authentication::ManagedIdentity {
                client_id: find(scope, "client-id")?,
            },
            "workload-identity" => Authentication::WorkloadIdentity {
                tenant_id: text("tenant-id")?,
                client_id: text("client-id")?,
                token_file: text("token-file")?.into(),
            },
            "azure-cli" => Authentication::AzureCli,
            unknown => {
                return Err(Error::InvalidSetting {
                    setting: "authentication",
                    value: format!("{unknown:?}"),
                    reason: "is not service-principal, access-key, sas, managed-identity, \
                             workload-identity or azure-cli"
                        .into(),
                });
            }
        })
    }
}

/// The method implied by the first of these keys in a scope.
fn method_of_keys(scope: &SecretScope) -> Result<Option<&'static str>> {
    for (key, method) in [
        ("client-secret", "service-principal"),
        ("access-key", "access-key"),
        ("sas", "sas"),
        ("token-file", "workload-identity"),
    ] {
        if scope.find(key)?.is_some() {
            return Ok(Some(method));
        }
    }
    Ok(None)
}

/// The value of an optional key.
fn find(scope: &SecretScope, key: &str) -> Result<Option<String>> {
    Ok(scope.find(key)?.map(|found| found.expose().to_owned()))
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
}
