//! Why a bench has no result.

use std::error::Error;

use thiserror::Error;
use xtask::error::Failure;

/// Why a bench, or one contestant's part in it, has no result.
#[derive(Debug, Error)]
pub enum BenchFailure {
    /// Setting up failed.
    #[error(transparent)]
    Setup(#[from] Failure),
    /// An answer is not what it should be.
    #[error("{contestant} answers {problem}")]
    Page {
        /// Whose answer.
        contestant: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A page could not be fetched.
    #[error("{contestant} gives no answer")]
    Fetch {
        /// Who was asked.
        contestant: String,
        /// What happened instead.
        source: Box<ureq::Error>,
    },
    /// Some answers under load were wrong: the slice measures nothing.
    #[error("{contestant} under load: {problem}")]
    Load {
        /// Whose answers.
        contestant: String,
        /// What was wrong with them.
        problem: String,
    },
    /// The open-loop generator was too slow.
    #[error("the generator {problem}")]
    Generator {
        /// What it could not do.
        problem: String,
    },
    /// The load generator said nothing that is understood.
    #[error("wrk reported no result; it said: {said}")]
    NoReport {
        /// Its output.
        said: String,
    },
    /// The system's process table is not understood.
    #[error("cannot read the CPU time of process {pid}: {problem}")]
    CpuTime {
        /// The root of the process tree.
        pid: u32,
        /// What is wrong.
        problem: String,
    },
    /// One side of the isolate bench cannot go on.
    #[error("{who} {problem}")]
    Render {
        /// Which side.
        who: &'static str,
        /// What happened.
        problem: String,
    },
    /// The soak cannot go on.
    #[error("the soak: {problem}")]
    Soak {
        /// What happened.
        problem: String,
    },
    /// A rival cannot run such builds.
    #[error("{rival}: {reason}")]
    Unfit {
        /// Which one.
        rival: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// An app's build lacks what a scenario asks for.
    #[error("{problem}")]
    Build {
        /// What is missing.
        problem: String,
    },
    /// There is no scenario of this name.
    #[error("there is no scenario {name}")]
    NoScenario {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// Instructions were not counted, or are more than they were.
    #[error("{problem}")]
    Instructions {
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// A profile could not be taken.
    #[error("no profile: {problem}")]
    Profile {
        /// What happened instead.
        problem: String,
    },
    /// Memory could not be measured, or is not as it should be.
    #[error("{problem}")]
    Memory {
        /// What happened.
        problem: String,
    },
    /// Servers and load must not share a core.
    #[error("{cores} core is allowed to this process; servers and load need one each")]
    TooFewCores {
        /// How many there are.
        cores: usize,
    },
    /// There is no app of this name.
    #[error("there is no app {name}")]
    NoApp {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
}

impl BenchFailure {
    /// What to do, where more can be said.
    fn remedy(&self) -> Option<String> {
        match self {
            Self::Setup(failure) => failure.remedy(),
            Self::Generator { .. } => Some("leave the machine alone while it measures".to_owned()),
            Self::TooFewCores { .. } => Some("run on a machine, or in a cpuset, with two cores".to_owned()),
            Self::NoScenario { known, .. } => Some(format!("name one of {}", known.join(", "))),
            Self::Instructions { remedy, .. } => Some(remedy.clone()),
            Self::NoApp { known, .. } => Some(format!("name one of {}", known.join(", "))),
            Self::Page { .. } | Self::Load { .. } => Some(
                "see its log in xtask/logs of cargo's target directory; nothing is measured while answers differ".to_owned(),
            ),
            _ => None,
        }
    }

    /// The whole story for a terminal.
    pub fn report(&self) -> String {
        let mut lines = vec![format!("error: {self}")];
        let mut source = self.source();
        while let Some(cause) = source {
            lines.push(format!("  because: {cause}"));
            source = cause.source();
        }
        lines.extend(self.remedy().map(|remedy| format!("  to do: {remedy}")));
        lines.join("\n")
    }
}
