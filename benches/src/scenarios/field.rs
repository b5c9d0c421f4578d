//! The servers of one app that run side by side.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use xtask::apps::App;
use xtask::progress::{self, Task};
use xtask::workspace::Workspace;

use super::results::MemoryOverTime;
use crate::contestants::{Contestant, Started, Way};
use crate::error::BenchFailure;
use crate::machine::Cores;
use crate::process_tree;
use crate::report::Skipped;

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
    way: Way,
    /// Isopod first.
    pub runners: Vec<Runner>,
    watch: MemoryWatch,
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
        way: Way,
        skipped: &mut Vec<Skipped>,
    ) -> Result<Self, BenchFailure> {
        let mut runners = Vec::new();
        for contestant in contestants {
            match start(ground, app, contestant, way) {
                Ok(runner) => runners.push(runner),
                Err(failure) if contestant.is_isopod() => return Err(failure),
                Err(failure) => skip(skipped, &format!("{} for {}", contestant.name(), app.name), &failure),
            }
        }
        let watched = runners.iter().map(|runner| (runner.pid(), runner.contestant.name().to_owned()));
        let watch = MemoryWatch::start(&app.name, watched);
        Ok(Self { ground, app, way, runners, watch })
    }

    /// Starts again who has ended; one that does not come up again is out. Says who had.
    ///
    /// # Errors
    ///
    /// When Isopod does not come up again.
    pub fn revive(&mut self, skipped: &mut Vec<Skipped>) -> Result<(), BenchFailure> {
        for place in (0..self.runners.len()).rev() {
            let runner = &self.runners[place];
            if process_tree::cpu_time(runner.pid()).is_ok() {
                continue;
            }
            let contestant = runner.contestant.clone();
            let who = format!("{} for {}", contestant.name(), self.app.name);
            let problem = "it ended by itself; it is started again".to_owned();
            skip(skipped, &who, &BenchFailure::Load { contestant: contestant.name().to_owned(), problem });
            match start(self.ground, self.app, &contestant, self.way) {
                Ok(again) => {
                    self.watch.follow(place, Some(again.pid()));
                    self.runners[place] = again;
                }
                Err(failure) if contestant.is_isopod() => return Err(failure),
                Err(failure) => {
                    skip(skipped, &who, &failure);
                    self.runners.remove(place);
                    self.watch.follow(place, None);
                }
            }
        }
        Ok(())
    }

    /// What they hold so far.
    pub fn memory(&self) -> Vec<MemoryOverTime> {
        self.watch.so_far()
    }

    /// Looks at what they hold; between loads.
    pub fn look(&self) {
        self.watch.look();
    }

    /// Ends all of them; Isopod must end well.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn end(self) -> Result<(), BenchFailure> {
        for runner in self.runners {
            if runner.contestant.is_isopod() {
                runner.started.server.stop()?;
            }
        }
        Ok(())
    }
}

/// Starts one on the servers' core.
///
/// # Errors
///
/// When it does not become ready.
fn start(ground: &Ground<'_>, app: &App, contestant: &Contestant, way: Way) -> Result<Runner, BenchFailure> {
    let task = Task::start(&format!("{}: {} starts", app.name, contestant.name()));
    let started = contestant.start(ground.workspace, app, &ground.cores.server.to_string(), way)?;
    task.done();
    let version = contestant.version(ground.workspace);
    Ok(Runner { contestant: contestant.clone(), started, version })
}

/// Says who does not take part and why.
pub fn skip(skipped: &mut Vec<Skipped>, who: &str, failure: &BenchFailure) {
    progress::say(&format!("{who} is skipped: {}", failure.report()));
    skipped.push(Skipped { server: who.to_owned(), reason: failure.to_string() });
}

/// A server whose memory is looked at, and what was seen.
#[derive(Debug)]
struct Watched {
    /// `None` when it has left.
    pid: Option<u32>,
    seen: MemoryOverTime,
}

/// What servers hold over time. To look takes some 20 ms for each of them, in the kernel: so nobody looks while a load
/// runs, which would make its requests late.
#[derive(Debug)]
struct MemoryWatch {
    start: Instant,
    watched: RefCell<Vec<Watched>>,
}

impl MemoryWatch {
    fn start(app: &str, servers: impl Iterator<Item = (u32, String)>) -> Self {
        let unseen = |(pid, server)| Watched {
            pid: Some(pid),
            seen: MemoryOverTime { app: app.to_owned(), server, samples: Vec::new() },
        };
        Self { start: Instant::now(), watched: RefCell::new(servers.map(unseen).collect()) }
    }

    fn look(&self) {
        for one in self.watched.borrow_mut().iter_mut() {
            // A server that has ended has no memory to tell of.
            let Some(Ok(bytes)) = one.pid.map(process_tree::resident_bytes) else { continue };
            one.seen.samples.push((self.start.elapsed().as_secs_f64(), bytes as f64 / MIB));
        }
    }

    /// Looks at another process from now on, or at none. `place` counts those that have not left.
    fn follow(&self, place: usize, pid: Option<u32>) {
        let mut watched = self.watched.borrow_mut();
        if let Some(one) = watched.iter_mut().filter(|one| one.pid.is_some()).nth(place) {
            one.pid = pid;
        }
    }

    fn so_far(&self) -> Vec<MemoryOverTime> {
        self.watched.borrow().iter().map(|one| one.seen.clone()).collect()
    }
}
