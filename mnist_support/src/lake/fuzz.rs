//! Altered credentials, secrets and pages of listings are errors or what they say.

use std::{fs, os::unix::fs::PermissionsExt};

use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use super::{Credentials, Lake, listing, pasted};
use crate::fuzz::Fuzz;
use crate::secrets::{Secret, SecretScope};

/// What no error and no `Debug` may hold.
const KEY: &str = "c2VjcmV0a2V5c2VjcmV0a2V5c2VjcmV0a2V5c2VjcmV0";

fn secrets() -> Fuzz {
    let connection = format!(
        "DefaultEndpointsProtocol=https;AccountName=lake;AccountKey={KEY};EndpointSuffix=core.windows.net"
    );
    let signed =
        format!("https://lake.blob.core.windows.net/data?sv=2024-11-04&sig={KEY}%3D&sp=rl");
    let texts = [
        format!("{{\"account\": \"lake\", \"access-key\": \"{KEY}==\"}}"),
        format!("{{\"connection-string\": \"{connection}\"}}"),
        format!("{{\"account\": \"lake\", \"sas\": \"?sv=2024&sig={KEY}%253D&se=2027\"}}"),
        format!("{{\"sas\": \"{signed}\", \"endpoint\": \"https://127.0.0.1:10000/lake\"}}"),
        format!(
            "{{\"tenant-id\": \"t\", \"client-id\": \"c\", \"client-secret\": \"{KEY}\", \
             \"account\": \"https://lake.dfs.core.windows.net\"}}"
        ),
        "{\"connection-string\": \"UseDevelopmentStorage=true\"}".to_owned(),
    ];
    Fuzz {
        name: "secrets",
        files: texts.iter().map(|text| text.as_bytes().to_vec()).collect(),
        parts: &[
            b"\"",
            b"'",
            b"%25",
            b"%2",
            b"%",
            b"&",
            b"=",
            b"?",
            b";",
            b"://",
            b"\\n",
            b"\\ud800",
            b"AccountKey=",
            b"BlobEndpoint=http://[::1]:9/a;",
            b"sig=",
            b"\xe2\x80\x9c",
            b"{",
            b"}",
            b"\"authentication\": \"sas\",",
            b"\xef\xbb\xbf",
            b"\\u0000",
            b"@",
            b"..",
            b"/",
        ],
    }
}

/// Reads a file of secrets, opens a lake with them, and reads its text as each form of credentials.
fn read_secrets(folder: &TempDir, bytes: &[u8], _: &mut ChaCha8Rng) -> bool {
    let text = String::from_utf8_lossy(bytes);
    for credentials in [
        Credentials::access_key(Secret::new(&*text)),
        Credentials::connection_string(Secret::new(&*text)),
        Credentials::shared_access_signature(Secret::new(&*text)),
        Credentials::anonymous()
            .with_account(&text)
            .with_endpoint(&text),
    ] {
        let _ = credentials.resolved();
    }
    let _ = (pasted::access_key(&text), pasted::signature_pairs(&text));
    let file = folder.path().join("fuzz.json");
    fs::write(&file, bytes).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let said = |what: String| assert!(!what.contains(KEY), "{what}");
    let credentials = SecretScope::open_in("fuzz", folder.path())
        .and_then(|scope| Credentials::from_scope(&scope));
    match credentials {
        Err(error) => {
            said(format!("{error} {error:?}"));
            false
        }
        Ok(credentials) => {
            said(format!("{credentials:?}"));
            if let Err(error) = Lake::open("az://data/folder", &credentials) {
                said(format!("{error} {error:?}"));
            }
            true
        }
    }
}

fn pages() -> Fuzz {
    let azure = "<?xml version=\"1.0\"?><EnumerationResults><Blobs><Blob><Name>a/b.csv</Name>\
        <Properties><Content-Length>3</Content-Length></Properties></Blob><BlobPrefix><Name>c/\
        </Name></BlobPrefix><Blob><Name>a//b&amp;</Name><Properties><Content-Length>0\
        </Content-Length></Properties></Blob></Blobs><NextMarker /></EnumerationResults>";
    let s3 = "<ListBucketResult><Contents><Key>x/</Key><Size>0</Size></Contents><Contents><Key>\
        ../y</Key><Size>4</Size></Contents><CommonPrefixes><Prefix>z/</Prefix></CommonPrefixes>\
        </ListBucketResult>";
    Fuzz {
        name: "listing",
        files: [azure, s3].map(|page| page.as_bytes().to_vec()).into(),
        parts: &[
            b"<Blob>",
            b"</Blob>",
            b"<Name>",
            b"</Name>",
            b"<Name Encoded=\"true\">",
            b"<Key>",
            b"</Key>",
            b"</Contents>",
            b"<Contents>",
            b"&amp;",
            b"&#x0;",
            b"&",
            b"<",
            b">",
            b"\xc3\xb6",
            b"<CommonPrefixes>",
            b"//",
            b"..",
            b"<Size>0</",
        ],
    }
}

fn read_page(bytes: &[u8], _: &mut ChaCha8Rng) -> bool {
    let (kept, left_out) = listing::usable(bytes);
    if let Some(kept) = kept {
        assert!(kept.len() < bytes.len(), "{kept}");
    }
    left_out.is_empty()
}

#[test]
fn altered_secrets_are_errors_or_credentials_and_stay_secret() {
    let folder = tempfile::tempdir().unwrap();
    let read = secrets().a_few(|bytes, random| read_secrets(&folder, bytes, random));
    assert!(read > 20, "{read}");
}

#[test]
fn altered_pages_are_pages_without_what_cannot_be_used() {
    let read = pages().a_few(read_page);
    assert!(read > 10, "{read}");
}

#[test]
#[ignore = "takes as long as MNIST_FUZZ_SECONDS says"]
fn secrets_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    secrets().for_a_while(|bytes, random| read_secrets(&folder, bytes, random));
}

#[test]
#[ignore = "takes as long as MNIST_FUZZ_SECONDS says"]
fn pages_for_a_while() {
    pages().for_a_while(read_page);
}
