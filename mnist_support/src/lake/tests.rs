//! Stores that are slow, silent, busy or broken, as stand-ins on this machine.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use object_store::azure::AzureCredential;
use object_store::client::{CredentialProvider, HttpConnector};

use super::Credentials;
use super::patience::{Patience, PatientConnector};
use super::platform::SecretEndpoint;
use super::store::Lake;
use crate::secrets::Secret;
use crate::{Error, error::LakeError, runtime};

/// The limits, scaled down in time.
const SCALED: Patience = Patience {
    silence: Duration::from_millis(300),
    busy: Duration::from_millis(1500),
    told_after: Duration::from_secs(60),
};

#[derive(Clone, Debug)]
struct Request {
    line: String,
    headers: BTreeMap<String, String>,
}

/// The requests that a stand-in has received.
#[derive(Clone, Default)]
struct Received(Arc<Mutex<Vec<Request>>>);

impl Received {
    fn all(&self) -> Vec<Request> {
        self.0.lock().unwrap().clone()
    }

    fn headers(&self, name: &str) -> Vec<String> {
        let all = self.all();
        let values = all.iter().filter_map(|request| request.headers.get(name));
        values.cloned().collect()
    }
}

/// Starts a server that answers each request with `answer`, which is given its index, and returns
/// its port.
fn serve<F>(answer: F) -> (u16, Received)
where
    F: Fn(usize, &Request, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (received, answer) = (Received::default(), Arc::new(answer));
    let kept = received.clone();
    spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { break };
            let (kept, answer) = (kept.clone(), answer.clone());
            spawn(move || {
                let Some(request) = read_request(&stream) else {
                    return;
                };
                let index = {
                    let mut all = kept.0.lock().unwrap();
                    all.push(request.clone());
                    all.len() - 1
                };
                // The other side may have given up.
                let _ = answer(index, &request, &mut stream);
            });
        }
    });
    (port, received)
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
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
        .map_or(Ok(0), |text| text.parse());
    let mut body = vec![0; length.ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        line: line.trim_end().to_owned(),
        headers,
    })
}

/// The head of an answer with the part of a blob that is asked for, and that part.
fn blob<'a>(content: &'a [u8], etag: &str, request: &Request) -> (String, &'a [u8]) {
    let asked = request.headers.get("range").and_then(|range| {
        let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
        Some((start.parse().ok()?, end.parse::<usize>().ok()? + 1))
    });
    let (start, end) = asked.unwrap_or((0, content.len()));
    let end = end.min(content.len());
    let status = if asked.is_some() {
        "206 Partial Content"
    } else {
        "200 OK"
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nETag: \"{etag}\"\r\n\
         Last-Modified: Sat, 28 Nov 2026 07:00:00 GMT\r\nContent-Length: {}\r\n\
         Content-Range: bytes {start}-{}/{}\r\n\r\n",
        end - start,
        end - 1,
        content.len()
    );
    (head, &content[start..end])
}

fn status(stream: &mut TcpStream, status: &str, header: &str) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\nConnection: close\r\n{header}Content-Length: 0\r\n\r\n"
    )
}

fn lake(port: u16) -> Lake {
    Lake::open_with("az://torchtut", &Credentials::azurite(port), SCALED).unwrap()
}

fn content() -> Vec<u8> {
    (0..20_000_u32).map(|index| (index % 251) as u8).collect()
}

#[test]
fn a_transfer_that_moves_is_never_ended() {
    let (port, received) = serve(|_, request, stream| {
        let content = content();
        let (head, body) = blob(&content, "1", request);
        stream.write_all(head.as_bytes())?;
        for piece in body.chunks(1000) {
            sleep(Duration::from_millis(100));
            stream.write_all(piece)?;
        }
        Ok(())
    });
    let started = Instant::now();
    assert!(lake(port).get("slow.bin").unwrap() == content());
    // Longer than any limit.
    assert!(started.elapsed() > SCALED.busy, "{:?}", started.elapsed());
    let (file, _) = lake(port).file("slow.bin", 1).unwrap();
    assert!(file.read(0..20_000).unwrap() == content());
    assert_eq!(received.all().len(), 3);
}

#[test]
#[ignore = "takes a minute"]
fn seventeen_megabytes_at_300_kilobytes_a_second_arrive() {
    let content: Vec<u8> = (0..17_000_000_u32)
        .map(|index| (index % 251) as u8)
        .collect();
    let served = content.clone();
    let (port, received) = serve(move |_, request, stream| {
        let (head, body) = blob(&served, "1", request);
        stream.write_all(head.as_bytes())?;
        for piece in body.chunks(30_000) {
            sleep(Duration::from_millis(100));
            stream.write_all(piece)?;
        }
        Ok(())
    });
    let lake = Lake::open("az://torchtut", &Credentials::azurite(port)).unwrap();
    let started = Instant::now();
    assert!(lake.get("slow.bin").unwrap() == content);
    assert!(started.elapsed() > Duration::from_secs(50));
    assert_eq!(received.all().len(), 1);
}

#[test]
fn a_body_that_falls_silent_is_taken_up_where_it_did() {
    let (port, received) = serve(|index, request, stream| {
        let content = content();
        let (head, body) = blob(&content, "1", request);
        stream.write_all(head.as_bytes())?;
        if index == 0 {
            stream.write_all(&body[..7000])?;
            sleep(Duration::from_secs(5));
            return Ok(());
        }
        stream.write_all(body)
    });
    assert!(lake(port).get("silent.bin").unwrap() == content());
    assert_eq!(received.headers("range"), ["bytes=7000-19999"]);
}

#[test]
fn a_body_may_break_off_any_number_of_times() {
    let (port, received) = serve(|_, request, stream| {
        let content = content();
        let (head, body) = blob(&content, "1", request);
        stream.write_all(head.as_bytes())?;
        // Longer ago than object_store retries a request.
        sleep(Duration::from_millis(200));
        stream.write_all(&body[..body.len().min(2000)])
    });
    let (file, _) = lake(port).file("broken.bin", 1).unwrap();
    assert!(file.read(0..20_000).unwrap() == content());
    assert_eq!(received.all().len(), 11);
    // Each part is of the version that was opened.
    assert!(
        received
            .headers("if-match")
            .iter()
            .all(|tag| tag == "\"1\"")
    );
}

#[test]
fn a_body_that_breaks_off_without_any_progress_is_given_up() {
    let (port, _) = serve(|_, request, stream| {
        let content = content();
        let (head, _) = blob(&content, "1", request);
        stream.write_all(head.as_bytes())
    });
    let error = lake(port).get("empty.bin").unwrap_err();
    assert!(
        error.to_string().contains("az://torchtut/empty.bin"),
        "{error}"
    );
}

#[test]
fn the_rest_of_a_file_that_was_replaced_is_not_taken_up() {
    let (port, _) = serve(|index, request, stream| {
        let content = content();
        let (head, body) = blob(&content, &index.to_string(), request);
        if index > 0 && request.headers.contains_key("if-match") {
            return status(stream, "412 Precondition Failed", "");
        }
        stream.write_all(head.as_bytes())?;
        stream.write_all(&body[..body.len() / 2])
    });
    let error = lake(port).get("replaced.bin").unwrap_err();
    assert!(error.to_string().contains("replaced"), "{error}");
}

#[test]
fn a_store_that_never_answers_is_given_up_after_silence() {
    let (port, received) = serve(|_, _, _| {
        sleep(Duration::from_secs(20));
        Ok(())
    });
    for error in [
        lake(port).get("nothing.bin").unwrap_err(),
        lake(port).put("nothing.bin", "text".into()).unwrap_err(),
        lake(port).list().unwrap_err(),
    ] {
        assert!(
            matches!(
                error,
                Error::Lake(LakeError::Unreachable { retries: 1, .. })
            ),
            "{error}"
        );
    }
    assert_eq!(received.all().len(), 6);
}

#[test]
fn a_block_that_is_long_on_its_way_is_waited_for() {
    let (port, received) = serve(|_, _, stream| {
        // Two and a half times the silence.
        sleep(Duration::from_millis(750));
        let header = "ETag: \"1\"\r\nLast-Modified: Sat, 28 Nov 2026 07:00:00 GMT\r\n";
        status(stream, "201 Created", header)
    });
    lake(port).put("block.bin", content().into()).unwrap();
    assert_eq!(received.all().len(), 1);
}

#[test]
fn a_busy_store_is_asked_again_when_it_says() {
    for busy in ["503 Server Busy", "429 Too Many Requests"] {
        let (port, received) = serve(move |index, request, stream| match index {
            0 => status(stream, busy, "Retry-After: 1\r\n"),
            _ => {
                let (head, body) = blob(b"text", "1", request);
                stream.write_all(head.as_bytes())?;
                stream.write_all(body)
            }
        });
        let started = Instant::now();
        assert_eq!(lake(port).get("busy.txt").unwrap(), "text");
        assert!(started.elapsed() >= Duration::from_secs(1), "{busy}");
        assert_eq!(received.all().len(), 2, "{busy}");
    }
}

#[test]
fn a_busy_store_that_does_not_say_when_is_asked_at_growing_intervals() {
    let (port, received) = serve(|index, _, stream| match index {
        0 | 1 => status(stream, "429 Too Many Requests", ""),
        _ => status(
            stream,
            "201 Created",
            "ETag: \"1\"\r\nLast-Modified: Sat, 28 Nov 2026 07:00:00 GMT\r\n",
        ),
    });
    let started = Instant::now();
    lake(port).put("busy.txt", "text".into()).unwrap();
    // At least half of 0.5 s and of 1 s.
    assert!(started.elapsed() >= Duration::from_millis(750));
    assert_eq!(received.all().len(), 3);
}

#[test]
fn a_store_that_stays_busy_is_given_up_after_the_limit() {
    for (busy, header) in [
        ("503 Service Unavailable", ""),
        ("429 Too Many Requests", ""),
        // Longer than the limit: asked once more at its end.
        ("503 Service Unavailable", "Retry-After: 3600\r\n"),
    ] {
        let (port, received) = serve(move |_, _, stream| status(stream, busy, header));
        let started = Instant::now();
        let error = lake(port).get("busy.txt").unwrap_err();
        let took = started.elapsed();
        assert!((1.5..4.0).contains(&took.as_secs_f64()), "{took:?}");
        let requests = received.all().len();
        let message = error.to_string();
        assert!(
            matches!(error, Error::Lake(LakeError::Unreachable { retries, .. }) if retries + 1 == requests),
            "{message}"
        );
        assert!((2..=6).contains(&requests), "{requests}");
        let said = format!("answered {busy} to {requests} requests in 2 s");
        assert!(message.contains(&said), "{message} lacks {said}");
        assert!(message.starts_with("az://torchtut/busy.txt"), "{message}");
    }
}

#[test]
fn creating_a_container_and_listing_wait_for_a_busy_store_too() {
    let (port, received) = serve(|index, request, stream| match index {
        0 | 2 => status(stream, "503 Server Busy", "Retry-After: 0\r\n"),
        _ if request.line.contains("comp=list") => {
            let body = "<EnumerationResults><Blobs></Blobs><NextMarker/></EnumerationResults>";
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        }
        _ => status(stream, "201 Created", ""),
    });
    assert!(lake(port).create_container().unwrap());
    assert!(lake(port).list().unwrap().is_empty());
    assert_eq!(received.all().len(), 4);
}

#[test]
fn a_token_of_an_endpoint_with_a_secret_is_fetched_once_and_nothing_shows_it() {
    let (port, received) = serve(|index, _, stream| {
        if index > 0 {
            return status(stream, "403 Forbidden", "");
        }
        let body = r#"{"access_token": "hunter3", "expires_on": "4102444800"}"#;
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    });
    // TLS is set up when a store is opened.
    lake(port);
    let endpoint = || SecretEndpoint {
        client: PatientConnector(SCALED)
            .connect(&Patience::client_options(true))
            .unwrap(),
        url: format!("http://127.0.0.1:{port}/token"),
        secret: Secret::new("hunter2"),
        client_id: Some("me".to_owned()),
        last: Mutex::default(),
    };
    let own = Arc::new(endpoint());
    for _ in 0..2 {
        let asked = own.clone();
        let fetched = runtime::wait("asking", "it", async move { asked.get_credential().await });
        assert!(matches!(
            &*fetched.unwrap().unwrap(),
            AzureCredential::BearerToken(token) if token == "hunter3"
        ));
    }
    assert_eq!(received.headers("secret"), ["hunter2"]);
    let line = &received.all()[0].line;
    assert!(
        line.contains("api-version=2017-09-01") && line.contains("clientid=me"),
        "{line}"
    );
    let other = endpoint();
    let refused = runtime::wait("asking", "it", async move { other.get_credential().await });
    let refused = refused.unwrap().unwrap_err();
    let shown = format!("{refused} {refused:?} {own:?}");
    assert!(
        shown.contains("403") && !shown.contains("hunter"),
        "{shown}"
    );
}
