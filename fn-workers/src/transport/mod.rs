//! How calls reach the process. Each transport turns what it receives into [`crate::actor::Run`]s for the team
//! and carries their ends back.

pub(crate) mod unix;
