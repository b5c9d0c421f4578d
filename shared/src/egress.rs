//! Where an app may connect to: the rules that an operator writes, and what becomes of them together.
//!
//! | rule | allows |
//! |---|---|
//! | `all` | every address but the [`REFUSED`] ones |
//! | `none` | nothing; stands alone |
//! | `db.example.com`, `*.example.com` | that host, the hosts below that name; whatever addresses DNS gives them, but the refused ones |
//! | `10.1.2.3`, `fd00::1` | that address; a refused one becomes reachable by being named |
//! | `10.0.0.0/8` | the addresses of that network; refused ones in it only if the network lies wholly within a refused one |
//!
//! A host, an address or a network may be followed by a port, `:5432`; IPv6 is written in brackets then,
//! `[fd00::1]:5432`. Without a port all ports are meant.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// Addresses that lead to the host's cloud or its neighbours: link-local ones (RFC 3927, RFC 4291), the same
/// behind NAT64 (RFC 6052), and the metadata services that live elsewhere.
pub const REFUSED: &[IpNet] = &[
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(100, 100, 100, 200), 32)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0xa9fe, 0), 112)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128)),
];

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum EgressRule {
    /// Every address but the refused ones.
    All,
    /// Nothing.
    None,
    /// These addresses, at this port or at all.
    Allow(Destination, Option<u16>),
}

/// Where a rule leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// A host, by its name in lower case.
    Host(String),
    /// The hosts below this name.
    Subdomains(String),
    /// Addresses.
    Network(IpNet),
}

/// A text that is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no rule: all, none, or a host, address or network, with :PORT if only that port is meant")]
pub struct NoRule(pub String);

/// `none` beside other rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`none` stands alone: nothing else is allowed beside it")]
pub struct NoneBesideOthers;

/// What all rules of an operator say together. Default: `all`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<EgressRule>", into = "Vec<EgressRule>")]
pub struct Egress(Vec<EgressRule>);

impl Default for Egress {
    fn default() -> Self {
        Self(vec![EgressRule::All])
    }
}

impl Egress {
    /// The policy of these rules; none at all mean `all`.
    ///
    /// # Errors
    /// [`NoneBesideOthers`].
    pub fn new(rules: Vec<EgressRule>) -> Result<Self, NoneBesideOthers> {
        match rules.len() {
            0 => Ok(Self::default()),
            1 => Ok(Self(rules)),
            _ if rules.contains(&EgressRule::None) => Err(NoneBesideOthers),
            _ => Ok(Self(rules)),
        }
    }

    /// Whether no socket is ever of use.
    pub fn is_none(&self) -> bool {
        self.0 == [EgressRule::None]
    }

    /// Whether every address is allowed that is not refused.
    pub fn is_all(&self) -> bool {
        self.0.contains(&EgressRule::All)
    }

    /// The rules.
    pub fn rules(&self) -> &[EgressRule] {
        &self.0
    }

    /// The ports of TCP that are of use, that of DNS among them; `None` when all are.
    pub fn ports(&self) -> Option<BTreeSet<u16>> {
        const DNS: u16 = 53;
        let port = |rule: &EgressRule| match rule {
            EgressRule::Allow(_, port) => *port,
            // A name server is asked for nothing then.
            EgressRule::None => Some(DNS),
            EgressRule::All => None,
        };
        self.0.iter().map(port).chain([Some(DNS)]).collect()
    }

    /// What is refused whatever else allows it, names included: [`REFUSED`] without what a rule names.
    pub fn refused(&self) -> Vec<IpNet> {
        let named = self.0.iter().filter_map(|rule| match rule {
            EgressRule::Allow(Destination::Network(network), _) => Some(*network),
            _ => None,
        });
        named.fold(REFUSED.to_vec(), |refused, named| {
            refused.into_iter().flat_map(|network| without(network, named)).collect()
        })
    }
}

impl TryFrom<Vec<EgressRule>> for Egress {
    type Error = NoneBesideOthers;

    fn try_from(rules: Vec<EgressRule>) -> Result<Self, Self::Error> {
        Self::new(rules)
    }
}

impl From<Egress> for Vec<EgressRule> {
    fn from(egress: Egress) -> Self {
        egress.0
    }
}

/// `network` less the part of it that is `named`. A wider network than itself names no part of it: who writes
/// `0.0.0.0/0` does not think of metadata services.
fn without(network: IpNet, named: IpNet) -> Vec<IpNet> {
    if !network.contains(&named) {
        return vec![network];
    }
    // Halve it again and again: the half without the name stays.
    let mut rest = Vec::new();
    let mut holder = network;
    while holder != named {
        let Ok(halves) = holder.subnets(holder.prefix_len() + 1) else { break };
        for half in halves {
            if half.contains(&named) {
                holder = half;
            } else {
                rest.push(half);
            }
        }
    }
    rest
}

impl FromStr for EgressRule {
    type Err = NoRule;

    fn from_str(text: &str) -> Result<Self, NoRule> {
        match text {
            "all" => return Ok(Self::All),
            "none" => return Ok(Self::None),
            _ => {}
        }
        // An IPv6 address has colons of its own: it has a port only behind brackets.
        let whole = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        if let Ok(network) = whole {
            return Ok(Self::Allow(Destination::Network(network.trunc()), None));
        }
        let (destination, port) = match text.rsplit_once(':') {
            None => (text, None),
            Some((before, after)) if !after.contains(']') => match after.parse() {
                Ok(port) if port > 0 && !after.starts_with('+') => (before, Some(port)),
                _ => return Err(NoRule(text.into())),
            },
            Some(_) => (text, None),
        };
        let destination = destination.parse::<Destination>().map_err(|_| NoRule(text.into()))?;
        Ok(Self::Allow(destination, port))
    }
}

impl FromStr for Destination {
    type Err = NoRule;

    fn from_str(text: &str) -> Result<Self, NoRule> {
        let no_rule = || NoRule(text.into());
        if let Some(bracketed) = text.strip_prefix('[') {
            let (address, rest) = bracketed.split_once(']').ok_or_else(no_rule)?;
            let network: IpNet = match rest {
                "" => address.parse::<Ipv6Addr>().map(|address| IpAddr::V6(address).into()).ok(),
                rest => format!("{address}{rest}").parse().ok(),
            }
            .ok_or_else(no_rule)?;
            return Ok(Self::Network(network.trunc()));
        }
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Self::Network(network.trunc()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Network(IpAddr::V4(address).into()));
        }
        match text.strip_prefix("*.") {
            Some(name) if is_host(name) => Ok(Self::Subdomains(name.to_ascii_lowercase())),
            None if is_host(text) => Ok(Self::Host(text.to_ascii_lowercase())),
            _ => Err(no_rule()),
        }
    }
}

/// Labels of letters, digits, hyphens and underscores (RFC 1123, section 2.1; underscores as in practice). A last
/// label of digits alone is an address that was misspelt.
fn is_host(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let label =
        |label: &str| matches!(label.len(), 1..=63) && label.bytes().all(plain) && !label.starts_with('-');
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= 253 && text.split('.').all(label) && !text.rsplit('.').next().is_some_and(is_number)
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) => f.write_str(name),
            Self::Subdomains(name) => write!(f, "*.{name}"),
            Self::Network(network) => {
                let single = network.prefix_len() == network.max_prefix_len();
                match (network, single) {
                    (IpNet::V4(network), true) => write!(f, "{}", network.addr()),
                    (IpNet::V6(network), true) => write!(f, "[{}]", network.addr()),
                    (IpNet::V4(network), false) => write!(f, "{network}"),
                    (IpNet::V6(network), false) => write!(f, "[{}]/{}", network.addr(), network.prefix_len()),
                }
            }
        }
    }
}

impl fmt::Display for EgressRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::None => f.write_str("none"),
            Self::Allow(destination, None) => write!(f, "{destination}"),
            Self::Allow(destination, Some(port)) => write!(f, "{destination}:{port}"),
        }
    }
}

impl TryFrom<String> for EgressRule {
    type Error = NoRule;

    fn try_from(text: String) -> Result<Self, NoRule> {
        text.parse()
    }
}

impl From<EgressRule> for String {
    fn from(rule: EgressRule) -> Self {
        rule.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(text: &str) -> EgressRule {
        text.parse().unwrap()
    }

    fn network(text: &str, port: Option<u16>) -> EgressRule {
        EgressRule::Allow(Destination::Network(text.parse().unwrap()), port)
    }

    fn policy(rules: &[&str]) -> Egress {
        Egress::new(rules.iter().map(|text| rule(text)).collect()).unwrap()
    }

    #[test]
    fn ports_are_limited_where_every_rule_names_one() {
        assert_eq!(policy(&["all"]).ports(), None);
        assert_eq!(policy(&["db.example.com:5432", "10.0.0.0/8"]).ports(), None);
        assert_eq!(policy(&["db.example.com:5432", "10.0.0.0/8:80"]).ports(), Some([53, 80, 5432].into()));
        assert_eq!(policy(&["none"]).ports(), Some([53].into()));
    }

    #[test]
    fn hosts_addresses_and_networks_may_have_a_port() {
        for (text, expected) in [
            ("all", EgressRule::All),
            ("none", EgressRule::None),
            (
                "Db.Example.com:5432",
                EgressRule::Allow(Destination::Host("db.example.com".into()), Some(5432)),
            ),
            ("localhost", EgressRule::Allow(Destination::Host("localhost".into()), None)),
            ("*.example.com", EgressRule::Allow(Destination::Subdomains("example.com".into()), None)),
            ("10.1.2.3", network("10.1.2.3/32", None)),
            ("10.1.2.3/8:443", network("10.0.0.0/8", Some(443))),
            ("fd00::1", network("fd00::1/128", None)),
            ("fd00::/8", network("fd00::/8", None)),
            ("[fd00::1]", network("fd00::1/128", None)),
            ("[fd00::1]:443", network("fd00::1/128", Some(443))),
            ("[fd00::]/8:443", network("fd00::/8", Some(443))),
        ] {
            assert_eq!(rule(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in [
            "",
            "*",
            "*.",
            ":80",
            "host:",
            "host:0",
            "host:65536",
            "host:+1",
            "http://host",
            "host/path",
            "10.0.0",
            "10.0.0.256",
            "10.0.0.0/33",
            "[fd00::1",
            "[10.0.0.1]",
            "[fd00::1]x",
            "a..b",
            "a b",
            "*.*.com",
            "-a.com",
        ] {
            assert_eq!(text.parse::<EgressRule>(), Err(NoRule(text.into())), "{text}");
        }
    }

    #[test]
    fn none_stands_alone_and_nothing_said_is_all() {
        assert_eq!(Egress::new(vec![EgressRule::None, rule("a.com")]), Err(NoneBesideOthers));
        assert!(Egress::new(vec![EgressRule::None]).unwrap().is_none());
        assert!(Egress::new(vec![]).unwrap().is_all());
        assert!(policy(&["all", "169.254.169.254"]).is_all() && !policy(&["a.com"]).is_all());
    }

    #[test]
    fn what_is_refused_opens_only_where_it_is_named() {
        let refuses = |rules: &[&str], address: &str| {
            let address: IpAddr = address.parse().unwrap();
            policy(rules).refused().iter().any(|network| network.contains(&address))
        };
        for rules in
            [&["all"][..], &["none"], &["0.0.0.0/0", "::/0"], &["metadata.internal"], &["169.254.0.0/15"]]
        {
            for address in
                ["169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200", "64:ff9b::a9fe:a9fe"]
            {
                assert!(refuses(rules, address), "{rules:?} {address}");
            }
        }
        let named = &["all", "169.254.169.254:80"];
        assert!(!refuses(named, "169.254.169.254"));
        for address in ["169.254.169.253", "169.254.169.255", "169.254.0.1", "169.254.255.255"] {
            assert!(refuses(named, address), "{address}");
        }
        assert!(!refuses(&["169.254.0.0/16"], "169.254.1.1") && refuses(&["169.254.0.0/16"], "fe80::1"));
    }

    proptest! {
        #[test]
        fn a_rule_is_written_as_it_is_read(
            address: IpAddr,
            prefix in 0..=32u8,
            port in proptest::option::of(1..u16::MAX),
        ) {
            let network = IpNet::new(address, prefix).unwrap().trunc();
            let rule = EgressRule::Allow(Destination::Network(network), port);
            prop_assert_eq!(rule.to_string().parse(), Ok(rule));
        }

        #[test]
        fn noise_is_an_error_and_not_a_panic(noise in ".{0,40}") {
            if let Ok(rule) = noise.parse::<EgressRule>() {
                prop_assert_eq!(rule.to_string().parse(), Ok(rule));
            }
        }
    }
}
