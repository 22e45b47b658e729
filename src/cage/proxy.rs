//! Proxies at a loopback address: in a cage that is the cage itself, where no proxy listens.

use crate::base::text;
use crate::engine::proxies::Proxies;

/// The variables that programs read, in either case.
const NAMES: [&str; 4] = ["http_proxy", "https_proxy", "ftp_proxy", "all_proxy"];

/// Returns the warning about proxies at a loopback address; `None` without any. `chosen` returns the value of a variable that the
/// user sets, `image` that of the image, and `client` has the variables that the engine's client adds. The values may hold
/// passwords, and are not shown.
pub fn warning<'a>(
    chosen: impl Fn(&str) -> Option<&'a str>,
    client: &Proxies,
    image: impl Fn(&str) -> Option<&'a str>,
) -> Option<String> {
    let mut names: Vec<String> = Vec::new();
    for name in NAMES {
        let upper = name.to_uppercase();
        let at_loopback = |name: &str| {
            let added = client.variables.iter().find(|(added, _)| added == name);
            let added = added.map(|(_, value)| (value.as_str(), client.source.as_str()));
            let chosen = chosen(name).map(|value| (value, ""));
            let in_exec = added.filter(|_| client.is_in_exec && chosen.is_some());
            let first = chosen.or(added).or_else(|| Some((image(name)?, "the image")));
            let mut all = first.into_iter().chain(in_exec);
            all.find(|(value, _)| is_loopback(value)).map(|(_, source)| source)
        };
        // Most people set both.
        let (lower_source, upper_source) = (at_loopback(name), at_loopback(&upper));
        let other = upper_source.filter(|_| lower_source != upper_source);
        for (name, source) in [(name, lower_source), (&upper, other)] {
            names.extend(source.map(|source| match source {
                "" => name.to_owned(),
                source => format!("{name} ({})", text::escape(source)),
            }));
        }
    }
    let listed = names.join(", ");
    (!names.is_empty()).then(|| {
        format!(
            "a proxy at this machine's loopback address can't be reached from the cage: {listed}; write host.docker.internal \
             instead of the address, and let the proxy listen there, too"
        )
    })
}

/// Returns whether a proxy, `[SCHEME://][USER[:PASSWORD]@]HOST[:PORT]`, is at a loopback address.
fn is_loopback(proxy: &str) -> bool {
    let proxy = proxy.trim();
    let rest = proxy.split_once("://").map_or(proxy, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None if host.matches(':').count() > 1 => host,
        None => host.split(':').next().unwrap_or_default(),
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is_address = host.chars().all(|c| c.is_ascii_digit() || c == '.');
    let is_local = ["localhost", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"].contains(&host.as_str());
    is_local || host.ends_with(".localhost") || (is_address && host.starts_with("127."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses_are_recognised_in_every_form() {
        for proxy in [
            "http://127.0.0.1:3128",
            "http://me:secret@127.0.0.1:3128/",
            "localhost:8080",
            "LOCALHOST",
            "socks5h://localhost:1080",
            "https://proxy.localhost:1",
            "http://[::1]:3128",
            "::1",
            "127.1.2.3",
            "0.0.0.0:80",
            "http://me:p@ss@127.0.0.1:80",
        ] {
            assert!(is_loopback(proxy), "{proxy}");
        }
        for proxy in [
            "",
            "http://proxy:3128",
            "http://127.0.0.1@proxy:3128",
            "http://127.example.org",
            "10.127.0.1:80",
            "http://host.docker.internal:3128",
            "http://proxy/127.0.0.1",
            "localhost.example.org:80",
        ] {
            assert!(!is_loopback(proxy), "{proxy}");
        }
    }

    #[test]
    fn the_value_that_a_cage_gets_counts() {
        let none = |_: &str| None;
        let set = |name: &str| (name.to_owned(), "http://me:secret@127.0.0.1:1".to_owned());
        let variables = vec![set("http_proxy"), set("HTTP_PROXY")];
        let mut client = Proxies { variables, source: "config.json".to_owned(), is_in_exec: false };
        let told = warning(none, &client, none).unwrap();
        assert!(told.contains(": http_proxy (config.json);") && !told.contains("secret"), "{told}");
        let chosen = |name: &str| (name == "http_proxy").then_some("http://proxy:1");
        let told = warning(chosen, &client, none).unwrap();
        assert!(told.contains(": HTTP_PROXY (config.json);"), "{told}");
        client.is_in_exec = true;
        let told = warning(chosen, &client, none).unwrap();
        assert!(told.contains(": http_proxy (config.json);"), "{told}");
        assert_eq!(warning(chosen, &Proxies::default(), none), None);
        let image = |name: &str| (name == "HTTPS_PROXY").then_some("http://localhost:1");
        assert!(warning(chosen, &Proxies::default(), image).unwrap().contains("HTTPS_PROXY (the image);"));
    }
}
