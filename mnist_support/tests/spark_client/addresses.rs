//! Servers that do not exist, and invalid addresses.

use mnist_support::{Error, error::SparkError, spark::SparkSession};

#[test]
fn a_missing_server_is_named_with_what_to_do() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("sc://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = SparkSession::connect(&url).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, Error::Spark(SparkError::Unreachable { .. })),
        "{text}"
    );
    assert!(
        text.contains(&url) && text.contains("make spark-up"),
        "{text}"
    );
}

#[test]
fn an_address_is_refused_without_showing_its_token() {
    for url in [
        "http://a:1",
        "sc://a:b",
        "sc://a:1/;user_id=me;token=secret",
        "sc://a:1/;token=secret;use_ssl=false",
        "sc://a:1/token=secret",
    ] {
        let error = SparkSession::connect(url).unwrap_err();
        assert!(
            matches!(
                error,
                Error::InvalidSetting {
                    setting: "SPARK_REMOTE",
                    ..
                }
            ),
            "{error}"
        );
        assert!(
            !format!("{error} {error:?}").contains("secret"),
            "{error:?}"
        );
    }
}
