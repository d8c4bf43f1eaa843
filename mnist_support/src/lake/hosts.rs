//! The hosts of Azure's storage services, in all of its clouds.

use object_store::azure::authority_hosts;

/// The clouds whose storage accounts are `ACCOUNT.blob.CLOUD`, and where one signs in.
const CLOUDS: [(&str, &str); 4] = [
    ("core.windows.net", authority_hosts::AZURE_PUBLIC_CLOUD),
    ("core.chinacloudapi.cn", authority_hosts::AZURE_CHINA),
    ("core.usgovcloudapi.net", authority_hosts::AZURE_GOVERNMENT),
    // Accounts with a DNS zone of their own: ACCOUNT.z12.blob.storage.azure.net.
    ("storage.azure.net", authority_hosts::AZURE_PUBLIC_CLOUD),
];

/// OneLake, the lake of Microsoft Fabric.
const FABRIC: &str = "fabric.microsoft.com";

/// What a private endpoint's name has between the account and the service.
const PRIVATE_LINK: &str = "privatelink";

/// A storage account's blob service, as its host's name describes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BlobService {
    /// The account. For a workspace of Fabric with a private link it includes the zone.
    pub(super) account: String,
    /// The address of the blob service.
    pub(super) endpoint: String,
    /// Where one signs in.
    pub(super) authority: &'static str,
    /// Whether it is OneLake, whose containers are workspaces, with names of any kind.
    pub(super) is_one_lake: bool,
}

impl BlobService {
    /// Recognises the host of a blob or `dfs` service. Requests go to the blob service, which both
    /// have. `None` for any other host.
    pub(super) fn of_host(host: &str) -> Option<BlobService> {
        let host = host.to_ascii_lowercase();
        if let Some(labels) = host.strip_suffix(FABRIC) {
            return one_lake(labels.strip_suffix('.')?);
        }
        let (cloud, authority) = CLOUDS
            .into_iter()
            .find(|(cloud, _)| host.ends_with(&format!(".{cloud}")))?;
        let labels = host.strip_suffix(cloud)?.strip_suffix('.')?;
        let mut labels: Vec<&str> = labels.split('.').collect();
        if !matches!(labels.pop()?, "blob" | "dfs") {
            return None;
        }
        // The certificate of a private endpoint is for the public name, which resolves to the
        // private address inside the network.
        labels.retain(|label| *label != PRIVATE_LINK);
        let account = match labels.as_slice() {
            [account] => *account,
            [account, zone] if cloud == "storage.azure.net" && is_zone(zone) => *account,
            _ => return None,
        };
        is_account_name(account).then(|| BlobService {
            account: account.to_owned(),
            endpoint: format!("https://{}.blob.{cloud}", labels.join(".")),
            authority,
            is_one_lake: false,
        })
    }

    /// Recognises the host of a URL.
    pub(super) fn of_endpoint(endpoint: &str) -> Option<BlobService> {
        let url = url::Url::parse(endpoint).ok()?;
        BlobService::of_host(url.host_str()?)
    }

    /// The host that `abfss://` URLs name.
    pub(super) fn dfs_host(&self) -> String {
        let host = self.endpoint.trim_start_matches("https://");
        host.replacen(".blob.", ".dfs.", 1)
    }
}

/// `onelake.dfs`, with or without a region before it (`westus-onelake`), or a workspace's private
/// link (`WORKSPACE.z12.onelake`).
fn one_lake(labels: &str) -> Option<BlobService> {
    let labels: Vec<&str> = labels.split('.').collect();
    let (account, service) = match labels.as_slice() {
        [account, "blob" | "dfs"] => ((*account).to_owned(), "blob"),
        [workspace, zone, "blob" | "dfs"] if is_zone(zone) => {
            (format!("{workspace}.{zone}"), "blob")
        }
        [workspace, zone, "onelake"] if is_zone(zone) => (format!("{workspace}.{zone}"), "onelake"),
        _ => return None,
    };
    let is_name = |label: &str| !label.is_empty() && label.split('-').all(is_plain);
    account.split('.').all(is_name).then(|| BlobService {
        endpoint: format!("https://{account}.{service}.{FABRIC}"),
        account,
        authority: authority_hosts::AZURE_PUBLIC_CLOUD,
        is_one_lake: true,
    })
}

/// Whether a label is a DNS zone: `z` and digits, in Fabric hexadecimal ones.
fn is_zone(label: &str) -> bool {
    label.strip_prefix('z').is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

/// Whether `name` follows Azure's rule for storage accounts.
pub(super) fn is_account_name(name: &str) -> bool {
    (3..=24).contains(&name.len()) && is_plain(name)
}

/// Whether `text` has only lower-case letters and digits.
pub(super) fn is_plain(text: &str) -> bool {
    text.chars()
        .all(|character| character.is_ascii_lowercase() || character.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clouds_hosts_lead_to_the_blob_service_and_to_the_sign_in_host() {
        for (host, account, endpoint, authority) in [
            (
                "mylake.dfs.core.windows.net",
                "mylake",
                "mylake.blob.core.windows.net",
                "https://login.microsoftonline.com",
            ),
            (
                "mylake.blob.core.chinacloudapi.cn",
                "mylake",
                "mylake.blob.core.chinacloudapi.cn",
                "https://login.chinacloudapi.cn",
            ),
            (
                "mylake.dfs.core.usgovcloudapi.net",
                "mylake",
                "mylake.blob.core.usgovcloudapi.net",
                "https://login.microsoftonline.us",
            ),
            (
                "mylake.z12.dfs.storage.azure.net",
                "mylake",
                "mylake.z12.blob.storage.azure.net",
                "https://login.microsoftonline.com",
            ),
            (
                "mylake.privatelink.dfs.core.windows.net",
                "mylake",
                "mylake.blob.core.windows.net",
                "https://login.microsoftonline.com",
            ),
            (
                "mylake.z12.privatelink.blob.storage.azure.net",
                "mylake",
                "mylake.z12.blob.storage.azure.net",
                "https://login.microsoftonline.com",
            ),
            (
                "onelake.dfs.fabric.microsoft.com",
                "onelake",
                "onelake.blob.fabric.microsoft.com",
                "https://login.microsoftonline.com",
            ),
            (
                "westus-onelake.blob.fabric.microsoft.com",
                "westus-onelake",
                "westus-onelake.blob.fabric.microsoft.com",
                "https://login.microsoftonline.com",
            ),
            (
                "0123456789abcdef.z01.onelake.fabric.microsoft.com",
                "0123456789abcdef.z01",
                "0123456789abcdef.z01.onelake.fabric.microsoft.com",
                "https://login.microsoftonline.com",
            ),
        ] {
            let service = BlobService::of_host(host).unwrap_or_else(|| panic!("{host}"));
            assert_eq!(service.account, account, "{host}");
            assert_eq!(service.endpoint, format!("https://{endpoint}"), "{host}");
            assert_eq!(service.authority, authority, "{host}");
        }
    }

    #[test]
    fn a_host_that_only_looks_like_azures_is_unknown() {
        for host in [
            "mylake",
            "mylake.dfs.example.com",
            "mylake.dfs.core.windows.net.example.com",
            "mylake.queue.core.windows.net",
            "evil.mylake.dfs.core.windows.net",
            "dfs.core.windows.net",
            "mylake.dfs.evilcore.windows.net",
            "onelake.evilfabric.microsoft.com",
            ".dfs.fabric.microsoft.com",
            "mylake.x12.blob.storage.azure.net",
        ] {
            assert_eq!(BlobService::of_host(host), None, "{host}");
        }
    }
}
