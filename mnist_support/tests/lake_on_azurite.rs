//! Runs the lake's suite on a real Azurite, and tests what only a service has: containers, keys,
//! signatures, an address that may not answer.

#[macro_use]
mod lake_suite;
mod azurite;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use azurite::Azurite;
use mnist_support::lake::{Credentials, FileSource, Lake, LakeFrame, Partition};
use mnist_support::secrets::Secret;
use mnist_support::{Error, error::LakeError};

struct Container {
    lake: Lake,
    azurite: Arc<Azurite>,
}

/// Creates a container with this name, with `-` for `_`, on the Azurite that the tests share.
fn empty_container(name: &str) -> Container {
    let azurite = Azurite::shared();
    let name: String = name.replace('_', "-").chars().take(63).collect();
    let url = format!("az://{}", name.trim_end_matches('-'));
    let lake = Lake::open(&url, &Credentials::azurite(azurite.port())).unwrap();
    assert!(lake.create_container().unwrap());
    Container { lake, azurite }
}

whole_suite!(empty_container);

#[test]
fn the_account_may_stand_in_the_url() {
    let Container { lake, azurite } = empty_container("abfss-url");
    lake.put("folder/file.txt", "text".into()).unwrap();
    let url = "abfss://abfss-url@devstoreaccount1.dfs.core.windows.net/folder";
    let same = Lake::open(url, &Credentials::azurite(azurite.port())).unwrap();
    assert_eq!(same.list().unwrap(), ["file.txt"]);
    assert_eq!(same.get("file.txt").unwrap(), "text");
}

#[test]
fn a_container_is_made_once() {
    let Container { lake, .. } = empty_container("made-once");
    assert!(!lake.create_container().unwrap());
}

#[test]
fn an_unknown_container_is_told_from_an_unknown_blob() {
    let Container { lake, azurite } = empty_container("known");
    let error = lake.csv("nothing.csv").unwrap_err();
    assert!(
        error.to_string().contains("az://known/nothing.csv"),
        "{error}"
    );
    assert!(!error.to_string().contains("no such container"), "{error}");
    let unknown = Lake::open("az://unknown", &Credentials::azurite(azurite.port())).unwrap();
    for error in [
        unknown.csv("train.csv").unwrap_err(),
        unknown.parquet("train.parquet").unwrap_err(),
        unknown.get("train.csv").unwrap_err(),
        unknown.put("train.csv", "x".into()).unwrap_err(),
        unknown.list().unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::Lake(LakeError::NotFound { .. })),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .contains("the account has no such container"),
            "{error}"
        );
        assert!(error.to_string().contains("az://unknown"), "{error}");
    }
}

#[test]
fn a_wrong_key_is_refused_with_a_hint_and_without_the_key() {
    let Container { lake, azurite } = empty_container("wrong-key");
    lake.put("file.txt", "text".into()).unwrap();
    let key = "d3JvbmdrZXl3cm9uZ2tleQ==";
    let credentials = Credentials::access_key(Secret::new(key))
        .with_account("devstoreaccount1")
        .with_endpoint(&azurite.endpoint());
    let lake = Lake::open("az://wrong-key", &credentials).unwrap();
    for error in [
        lake.get("file.txt").unwrap_err(),
        lake.csv("file.txt").unwrap_err(),
        lake.list().unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::Lake(LakeError::AccessDenied { .. })),
            "{error}"
        );
        assert!(error.to_string().contains("secret scope"), "{error}");
        assert!(!format!("{error:?}").contains(key), "{error:?}");
    }
    assert!(matches!(
        lake.create_container(),
        Err(Error::Lake(LakeError::AccessDenied { .. }))
    ));
}

#[test]
fn a_shared_access_signature_opens_what_it_is_for_and_never_shows() {
    let Container { lake, azurite } = empty_container("signature");
    lake.put("file.csv", "a\n1\n".into()).unwrap();
    let signature = azurite.signature("signature", "file.csv");
    let open = |signature: &str| {
        let credentials = Credentials::shared_access_signature(Secret::new(signature))
            .with_account("devstoreaccount1")
            .with_endpoint(&azurite.endpoint());
        Lake::open("az://signature", &credentials).unwrap()
    };
    assert_eq!(
        open(&signature)
            .csv("file.csv")
            .unwrap()
            .collect()
            .unwrap()
            .height(),
        1
    );
    assert_eq!(
        open(&format!("?{signature}")).get("file.csv").unwrap(),
        "a\n1\n"
    );
    let secret = signature
        .split("sig=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap();
    for error in [
        open(&signature).get("other.csv").unwrap_err(),
        open(&signature).list().unwrap_err(),
        open(&signature.replace("sig=", "sig=AAAA"))
            .get("file.csv")
            .unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::Lake(LakeError::AccessDenied { .. })),
            "{error}"
        );
        assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
        assert!(!format!("{error:?}").contains("sig="), "{error:?}");
    }
    let gone = Credentials::shared_access_signature(Secret::new(signature.as_str()))
        .with_account("devstoreaccount1")
        .with_endpoint("http://127.0.0.1:1/devstoreaccount1");
    let error = Lake::open("az://signature", &gone)
        .unwrap()
        .get("file.csv")
        .unwrap_err();
    assert!(
        matches!(error, Error::Lake(LakeError::Unreachable { .. })),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("sig="), "{error:?}");
}

#[test]
fn an_account_that_cannot_be_reached_is_given_up_after_three_retries() {
    let credentials = Credentials::azurite(1);
    let lake = Lake::open("az://torchtut", &credentials).unwrap();
    let start = Instant::now();
    let error = lake.csv("train.csv").unwrap_err();
    assert!(
        matches!(
            error,
            Error::Lake(LakeError::Unreachable { retries: 3, .. })
        ),
        "{error}"
    );
    assert!(
        error.to_string().contains("refused"),
        "the reason is missing: {error}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
    assert!(matches!(
        lake.put("x", "y".into()),
        Err(Error::Lake(LakeError::Unreachable { .. }))
    ));
    assert!(matches!(
        lake.create_container(),
        Err(Error::Lake(LakeError::Unreachable { .. }))
    ));
}

/// Starts a server that answers every request with the same status and body, and counts them.
fn answering(status: &str, body: &str) -> (u16, Arc<AtomicUsize>) {
    let answer = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { break };
            let Ok(read) = stream.try_clone() else { break };
            let mut reader = BufReader::new(read);
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap_or(0);
                }
                line.clear();
            }
            let mut body = vec![0; length];
            let _ = reader.read_exact(&mut body);
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (port, requests)
}

#[test]
fn a_service_that_only_fails_is_asked_four_times_and_no_more() {
    let (port, requests) = answering("503 Service Unavailable", "");
    let lake = Lake::open("az://torchtut", &Credentials::azurite(port)).unwrap();
    let error = lake.csv("train.csv").unwrap_err();
    assert!(
        matches!(
            error,
            Error::Lake(LakeError::Unreachable { retries: 3, .. })
        ),
        "{error}"
    );
    assert!(error.to_string().contains("503"), "{error}");
    assert_eq!(requests.load(Ordering::SeqCst), 4);
}

#[test]
fn a_wrong_client_secret_is_told_by_the_directorys_words_and_not_shown() {
    let (port, requests) = answering(
        "401 Unauthorized",
        r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret."}"#,
    );
    let credentials = Credentials::service_principal("tenant", "client", Secret::new("hunter2"))
        .with_account("devstoreaccount1")
        .with_endpoint("http://127.0.0.1:1/devstoreaccount1")
        .with_authority(&format!("http://127.0.0.1:{port}"));
    let lake = Lake::open("az://torchtut", &credentials).unwrap();
    let error = lake.get("train.csv").unwrap_err();
    assert!(
        matches!(error, Error::Lake(LakeError::AccessDenied { .. })),
        "{error}"
    );
    assert!(error.to_string().contains("AADSTS7000215"), "{error}");
    assert!(error.to_string().contains("client-secret"), "{error}");
    assert!(
        !format!("{error} {error:?}").contains("hunter2"),
        "{error:?}"
    );
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[test]
fn another_process_reads_its_partition_with_its_own_credentials() {
    let Container { lake, azurite } = empty_container("other-process");
    lake.put("table 1.csv", "a\n1\n2\n3\n4\n".into()).unwrap();
    let frame = lake.csv("table 1.csv").unwrap();
    let sent = serde_json::to_string(&(frame.source(), &frame.partitions(2).unwrap()[1])).unwrap();
    assert!(!sent.contains(azurite::KEY), "{sent}");
    let (source, part): (FileSource, Partition) = serde_json::from_str(&sent).unwrap();
    let there = LakeFrame::open(&source, &Credentials::azurite(azurite.port())).unwrap();
    assert_eq!(there.read(&part).unwrap().height(), 2);
}

/// Runs `mnist-lake upload` with the secrets of the scope `adls` in variables.
fn upload(azurite: &Azurite, from: &Path, key: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mnist-lake"));
    command
        .args(["upload", "--create", "--to", "az://uploaded", "--from"])
        .arg(from);
    command
        .env("MNIST_SUPPORT_SECRETS", "/nonexistent")
        .env("ADLS_ACCOUNT", "devstoreaccount1");
    command.env("ADLS_ENDPOINT", azurite.endpoint());
    match key {
        Some(key) => command.env("ADLS_ACCESS_KEY", key),
        None => command.env_remove("ADLS_ACCESS_KEY"),
    };
    command.output().unwrap()
}

#[test]
fn the_lake_is_uploaded_from_the_command_line() {
    let azurite = Azurite::shared();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("train.csv"), "a\n1\n").unwrap();
    std::fs::write(folder.path().join("test.csv"), "a\n2\n").unwrap();
    let done = upload(&azurite, folder.path(), Some(azurite::KEY));
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let lake = Lake::open("az://uploaded", &Credentials::azurite(azurite.port())).unwrap();
    assert_eq!(lake.list().unwrap(), ["test.csv", "train.csv"]);
    assert_eq!(
        lake.csv("train.csv").unwrap().collect().unwrap().height(),
        1
    );

    let refused = upload(&azurite, folder.path(), None);
    let message = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.contains("there are no credentials"), "{message}");
    let refused = upload(&azurite, folder.path(), Some("d3Jvbmc="));
    let message = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        message.contains("was refused") && !message.contains("d3Jvbmc="),
        "{message}"
    );
}
