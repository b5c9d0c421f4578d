//! Which ports of TCP landlock leaves to the process, Linux 6.7 and later.
//!
//! Hosts and addresses are the affair of JavaScript's own permissions; this holds where those have failed.

use std::collections::BTreeSet;

use landlock::{AccessNet, NetPort, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError};

/// Which ports of TCP the process may use: `None` for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ports {
    /// To connect to.
    pub connect: Option<BTreeSet<u16>>,
    /// To listen on; 0 for one that the kernel picks.
    pub listen: Option<BTreeSet<u16>>,
}

impl Ports {
    /// Tells the ruleset what it is to refuse where no rule allows it.
    ///
    /// # Errors
    /// As [`RulesetAttr::handle_access`]. A kernel that does not know of ports is none.
    pub fn handled(&self, ruleset: Ruleset) -> Result<Ruleset, RulesetError> {
        let handled = self.sides().into_iter().filter(|(ports, _)| ports.is_some());
        handled.map(|(_, access)| access).try_fold(ruleset, RulesetAttr::handle_access)
    }

    /// Adds a rule for each port.
    ///
    /// # Errors
    /// As [`RulesetCreatedAttr::add_rule`].
    pub fn allowed(&self, ruleset: RulesetCreated) -> Result<RulesetCreated, RulesetError> {
        let rules = self
            .sides()
            .into_iter()
            .flat_map(|(ports, access)| ports.iter().flatten().map(move |port| NetPort::new(*port, access)));
        rules.into_iter().try_fold(ruleset, RulesetCreatedAttr::add_rule)
    }

    fn sides(&self) -> [(&Option<BTreeSet<u16>>, AccessNet); 2] {
        [(&self.connect, AccessNet::ConnectTcp), (&self.listen, AccessNet::BindTcp)]
    }
}
