//! Raw system calls under the sandbox of the running kernel. Rules hold for a thread and what it starts: each test
//! locks a thread of its own in.

use std::fs;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use libc::{c_int, c_long};

use super::*;

/// Runs `body` on a thread that is locked in, and checks that every layer is in force.
fn locked_in<T: Send>(needs: &Needs, body: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let layers = enter(SandboxMode::Required, needs).unwrap();
            assert!(layers.no_new_privs && layers.capabilities && layers.seccomp, "{layers:?}");
            assert!(layers.landlock_abi > 0 && layers.problems.is_empty(), "{layers:?}");
            body()
        });
        thread.join().unwrap()
    })
}

fn with_network() -> Needs {
    Needs { network: true, ..Needs::default() }
}

/// The error number of a system call with these arguments; 0 when it succeeds.
fn errno_of(call: c_long, arguments: &[c_long]) -> c_int {
    let argument = |index: usize| arguments.get(index).copied().unwrap_or(0);
    // SAFETY: the calls of these tests take numbers, null pointers, or pointers to values that live on.
    let returned = unsafe {
        libc::syscall(call, argument(0), argument(1), argument(2), argument(3), argument(4), argument(5))
    };
    if returned == -1 { io::Error::last_os_error().raw_os_error().unwrap() } else { 0 }
}

fn errno_of_io<T>(result: io::Result<T>) -> c_int {
    result.map_or_else(|error| error.raw_os_error().unwrap(), |_| 0)
}

#[test]
fn no_program_is_started_and_no_process_made() {
    let shell = c"/bin/sh";
    let nothing: [*const libc::c_char; 1] = [std::ptr::null()];
    let (shell, nothing) = (shell.as_ptr() as c_long, nothing.as_ptr() as c_long);
    locked_in(&with_network(), move || {
        assert_eq!(errno_of(libc::SYS_execve, &[shell, nothing, nothing]), libc::EPERM);
        assert_eq!(
            errno_of(libc::SYS_execveat, &[c_long::from(libc::AT_FDCWD), shell, nothing, nothing]),
            libc::EPERM
        );
        assert_eq!(errno_of(libc::SYS_clone, &[c_long::from(libc::SIGCHLD)]), libc::EPERM);
        assert_eq!(errno_of(libc::SYS_clone3, &[]), libc::ENOSYS, "libraries take the other way");
        #[cfg(target_arch = "x86_64")]
        assert_eq!(
            (errno_of(libc::SYS_fork, &[]), errno_of(libc::SYS_vfork, &[])),
            (libc::EPERM, libc::EPERM)
        );
        let started = std::process::Command::new("/bin/true").status();
        assert_eq!(started.unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7, "threads are");
    });
}

#[test]
fn other_processes_are_out_of_reach() {
    let parent = c_long::from(nix::unistd::getppid().as_raw());
    let own = c_long::from(std::process::id());
    locked_in(&with_network(), move || {
        for call in [libc::SYS_kill, libc::SYS_tkill, libc::SYS_pidfd_open] {
            assert_eq!(errno_of(call, &[parent, 0]), libc::EPERM, "{call}");
        }
        assert_eq!(errno_of(libc::SYS_tgkill, &[parent, parent, 0]), libc::EPERM);
        assert_eq!(errno_of(libc::SYS_kill, &[-1, 0]), libc::EPERM, "all processes");
        assert_eq!(errno_of(libc::SYS_kill, &[0, 0]), libc::EPERM, "its group");
        assert_eq!(errno_of(libc::SYS_kill, &[own, 0]), 0, "itself");
        assert_eq!(errno_of(libc::SYS_ptrace, &[c_long::from(libc::PTRACE_ATTACH), parent]), libc::EPERM);
        assert_eq!(errno_of(libc::SYS_process_vm_readv, &[parent]), libc::EPERM);
        assert_eq!(errno_of(libc::SYS_process_vm_writev, &[parent]), libc::EPERM);
        assert_eq!(errno_of(libc::SYS_prlimit64, &[parent, 0]), libc::EPERM);
        assert_eq!(errno_of(libc::SYS_prlimit64, &[0, 0]), 0);
        // The kernel would send the signal in its name.
        for command in [libc::F_SETOWN, 10, 15] {
            assert_eq!(
                errno_of(libc::SYS_fcntl, &[2, c_long::from(command), parent]),
                libc::EPERM,
                "{command}"
            );
        }
        for file in ["environ", "mem", "maps", "cmdline"] {
            let opened = fs::File::open(format!("/proc/{parent}/{file}"));
            assert_eq!(opened.unwrap_err().raw_os_error(), Some(libc::EACCES), "{file}");
        }
    });
}

#[test]
fn the_kernels_own_doors_are_shut() {
    locked_in(&with_network(), || {
        for call in [
            libc::SYS_bpf,
            libc::SYS_userfaultfd,
            libc::SYS_perf_event_open,
            libc::SYS_io_uring_setup,
            libc::SYS_io_uring_enter,
            libc::SYS_keyctl,
            libc::SYS_add_key,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_kexec_load,
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_pivot_root,
            libc::SYS_chroot,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_setuid,
            libc::SYS_capset,
            libc::SYS_memfd_create,
            libc::SYS_personality,
            libc::SYS_open_by_handle_at,
        ] {
            assert_eq!(errno_of(call, &[]), libc::EPERM, "{call}");
        }
        assert_eq!(errno_of(100_000, &[]), libc::ENOSYS, "what this kernel may have tomorrow");
        assert_eq!(
            errno_of(libc::SYS_ioctl, &[2, 0x5412, 0]),
            libc::EPERM,
            "typing into the terminal (TIOCSTI)"
        );
        assert_eq!(errno_of(libc::SYS_prctl, &[c_long::from(libc::PR_SET_DUMPABLE), 1]), libc::EPERM);
    });
}

fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    errno_of(libc::SYS_socket, &[domain.into(), kind.into(), protocol.into()])
}

#[test]
fn sockets_are_those_of_the_internet() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    locked_in(&with_network(), move || {
        TcpStream::connect(address).unwrap();
        for domain in [libc::AF_INET, libc::AF_INET6] {
            assert_eq!(socket(domain, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0), 0);
            assert_eq!(socket(domain, libc::SOCK_RAW | libc::SOCK_NONBLOCK, libc::IPPROTO_ICMP), libc::EPERM);
        }
        for domain in [libc::AF_UNIX, libc::AF_PACKET, libc::AF_VSOCK, libc::AF_ALG, libc::AF_BLUETOOTH] {
            assert_eq!(socket(domain, libc::SOCK_STREAM, 0), libc::EPERM, "{domain}");
        }
        assert_eq!(
            socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE),
            0,
            "the machine's addresses"
        );
        assert_eq!(socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT), libc::EPERM);
        UnixStream::pair().unwrap();
        assert!(std::net::ToSocketAddrs::to_socket_addrs("localhost:80").unwrap().next().is_some());
    });
    let unix = Needs { unix_sockets: true, ..Needs::default() };
    locked_in(&unix, || {
        assert_eq!(socket(libc::AF_UNIX, libc::SOCK_STREAM, 0), 0);
        assert_eq!(socket(libc::AF_INET, libc::SOCK_STREAM, 0), libc::EPERM);
    });
    locked_in(&Needs::default(), || {
        for domain in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK] {
            assert_eq!(socket(domain, libc::SOCK_STREAM, 0), libc::EPERM, "{domain}");
        }
    });
}

#[test]
fn ports_are_those_that_the_rules_name() {
    let [open, closed] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [open, closed] = [&open, &closed].map(|listener| listener.local_addr().unwrap());
    let bind = || errno_of_io(TcpListener::bind("127.0.0.1:0"));
    locked_in(&with_network(), || {
        TcpStream::connect(open).unwrap();
        assert_eq!(bind(), 0);
    });
    let ports = Ports { connect: None, listen: Some([].into()) };
    locked_in(&Needs { ports, ..with_network() }, || {
        TcpStream::connect(open).unwrap();
        assert_eq!(bind(), libc::EACCES);
    });
    let ports = Ports { connect: Some([open.port()].into()), listen: Some([0].into()) };
    locked_in(&Needs { ports, ..with_network() }, || {
        TcpStream::connect(open).unwrap();
        assert_eq!(errno_of_io(TcpStream::connect(closed)), libc::EACCES);
        assert_eq!(bind(), 0);
        assert_eq!(errno_of_io(TcpListener::bind(("127.0.0.1", 1))), libc::EACCES);
    });
}

#[test]
fn files_are_the_apps_alone() {
    let root = tempfile::tempdir().unwrap();
    let [app, scratch, other] = ["app", "scratch", "other"].map(|name| root.path().join(name));
    for directory in [&app, &scratch, &other] {
        fs::create_dir(directory).unwrap();
        fs::write(directory.join("file"), "text").unwrap();
    }
    std::os::unix::fs::symlink(other.join("file"), app.join("link")).unwrap();
    let needs = Needs { readable: vec![app.clone()], writable: vec![scratch.clone()], ..Needs::default() };
    locked_in(&needs, || {
        assert_eq!(fs::read_to_string(app.join("file")).unwrap(), "text");
        assert_eq!(fs::read_dir(&app).unwrap().count(), 2);
        assert_eq!(errno_of_io(fs::write(app.join("file"), "x")), libc::EACCES);
        assert_eq!(errno_of_io(fs::write(app.join("new"), "x")), libc::EACCES);
        assert_eq!(errno_of_io(fs::remove_file(app.join("file"))), libc::EACCES);
        assert_eq!(errno_of_io(fs::read(app.join("link"))), libc::EACCES, "links lead nowhere else");
        for path in [other.join("file").as_path(), Path::new("/etc/passwd"), Path::new("/etc/shadow")] {
            assert_eq!(errno_of_io(fs::read(path)), libc::EACCES, "{}", path.display());
        }
        assert_eq!(errno_of_io(fs::read_dir(root.path())), libc::EACCES);
        // It does as it likes in its own directory, and takes nothing in or out.
        fs::create_dir(scratch.join("a")).unwrap();
        fs::write(scratch.join("a/file"), "x").unwrap();
        fs::rename(scratch.join("a/file"), scratch.join("b")).unwrap();
        fs::remove_dir(scratch.join("a")).unwrap();
        fs::hard_link(other.join("file"), scratch.join("stolen")).unwrap_err();
        fs::rename(scratch.join("b"), other.join("b")).unwrap_err();
    });
    assert_eq!(fs::read_to_string(other.join("file")).unwrap(), "text");
}

#[test]
fn libraries_find_what_they_need() {
    let root = tempfile::tempdir().unwrap();
    let needs = Needs { writable: vec![root.path().to_owned()], ..with_network() };
    locked_in(&needs, || {
        for path in ["/proc/self/status", "/proc/self/maps", "/proc/meminfo", "/proc/stat", "/dev/urandom"] {
            fs::File::open(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        fs::File::options().write(true).open("/dev/null").unwrap().write_all(b"x").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            tokio::fs::write(root.path().join("x"), "x").await.unwrap();
            tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        });
        assert!(std::thread::available_parallelism().unwrap().get() >= 1);
    });
}

#[test]
fn nothing_is_locked_where_it_is_turned_off() {
    std::thread::spawn(|| {
        assert_eq!(enter(SandboxMode::Off, &Needs::default()).unwrap(), Layers::default());
        fs::read("/etc/passwd").unwrap();
    })
    .join()
    .unwrap();
}
