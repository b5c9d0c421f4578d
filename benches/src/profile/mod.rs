//! Where the time goes: flame graphs of gateway and renderer under load, and of the JavaScript.
//!
//! perf samples the native stacks by the clock of the CPU, which virtual machines have too. V8 samples the JavaScript
//! itself, through the admin port.
//!
//! - [`stacks`]: samples folded. [`flame`]: the picture.

mod flame;
mod stacks;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use xtask::error::Failure;
use xtask::files;
use xtask::progress::{self, Task};
use xtask::run;
use xtask::tools;
use xtask::workspace::Workspace;

use crate::cli::ProfileOptions;
use crate::contestants::Contestant;
use crate::error::BenchFailure;
use crate::machine::Cores;
use crate::process_tree;
use crate::scenarios;
use crate::selection;
use crate::wrk::Wrk;
use stacks::Stacks;

/// Samples per second of perf's: no divisor of what timers do.
const FREQUENCY: &str = "499";

/// How much of a stack perf copies for each sample, bytes.
const CALL_GRAPH: &str = "dwarf,16384";

/// How many functions are named in the terminal.
const NAMED: usize = 12;

/// How long the load runs before samples are taken, and after.
const MARGIN: Duration = Duration::from_secs(3);

/// Takes the profiles and writes them below `.cache/bench`.
///
/// # Errors
///
/// When the server does not start, or a profile cannot be taken.
pub fn run(workspace: &Workspace, options: &ProfileOptions) -> Result<(), BenchFailure> {
    tools::require_taskset()?;
    tools::require_wrk()?;
    tools::require_perf()?;
    let cores = Cores::allowed()?;
    let app = &selection::app(workspace, &options.app)?;
    let cache = workspace.root.join(".cache/bench");
    let started = Contestant::start_for_profile(workspace, app, cores.server)?;
    let admin = started.server.admin().ok_or_else(|| failed("the gateway names no admin port".to_owned()))?;
    let address = started.server.address().to_owned();
    let script = scenarios::load_script(&options.scenario, app, &address, &cache)?;
    let wrk = Wrk::on(cores.load);
    let time = Duration::from_secs(options.seconds);
    let load = Running::start(wrk.mix(&script, &address, 2 * time + 4 * MARGIN, 32))?;
    std::thread::sleep(MARGIN);

    let pids = process_tree::pids(started.server.pid())?;
    let renderer = pids.iter().find(|pid| is_named(**pid, "renderer"));
    let renderer = *renderer.ok_or_else(|| failed("there is no renderer".to_owned()))?;
    let processes = [("gateway", started.server.pid()), ("renderer", renderer)];
    let task = Task::start("native stacks");
    for (name, stacks) in native(&cache, processes, time)? {
        show(&cache, name, &stacks)?;
    }
    task.done();
    let task = Task::start("JavaScript");
    let profile = javascript(admin, options.seconds)?;
    files::write(&cache.join("javascript.cpuprofile"), &profile)?;
    let stacks = Stacks::of_v8(&profile).map_err(|error| failed(error.to_string()))?;
    show(&cache, "javascript", &stacks)?;
    task.done();
    drop(load);
    started.server.stop()?;
    Ok(())
}

fn is_named(pid: u32, start: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with(start))
}

/// The stacks of some processes over the same time.
fn native(
    cache: &Path,
    processes: [(&'static str, u32); 2],
    time: Duration,
) -> Result<Vec<(&'static str, Stacks)>, BenchFailure> {
    let mut recording = Vec::new();
    for (name, pid) in processes {
        let data = cache.join(format!("{name}.perf"));
        let mut perf = Command::new("perf");
        perf.args(["record", "--event", "cpu-clock", "--freq", FREQUENCY, "--call-graph", CALL_GRAPH]);
        perf.arg("--output").arg(&data).args(["--pid", &pid.to_string()]);
        perf.args(["--", "sleep", &time.as_secs().to_string()]);
        recording.push((name, data, Running::start(perf)?));
    }
    let mut found = Vec::new();
    for (name, data, mut perf) in recording {
        perf.wait()?;
        let mut script = Command::new("perf");
        // Inlined functions are part of those that hold them: to look each up takes minutes.
        script.args(["script", "--no-inline", "--fields", "comm,ip,sym", "--input"]).arg(&data);
        script.stderr(Stdio::null());
        let text = script.output().map_err(Failure::spawn(&script))?.stdout;
        let stacks = Stacks::of_perf(&String::from_utf8_lossy(&text));
        if stacks.total() == 0 {
            let allowed = "see that kernel.perf_event_paranoid allows perf to sample own processes";
            return Err(failed(format!("perf took no sample of the {name}; {allowed}")));
        }
        fs::remove_file(&data).map_err(Failure::file("remove", &data))?;
        found.push((name, stacks));
    }
    Ok(found)
}

fn javascript(admin: &str, seconds: u64) -> Result<String, BenchFailure> {
    let failure = |error: ureq::Error| failed(format!("of the JavaScript: {error}"));
    let url = format!("{admin}/debug/profile?isolate=0.0&seconds={seconds}");
    let mut response = ureq::post(url).send_empty().map_err(failure)?;
    response.body_mut().with_config().limit(256 << 20).read_to_string().map_err(failure)
}

/// Writes the picture and names the hottest functions.
fn show(cache: &Path, name: &str, stacks: &Stacks) -> Result<PathBuf, BenchFailure> {
    let path = cache.join(format!("flame-{name}.svg"));
    files::write(&path, &flame::svg(name, stacks))?;
    let hottest = stacks.hottest(NAMED).into_iter();
    let lines: Vec<String> =
        hottest.map(|(function, part)| format!("{:>6.1} % {function}", part * 100.0)).collect();
    progress::say(&format!(
        "\n{name}: where the time is spent itself\n{}\n{}",
        lines.join("\n"),
        path.display()
    ));
    Ok(path)
}

fn failed(problem: String) -> BenchFailure {
    BenchFailure::Profile { problem }
}

/// A program that runs beside; killed when dropped.
#[derive(Debug)]
struct Running {
    child: Child,
    described: String,
}

impl Running {
    fn start(mut command: Command) -> Result<Self, BenchFailure> {
        let described = run::describe(&command);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(Failure::spawn(&command))?;
        Ok(Self { child, described })
    }

    fn wait(&mut self) -> Result<(), BenchFailure> {
        let ended = self.child.wait().map_err(|error| failed(format!("{}: {error}", self.described)))?;
        if ended.success() { Ok(()) } else { Err(failed(format!("{} ended with {ended}", self.described))) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
