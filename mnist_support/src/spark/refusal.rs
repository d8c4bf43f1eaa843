//! Servers that refuse every call, so that a retry is of no use.

use spark_connect_core::SparkError as ConnectError;

use super::address::Address;
use crate::error::SparkError;

/// gRPC status codes.
const PERMISSION_DENIED: i32 = 7;
const UNIMPLEMENTED: i32 = 12;
pub(super) const UNAVAILABLE: i32 = 14;
const UNAUTHENTICATED: i32 = 16;

/// Why no connection can be made, however often one tries.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Handshake {
    Certificate,
    NoTls,
    NoHttp2,
}

/// Recognises a failed handshake by the words of rustls and tonic, which is all that the client
/// keeps of it.
fn handshake(error: &ConnectError) -> Option<Handshake> {
    let text = error.message();
    [
        ("invalid peer certificate", Handshake::Certificate),
        ("InvalidContentType", Handshake::NoTls),
        ("HTTP/2 was not negotiated", Handshake::NoHttp2),
        ("NoApplicationProtocol", Handshake::NoHttp2),
    ]
    .into_iter()
    .find_map(|(words, kind)| text.contains(words).then_some(kind))
}

/// Whether TLS or HTTP/2 could not be agreed on.
pub(super) fn is_handshake(error: &ConnectError) -> bool {
    handshake(error).is_some()
}

/// Returns the error of a server, or of a proxy in front of it, that would refuse any call.
pub(super) fn refusal(address: &Address, error: &ConnectError) -> Option<SparkError> {
    let (url, reason) = (address.url.clone(), address.redact(&reason(error)));
    match error.grpc_code()? {
        UNAVAILABLE => Some(match handshake(error)? {
            Handshake::Certificate => SparkError::UntrustedCertificate { url, reason },
            Handshake::NoTls => SparkError::NoTls { url },
            Handshake::NoHttp2 => SparkError::NoHttp2 { url },
        }),
        // Spark's own errors come with details.
        _ if error.grpc_details().is_some() => None,
        UNAUTHENTICATED | PERMISSION_DENIED => Some(match address.token {
            Some(_) => SparkError::TokenRefused { url, reason },
            None => SparkError::TokenMissing { url, reason },
        }),
        UNIMPLEMENTED => Some(SparkError::NotSparkConnect { url, reason }),
        _ => None,
    }
}

/// Returns an error's message without the name of its code, which the client puts before it.
pub(super) fn reason(error: &ConnectError) -> String {
    let text = error.message();
    let own = text
        .strip_prefix('[')
        .and_then(|text| text.split_once("] "));
    own.map_or(&*text, |(_, own)| own).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: i32, message: &str) -> String {
        let token = "dapi0123";
        let (address, _) = Address::parse(&format!("sc://spark:443/;token={token}")).unwrap();
        let error = ConnectError {
            grpc_code: Some(code),
            ..ConnectError::connect_msg(message)
        };
        let shown = refusal(&address, &error).unwrap().to_string();
        assert!(!shown.contains(token), "{shown}");
        shown
    }

    #[test]
    fn a_token_that_the_server_repeats_is_not_shown() {
        let shown = refused(
            UNAUTHENTICATED,
            "[The request does not have valid authentication credentials] Invalid access token: dapi0123.",
        );
        assert!(
            shown.starts_with(
                "sc://spark:443 refuses the token (Invalid access token: [redacted].)"
            ),
            "{shown}"
        );
    }
}
