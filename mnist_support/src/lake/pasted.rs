//! Credentials in the forms in which people paste them.

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::credentials::{Authentication, Credentials};
use super::failure::without_secrets;
use super::hosts::BlobService;
use crate::secrets::Secret;
use crate::{Error, Result};

/// What begins and ends a text without belonging to it.
const QUOTES: [char; 6] = ['"', '\'', '`', '\u{201c}', '\u{201d}', '\u{2019}'];
/// Marks without a width, which copying from a page or a file brings along.
const MARKS: [char; 3] = ['\u{feff}', '\u{200b}', '\u{2060}'];

/// The parts of a connection string that say that it is one.
const CONNECTION_PARTS: [&str; 5] = [
    "accountkey",
    "accountname",
    "blobendpoint",
    "sharedaccesssignature",
    "usedevelopmentstorage",
];

/// Azurite's port for blobs, which `UseDevelopmentStorage=true` means.
const EMULATOR_PORT: u16 = 10000;

/// A text without white space, marks and quotes around it.
pub(super) fn trimmed(text: &str) -> &str {
    let is_blank = |character: char| character.is_whitespace() || MARKS.contains(&character);
    let mut text = text.trim_matches(is_blank);
    while text.starts_with(QUOTES) && text.ends_with(QUOTES) && text.chars().count() > 1 {
        text = text[..].trim_start_matches(QUOTES);
        text = text.trim_end_matches(QUOTES).trim_matches(is_blank);
    }
    text
}

/// An account key: base64, without line breaks, and not percent-encoded.
pub(super) fn access_key(text: &str) -> String {
    let decoded = percent_decode_str(trimmed(text)).decode_utf8_lossy();
    decoded.split_whitespace().collect()
}

/// The names and values of a shared access signature. They may be percent-encoded, even twice, or
/// not at all. `None` if there is no signature among them.
pub(super) fn signature_pairs(text: &str) -> Option<Vec<(String, String)>> {
    let text = trimmed(text).replace(['\r', '\n', '\t'], "");
    let mut text = text.trim_start_matches('?').replace("&amp;", "&");
    if !text.contains('=') {
        text = percent_decode_str(&text).decode_utf8().ok()?.into_owned();
    }
    let mut pairs = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.trim().is_empty()) {
        let (name, value) = pair.trim().split_once('=')?;
        let mut value = percent_decode_str(value).decode_utf8().ok()?.into_owned();
        if name == "sig" {
            // Base64 has neither: an encoded text was encoded again, and a + was read as a space.
            while value.contains('%') {
                let again = percent_decode_str(&value).decode_utf8().ok()?.into_owned();
                if again == value {
                    break;
                }
                value = again;
            }
            value = value.replace(' ', "+");
        }
        pairs.push((name.to_owned(), value));
    }
    pairs.iter().any(|(name, _)| name == "sig").then_some(pairs)
}

impl Credentials {
    /// Takes out of the texts what else they contain: the account and the address in a connection
    /// string, in the URL of a shared access signature, or in what was given as an account's name.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`], without the text, for one that contradicts the account, or a
    /// connection string that lacks a part.
    pub(super) fn resolved(&self) -> Result<Credentials> {
        let mut resolved = self.clone();
        resolved.account = None;
        resolved.endpoint = None;
        if let Some(endpoint) = &self.endpoint {
            resolved.endpoint = Some(address(endpoint));
        }
        if let Some(authority) = &self.authority {
            resolved.authority = Some(with_scheme(authority));
        }
        if let Some(account) = &self.account {
            resolved.name_account(account)?;
        }
        match &self.authentication {
            Authentication::AccessKey(text) if is_connection_string(text.expose()) => {
                resolved.read_connection_string(text.expose())?;
            }
            Authentication::AccessKey(key) => {
                resolved.authentication =
                    Authentication::AccessKey(Secret::new(access_key(key.expose())));
            }
            Authentication::SharedAccessSignature(text) => {
                let text = trimmed(text.expose());
                if text.contains("://") && !is_connection_string(text) {
                    resolved.read_signed_url(text)?;
                } else if is_connection_string(text) {
                    resolved.read_connection_string(text)?;
                }
            }
            _ => {}
        }
        Ok(resolved)
    }

    /// Takes an account's name, which may be its host or the URL of a service.
    fn name_account(&mut self, text: &str) -> Result<()> {
        let text = trimmed(text);
        let host = text.split_once("://").map_or(text, |(_, rest)| rest);
        let host = host.split('/').next().unwrap_or_default();
        match BlobService::of_host(host) {
            Some(service) => {
                self.belongs_to(Some(service.account), Some(service.endpoint), "account")
            }
            None => self.belongs_to(Some(text.to_owned()), None, "account"),
        }
    }

    /// Records the account and the address that a text names, unless they are known already.
    fn belongs_to(
        &mut self,
        account: Option<String>,
        endpoint: Option<String>,
        setting: &'static str,
    ) -> Result<()> {
        if let (Some(known), Some(other)) = (&self.account, &account)
            && known != other
        {
            return Err(refused(
                setting,
                format!(
                    "is for the account {:?}, but the key account names {:?}",
                    without_secrets(other),
                    without_secrets(known)
                ),
            ));
        }
        self.account = self.account.take().or(account);
        self.endpoint = self.endpoint.take().or(endpoint);
        Ok(())
    }

    /// Reads the URL of a shared access signature.
    fn read_signed_url(&mut self, text: &str) -> Result<()> {
        let invalid = |reason: &str| refused("sas", reason.to_owned());
        let url = Url::parse(&text.replace(['\r', '\n', '\t'], ""))
            .map_err(|_| invalid("is neither a query string nor a URL"))?;
        let query = url
            .query()
            .ok_or_else(|| invalid("is a URL without a query string, which is the signature"))?;
        let (account, endpoint) = account_of(&url);
        self.authentication = Authentication::SharedAccessSignature(Secret::new(query));
        self.belongs_to(account, endpoint, "sas")
    }

    /// Reads a connection string.
    fn read_connection_string(&mut self, text: &str) -> Result<()> {
        let setting = "connection-string";
        let text = trimmed(text).replace(['\r', '\n'], "");
        let parts: Vec<(String, &str)> = text
            .split(';')
            .filter_map(|part| part.trim().split_once('='))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim()))
            .collect();
        let part = |name: &str| {
            let found = parts.iter().find(|(own, _)| own == name);
            found
                .map(|(_, value)| *value)
                .filter(|value| !value.is_empty())
        };
        if part("usedevelopmentstorage").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            let emulator = Credentials::azurite(EMULATOR_PORT);
            self.authentication = emulator.authentication;
            return self.belongs_to(emulator.account, emulator.endpoint, setting);
        }
        self.authentication = match (part("accountkey"), part("sharedaccesssignature")) {
            (Some(key), _) => Authentication::AccessKey(Secret::new(access_key(key))),
            (None, Some(signature)) => {
                Authentication::SharedAccessSignature(Secret::new(signature))
            }
            (None, None) => {
                return Err(refused(
                    setting,
                    "has neither AccountKey nor SharedAccessSignature".to_owned(),
                ));
            }
        };
        let (mut account, mut endpoint) = (part("accountname").map(str::to_owned), None);
        if let Some(url) = part("blobendpoint") {
            let url = Url::parse(url)
                .map_err(|_| refused(setting, "has a BlobEndpoint that is no URL".to_owned()))?;
            let (of_url, address) = account_of(&url);
            account = account.or(of_url);
            endpoint = address;
        } else if let (Some(account), Some(suffix)) = (&account, part("endpointsuffix")) {
            let scheme = part("defaultendpointsprotocol").unwrap_or("https");
            endpoint = Some(format!("{scheme}://{account}.blob.{suffix}"));
        }
        self.belongs_to(account, endpoint, setting)
    }
}

/// Whether a text is a connection string: parts with a `;` between them, one of which only they
/// have.
pub(super) fn is_connection_string(text: &str) -> bool {
    text.split(';').any(|part| {
        let name = part.split('=').next().unwrap_or_default();
        CONNECTION_PARTS.contains(&trimmed(name).to_ascii_lowercase().as_str())
    })
}

/// The account and the address of the blob service, from a URL to it or to something in it.
fn account_of(url: &Url) -> (Option<String>, Option<String>) {
    let Some(host) = url.host() else {
        return (None, None);
    };
    if let Some(service) = BlobService::of_host(&host.to_string()) {
        return (Some(service.account), Some(service.endpoint));
    }
    let mut address = url[..url::Position::BeforePath].to_owned();
    // Without a name to put the account in, it is the first part of the path.
    let is_path_style = match host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(_) | Host::Ipv6(_) => true,
    };
    let mut parts = url.path_segments().into_iter().flatten();
    let account = parts
        .next()
        .filter(|part| is_path_style && !part.is_empty())
        .map(str::to_owned);
    if let Some(account) = &account {
        address = format!("{address}/{account}");
    }
    (account, Some(address))
}

/// The account that an address is of, if that can be told.
pub(super) fn account_of_endpoint(endpoint: &str) -> Option<String> {
    account_of(&Url::parse(endpoint).ok()?).0
}

/// The address of a blob service. One of the `dfs` service stands for it too.
fn address(text: &str) -> String {
    let text = with_scheme(text);
    match BlobService::of_endpoint(&text) {
        // Not if there is something more in it, about which the user is to be told.
        Some(service) if text.starts_with("https://") && !text.contains('?') => service.endpoint,
        _ => text,
    }
}

fn with_scheme(text: &str) -> String {
    let text = trimmed(text).trim_end_matches('/');
    if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    }
}

fn refused(setting: &'static str, reason: String) -> Error {
    Error::InvalidSetting {
        setting,
        value: "[redacted]".to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "aHVudGVyMi8rK2h1bnRlcjI=";

    fn signature_of(text: &str) -> String {
        let pairs = signature_pairs(text).unwrap_or_else(|| panic!("{text}"));
        let found = pairs.into_iter().find(|(name, _)| name == "sig");
        found.unwrap().1
    }

    #[test]
    fn a_key_is_the_same_however_it_is_pasted() {
        for text in [
            KEY.to_owned(),
            format!("  {KEY}\r\n"),
            format!("\"{KEY}\""),
            format!("'{KEY} '\n"),
            format!("\u{feff}\u{201c}{KEY}\u{201d}"),
            "aHVudGVyMi8r\n  K2h1bnRlcjI=".to_owned(),
            "aHVudGVyMi8rK2h1bnRlcjI%3D".to_owned(),
        ] {
            assert_eq!(access_key(&text), KEY, "{text:?}");
        }
    }

    #[test]
    fn a_signature_is_the_same_however_it_is_pasted() {
        for text in [
            "sv=2024-11-04&se=2027-01-01T00%3A00%3A00Z&sig=a%2Fb%2Bc%3D",
            "?sv=2024-11-04&se=2027-01-01T00:00:00Z&sig=a/b+c=",
            "  \"?sv=2024-11-04&se=2027-01-01T00%3A00%3A00Z&sig=a%2Fb%2Bc%3D\"\n",
            "sv=2024-11-04&se=2027-01-01T00%253A00%253A00Z&sig=a%252Fb%252Bc%253D",
            "sv=2024-11-04&amp;se=2027-01-01T00%3A00%3A00Z&amp;sig=a%2Fb%2Bc%3D",
            "sv=2024-11-04\n&se=2027-01-01T00%3A00%3A00Z\n&sig=a%2Fb%2Bc%3D",
            "sv=2024-11-04&se=2027-01-01T00:00:00Z&sig=a/b c=",
            "sv%3D2024-11-04%26se%3D2027-01-01T00%3A00%3A00Z%26sig%3Da%2Fb%2Bc%3D",
        ] {
            assert_eq!(signature_of(text), "a/b+c=", "{text:?}");
        }
        // A value may have an & of its own.
        let pairs = signature_pairs("rscd=a%26b&sig=c").unwrap();
        assert_eq!(pairs[0], ("rscd".to_owned(), "a&b".to_owned()));
        assert!(signature_pairs("sv=2024").is_none());
        assert!(signature_pairs("hunter2").is_none());
    }

    #[test]
    fn the_url_of_a_signature_names_the_account_too() {
        for (url, account, endpoint) in [
            (
                "https://mylake.blob.core.windows.net/torchtut?sv=2024&sig=c",
                Some("mylake"),
                "https://mylake.blob.core.windows.net",
            ),
            (
                " \"https://mylake.dfs.core.chinacloudapi.cn/torchtut/a.csv?sig=c&sv=2024\"\n",
                Some("mylake"),
                "https://mylake.blob.core.chinacloudapi.cn",
            ),
            (
                "http://127.0.0.1:10000/devstoreaccount1/torchtut?sv=2024&sig=c",
                Some("devstoreaccount1"),
                "http://127.0.0.1:10000/devstoreaccount1",
            ),
            (
                "https://data.example.com/torchtut?sv=2024&sig=c",
                None,
                "https://data.example.com",
            ),
        ] {
            let credentials = Credentials::shared_access_signature(Secret::new(url));
            let resolved = credentials.resolved().unwrap();
            assert_eq!(resolved.account.as_deref(), account, "{url}");
            assert_eq!(resolved.endpoint.as_deref(), Some(endpoint), "{url}");
            let Authentication::SharedAccessSignature(query) = &resolved.authentication else {
                panic!("{url}")
            };
            assert_eq!(signature_of(query.expose()), "c");
        }
    }

    #[test]
    fn a_connection_string_names_the_account_and_its_key_or_signature() {
        let full = format!(
            "DefaultEndpointsProtocol=https;AccountName=mylake;AccountKey={KEY};\
             EndpointSuffix=core.chinacloudapi.cn"
        );
        for text in [
            full.clone(),
            format!("\"{full}\"\r\n"),
            full.replace(';', ";\n "),
        ] {
            for credentials in [
                Credentials::connection_string(Secret::new(text.as_str())),
                Credentials::shared_access_signature(Secret::new(text.as_str())),
            ] {
                let resolved = credentials.resolved().unwrap();
                assert_eq!(resolved.account.as_deref(), Some("mylake"));
                assert_eq!(
                    resolved.endpoint.as_deref(),
                    Some("https://mylake.blob.core.chinacloudapi.cn")
                );
                assert!(
                    matches!(&resolved.authentication, Authentication::AccessKey(key) if key.expose() == KEY)
                );
                assert_eq!(
                    resolved.dfs_host().as_deref(),
                    Some("mylake.dfs.core.chinacloudapi.cn")
                );
            }
        }
        let signed = "BlobEndpoint=https://mylake.z12.blob.storage.azure.net/;\
                      SharedAccessSignature=sv=2024&sig=c%3D";
        let resolved = Credentials::connection_string(Secret::new(signed))
            .resolved()
            .unwrap();
        assert_eq!(resolved.account.as_deref(), Some("mylake"));
        assert_eq!(
            resolved.endpoint.as_deref(),
            Some("https://mylake.z12.blob.storage.azure.net")
        );
        let emulator = Credentials::connection_string(Secret::new("UseDevelopmentStorage=true;"));
        let resolved = emulator.resolved().unwrap();
        assert_eq!(resolved.account.as_deref(), Some("devstoreaccount1"));
    }

    #[test]
    fn an_account_may_be_given_as_its_host() {
        for text in [
            "mylake",
            " \"mylake\"\n",
            "mylake.dfs.core.windows.net",
            "https://mylake.blob.core.windows.net/",
        ] {
            let credentials = Credentials::anonymous().with_account(text);
            let resolved = credentials.resolved().unwrap();
            assert_eq!(resolved.account.as_deref(), Some("mylake"), "{text}");
        }
        let endpoint = Credentials::anonymous().with_endpoint(" mylake.dfs.core.windows.net/ ");
        assert_eq!(
            endpoint.resolved().unwrap().endpoint.as_deref(),
            Some("https://mylake.blob.core.windows.net")
        );
    }

    #[test]
    fn what_was_pasted_shows_nowhere_even_if_it_is_wrong() {
        let other = "AccountName=other;AccountKey=hunter2";
        for text in [
            other,
            "AccountName=mylake;AccountKye=hunter2",
            "BlobEndpoint=hunter2;SharedAccessSignature=sig=hunter2",
            "https://other.blob.core.windows.net/c?sv=2024&sig=hunter2",
            "ftp://mylake?sig=hunter2",
            "https://mylake.blob.core.windows.net/hunter2",
        ] {
            for credentials in [
                Credentials::shared_access_signature(Secret::new(text)),
                Credentials::access_key(Secret::new(text)),
            ] {
                let credentials = credentials.with_account("mylake");
                let shown = match credentials.resolved() {
                    Ok(resolved) => format!("{resolved:?} {credentials:?}"),
                    Err(error) => format!("{error} {error:?} {credentials:?}"),
                };
                assert!(!shown.contains("hunter2"), "{shown}");
            }
        }
        let error = Credentials::connection_string(Secret::new(other))
            .with_account("mylake")
            .resolved()
            .unwrap_err();
        assert!(error.to_string().contains("\"other\""), "{error}");
    }
}
