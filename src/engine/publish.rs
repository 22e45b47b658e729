//! Published ports: `-p [[ADDRESS:]HOST:]PORT[/PROTOCOL]`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// A port, or a range of ports, of the cage that is reachable on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    address: IpAddr,
    host: Option<Ports>,
    container: Ports,
    protocol: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ports {
    first: u16,
    last: u16,
}

const EXPECTED: &str = "expected [[ADDRESS:]HOST:]PORT[/tcp|udp|sctp], such as 3000:3000, 8000-8010:8000-8010 or \
                        0.0.0.0:80:8080";

impl Publish {
    /// Returns whether the value names a host port.
    pub fn has_host_port(&self) -> bool {
        self.host.is_some()
    }

    /// Returns the protocol: `tcp`, `udp` or `sctp`.
    pub fn protocol(&self) -> &'static str {
        self.protocol
    }

    /// Returns the address of the first host port, if the value names one.
    pub fn host_address(&self) -> Option<SocketAddr> {
        self.host.map(|host| SocketAddr::new(self.address, host.first))
    }

    /// Returns each port of a range; none without a host port, as the engine then chooses a free one.
    pub fn each(&self) -> impl Iterator<Item = Self> {
        let one = |port| Ports { first: port, last: port };
        let host = self.host.into_iter().flat_map(|host| host.first..=host.last);
        host.zip(self.container.first..=self.container.last).map(move |(host, container)| Self {
            host: Some(one(host)),
            container: one(container),
            ..self.clone()
        })
    }

    /// Reads a port that is passed to the engine unchanged: without an address the engine listens on every interface.
    pub fn passed(text: &str) -> Option<Self> {
        format!("0.0.0.0:{text}").parse().or_else(|_| text.parse()).ok()
    }

    /// Returns whether both need the same port of the host.
    pub fn clashes_with(&self, other: &Self) -> bool {
        let overlap = |a: Ports, b: Ports| a.first <= b.last && b.first <= a.last;
        self.protocol == other.protocol
            && (self.address == other.address
                || self.address.is_unspecified()
                || other.address.is_unspecified())
            && matches!((self.host, other.host), (Some(a), Some(b)) if overlap(a, b))
    }

    /// Returns whether the port listens on every interface.
    pub fn is_open(&self) -> bool {
        self.address.is_unspecified()
    }

    /// Returns the same port on this machine only, if it listens on every interface.
    #[must_use]
    pub fn on_localhost(&self) -> Self {
        let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self { address: if self.is_open() { localhost } else { self.address }, ..self.clone() }
    }

    /// Returns whether the ports of the container include the first of `other`.
    pub fn reaches(&self, other: &Self) -> bool {
        let ports = self.container.first..=self.container.last;
        self.protocol == other.protocol && ports.contains(&other.container.first)
    }

    /// Returns the same port at the address of `other`.
    #[must_use]
    pub fn at_address_of(&self, other: &Self) -> Self {
        Self { address: other.address, ..self.clone() }
    }
}

impl FromStr for Publish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).map_err(|why| format!("{why}; {EXPECTED}"))
    }
}

fn parse(text: &str) -> Result<Publish, String> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let known = ["tcp", "udp", "sctp"].into_iter().find(|known| *known == protocol);
    let protocol = known.ok_or_else(|| format!("unknown protocol `{protocol}`"))?;
    let mut fields = ports.rsplitn(3, ':');
    let (container, host, address) = (fields.next().unwrap_or_default(), fields.next(), fields.next());
    // Without an address the engines listen on every interface, past the host's firewall.
    let address = match address {
        None => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some(address) => address
            .strip_prefix('[')
            .and_then(|address| address.strip_suffix(']'))
            .unwrap_or(address)
            .parse()
            .map_err(|_| format!("`{address}` is not an IP address"))?,
    };
    let container = parse_ports(container)?;
    let host = host.filter(|host| !host.is_empty()).map(parse_ports).transpose()?;
    if let Some(host) = host
        && host.last - host.first != container.last - container.first
    {
        return Err("the two ranges have different lengths".into());
    }
    Ok(Publish { address, host, container, protocol })
}

fn parse_ports(text: &str) -> Result<Ports, String> {
    let port = |text: &str| match text.parse::<u16>() {
        // `parse` takes a plus sign, an engine does not.
        Ok(port) if port > 0 && !text.starts_with('+') => Ok(port),
        _ => Err(format!("`{text}` is not a port from 1 to 65535")),
    };
    let range = text.split_once('-').filter(|(first, _)| !first.is_empty()).unwrap_or((text, text));
    let (first, last) = (port(range.0)?, port(range.1)?);
    if first > last {
        return Err(format!("`{text}` is a range that runs backwards"));
    }
    Ok(Ports { first, last })
}

/// Formats the value of `--publish`, as both engines read it.
impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.map(|host| host.to_string()).unwrap_or_default();
        match self.address {
            IpAddr::V4(address) => write!(f, "{address}:{host}:{}", self.container)?,
            IpAddr::V6(address) => write!(f, "[{address}]:{host}:{}", self.container)?,
        }
        if self.protocol == "tcp" { Ok(()) } else { write!(f, "/{}", self.protocol) }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_listens_on_this_machine_only_unless_an_address_is_written() {
        for (typed, passed) in [
            ("3000:3000", "127.0.0.1:3000:3000"),
            ("8080:80/tcp", "127.0.0.1:8080:80"),
            ("53:53/udp", "127.0.0.1:53:53/udp"),
            ("3000", "127.0.0.1::3000"),
            ("8000-8002:9000-9002", "127.0.0.1:8000-8002:9000-9002"),
            ("0.0.0.0:80:8080", "0.0.0.0:80:8080"),
            ("192.168.1.5::80", "192.168.1.5::80"),
            ("[::1]:80:80", "[::1]:80:80"),
            ("::1:80:80", "[::1]:80:80"),
        ] {
            let publish: Publish = typed.parse().unwrap();
            assert_eq!(publish.to_string(), passed);
            assert_eq!(passed.parse::<Publish>().unwrap(), publish);
        }
    }

    #[test]
    fn a_malformed_one_says_what_is_wrong() {
        let why = |text: &str| text.parse::<Publish>().unwrap_err().split(';').next().unwrap().to_owned();
        for port in ["", "0", "65536", "http", "-1", "+80", "80-", "3000:", ":", "9999999999"] {
            assert!(why(port).ends_with("is not a port from 1 to 65535"), "{port}: {}", why(port));
        }
        assert_eq!(why("80/icmp"), "unknown protocol `icmp`");
        assert_eq!(why("localhost:80:80"), "`localhost` is not an IP address");
        assert_eq!(why("90-80:90-80"), "`90-80` is a range that runs backwards");
        assert_eq!(why("80-90:80-91"), "the two ranges have different lengths");
    }

    #[test]
    fn a_port_is_known_by_the_place_where_it_listens() {
        let of = |publish: Publish| -> Vec<_> {
            publish.each().map(|port| (port.to_string(), port.host_address().unwrap().to_string())).collect()
        };
        let typed = |text: &str| of(text.parse().unwrap());
        let two = [("127.0.0.1:8000:90", "127.0.0.1:8000"), ("127.0.0.1:8001:91", "127.0.0.1:8001")];
        assert_eq!(typed("8000-8001:90-91"), two.map(|(port, at)| (port.to_owned(), at.to_owned())));
        assert_eq!(typed("[::1]:53:5353/udp"), [("[::1]:53:5353/udp".to_owned(), "[::1]:53".to_owned())]);
        assert_eq!(typed("65535:65535").len(), 1);
        assert_eq!(typed("3000"), []);
        let passed = |text: &str| Publish::passed(text).map(|port| port.to_string());
        assert_eq!(passed("80:8080").as_deref(), Some("0.0.0.0:80:8080"));
        assert_eq!(passed("[::1]:80:80/udp").as_deref(), Some("[::1]:80:80/udp"));
        assert_eq!(passed("127.0.0.1:80:80").as_deref(), Some("127.0.0.1:80:80"));
        assert_eq!(passed("80").as_deref(), Some("127.0.0.1::80"));
        assert_eq!(passed("http"), None);
    }

    #[test]
    fn two_clash_when_they_want_the_same_place_on_the_host() {
        let clash = |a: &str, b: &str| a.parse::<Publish>().unwrap().clashes_with(&b.parse().unwrap());
        assert!(clash("3000:3000", "3000:4000"));
        assert!(clash("3000-3005:1-6", "3003:9"));
        assert!(clash("0.0.0.0:80:80", "80:80"));
        assert!(!clash("3000:3000", "4000:3000"));
        assert!(!clash("53:53/udp", "53:53"));
        assert!(!clash("3000", "3000"));
    }
}
