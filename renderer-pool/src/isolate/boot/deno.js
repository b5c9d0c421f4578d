// The host's namespace that Node's modules are written against: `internals.deno`, which the build script binds to
// the name `Deno` inside each of Deno's own scripts. Apps never see it: `typeof Deno` is "undefined" for them.
//
// Each member is loaded when it is first read.
import { core, internals } from "ext:core/mod.js";

const { loadExtScript } = core;

core.setBuildInfo(core.ops.op_isopod_target());
// Before anything enters a variable.
loadExtScript("ext:isopod/async_context.js");

const members = {
  "ext:deno_fs/30_fs.js": [
    "FsFile",
    "chdir",
    "chmod",
    "chmodSync",
    "chown",
    "chownSync",
    "copyFile",
    "copyFileSync",
    "cwd",
    "link",
    "linkSync",
    "lstat",
    "lstatSync",
    "makeTempDir",
    "makeTempDirSync",
    "mkdir",
    "mkdirSync",
    "open",
    "openSync",
    "readDir",
    "readDirSync",
    "readLink",
    "readLinkSync",
    "realPath",
    "realPathSync",
    "remove",
    "removeSync",
    "rename",
    "renameSync",
    "stat",
    "statSync",
    "symlink",
    "symlinkSync",
    "umask",
    "utime",
    "utimeSync",
  ],
  "ext:deno_os/30_os.js": [
    "gid",
    "hostname",
    "loadavg",
    "networkInterfaces",
    "osRelease",
    "osUptime",
    "systemMemoryInfo",
    "uid",
  ],
  "ext:deno_os/40_signals.js": ["addSignalListener", "removeSignalListener"],
  "ext:deno_net/01_net.js": ["connect", "listen", "resolveDns"],
  "ext:deno_net/02_tls.js": ["connectTls", "listenTls", "startTls"],
  "ext:deno_process/40_process.js": ["ChildProcess", "Command", "kill"],
  "ext:deno_web/01_console.js": ["inspect"],
  "ext:isopod/errors.js": ["errors"],
};

const deno = {
  args: [],
  build: core.build,
  // While the snapshot is made there is no environment; `start.js` sets the isolate's.
  env: { get: () => undefined, has: () => false, toObject: () => ({}) },
  execPath: () => "isopod",
  mainModule: undefined,
  noColor: true,
  version: { deno: "", typescript: "", v8: "" },

  get pid() {
    return core.ops.op_isopod_pid();
  },
  get ppid() {
    return core.ops.op_ppid();
  },
  exit(code) {
    const { currentJob } = loadExtScript("ext:isopod/async_context.js");
    core.ops.op_isopod_exit(Number(code) || 0, currentJob.get()?.key ?? 0);
    // Execution ends at the next turn of a loop.
    for (;;);
  },
  cpuUsage() {
    const usage = new Float64Array(2);
    core.ops.op_runtime_cpu_usage(usage);
    return { system: usage[0], user: usage[1] };
  },
  memoryUsage() {
    const usage = new Float64Array(4);
    core.ops.op_runtime_memory_usage(usage);
    return { rss: usage[0], heapTotal: usage[1], heapUsed: usage[2], external: usage[3] };
  },
  consoleSize() {
    return { columns: 80, rows: 24 };
  },
  watchFs() {
    throw new deno.errors.NotSupported("Files cannot be watched: the app's files do not change while it runs");
  },
};

for (const [script, names] of Object.entries(members)) {
  for (const name of names) {
    Object.defineProperty(deno, name, {
      get() {
        const value = loadExtScript(script)[name];
        Object.defineProperty(deno, name, { value, writable: true, configurable: true });
        return value;
      },
      configurable: true,
    });
  }
}

internals.deno = deno;
