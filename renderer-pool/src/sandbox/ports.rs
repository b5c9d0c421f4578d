//! Landlock, Linux 6.7 and later: the process listens on no port, and connects to those alone that its rules name.
//!
//! Hosts and addresses are the affair of JavaScript's own permissions; this holds where those have failed. A ruleset of
//! its own: what it refuses adds to what [`files`](super::files) refuses.

use std::collections::BTreeSet;

use landlock::{
    AccessNet, BitFlags, CompatLevel, Compatible, NetPort, Ruleset, RulesetAttr, RulesetCreatedAttr,
};

/// Which ports of TCP the process may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ports {
    /// To connect to; `None` for all.
    pub connect: Option<BTreeSet<u16>>,
    /// To listen on; 0 for one that the kernel picks.
    pub listen: Option<u16>,
}

/// Restricts the calling thread. A kernel that does not know of ports refuses nothing; the version of landlock tells.
///
/// # Errors
/// Why the kernel does not do that.
pub fn restrict(ports: &Ports) -> Result<(), String> {
    let mut handled = BitFlags::from(AccessNet::BindTcp);
    if ports.connect.is_some() {
        handled |= AccessNet::ConnectTcp;
    }
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(handled)
        .and_then(Ruleset::create)
        .map_err(|error| error.to_string())?;
    let connect = ports.connect.iter().flatten().map(|port| NetPort::new(*port, AccessNet::ConnectTcp));
    let listen = ports.listen.iter().map(|port| NetPort::new(*port, AccessNet::BindTcp));
    let ruleset = connect
        .chain(listen)
        .try_fold(ruleset, |ruleset, rule| ruleset.add_rule(rule))
        .map_err(|error| error.to_string())?;
    ruleset.restrict_self().map(drop).map_err(|error| error.to_string())
}
