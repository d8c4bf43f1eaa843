//! Runs the lake's suite on buckets of Amazon S3 and Google Cloud Storage: on stand-ins that speak
//! their protocol, and on moto's S3 if its `moto_server` is installed.
//!
//! Their credentials come from the environment, so the suite runs in a process of its own.

// The suite's macros make tests of this process, and some functions need more time than they tell
// about a bucket.
#[allow(dead_code, unused_imports, unused_macros)]
mod lake_suite;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mnist_support::lake::{Credentials, Lake};
use mnist_support::{Error, error::LakeError};

/// The variable that names the bucket for the tests in a process of their own.
const BUCKET: &str = "TEST_BUCKET";

/// Runs the suite on a bucket, with these variables.
fn run_suite(bucket: &str, variables: &[(&str, &str)]) {
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["the_suite_holds", "--exact", "--ignored", "--nocapture"])
        .env(BUCKET, bucket)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

macro_rules! each {
    ($($name:ident),* $(,)?) => {
        [$((stringify!($name), lake_suite::$name as fn(&Lake))),*]
    };
}

#[test]
#[ignore = "run by the other tests, in a process with the bucket's variables"]
fn the_suite_holds() {
    let bucket = std::env::var(BUCKET).unwrap();
    let lake = Lake::open(&bucket, &Credentials::local()).unwrap();
    for (name, test) in each![
        files_are_put_listed_read_replaced_and_removed,
        a_missing_file_is_named,
        a_large_file_is_uploaded_whole,
        a_csv_is_read_whole_and_by_its_head,
        the_partitions_of_a_csv_hold_every_row_once_in_order,
        a_csv_that_is_empty_says_what_is_missing,
        a_parquet_file_is_read_whole_and_by_its_head,
        patterns_and_lists_of_files_are_tables,
        a_partition_of_a_file_that_changed_is_refused,
    ] {
        println!("{name}");
        test(&lake.folder(name));
    }
    let error = lake.create_container().unwrap_err();
    assert!(
        matches!(error, Error::Lake(LakeError::Storage { .. })),
        "{error}"
    );
    let other = Lake::open(&format!("{bucket}-none"), &Credentials::local()).unwrap();
    let error = other.get("train.csv").unwrap_err();
    assert!(
        matches!(error, Error::Lake(LakeError::NotFound { .. })),
        "{error}"
    );
}

#[test]
fn a_bucket_of_amazons_protocol_is_a_lake() {
    let port = standing_in();
    run_suite(
        "s3://torchtut",
        &[
            ("AWS_ENDPOINT", &format!("http://127.0.0.1:{port}")),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "me"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            ("AWS_REGION", "eu-central-1"),
        ],
    );
}

#[test]
fn a_bucket_of_googles_protocol_is_a_lake() {
    let port = standing_in();
    let key = format!(
        r#"{{"gcs_base_url": "http://127.0.0.1:{port}", "disable_oauth": true, "client_email": "",
            "private_key": "hunter2", "private_key_id": ""}}"#
    );
    run_suite("gs://torchtut", &[("GOOGLE_SERVICE_ACCOUNT_KEY", &key)]);
}

#[test]
fn motos_bucket_is_a_lake() {
    let program = std::env::var("MOTO_SERVER").unwrap_or_else(|_| "moto_server".to_owned());
    // The listener gives the port back at the end of the line.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let started = Command::new(&program)
        .args(["-p", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut moto) = started else {
        eprintln!("left out: {program} is not installed (pip install 'moto[s3,server]')");
        return;
    };
    let start = Instant::now();
    let created = loop {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            let request = "PUT /torchtut HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\
                           Authorization: AWS4-HMAC-SHA256 Credential=me/20260101/us-east-1/s3/\
                           aws4_request\r\nConnection: close\r\n\r\n";
            stream.write_all(request.as_bytes()).unwrap();
            // It may keep the connection open.
            let mut answer = String::new();
            let _ = BufReader::new(&stream).read_line(&mut answer);
            break answer;
        }
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "moto does not listen"
        );
        std::thread::sleep(Duration::from_millis(100));
    };
    let endpoint = format!("http://127.0.0.1:{port}");
    let variables = [
        ("AWS_ENDPOINT", endpoint.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "me"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_REGION", "us-east-1"),
    ];
    let ran = std::panic::catch_unwind(|| run_suite("s3://torchtut", &variables));
    moto.kill().unwrap();
    moto.wait().unwrap();
    assert!(created.contains("200 OK"), "{created}");
    ran.unwrap();
}

/// The objects of a stand-in, and the parts of uploads that are not complete.
#[derive(Default)]
struct Objects {
    whole: BTreeMap<String, Vec<u8>>,
    parts: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    uploads: usize,
}

struct Request {
    method: String,
    url: url::Url,
    range: Option<(usize, usize)>,
    if_match: Option<String>,
    body: Vec<u8>,
}

/// Starts a stand-in with the bucket `torchtut`, which speaks what S3 and Google have in common,
/// and returns its port.
fn standing_in() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let objects = Arc::new(Mutex::new(Objects::default()));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let objects = objects.clone();
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let Some(request) = read_request(&stream) else {
                    return;
                };
                let is_head = request.method == "HEAD";
                let (status, headers, body) = answer(&request, &mut objects.lock().unwrap());
                let head = format!(
                    "HTTP/1.1 {status}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\
                     Last-Modified: Sat, 28 Nov 2026 07:00:00 GMT\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes());
                if !is_head {
                    let _ = stream.write_all(&body);
                }
            });
        }
    });
    port
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let (method, rest) = line.split_once(' ')?;
    let path = rest.split(' ').next()?;
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let range = headers.get("range").map(|range| {
        let (start, end) = range
            .strip_prefix("bytes=")
            .unwrap()
            .split_once('-')
            .unwrap();
        (start.parse().unwrap(), end.parse::<usize>().unwrap() + 1)
    });
    Some(Request {
        method: method.to_owned(),
        url: url::Url::parse(&format!("http://localhost{path}")).unwrap(),
        range,
        if_match: headers.get("if-match").cloned(),
        body,
    })
}

type Answer = (&'static str, String, Vec<u8>);

fn answer(request: &Request, objects: &mut Objects) -> Answer {
    let path = percent_encoding::percent_decode_str(request.url.path())
        .decode_utf8()
        .unwrap();
    let path = path.trim_start_matches('/');
    let (bucket, name) = path.split_once('/').unwrap_or((path, ""));
    let query: BTreeMap<String, String> = request.url.query_pairs().into_owned().collect();
    let text = |text: String| ("200 OK", String::new(), text.into_bytes());
    if bucket != "torchtut" {
        let body = "<Error><Code>NoSuchBucket</Code><Message>None.</Message></Error>";
        return ("404 Not Found", String::new(), body.into());
    }
    match request.method.as_str() {
        "GET" if name.is_empty() => text(list(&query["prefix"], objects)),
        "GET" | "HEAD" => read(name, request, objects),
        "POST" if query.contains_key("delete") => {
            let body = String::from_utf8(request.body.clone()).unwrap();
            let keys = body.split("<Key>").skip(1);
            let mut deleted = String::new();
            for key in keys.filter_map(|rest| rest.split("</Key>").next()) {
                objects.whole.remove(key);
                deleted += &format!("<Deleted><Key>{key}</Key></Deleted>");
            }
            text(format!("<DeleteResult>{deleted}</DeleteResult>"))
        }
        "DELETE" => {
            objects.whole.remove(name);
            ("204 No Content", String::new(), Vec::new())
        }
        "POST" if query.contains_key("uploads") => {
            objects.uploads += 1;
            text(format!(
                "<InitiateMultipartUploadResult><UploadId>{}</UploadId>\
                 </InitiateMultipartUploadResult>",
                objects.uploads
            ))
        }
        "POST" => {
            let parts = objects.parts.remove(&query["uploadId"]).unwrap_or_default();
            let whole = parts.into_values().flatten().collect();
            objects.whole.insert(name.to_owned(), whole);
            text(
                "<CompleteMultipartUploadResult><ETag>\"1\"</ETag>\
                  </CompleteMultipartUploadResult>"
                    .to_owned(),
            )
        }
        "PUT" => {
            let body = request.body.clone();
            let etag = format!("ETag: {}\r\n", etag(&body));
            match query.get("partNumber") {
                Some(number) => {
                    let upload = objects.parts.entry(query["uploadId"].clone()).or_default();
                    upload.insert(number.parse().unwrap(), body);
                }
                None => {
                    objects.whole.insert(name.to_owned(), body);
                }
            }
            ("200 OK", etag, Vec::new())
        }
        _ => ("501 Not Implemented", String::new(), Vec::new()),
    }
}

fn etag(content: &[u8]) -> String {
    let sum = content.iter().fold(content.len() as u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    format!("\"{sum:x}\"")
}

fn list(prefix: &str, objects: &Objects) -> String {
    let found = objects
        .whole
        .iter()
        .filter(|(name, _)| name.starts_with(prefix));
    let contents: String = found
        .map(|(name, content)| {
            format!(
                "<Contents><Key>{name}</Key><LastModified>2026-11-28T07:00:00.000Z</LastModified>\
                 <ETag>{}</ETag><Size>{}</Size></Contents>",
                etag(content),
                content.len()
            )
        })
        .collect();
    format!("<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>")
}

fn read(name: &str, request: &Request, objects: &Objects) -> Answer {
    let Some(content) = objects.whole.get(name) else {
        let body = "<Error><Code>NoSuchKey</Code><Message>None.</Message></Error>";
        return ("404 Not Found", String::new(), body.into());
    };
    let etag = etag(content);
    if request
        .if_match
        .as_ref()
        .is_some_and(|wanted| *wanted != etag)
    {
        return ("412 Precondition Failed", String::new(), Vec::new());
    }
    let headers = format!("ETag: {etag}\r\n");
    match request.range {
        None => ("200 OK", headers, content.clone()),
        Some((start, _)) if start >= content.len() => {
            ("416 Range Not Satisfiable", String::new(), Vec::new())
        }
        Some((start, end)) => {
            let end = end.min(content.len());
            let range = format!(
                "Content-Range: bytes {start}-{}/{}\r\n",
                end - 1,
                content.len()
            );
            (
                "206 Partial Content",
                headers + &range,
                content[start..end].to_vec(),
            )
        }
    }
}
