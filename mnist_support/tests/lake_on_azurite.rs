//! Runs the lake's suite on a real Azurite, and tests what only a service has: containers, keys,
//! signatures, an address that may not answer.

#[macro_use]
mod lake_suite;
mod azurite;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
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

/// Starts a server that answers each request with what `answer` makes of its head, and returns its
/// port with the heads.
fn standing_in<F>(answer: F) -> (u16, Arc<Mutex<Vec<String>>>)
where
    F: Fn(usize, &str) -> String + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = heads.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { break };
            let Ok(read) = stream.try_clone() else { break };
            let mut reader = BufReader::new(read);
            let (mut line, mut length, mut head) = (String::new(), 0, String::new());
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap_or(0);
                }
                head.push_str(&line);
                line.clear();
            }
            let mut body = vec![0; length];
            let _ = reader.read_exact(&mut body);
            let mut heads = kept.lock().unwrap();
            let _ = stream.write_all(answer(heads.len(), &head).as_bytes());
            heads.push(head);
        }
    });
    (port, heads)
}

/// An answer of a service. Blobs have these headers.
fn answer(status: &str, header: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nETag: \"1\"\r\n\
         Last-Modified: Sat, 28 Nov 2026 07:00:00 GMT\r\n{header}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Starts a server that answers every request with the same status and body.
fn answering(status: &str, body: &str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let answer = answer(status, "", body);
    standing_in(move |_, _| answer.clone())
}

#[test]
fn a_service_that_only_fails_is_asked_four_times_and_no_more() {
    let (port, requests) = answering("501 Not Implemented", "");
    let lake = Lake::open("az://torchtut", &Credentials::azurite(port)).unwrap();
    let error = lake.csv("train.csv").unwrap_err();
    assert!(
        matches!(
            error,
            Error::Lake(LakeError::Unreachable { retries: 3, .. })
        ),
        "{error}"
    );
    assert!(error.to_string().contains("501"), "{error}");
    assert_eq!(requests.lock().unwrap().len(), 4);
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
    assert_eq!(requests.lock().unwrap().len(), 1);
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

#[test]
fn a_public_container_is_read_without_credentials() {
    let Container { lake, azurite } = empty_container("public");
    lake.put("folder/file.csv", "a\n1\n2\n".into()).unwrap();
    let credentials = Credentials::anonymous()
        .with_account("devstoreaccount1")
        .with_endpoint(&azurite.endpoint());
    let anonymous = Lake::open("az://public", &credentials).unwrap();
    let error = anonymous.get("folder/file.csv").unwrap_err();
    assert!(
        matches!(
            error,
            Error::Lake(LakeError::NotFound { .. } | LakeError::AccessDenied { .. })
        ),
        "{error}"
    );
    assert!(error.to_string().contains("public"), "{error}");
    azurite.make_public("public");
    assert_eq!(anonymous.list().unwrap(), ["folder/file.csv"]);
    let frame = anonymous.csv("folder/file.csv").unwrap();
    assert_eq!(frame.collect().unwrap().height(), 2);
    for refused in [
        anonymous.put("mine.csv", "a\n".into()).unwrap_err(),
        anonymous.create_container().unwrap_err(),
    ] {
        assert!(
            matches!(refused, Error::Lake(LakeError::AccessDenied { .. })),
            "{refused}"
        );
    }
}

#[test]
fn a_listing_survives_odd_names() {
    let Container { lake, azurite } = empty_container("odd-names");
    lake.put("year=2026/part-0.csv", "a\n1\n".into()).unwrap();
    lake.put("z.csv", "a\n2\n".into()).unwrap();
    for (name, content) in [
        ("year=2026", ""),
        ("year=2025/", ""),
        ("year=2026//part-1.csv", "a\n3\n"),
        ("line%0Abreak.csv", "a\n4\n"),
        ("double//", "a\n5\n"),
    ] {
        azurite.put_blob(&format!("odd-names/{name}"), content);
    }
    assert_eq!(lake.list().unwrap(), ["year=2026/part-0.csv", "z.csv"]);
    assert_eq!(lake.folder("year=2026").list().unwrap(), ["part-0.csv"]);
    let table = lake.csv("year=2026").unwrap();
    assert_eq!(table.collect().unwrap().height(), 1);
}

#[test]
fn credentials_open_a_container_however_they_are_pasted() {
    let Container { lake, azurite } = empty_container("pasted");
    lake.put("file.csv", "a\n1\n".into()).unwrap();
    let endpoint = azurite.endpoint();
    let signature = azurite.signature("pasted", "file.csv");
    let decoded = signature
        .replace("%2B", "+")
        .replace("%2F", "/")
        .replace("%3D", "=");
    let wrapped = format!("{}\r\n  {}", &azurite::KEY[..60], &azurite::KEY[60..]);
    let connection = format!(
        "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={};\
         BlobEndpoint={endpoint};",
        azurite::KEY
    );
    let key = |text: &str| Credentials::access_key(Secret::new(text));
    let sas = |text: &str| Credentials::shared_access_signature(Secret::new(text));
    let named = |credentials: Credentials| {
        credentials
            .with_account(" devstoreaccount1\n")
            .with_endpoint(&format!(" {endpoint}/ "))
    };
    for credentials in [
        named(key(&format!("  \"{}\"\r\n", azurite::KEY))),
        named(key(&wrapped)),
        named(sas(&format!("?{signature}\n"))),
        named(sas(&decoded)),
        named(sas(&signature.replace('%', "%25"))),
        sas(&format!("{endpoint}/pasted/file.csv?{signature}")),
        sas(&format!("'{endpoint}/pasted/file.csv?{decoded}'")),
        key(&connection),
        Credentials::connection_string(Secret::new(format!("\"{connection}\"\n"))),
    ] {
        let lake = Lake::open("az://pasted", &credentials).unwrap();
        assert_eq!(lake.get("file.csv").unwrap(), "a\n1\n");
    }
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

/// `mnist-lake upload` to a stand-in, with only an account in the scope `adls`.
fn upload_to(port: u16, from: &Path) -> Command {
    std::fs::write(from.join("train.csv"), "a\n1\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mnist-lake"));
    command
        .args(["upload", "--to", "az://uploaded", "--from"])
        .arg(from)
        .env("MNIST_SUPPORT_SECRETS", "/nonexistent")
        .env("ADLS_ACCOUNT", "devstoreaccount1")
        .env(
            "ADLS_ENDPOINT",
            format!("http://127.0.0.1:{port}/devstoreaccount1"),
        );
    command
}

const TOKEN: &str =
    r#"{"access_token": "hunter3", "expires_on": "4102444800", "expires_in": 3600}"#;

#[test]
fn a_managed_identity_is_asked_for_where_the_platform_says() {
    let (port, heads) = standing_in(|_, head| match head.starts_with("GET /msi/token") {
        true => answer("200 OK", "", TOKEN),
        false => answer("201 Created", "", ""),
    });
    let folder = tempfile::tempdir().unwrap();
    let address = format!("http://127.0.0.1:{port}/msi/token");
    for variables in [
        [
            ("IDENTITY_ENDPOINT", address.as_str()),
            ("IDENTITY_HEADER", "hunter2"),
        ],
        [
            ("MSI_ENDPOINT", address.as_str()),
            ("MSI_SECRET", "hunter2"),
        ],
    ] {
        heads.lock().unwrap().clear();
        let mut command = upload_to(port, folder.path());
        let done = command.envs(variables).output().unwrap();
        let said = format!("{done:?}");
        assert!(done.status.success() && !said.contains("hunter"), "{said}");
        let heads = heads.lock().unwrap().clone();
        let token = heads[0].to_lowercase();
        assert!(
            token.contains("resource=https%3a%2f%2fstorage.azure.com"),
            "{token}"
        );
        let header = if variables[1].0 == "MSI_SECRET" {
            "secret"
        } else {
            "x-identity-header"
        };
        assert!(token.contains(&format!("\n{header}: hunter2")), "{token}");
        assert!(heads.len() > 1);
        for head in &heads[1..] {
            assert!(
                head.to_lowercase()
                    .contains("authorization: bearer hunter3"),
                "{head}"
            );
        }
    }
}

#[test]
fn a_workload_signs_in_where_the_platform_says() {
    let (port, heads) = standing_in(|_, head| match head.contains("/oauth2/v2.0/token") {
        true => answer("200 OK", "", TOKEN),
        false => answer("201 Created", "", ""),
    });
    let folder = tempfile::tempdir().unwrap();
    let token_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token_file.path(), "hunter2").unwrap();
    let done = upload_to(port, folder.path())
        .env("AZURE_TENANT_ID", "tenant")
        .env("AZURE_CLIENT_ID", "client")
        .env("AZURE_FEDERATED_TOKEN_FILE", token_file.path())
        .env("AZURE_AUTHORITY_HOST", format!("http://127.0.0.1:{port}/"))
        .output()
        .unwrap();
    let said = format!("{done:?}");
    assert!(done.status.success() && !said.contains("hunter"), "{said}");
    let heads = heads.lock().unwrap();
    assert!(
        heads[0].starts_with("POST /tenant/oauth2/v2.0/token"),
        "{}",
        heads[0]
    );
    assert!(
        heads[1]
            .to_lowercase()
            .contains("authorization: bearer hunter3")
    );
}

#[test]
fn a_user_is_told_once_that_the_service_is_busy() {
    let (port, heads) = standing_in(|index, _| match index {
        0 | 1 => answer("503 Server Busy", "Retry-After: 4\r\n", ""),
        _ => answer("201 Created", "", ""),
    });
    let folder = tempfile::tempdir().unwrap();
    let done = upload_to(port, folder.path())
        .env("ADLS_ACCESS_KEY", azurite::KEY)
        // As in a notebook.
        .env("EVCXR_IS_RUNTIME", "1")
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    let said = String::from_utf8(done.stdout).unwrap();
    let told: Vec<_> = said.lines().filter(|line| line.contains("busy")).collect();
    let expected =
        format!("127.0.0.1:{port} is busy (503 Service Unavailable), waiting for it, 60 s at most");
    assert_eq!(told, [expected]);
    assert_eq!(heads.lock().unwrap().len(), 4);
}
