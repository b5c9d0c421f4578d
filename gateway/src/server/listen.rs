//! Addresses, taken before anything is started and opened once it can serve.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, Backlog, Shutdown, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr, bind,
    getsockname, listen, setsockopt, shutdown, socket, sockopt,
};

use crate::config::value::Listen;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 4096;

/// An address that is ours. Until it is opened, clients are refused there rather than kept waiting.
#[derive(Debug)]
pub struct Bound {
    socket: OwnedFd,
    address: Listen,
}

/// An address that clients connect to.
#[derive(Debug)]
pub enum Listener {
    /// Over TCP.
    Tcp(TcpListener),
    /// Over a Unix socket.
    Unix(UnixListener),
}

impl Bound {
    /// Takes the address; port 0 takes a free one. A Unix socket that nobody serves any more is taken over. With
    /// `reuse_port`, others that want the same may take it as well.
    ///
    /// # Errors
    /// When somebody else has it, or this machine does not.
    pub fn to(address: &Listen, reuse_port: bool) -> io::Result<Self> {
        match address {
            Listen::Tcp(address) => Self::to_tcp(*address, reuse_port),
            Listen::Unix(path) => Self::to_unix(path),
        }
    }

    fn to_tcp(address: SocketAddr, reuse_port: bool) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let socket = open_socket(family)?;
        // A restart does not wait for the last connections of the gateway before.
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
        if reuse_port {
            setsockopt(&socket, sockopt::ReusePort, &true)?;
        }
        bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
        let taken = getsockname::<SockaddrStorage>(socket.as_raw_fd())?;
        let v4 = taken.as_sockaddr_in().map(|taken| SocketAddr::V4((*taken).into()));
        let v6 = taken.as_sockaddr_in6().map(|taken| SocketAddr::V6((*taken).into()));
        Ok(Self { socket, address: Listen::Tcp(v4.or(v6).unwrap_or(address)) })
    }

    fn to_unix(path: &Path) -> io::Result<Self> {
        let is_socket = path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
        if is_socket
            && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        {
            std::fs::remove_file(path)?;
        }
        let socket = open_socket(AddressFamily::Unix)?;
        let address = UnixAddr::new(path)?;
        debug_assert!(address.len() > 0, "a path is an address");
        bind(socket.as_raw_fd(), &address)?;
        Ok(Self { socket, address: Listen::Unix(path.to_owned()) })
    }

    /// The address with its real port.
    pub fn address(&self) -> &Listen {
        &self.address
    }

    /// Opens the address: from now on clients connect.
    ///
    /// # Errors
    /// When somebody else has opened it meanwhile.
    pub fn open(self) -> io::Result<Listener> {
        listen(&self.socket, Backlog::new(BACKLOG)?)?;
        Ok(match self.address {
            Listen::Tcp(_) => Listener::Tcp(self.socket.into()),
            Listen::Unix(_) => Listener::Unix(self.socket.into()),
        })
    }
}

fn open_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(family, SockType::Stream, flags, None)?)
}

/// Closes an address that somebody else serves.
pub struct Closer {
    socket: OwnedFd,
    /// The path of a Unix socket, which nobody can use any more.
    address: Listen,
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Closer {
    /// Of this listener, which has this address.
    ///
    /// # Errors
    /// When no file descriptor is left.
    pub fn of(listener: &Listener, address: Listen) -> io::Result<Self> {
        let socket = match listener {
            Listener::Tcp(listener) => listener.as_fd().try_clone_to_owned()?,
            Listener::Unix(listener) => listener.as_fd().try_clone_to_owned()?,
        };
        Ok(Self { socket, address })
    }

    /// From now on clients are refused, whoever still holds the listener.
    pub fn close(self) {
        if let Listen::Unix(path) = &self.address
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::warn!(%error, path = %path.display(), "the public socket cannot be removed");
        }
        if let Err(error) = shutdown(self.socket.as_raw_fd(), Shutdown::Both) {
            tracing::warn!(%error, "the public address cannot be closed ahead of its server");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn bound(address: &str) -> Bound {
        Bound::to(&Listen::Tcp(address.parse().unwrap()), false).unwrap()
    }

    fn tcp(address: &Listen) -> SocketAddr {
        let Listen::Tcp(address) = address else { panic!("{address} is no TCP address") };
        *address
    }

    #[test]
    fn clients_are_refused_until_it_is_opened() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let bound = bound(address);
            let address = tcp(bound.address());
            assert_ne!(address.port(), 0);
            assert!(TcpStream::connect(address).is_err());
            let _listener = bound.open().unwrap();
            assert!(TcpStream::connect(address).is_ok());
        }
    }

    #[test]
    fn a_closed_address_refuses_clients() {
        let bound = bound("127.0.0.1:0");
        let address = bound.address().clone();
        let listener = bound.open().unwrap();
        Closer::of(&listener, address.clone()).unwrap().close();
        assert!(TcpStream::connect(tcp(&address)).is_err());
    }

    #[test]
    fn an_address_has_one_owner_unless_it_is_shared() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = Bound::to(&Listen::Tcp(listener.local_addr().unwrap()), true).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let first = Bound::to(&Listen::Tcp("127.0.0.1:0".parse().unwrap()), true).unwrap();
        let address = first.address().clone();
        let _first = first.open().unwrap();
        assert!(Bound::to(&address, false).is_err());
        assert_eq!(Bound::to(&address, true).unwrap().address(), &address);
    }

    #[test]
    fn a_socket_that_nobody_serves_is_taken_over_and_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let address = Listen::Unix(dir.path().join("public.sock"));
        drop(Bound::to(&address, false).unwrap().open().unwrap());
        let listener = Bound::to(&address, false).unwrap().open().unwrap();
        assert_eq!(Bound::to(&address, false).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        Closer::of(&listener, address.clone()).unwrap().close();
        assert!(Bound::to(&address, false).is_ok(), "a closed one leaves nothing behind");
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(Bound::to(&Listen::Unix(file.clone()), false).is_err());
        assert!(file.exists(), "only sockets are taken over");
    }
}
