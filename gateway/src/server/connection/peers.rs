//! How many connections an address has, over all gateway threads.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

/// Counts connections by IPv4 address or IPv6 /64 network: one household, one office, one machine. Holds one entry for
/// each that has a connection, so that it is bounded by the connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Peers {
    counts: Arc<DashMap<IpAddr, usize>>,
    limit: usize,
}

/// A connection that is counted until this is dropped.
#[derive(Debug)]
#[must_use = "the connection is counted until this is dropped"]
pub struct Counted {
    counts: Arc<DashMap<IpAddr, usize>>,
    of: IpAddr,
}

/// The address has as many connections as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address has too many connections")]
pub struct TooMany;

impl Peers {
    /// At most `limit` connections each; 0 sets no limit.
    pub fn new(limit: usize) -> Self {
        Self { counts: Arc::default(), limit }
    }

    /// Counts a connection; `None` where there is no limit.
    ///
    /// # Errors
    /// When there are as many as may be.
    pub fn enter(&self, peer: IpAddr) -> Result<Option<Counted>, TooMany> {
        if self.limit == 0 {
            return Ok(None);
        }
        let of = network(peer);
        let mut count = self.counts.entry(of).or_insert(0);
        if *count >= self.limit {
            return Err(TooMany);
        }
        *count += 1;
        drop(count);
        Ok(Some(Counted { counts: Arc::clone(&self.counts), of }))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.counts.entry(self.of) {
            match count.get().saturating_sub(1) {
                0 => drop(count.remove()),
                left => *count.get_mut() = left,
            }
        }
    }
}

fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_limit_and_nothing_stays_behind() {
        let peers = Peers::new(2);
        let enter = |peer: &str| peers.enter(peer.parse().unwrap());
        let held = [enter("10.0.0.1").unwrap(), enter("::ffff:10.0.0.1").unwrap()];
        assert_eq!(enter("10.0.0.1").unwrap_err(), TooMany);
        let other = enter("10.0.0.2").unwrap();
        drop(held);
        assert!(enter("10.0.0.1").is_ok());
        drop(other);
        assert!(peers.counts.is_empty());
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let peers = Peers::new(1);
        let _held = peers.enter("2001:db8::1".parse().unwrap()).unwrap();
        assert!(peers.enter("2001:db8::ffff:1".parse().unwrap()).is_err());
        assert!(peers.enter("2001:db8:0:1::1".parse().unwrap()).is_ok());
    }

    #[test]
    fn no_limit_counts_nothing() {
        let peers = Peers::new(0);
        assert!(peers.enter("10.0.0.1".parse().unwrap()).unwrap().is_none());
        assert!(peers.counts.is_empty());
    }
}
