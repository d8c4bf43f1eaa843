//! A real Azurite for tests.
#![allow(dead_code)] // each test file uses its own part

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use object_store::ClientOptions;
use object_store::azure::{
    AzureAccessKey, AzureAuthorizer, AzureCredential, MicrosoftAzureBuilder,
};
use object_store::client::{HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector};
use object_store::signer::{Method, Signer};

/// The account key of every Azurite, from its documentation.
pub(crate) const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A running Azurite that keeps its blobs in memory. It is killed after the last test that uses it,
/// however that test ends.
pub(crate) struct Azurite {
    process: Child,
    port: u16,
}

impl Azurite {
    /// Returns the Azurite that the running tests share, or starts one.
    pub(crate) fn shared() -> Arc<Azurite> {
        static RUNNING: Mutex<Weak<Azurite>> = Mutex::new(Weak::new());
        let mut running = RUNNING
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        running.upgrade().unwrap_or_else(|| {
            let azurite = Arc::new(Azurite::start());
            *running = Arc::downgrade(&azurite);
            azurite
        })
    }

    fn start() -> Azurite {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let program = program();
        let process = Command::new(&program)
            .args([
                "--inMemoryPersistence",
                "--disableTelemetry",
                "--silent",
                "--blobPort",
            ])
            .arg(port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{} does not start ({error}); run `make setup`",
                    program.display()
                )
            });
        let mut azurite = Azurite { process, port };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = azurite.process.try_wait().unwrap() {
                panic!("Azurite ended at its start: {status}");
            }
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "Azurite does not listen after 60 s"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        azurite
    }

    /// The port on which it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address of its only account.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/devstoreaccount1", self.port)
    }

    /// Lets everybody list and read a container.
    pub(crate) fn make_public(&self, container: &str) {
        let path = format!("{container}?restype=container&comp=acl");
        self.send_put(&path, "x-ms-blob-public-access", "container", "");
    }

    /// Puts a blob whose name may be one that object_store does not take.
    pub(crate) fn put_blob(&self, path: &str, content: &str) {
        self.send_put(path, "x-ms-blob-type", "BlockBlob", content);
    }

    /// Sends a signed PUT.
    fn send_put(&self, path: &str, header: &'static str, value: &'static str, content: &str) {
        let mut request = HttpRequest::new(HttpRequestBody::from(content.to_owned()));
        *request.method_mut() = Method::PUT;
        *request.uri_mut() = format!("{}/{path}", self.endpoint()).parse().unwrap();
        let headers = request.headers_mut();
        headers.insert(header, object_store::HeaderValue::from_static(value));
        headers.insert("content-length", content.len().into());
        let credential = AzureCredential::AccessKey(AzureAccessKey::try_new(KEY).unwrap());
        AzureAuthorizer::new(&credential, "devstoreaccount1")
            .try_authorize(&mut request)
            .unwrap();
        let options = ClientOptions::new().with_allow_http(true);
        let client = ReqwestConnector::default().connect(&options).unwrap();
        let response = tokio::runtime::Runtime::new()
            .unwrap()
            .block_on(client.execute(request));
        let status = response.unwrap().status();
        assert!(status.is_success(), "{path}: {status}");
    }

    /// Returns a shared access signature to read one blob, valid for a minute.
    pub(crate) fn signature(&self, container: &str, blob: &str) -> String {
        let store = MicrosoftAzureBuilder::new()
            .with_account("devstoreaccount1")
            .with_access_key(KEY)
            .with_container_name(container)
            .with_endpoint(self.endpoint())
            .with_allow_http(true)
            .build()
            .unwrap();
        let signed = tokio::runtime::Runtime::new()
            .unwrap()
            .block_on(store.signed_url(
                Method::GET,
                &object_store::path::Path::from(blob),
                Duration::from_secs(60),
            ));
        signed.unwrap().query().unwrap().to_owned()
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        // It may have exited by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The path of Azurite: the variable AZURITE, or where `make setup` installs it.
pub(crate) fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("AZURITE").filter(|program| !program.is_empty()) {
        return program.into();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let program = root.join(".tools/node_modules/.bin/azurite-blob");
    assert!(
        program.exists(),
        "{} is not there; run `make setup`",
        program.display()
    );
    program
}
