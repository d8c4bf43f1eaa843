//! Converts the errors of a storage service to this crate's errors, without anything secret.

use std::error::Error as _;
use std::io;

use object_store::client::{HttpError, HttpErrorKind};
use url::Url;

use super::patience::Busy;
use crate::{Error, error::LakeError};

/// What object_store's messages contain if the Azure CLI gives no token, and if a workload has
/// none.
const NO_CLI: &str = "az account get-access-token";
const NO_TOKEN_FILE: &str = "federated token file";
/// What they contain if the request for a token failed.
const NO_TOKEN: &str = "performing token request";
/// Azure's error code for a container that does not exist.
const NO_CONTAINER: &str = "ContainerNotFound";
/// Amazon's error code for a bucket that does not exist.
const NO_BUCKET: &str = "NoSuchBucket";
/// What Azure answers a request without credentials if an account has no public containers, and if
/// a container is not public.
const NOT_PUBLIC: [&str; 3] = [
    "PublicAccessNotPermitted",
    "NoAuthenticationInformation",
    "ResourceNotFound",
];

/// What the response contains if a service refuses the credentials.
const REFUSALS: [&str; 7] = [
    "401 Unauthorized",
    "403 Forbidden",
    "AADSTS",
    "invalid_client",
    NO_CLI,
    NO_TOKEN_FILE,
    NOT_PUBLIC[0],
];

/// The error for `operation` on `url` (which has no query string), from the store's error
/// `failure`.
pub(crate) fn storage_error(
    operation: &'static str,
    url: &str,
    failure: object_store::Error,
) -> Error {
    let text = full_message(&failure);
    let error = from_busy(url, &failure)
        .or_else(|| from_kind(url, &failure, &text))
        .or_else(|| from_file_system(url, &failure))
        .or_else(|| from_response(url, &text))
        .or_else(|| from_connection(url, &failure, &text));
    Error::Lake(error.unwrap_or_else(|| LakeError::Storage {
        operation,
        url: url.into(),
        reason: match failure {
            object_store::Error::Precondition { .. } => {
                "the file was replaced since it was opened; open it again".into()
            }
            _ => reason(&text).into(),
        },
    }))
}

/// The service was busy for all the time that it was waited for.
fn from_busy(url: &str, failure: &object_store::Error) -> Option<LakeError> {
    let busy = find_source::<Busy>(failure)?;
    Some(LakeError::Unreachable {
        url: url.into(),
        retries: busy.requests - 1,
        reason: format!("{busy}; try again later, or with fewer ranks at a time"),
    })
}

/// Errors that object_store distinguishes itself.
fn from_kind(url: &str, failure: &object_store::Error, text: &str) -> Option<LakeError> {
    use object_store::Error as Store;
    match failure {
        Store::NotFound { .. } => Some(not_found(url, text)),
        Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => Some(refused(url, text)),
        _ => None,
    }
}

/// Errors of the local file system.
fn from_file_system(url: &str, failure: &object_store::Error) -> Option<LakeError> {
    match io_kind(failure)? {
        io::ErrorKind::PermissionDenied => Some(LakeError::AccessDenied {
            url: url.into(),
            reason: "permission denied".into(),
            hint: "check the owner and the mode of the file and of its folders".into(),
        }),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Some(not_found(url, "")),
        _ => None,
    }
}

/// Errors recognised by the text of the response.
fn from_response(url: &str, text: &str) -> Option<LakeError> {
    if text.contains(NO_CONTAINER) || text.contains("BlobNotFound") {
        return Some(not_found(url, text));
    }
    let is_refusal = REFUSALS.iter().any(|refusal| text.contains(refusal));
    is_refusal.then(|| refused(url, text))
}

/// No response, or a server error.
fn from_connection(url: &str, failure: &object_store::Error, text: &str) -> Option<LakeError> {
    use HttpErrorKind::{Connect, Interrupted, Request, Timeout};
    let no_response = matches!(
        http_kind(failure),
        Some(Connect | Timeout | Interrupted | Request)
    );
    let mut reason = root_cause(failure);
    if text.contains(NO_TOKEN) {
        // The lake itself was not asked.
        reason = format!("no token could be fetched, {reason}");
    }
    (no_response || text.contains("status code: 5")).then(|| LakeError::Unreachable {
        url: url.into(),
        retries: retries(text),
        reason,
    })
}

fn not_found(url: &str, text: &str) -> LakeError {
    let hint = if text.contains(NO_CONTAINER) {
        "the account has no such container"
    } else if text.contains(NO_BUCKET) {
        "there is no such bucket"
    } else if text.contains(NOT_PUBLIC[2]) {
        "there is no such file, or its container is not public"
    } else {
        "there is no such file in the container or folder"
    };
    LakeError::NotFound {
        url: url.into(),
        hint: hint.into(),
    }
}

fn refused(url: &str, text: &str) -> LakeError {
    let is_not_public = NOT_PUBLIC.iter().any(|code| text.contains(code));
    let hint = if url.starts_with("s3") {
        "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION in the environment"
    } else if url.starts_with("gs") {
        "check GOOGLE_SERVICE_ACCOUNT or GOOGLE_APPLICATION_CREDENTIALS in the environment"
    } else if is_not_public {
        "it is not public: give credentials in the secret scope"
    } else if text.contains(NO_CLI) {
        "sign in with `az login`, or choose another method with the key authentication in the secret scope"
    } else if text.contains(NO_TOKEN_FILE) {
        "check token-file in the secret scope"
    } else if text.contains("AADSTS") || text.contains(NO_TOKEN) {
        "check tenant-id, client-id and client-secret in the secret scope"
    } else {
        "check the credentials in the secret scope, and the role that they have on the container"
    };
    LakeError::AccessDenied {
        url: url.into(),
        reason: reason(text),
        hint: hint.into(),
    }
}

/// The messages of an error and all its sources, without query strings.
fn full_message(failure: &object_store::Error) -> String {
    let mut text = failure.to_string();
    for error in sources(failure) {
        let message = error.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
    }
    without_query_strings(&text)
}

fn root_cause(failure: &object_store::Error) -> String {
    let message = match sources(failure).last() {
        Some(error) => error.to_string(),
        None => failure.to_string(),
    };
    without_query_strings(&message)
}

/// The first error of a type among the sources of an error.
pub(super) fn find_source<T: std::error::Error + 'static>(
    failure: &object_store::Error,
) -> Option<&T> {
    sources(failure).find_map(|error| error.downcast_ref())
}

fn http_kind(failure: &object_store::Error) -> Option<HttpErrorKind> {
    find_source(failure).map(HttpError::kind)
}

fn io_kind(failure: &object_store::Error) -> Option<io::ErrorKind> {
    // Only for a local file: over the network, an io::Error is about the connection.
    if http_kind(failure).is_some() {
        return None;
    }
    find_source(failure).map(io::Error::kind)
}

fn sources(
    failure: &object_store::Error,
) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(failure.source(), |error| (*error).source())
}

/// A summary of the body of a response, without query strings.
pub(super) fn response_reason(body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(body).chars().take(2000).collect();
    reason(&without_query_strings(&text))
}

/// A summary of a response: the code and first sentence of its XML or JSON, or otherwise all of it.
fn reason(text: &str) -> String {
    let between = |from: &str, to: &str| {
        let start = text.find(from)? + from.len();
        text[start..]
            .find(to)
            .map(|length| &text[start..start + length])
    };
    if let Some(code) = between("<Code>", "</Code>") {
        let message = between("<Message>", "</Message>").unwrap_or_default();
        let sentence = message.lines().next().unwrap_or_default().trim();
        return format!("{code}: {sentence}")
            .trim_end_matches([':', ' '])
            .to_owned();
    }
    if let Some(description) = between("\"error_description\":\"", "\"") {
        return description
            .split("\\r")
            .next()
            .unwrap_or_default()
            .to_owned();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The number in "after N retries", or 0 if the request was not retried.
fn retries(text: &str) -> usize {
    text.split("after ")
        .skip(1)
        .find_map(|rest| rest.split_once(" retries")?.0.parse().ok())
        .unwrap_or_default()
}

/// The most letters and digits in a row of an account's name, a host's label or an ID. Keys and
/// signatures have more.
const LONGEST_NAME: usize = 30;

/// An address, a name or an ID as an error shows it, without what may be pasted with it or instead
/// of it: a signature, a connection string, a password, a key. Of a URL's path, only what may be an
/// account is left.
pub(crate) fn without_secrets(address: &str) -> String {
    let cut = |text: &str| {
        let text = text.rsplit('@').next().unwrap_or_default();
        let end = text.find(['?', '&', '#', ';', '=']);
        without_keys(&text[..end.unwrap_or(text.len())])
    };
    let Ok(url) = Url::parse(address) else {
        return cut(address);
    };
    let origin = url.origin();
    if !origin.is_tuple() {
        return cut(address);
    }
    let is_account = |name: &&str| {
        let mut letters = name.bytes();
        letters.all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
    };
    let path = url.path().trim_matches('/');
    let host = origin.ascii_serialization();
    without_keys(&match (path.is_empty(), Some(path).filter(is_account)) {
        (true, _) => host,
        (false, Some(account)) => format!("{host}/{account}"),
        (false, None) => format!("{host}/..."),
    })
}

/// Shortens what is too long for a name.
fn without_keys(text: &str) -> String {
    let is_of_key = |letter: char| letter.is_ascii_alphanumeric() || "+/_~%".contains(letter);
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = match is_of_key(first) {
            true => rest.find(|letter| !is_of_key(letter)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (run, after) = rest.split_at(end);
        // A path in small letters is no key, which may have slashes in it too.
        let is_path = !run.contains(|letter: char| letter.is_ascii_uppercase() || letter == '+')
            && run.split('/').all(|name| name.len() <= LONGEST_NAME);
        let is_name = run.len() <= LONGEST_NAME || is_path;
        shown += if is_name { run } else { "..." };
        rest = after;
    }
    shown
}

/// Strips the query string from every URL, because a shared access signature is one.
pub(crate) fn without_query_strings(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        let query = match word.find("://") {
            Some(scheme) => word[scheme..].find('?').map(|at| scheme + at),
            None if word.contains("sig=") => Some(0),
            None => None,
        };
        match query {
            Some(at) => {
                clean.push_str(&word[..at]);
                clean.push_str("?[redacted]");
                clean.push_str(&word[word.trim_end().len()..]);
            }
            None => clean.push_str(word),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_with_an_address_is_not_shown() {
        for (address, shown) in [
            (
                "https://a.blob.core.windows.net",
                "https://a.blob.core.windows.net",
            ),
            (
                "http://127.0.0.1:10000/devstoreaccount1",
                "http://127.0.0.1:10000/devstoreaccount1",
            ),
            (
                "https://a.example.com/?sv=2024&sig=hunter2",
                "https://a.example.com",
            ),
            (
                "https://a.example.com/&sig=hunter2",
                "https://a.example.com/...",
            ),
            (
                "https://user:hunter2@a.example.com",
                "https://a.example.com",
            ),
            ("lake;AccountKey=hunter2", "lake"),
            ("AccountName:AccountKey=hunter2", "AccountName:AccountKey"),
            ("user:hunter2@a.example.com", "a.example.com"),
            ("lake", "lake"),
            (
                "72f988bf-86f1-41af-91ab-2d7cd011db47",
                "72f988bf-86f1-41af-91ab-2d7cd011db47",
            ),
            (
                "/var/run/secrets/azure/tokens/token",
                "/var/run/secrets/azure/tokens/token",
            ),
            (
                "Eby8vdM02xNOcqFlqUwJPLlmEtlC/DXJ1OUzFT50uSRZ6IFs/uFq2UVErCz4I6tq/K1SZFPTOtr==",
                "...",
            ),
            ("lake, xJ88Q3hTVFpQaXhNdmNkZTRmR0hpSktsTW5P", "lake, ..."),
        ] {
            assert_eq!(without_secrets(address), shown);
        }
    }

    #[test]
    fn query_strings_are_cut_off_every_url() {
        let text =
            "GET https://a.blob.core.windows.net/c/b?sv=2024&sig=abc%3D in 3 s, retry sig=abc now";
        assert_eq!(
            without_query_strings(text),
            "GET https://a.blob.core.windows.net/c/b?[redacted] in 3 s, retry ?[redacted] now"
        );
    }

    #[test]
    fn a_response_is_summarised_by_its_code_and_first_sentence() {
        let text = "403: <Error><Code>AuthenticationFailed</Code><Message>Server failed.\nRequestId:1</Message>";
        assert_eq!(reason(text), "AuthenticationFailed: Server failed.");
        let text =
            r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid.\r\nTrace"}"#;
        assert_eq!(reason(text), "AADSTS7000215: Invalid.");
    }

    fn of(text: &str) -> Error {
        let source = text.to_owned().into();
        let failure = object_store::Error::Generic {
            store: "MicrosoftAzure",
            source,
        };
        storage_error("reading", "az://torchtut/train.csv", failure)
    }

    #[test]
    fn credentials_that_give_no_token_say_what_to_do() {
        for (text, hint) in [
            (
                "'az account get-access-token' command failed: Please run 'az login'",
                "`az login`",
            ),
            ("Error reading federated token file ", "token-file"),
            (
                "Error performing token request: status code: 400: AADSTS90002",
                "tenant-id",
            ),
            (
                "Server returned non-2xx status code: 403 Forbidden",
                "the role",
            ),
        ] {
            let error = of(text);
            assert!(
                matches!(error, Error::Lake(LakeError::AccessDenied { .. })),
                "{error}"
            );
            assert!(error.to_string().contains(hint), "{error}");
        }
    }

    #[test]
    fn any_other_error_is_reported_in_full_without_query_strings() {
        let error = of("PUT https://a.blob.core.windows.net/c?sig=hunter2 said 409 Conflict");
        assert!(
            matches!(
                error,
                Error::Lake(LakeError::Storage {
                    operation: "reading",
                    ..
                })
            ),
            "{error}"
        );
        assert!(
            error.to_string().contains("409 Conflict") && !error.to_string().contains("hunter2")
        );
    }

    #[test]
    fn retries_are_read_from_the_message() {
        assert_eq!(retries("in 2s, after 3 retries, max_retries: 3"), 3);
        assert_eq!(retries("in 2s - refused"), 0);
    }
}
