//! The identity that a platform gives its programs, as its environment announces it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use object_store::azure::AzureCredential;
use object_store::client::{
    CredentialProvider, HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
};
use serde::Deserialize;

use super::credentials::Authentication;
use crate::secrets::Secret;

/// What a token is asked for.
const RESOURCE: &str = "https://storage.azure.com/";
/// A token is replaced when it has less left than this.
const LEAST_LEFT: Duration = Duration::from_secs(300);

/// Looks up an environment variable. An empty one counts as not set.
pub(super) type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The variables of this process.
pub(super) fn of_process(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The workload identity that Kubernetes announces, with where it signs in.
pub(super) fn workload_identity(
    variable: Variable<'_>,
) -> Option<(Authentication, Option<String>)> {
    let authentication = Authentication::WorkloadIdentity {
        tenant_id: variable("AZURE_TENANT_ID")?,
        client_id: variable("AZURE_CLIENT_ID")?,
        token_file: variable("AZURE_FEDERATED_TOKEN_FILE")?.into(),
    };
    Some((authentication, variable("AZURE_AUTHORITY_HOST")))
}

/// Where a platform other than a virtual machine gives tokens for its managed identity.
#[derive(Clone, Debug)]
pub(super) enum IdentityEndpoint {
    /// App Service, Functions and Container Apps. object_store sends the variable
    /// `IDENTITY_HEADER`; Cloud Shell has no such variable, and needs none.
    Plain(String),
    /// The older protocol with a secret, which Azure Machine Learning has.
    WithSecret { url: String, secret: Secret },
}

/// The endpoint that the environment announces.
pub(super) fn identity_endpoint(variable: Variable<'_>) -> Option<IdentityEndpoint> {
    if let (Some(url), Some(_)) = (variable("IDENTITY_ENDPOINT"), variable("IDENTITY_HEADER")) {
        return Some(IdentityEndpoint::Plain(url));
    }
    let url = variable("MSI_ENDPOINT")?;
    Some(match variable("MSI_SECRET") {
        Some(secret) => IdentityEndpoint::WithSecret {
            url,
            secret: Secret::new(secret),
        },
        None => IdentityEndpoint::Plain(url),
    })
}

/// Fetches tokens by the protocol with a secret, and keeps each while it lasts.
pub(super) struct SecretEndpoint {
    pub(super) client: HttpClient,
    pub(super) url: String,
    pub(super) secret: Secret,
    pub(super) client_id: Option<String>,
    pub(super) last: Mutex<Option<(Arc<AzureCredential>, Instant)>>,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    /// Seconds since 1970, as text or as a number, or a date.
    expires_on: serde_json::Value,
}

impl fmt::Debug for SecretEndpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SecretEndpoint({:?})", self.url)
    }
}

#[async_trait]
impl CredentialProvider for SecretEndpoint {
    type Credential = AzureCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AzureCredential>> {
        let last = self
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some((credential, expiry)) = last
            && expiry > Instant::now() + LEAST_LEFT
        {
            return Ok(credential);
        }
        let token = self
            .fetch()
            .await
            .map_err(|source| object_store::Error::Generic {
                store: "MicrosoftAzure",
                source: format!("Error performing token request: {source}").into(),
            })?;
        let credential = Arc::new(AzureCredential::BearerToken(token.access_token));
        let kept = (
            credential.clone(),
            Instant::now() + time_left(&token.expires_on),
        );
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        Ok(credential)
    }
}

impl SecretEndpoint {
    async fn fetch(&self) -> Result<Token, HttpError> {
        let invalid =
            |reason: String| HttpError::new(HttpErrorKind::Decode, std::io::Error::other(reason));
        let mut url = url::Url::parse(&self.url)
            .map_err(|_| invalid("MSI_ENDPOINT is not a URL".to_owned()))?;
        url.query_pairs_mut()
            .append_pair("api-version", "2017-09-01")
            .append_pair("resource", RESOURCE);
        if let Some(client_id) = &self.client_id {
            url.query_pairs_mut().append_pair("clientid", client_id);
        }
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = url
            .as_str()
            .parse()
            .map_err(|_| invalid("MSI_ENDPOINT is not a URL".to_owned()))?;
        let mut secret = object_store::HeaderValue::from_str(self.secret.expose())
            .map_err(|_| invalid("MSI_SECRET cannot be sent".to_owned()))?;
        secret.set_sensitive(true);
        request.headers_mut().insert("secret", secret);
        let response = self.client.execute(request).await?;
        let status = response.status();
        let body = response.into_body().bytes().await?;
        if !status.is_success() {
            return Err(invalid(format!("status code: {status}")));
        }
        // serde's message may quote the token.
        serde_json::from_slice(&body).map_err(|_| invalid("the answer is no token".to_owned()))
    }
}

/// The time until a token expires. None is left if that cannot be read, so it is used once.
fn time_left(expires_on: &serde_json::Value) -> Duration {
    let seconds = match expires_on {
        serde_json::Value::Number(number) => number.as_u64(),
        serde_json::Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let expiry = Duration::from_secs(seconds.unwrap_or_default());
    expiry.saturating_sub(now.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment<'a>(variables: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + 'a {
        move |name| {
            let found = variables.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn the_endpoint_is_the_one_that_the_platform_announces() {
        let none = identity_endpoint(&environment(&[]));
        assert!(none.is_none(), "{none:?}");
        // Without a header it is another platform's, whose protocol differs.
        let arc = [("IDENTITY_ENDPOINT", "http://localhost:40342/token")];
        assert!(identity_endpoint(&environment(&arc)).is_none());
        let app_service = [
            ("IDENTITY_ENDPOINT", "http://localhost:4141/msi/token/"),
            ("IDENTITY_HEADER", "hunter2"),
            ("MSI_ENDPOINT", "http://localhost:4141/old/"),
            ("MSI_SECRET", "hunter2"),
        ];
        let found = identity_endpoint(&environment(&app_service)).unwrap();
        assert!(
            matches!(&found, IdentityEndpoint::Plain(url) if url.ends_with("/msi/token/")),
            "{found:?}"
        );
        let found = identity_endpoint(&environment(&app_service[2..])).unwrap();
        assert!(matches!(&found, IdentityEndpoint::WithSecret { .. }));
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
    }

    #[test]
    fn a_token_lasts_until_it_expires_however_that_is_written() {
        let in_an_hour = SystemTime::now() + Duration::from_secs(3600);
        let seconds = in_an_hour
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        for written in [
            serde_json::json!(seconds),
            serde_json::json!(seconds.to_string()),
        ] {
            let left = time_left(&written);
            assert!(
                (3500..=3600).contains(&left.as_secs()),
                "{written}: {left:?}"
            );
        }
        let date = serde_json::json!("09/14/2017 00:00:00 PM +00:00");
        assert_eq!(time_left(&date), Duration::ZERO);
    }
}
