//! How long a store is waited for.
//!
//! object_store retries requests, but for less than a second in all, and it doesn't know
//! `Retry-After`. Its time-out for reads begins with the request, so that it would end an upload
//! that moves. So its HTTP client is wrapped here.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService, ReqwestConnector,
};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use rand::RngExt;

use super::failure::response_reason;
use super::listing;
use super::reading::{Notices, notices};

/// How often object_store repeats a request that got no answer at all.
const RETRIES: usize = 3;
/// A host that drops packets costs this much on each of the four tries.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// What is sent is acknowledged at this rate at least, in bytes per second. The system takes a
/// whole block at once, so the progress of sending it cannot be seen.
const SLOWEST: u64 = 16_000;
/// The answers that mean that the same request may succeed later.
const BUSY: [u16; 6] = [408, 429, 500, 502, 503, 504];
/// The first wait of a series whose length the service doesn't say, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long a store is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For how long nothing may arrive. A transfer that moves has no limit.
    pub(crate) silence: Duration,
    /// For how long a service that says it is busy is asked again.
    pub(crate) busy: Duration,
    /// After how long of that the user is told.
    pub(crate) told_after: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            silence: Duration::from_secs(30),
            busy: Duration::from_secs(60),
            told_after: Duration::from_secs(3),
        }
    }
}

impl Patience {
    /// object_store's settings for a client.
    pub(super) fn client_options(plain_http: bool) -> ClientOptions {
        ClientOptions::new()
            .with_allow_http(plain_http)
            .with_connect_timeout(CONNECT_TIMEOUT)
    }

    /// object_store's own retries, for requests without an answer.
    pub(super) fn retry_config(self) -> RetryConfig {
        RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(2),
                base: 2.0,
            },
            max_retries: RETRIES,
            // Silence is waited for once more.
            retry_timeout: self.silence.mul_f64(1.5),
        }
    }
}

/// The service was busy for as long as it was asked.
#[derive(Debug, thiserror::Error)]
#[error(
    "the service answered {status} to {requests} requests in {} s{}",
    .waited.as_secs_f64().round(),
    if .reason.is_empty() { String::new() } else { format!(" ({})", .reason) }
)]
pub(super) struct Busy {
    pub(super) status: String,
    pub(super) requests: usize,
    pub(super) waited: Duration,
    pub(super) reason: String,
}

/// Makes HTTP clients that wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct PatientConnector(pub(super) Patience);

impl HttpConnector for PatientConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let options = options.clone().with_timeout_disabled();
        let silence = options.clone().with_read_timeout(self.0.silence);
        Ok(HttpClient::new(PatientService {
            receiving: ReqwestConnector::default().connect(&silence)?,
            sending: ReqwestConnector::default().connect(&options)?,
            patience: self.0,
            notices: notices(),
        }))
    }
}

#[derive(Debug)]
struct PatientService {
    /// For requests without a body: its time-out is for the silence between two reads.
    receiving: HttpClient,
    /// For requests with a body.
    sending: HttpClient,
    patience: Patience,
    notices: Arc<Notices>,
}

#[async_trait]
impl HttpService for PatientService {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let host = request.uri().authority().map(ToString::to_string);
        let host = host.unwrap_or_default();
        let is_listing = listing::is_listing(request.uri().query());
        let (started, mut requests, mut told) = (Instant::now(), 0, false);
        loop {
            let response = self.send(request.clone()).await?;
            requests += 1;
            let status = response.status();
            if !BUSY.contains(&status.as_u16()) {
                return match is_listing && status.is_success() {
                    true => self.usable_names(response).await,
                    false => Ok(response),
                };
            }
            let left = self.patience.busy.saturating_sub(started.elapsed());
            if left.is_zero() {
                let busy = Busy {
                    status: status.to_string(),
                    requests,
                    waited: started.elapsed(),
                    reason: response_reason(&response.into_body().bytes().await?),
                };
                // object_store doesn't retry this kind.
                return Err(HttpError::new(HttpErrorKind::Unknown, busy));
            }
            let mut wait = next_wait(&response, requests).min(left);
            // The connection can be used again when the body has been read.
            drop(response.into_body().bytes().await);
            let until_told = self.patience.told_after.saturating_sub(started.elapsed());
            if !told && until_told < wait {
                tokio::time::sleep(until_told).await;
                wait -= until_told;
                told = true;
                self.notices.tell(&format!(
                    "{host} is busy ({status}), waiting for it, {} s at most",
                    self.patience.busy.as_secs()
                ));
            }
            tokio::time::sleep(wait).await;
        }
    }
}

impl PatientService {
    /// Sends a request once. A time-out is for silence.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let length = request.body().content_length() as u64;
        if length == 0 {
            return self.receiving.execute(request).await;
        }
        let limit = self.patience.silence + Duration::from_secs(length / SLOWEST);
        let answered = async {
            // These answers are short. Reading them here puts them under the same limit.
            let (parts, body) = self.sending.execute(request).await?.into_parts();
            let body = body.bytes().await?;
            Ok(HttpResponse::from_parts(parts, body.into()))
        };
        match tokio::time::timeout(limit, answered).await {
            Ok(answer) => answer,
            Err(elapsed) => Err(HttpError::new(HttpErrorKind::Timeout, elapsed)),
        }
    }

    /// Takes the names that object_store cannot hold out of a page of a listing: one of them would
    /// make it fail.
    async fn usable_names(&self, response: HttpResponse) -> Result<HttpResponse, HttpError> {
        let (parts, body) = response.into_parts();
        // This kind is retried, and that a page breaks off is worth it.
        let body = body.bytes().await;
        let body = body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error))?;
        let (page, left_out) = listing::usable(&body);
        if let Some(first) = left_out.first() {
            self.notices.print(&format!(
                "left out of the listing: {} with a name that cannot be used, {first:?}{}",
                match left_out.len() {
                    1 => "a file".to_owned(),
                    count => format!("{count} files"),
                },
                if left_out.len() > 1 {
                    " and others"
                } else {
                    ""
                }
            ));
        }
        let page = page.map_or(body, Bytes::from);
        Ok(HttpResponse::from_parts(
            parts,
            HttpResponseBody::from(page),
        ))
    }
}

/// How long to wait before the next request, after `requests` of them.
fn next_wait(response: &HttpResponse, requests: usize) -> Duration {
    let mut random = rand::rng();
    let header = response.headers().get("retry-after");
    if let Some(asked) = header.and_then(|value| retry_after(value.to_str().ok()?)) {
        // Ranks that were refused together don't come back together.
        return asked.mul_f64(random.random_range(1.0..1.1));
    }
    let doublings = requests.saturating_sub(1).min(16) as u32;
    let wait = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
    wait.mul_f64(random.random_range(0.5..1.0))
}

/// The value of `Retry-After`: seconds, or a date.
fn retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    // A date in the past means now.
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after(" 7 "), Some(Duration::from_secs(7)));
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(20));
        let left = retry_after(&date).unwrap().as_secs();
        assert!((18..=20).contains(&left), "{left}");
        let past = httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(20));
        assert_eq!(retry_after(&past), Some(Duration::ZERO));
        assert_eq!(retry_after("soon"), None);
    }
}
