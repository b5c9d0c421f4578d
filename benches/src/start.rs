//! From a renderer's start until it has loaded an app and rendered a page: without a code cache, with an empty one,
//! and with a full one; and the same for a process that was there already and waited to be told which app, and for one
//! that had prepared an isolate and compiled the app.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::Serialize;
use shared::message::control::StartPhases;
use xtask::progress::{self, Task};
use xtask::workspace::Workspace;

use crate::cli::StartOptions;
use crate::error::BenchFailure;
use crate::isolate::renderer::{Process, Renderer};
use crate::isolate::{Page, Renders};
use crate::machine::{Cores, Machine};
use crate::process_tree;
use crate::report;
use crate::selection;
use crate::statistics::Summary;
use crate::table;

/// The builds of an app, by their place below its directory.
pub const BUILDS: [(&str, &str); 2] = [("self-contained", "dist"), ("plain", "plain/dist")];

/// A process that used no CPU for so long waits.
const SETTLED: Duration = Duration::from_millis(20);

/// What a fresh isolate is asked first.
const FIRST_PAGE: Page = Page { path: "/", concurrency: 1, warm_up: 0 };

/// A page of the test apps is not shorter.
const LEAST_BYTES: usize = 1000;

/// What a start finds in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Cache {
    /// There is none.
    Off,
    /// Nothing: the start fills it.
    Empty,
    /// Everything.
    Full,
}

/// One way to start one build.
#[derive(Debug, Serialize)]
pub struct StartResult {
    /// The app and its build.
    pub build: String,
    /// What was in the cache.
    pub cache: Cache,
    /// From the process's start.
    pub process: Figures,
    /// From the set-up, in a process that waited for it.
    pub told: Figures,
    /// From the order to load the app, in a process in which it was compiled and had not run.
    pub spare: Figures,
}

/// What is there when the time begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// Nothing.
    Nothing,
    /// A process that waits to be told what to be.
    Process,
    /// A process in which the app is compiled and has not run.
    Blank,
}

/// What starts of one kind took, in milliseconds.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// By the clock.
    pub wall: Summary,
    /// On CPUs, all threads: what the clock would show on a machine that does nothing else.
    pub cpu: Summary,
    /// The first page of the isolate that has just become ready, by the clock.
    pub first_page: Summary,
    /// The phases of the isolate's start, by the clock.
    pub phases: Vec<(&'static str, Summary)>,
}

impl Figures {
    fn of(starts: &[Took]) -> Result<Self, BenchFailure> {
        let summary = |figure: fn(&Took) -> Duration| {
            Summary::of(starts.iter().map(|took| figure(took).as_secs_f64() * 1e3))
                .ok_or_else(|| failed("took no figure".to_owned()))
        };
        let count = StartPhases::default().labelled().len();
        let phases = (0..count).filter_map(|at| {
            let figures = starts.iter().map(|took| took.phases.labelled()[at].1);
            let summary =
                Summary::of(figures.map(|micros| Duration::from_micros(micros).as_secs_f64() * 1e3))?;
            Some((StartPhases::default().labelled()[at].0, summary))
        });
        Ok(Self {
            phases: phases.collect(),
            wall: summary(|took| took.wall)?,
            cpu: summary(|took| took.cpu)?,
            first_page: summary(|took| took.first_page)?,
        })
    }
}

/// What one start took.
#[derive(Debug, Clone, Copy)]
struct Took {
    wall: Duration,
    cpu: Duration,
    first_page: Duration,
    phases: StartPhases,
}

#[derive(Debug, Serialize)]
struct Report {
    bench: &'static str,
    machine: Machine,
    starts: Vec<StartResult>,
}

/// Measures and shows the table; the report goes below `.cache/bench`.
///
/// # Errors
///
/// When a renderer does not become ready, or the cache does not do what it is for.
pub fn run(workspace: &Workspace, options: &StartOptions) -> Result<(), BenchFailure> {
    let reports = workspace.root.join(".cache/bench");
    let program = workspace.release_binary("renderer-pool");
    let mut starts = Vec::new();
    for app in selection::apps(workspace, &options.apps)? {
        for (name, place) in
            BUILDS.into_iter().filter(|(name, _)| options.builds.iter().any(|build| build == name))
        {
            let dist = app.directory.join(place);
            if dist.join("server/server.js").is_file() {
                let build = format!("{} {name}", app.name);
                starts.extend(measure(&program, &build, &dist, &reports, options)?);
            }
        }
    }
    progress::say(&format!("\n{}\n\n{}\n", table::render_starts(&starts), table::render_phases(&starts)));
    let report = Report { bench: "start", machine: Machine::describe(workspace, Cores::allowed()?), starts };
    progress::say(&format!("report: {}", report::write(&reports, report.bench, &report)?.display()));
    Ok(())
}

/// All ways to start one build, in turn, so that what else the machine does meets all of them.
fn measure(
    program: &Path,
    build: &str,
    dist: &Path,
    scratch: &Path,
    options: &StartOptions,
) -> Result<Vec<StartResult>, BenchFailure> {
    let task = Task::start(build);
    let directory = CacheDirectory::below(scratch)?;
    let flags = &options.v8_flags;
    start(program, dist, &directory, Cache::Empty, flags, From::Nothing)?;
    let kinds = || [From::Nothing, From::Process, From::Blank].map(|from| (from, Vec::new()));
    let mut figures: Vec<_> = options.caches.iter().map(|cache| (*cache, kinds())).collect();
    for _ in 0..options.repeat.get() {
        for (cache, kinds) in &mut figures {
            for (from, took) in kinds {
                took.push(start(program, dist, &directory, *cache, flags, *from)?);
            }
        }
    }
    task.done();
    figures
        .into_iter()
        .map(|(cache, [(_, process), (_, told), (_, spare)])| {
            let build = build.to_owned();
            let (process, told, spare) = (Figures::of(&process)?, Figures::of(&told)?, Figures::of(&spare)?);
            Ok(StartResult { build, cache, process, told, spare })
        })
        .collect()
}

/// One start.
fn start(
    program: &Path,
    dist: &Path,
    directory: &CacheDirectory,
    cache: Cache,
    v8_flags: &[String],
    from: From,
) -> Result<Took, BenchFailure> {
    if cache == Cache::Empty {
        directory.empty()?;
    }
    let mut begin = Instant::now();
    let mut process = Process::spawn(program, None)?;
    let mut used_before = Duration::ZERO;
    let cached = (cache != Cache::Off).then_some(directory.path.as_path());
    if from == From::Blank {
        process.prepare(dist, cached, v8_flags.to_vec())?;
    }
    if from != From::Nothing {
        used_before = settle(process.pid())?;
        begin = Instant::now();
    }
    let (code, phases) = match from {
        From::Blank => process.load_prepared()?,
        From::Nothing | From::Process => process.load(dist, cached, v8_flags.to_vec())?,
    };
    let wall = begin.elapsed();
    let cpu = process_tree::precise_cpu_time(process.pid())?.saturating_sub(used_before);
    let is_right = match cache {
        Cache::Off => code.cached + code.compiled == 0,
        Cache::Empty => code.cached == 0 && code.compiled > 0,
        Cache::Full => code.cached > 0 && code.compiled == 0,
    };
    if !is_right {
        return Err(failed(format!("used the cache otherwise than meant: {code:?}")));
    }
    let mut renderer = Renderer::of(process)?;
    let asked = Instant::now();
    let bytes = renderer.render(&FIRST_PAGE, 1)?;
    let first_page = asked.elapsed();
    if bytes < LEAST_BYTES {
        return Err(failed(format!("answered its first request with {bytes} bytes")));
    }
    Ok(Took { wall, cpu, first_page, phases })
}

/// Waits until a process does nothing any more; returns the CPU time that it has used.
fn settle(pid: u32) -> Result<Duration, BenchFailure> {
    let mut before = process_tree::precise_cpu_time(pid)?;
    loop {
        std::thread::sleep(SETTLED);
        let now = process_tree::precise_cpu_time(pid)?;
        if now == before && !now.is_zero() {
            return Ok(now);
        }
        before = now;
    }
}

/// A directory of this bench's own, gone when it is dropped.
#[derive(Debug)]
struct CacheDirectory {
    path: PathBuf,
}

impl CacheDirectory {
    fn below(parent: &Path) -> Result<Self, BenchFailure> {
        let directory = Self { path: parent.join(format!("code-{}", std::process::id())) };
        directory.empty()?;
        Ok(directory)
    }

    fn empty(&self) -> Result<(), BenchFailure> {
        let told = |error: std::io::Error| failed(format!("cannot use {}: {error}", self.path.display()));
        if self.path.exists() {
            std::fs::remove_dir_all(&self.path).map_err(told)?;
        }
        std::fs::create_dir_all(&self.path).map_err(told)
    }
}

impl Drop for CacheDirectory {
    fn drop(&mut self) {
        // It lies below the git-ignored cache in any case.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn failed(problem: String) -> BenchFailure {
    BenchFailure::Render { who: "isopod", problem }
}
