//! The servers of one app that run side by side.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use xtask::apps::App;
use xtask::progress::{self, Task};
use xtask::workspace::Workspace;

use super::results::MemoryOverTime;
use crate::contestants::{Contestant, Started};
use crate::error::BenchFailure;
use crate::machine::Cores;
use crate::process_tree;
use crate::report::Skipped;

/// The time between two looks at the memory.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

const MIB: f64 = 1024.0 * 1024.0;

/// What every part of a run needs to know.
#[derive(Debug, Clone)]
pub struct Ground<'a> {
    /// The checkout.
    pub workspace: &'a Workspace,
    /// The git-ignored directory for what benches keep.
    pub cache: PathBuf,
    /// Who runs where.
    pub cores: Cores,
    /// Length of a slice.
    pub slice: Duration,
    /// Length of the load before a scenario is measured.
    pub warm_up: Duration,
    /// Slices of each server.
    pub repeat: usize,
}

/// A server that runs.
#[derive(Debug)]
pub struct Runner {
    /// Which one.
    pub contestant: Contestant,
    /// Its process.
    pub started: Started,
    /// Its version.
    pub version: String,
}

impl Runner {
    /// Its root process.
    pub fn pid(&self) -> u32 {
        self.started.server.pid()
    }

    /// `http://127.0.0.1:PORT`
    pub fn address(&self) -> &str {
        self.started.server.address()
    }
}

/// All that serve one app.
#[derive(Debug)]
pub struct Field<'a> {
    /// What is common to all.
    pub ground: &'a Ground<'a>,
    /// The app.
    pub app: &'a App,
    /// Isopod first.
    pub runners: Vec<Runner>,
    watch: Option<MemoryWatch>,
}

impl<'a> Field<'a> {
    /// Starts all of them. Isopod, the first, must come up; a rival may fail.
    ///
    /// # Errors
    ///
    /// When Isopod does not.
    pub fn line_up(
        ground: &'a Ground<'a>,
        app: &'a App,
        contestants: &[Contestant],
        processes: usize,
        skipped: &mut Vec<Skipped>,
    ) -> Result<Self, BenchFailure> {
        let mut runners = Vec::new();
        for contestant in contestants {
            let task = Task::start(&format!("{}: {} starts", app.name, contestant.name()));
            let cores = ground.cores.server.to_string();
            match contestant.start(ground.workspace, app, &cores, processes) {
                Ok(started) => {
                    task.done();
                    let version = contestant.version(ground.workspace);
                    runners.push(Runner { contestant: contestant.clone(), started, version });
                }
                Err(failure) if contestant.is_isopod() => return Err(failure),
                Err(failure) => skip(skipped, &format!("{} for {}", contestant.name(), app.name), &failure),
            }
        }
        let watched =
            runners.iter().map(|runner| (runner.contestant.name().to_owned(), runner.pid())).collect();
        let watch = Some(MemoryWatch::start(&app.name, watched));
        Ok(Self { ground, app, runners, watch })
    }

    /// Ends all of them; Isopod must end well.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn end(mut self) -> Result<Vec<MemoryOverTime>, BenchFailure> {
        let memory = self.watch.take().map(MemoryWatch::end).unwrap_or_default();
        for runner in self.runners {
            if runner.contestant.is_isopod() {
                runner.started.server.stop()?;
            }
        }
        Ok(memory)
    }
}

/// Says who does not take part and why.
pub fn skip(skipped: &mut Vec<Skipped>, who: &str, failure: &BenchFailure) {
    progress::say(&format!("{who} is skipped: {}", failure.report()));
    skipped.push(Skipped { server: who.to_owned(), reason: failure.to_string() });
}

/// A thread that looks at the memory of servers until it is told to end.
#[derive(Debug)]
struct MemoryWatch {
    is_over: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<MemoryOverTime>>>,
    thread: JoinHandle<()>,
}

impl MemoryWatch {
    fn start(app: &str, watched: Vec<(String, u32)>) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let empty = |(server, _): &(String, u32)| MemoryOverTime {
            app: app.to_owned(),
            server: server.clone(),
            samples: Vec::new(),
        };
        let seen = Arc::new(Mutex::new(watched.iter().map(empty).collect::<Vec<_>>()));
        let (over, kept) = (Arc::clone(&is_over), Arc::clone(&seen));
        let thread = std::thread::spawn(move || {
            let start = Instant::now();
            while !over.load(Ordering::Relaxed) {
                for (place, (_, pid)) in watched.iter().enumerate() {
                    // A server that has ended has no memory to tell of.
                    let Ok(bytes) = process_tree::resident_bytes(*pid) else { continue };
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(one) = kept.get_mut(place) {
                        one.samples.push((start.elapsed().as_secs_f64(), bytes as f64 / MIB));
                    }
                }
                std::thread::park_timeout(SAMPLE_EVERY);
            }
        });
        Self { is_over, seen, thread }
    }

    fn end(self) -> Vec<MemoryOverTime> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        // It does not panic.
        let _ = self.thread.join();
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
