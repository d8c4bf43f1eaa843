//! The address of a Spark Connect server: `sc://HOST:PORT/;NAME=VALUE;…`.

use std::collections::BTreeSet;

use spark_connect_core::{
    ChannelBuilder,
    channel::{PARAM_TOKEN, PARAM_USE_SSL, PARAM_USER_ID},
};

use crate::{Error, Result, secrets::Secret};

const FORM: &str = "must be of the form sc://HOST:PORT or sc://HOST:PORT/;NAME=VALUE";

/// A server, as error messages show it.
pub(super) struct Address {
    /// Without the parameters, which may include a token.
    pub(super) url: String,
    /// What each call carries as `Authorization: Bearer`.
    pub(super) token: Option<Secret>,
    pub(super) tls: bool,
}

impl Address {
    /// Parses an address. A token means TLS, as in PySpark, except for `localhost`.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`], which never shows a parameter's value.
    pub(super) fn parse(url: &str) -> Result<(Address, ChannelBuilder)> {
        let shown = without_parameters(url);
        let invalid = |reason: String| Error::InvalidSetting {
            setting: "SPARK_REMOTE",
            value: shown.clone(),
            reason,
        };
        check_form(url).map_err(invalid)?;
        let mut builder = ChannelBuilder::parse(url).map_err(|_| invalid(FORM.to_owned()))?;
        check_parameters(&builder).map_err(invalid)?;
        let token = builder.token();
        if token.is_some() && builder.get(PARAM_USE_SSL).is_none() && builder.host() != "localhost"
        {
            builder.set(PARAM_USE_SSL, "true");
        }
        if builder.use_ssl() && builder.host().starts_with('[') {
            return Err(invalid(
                "must have the host's name: its certificate cannot be checked against an IPv6 address".to_owned(),
            ));
        }
        let address = Address {
            url: shown,
            token: token.map(Secret::new),
            tls: builder.use_ssl(),
        };
        Ok((address, builder))
    }

    /// Removes the token from a text that the server has sent, in case it repeats it.
    pub(super) fn redact(&self, text: &str) -> String {
        match &self.token {
            Some(token) => text.replace(token.expose(), &token.to_string()),
            None => text.to_owned(),
        }
    }
}

/// Returns `sc://HOST:PORT`. Whatever else is in an address, also in a mistaken one, may be secret.
fn without_parameters(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', ';', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    match scheme {
        "" => host.to_owned(),
        scheme => format!("{scheme}://{host}"),
    }
}

/// Checks what [`ChannelBuilder::parse`] takes, but should not, or names less plainly.
fn check_form(url: &str) -> Result<(), String> {
    if url.contains(|character: char| character.is_whitespace() || character.is_control()) {
        return Err("must not contain spaces or line breaks".to_owned());
    }
    let rest = url.strip_prefix("sc://").ok_or(FORM)?;
    let end = rest.find(['/', ';', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    if authority.contains('@') {
        return Err("must not have a user name: a token goes into /;token=…".to_owned());
    }
    if matches!(rest, "" | "/") {
        return Ok(());
    }
    let parameters = rest.strip_prefix("/;").ok_or(
        "must have no path and no query: parameters follow /; as in sc://HOST:PORT/;NAME=VALUE",
    )?;
    let mut names = BTreeSet::new();
    for parameter in parameters.split(';') {
        match parameter.split('=').collect::<Vec<_>>()[..] {
            [name, _] if name.is_empty() || !names.insert(name) => {
                return Err(format!(
                    "has the parameter {name:?} twice, or without a name"
                ));
            }
            [_, _] => {}
            _ => {
                return Err(
                    "must have parameters of the form NAME=VALUE, separated by ; (write = in a value as %3D)"
                        .to_owned(),
                );
            }
        }
    }
    Ok(())
}

/// Checks the parameters that this crate or gRPC can't send.
fn check_parameters(builder: &ChannelBuilder) -> Result<(), String> {
    if builder.get(PARAM_USER_ID).is_some() {
        return Err(
            "must not have a user_id: files that are sent to the server would go to another session".to_owned(),
        );
    }
    let use_ssl = builder.get(PARAM_USE_SSL).unwrap_or("false");
    if !["true", "false"].contains(&use_ssl.to_lowercase().as_str()) {
        return Err(format!(
            "must have use_ssl=true or use_ssl=false, not {use_ssl:?}"
        ));
    }
    // gRPC leaves out headers that it can't send, without a word.
    let printable = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if builder
        .token()
        .is_some_and(|token| token.is_empty() || !printable(&token))
    {
        return Err(format!(
            "must have a {PARAM_TOKEN} of printable ASCII characters"
        ));
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    for (name, value) in builder.metadata() {
        if !name.bytes().all(is_name) || name.ends_with("-bin") || !printable(&value) {
            return Err(format!(
                "has the parameter {name:?}, which cannot be sent as a header: names are ASCII letters, digits, - and _, \
                 values printable ASCII"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databricks_address_turns_tls_on_and_passes_the_header_on() {
        let (address, builder) = Address::parse(
            "sc://adb-1.2.azuredatabricks.net:443/;token=dapi0123;x-databricks-cluster-id=0301-ab",
        )
        .unwrap();
        assert!(builder.use_ssl());
        assert_eq!(builder.user_id(), None);
        assert_eq!(
            builder.metadata(),
            [("x-databricks-cluster-id".to_owned(), "0301-ab".to_owned())]
        );
        assert_eq!(address.url, "sc://adb-1.2.azuredatabricks.net:443");
        assert_eq!(address.token.as_ref().unwrap().expose(), "dapi0123");
        assert_eq!(
            address.redact("Invalid access token: dapi0123"),
            "Invalid access token: [redacted]"
        );
    }

    #[test]
    fn tls_is_left_to_the_user_without_a_token_and_on_localhost() {
        let tls = |url| Address::parse(url).unwrap().1.use_ssl();
        assert!(!tls("sc://spark:15002"));
        assert!(tls("sc://spark:15002/;use_ssl=true"));
        assert!(!tls("sc://localhost/;token=t"));
        assert!(tls("sc://localhost/;token=t;use_ssl=true"));
        assert!(tls("sc://127.0.0.1/;token=t"));
    }

    #[test]
    fn a_mistaken_address_says_what_is_wrong_and_shows_no_secret() {
        for (url, said) in [
            ("http://a:1", "of the form"),
            ("sc://a:b", "of the form"),
            ("sc://a:1/token=secret", "no path"),
            ("sc://a:1/path/;token=secret", "no path"),
            ("sc://a:1;token=secret", "no path"),
            ("sc://a:1?token=secret", "no query"),
            ("sc://a:1/;token=secret;token=secret", "twice"),
            ("sc://a:1/;token=sec ret", "spaces"),
            ("sc://a:1/;token=secret\n", "line breaks"),
            ("sc://me:secret@a:1", "user name"),
            ("sc://a:1/;token=", "printable"),
            ("sc://a:1/;token=secr%C3%A9t", "printable"),
            ("sc://a:1/;token=secret=", "%3D"),
            ("sc://a:1/;token", "NAME=VALUE"),
            ("sc://a:1/;token=secret;", "NAME=VALUE"),
            ("sc://a:1/;token=secret;use_ssl=1", "use_ssl"),
            ("sc://a:1/;token=secret;user_id=me", "user_id"),
            ("sc://a:1/;token=secret;größe=1", "header"),
            ("sc://[::1]:1/;token=secret", "IPv6"),
        ] {
            let Err(error) = Address::parse(url) else {
                panic!("{url} was taken")
            };
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(said), "{url}: {shown}");
            assert!(!shown.contains("sec"), "{url}: {shown}");
        }
    }
}
