//! How calls reach the process. A [`link::Link`] turns what its transport receives into [`crate::actor::Run`]s for the
//! team and carries their ends back. There are two transports ([`shared::link::Transport`]): a Unix socket of the
//! gateway on this machine ([`shared::link::Channel`]), and NATS for gateways on any machine.

pub(crate) mod link;
pub(crate) mod nats;
mod open;
