//! Addresses, taken before anything is started and opened once it can serve.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, Backlog, Shutdown, SockFlag, SockType, SockaddrStorage, bind, getsockname, listen,
    setsockopt, shutdown, socket, sockopt,
};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 4096;

/// An address that is ours. Until it is opened, clients are refused there rather than kept waiting.
#[derive(Debug)]
pub struct Bound {
    socket: OwnedFd,
    address: SocketAddr,
}

impl Bound {
    /// Takes the address; port 0 takes a free one.
    ///
    /// # Errors
    /// When somebody else has it, or this machine does not.
    pub fn to(address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(family, SockType::Stream, flags, None)?;
        // A restart does not wait for the last connections of the gateway before.
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
        bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
        let taken = getsockname::<SockaddrStorage>(socket.as_raw_fd())?;
        let v4 = taken.as_sockaddr_in().map(|taken| SocketAddr::V4((*taken).into()));
        let v6 = taken.as_sockaddr_in6().map(|taken| SocketAddr::V6((*taken).into()));
        Ok(Self { socket, address: v4.or(v6).unwrap_or(address) })
    }

    /// The address with its real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens the address: from now on clients connect.
    ///
    /// # Errors
    /// When somebody else has opened it meanwhile.
    pub fn open(self) -> io::Result<TcpListener> {
        listen(&self.socket, Backlog::new(BACKLOG)?)?;
        Ok(self.socket.into())
    }
}

/// Closes an address that somebody else serves.
#[derive(Debug)]
pub struct Closer(TcpListener);

impl Closer {
    /// Of this listener.
    ///
    /// # Errors
    /// When no file descriptor is left.
    pub fn of(listener: &TcpListener) -> io::Result<Self> {
        listener.try_clone().map(Self)
    }

    /// From now on clients are refused, whoever still holds the listener.
    pub fn close(self) {
        if let Err(error) = shutdown(self.0.as_raw_fd(), Shutdown::Both) {
            tracing::warn!(%error, "the public address cannot be closed ahead of its server");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn clients_are_refused_until_it_is_opened() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let bound = Bound::to(address.parse().unwrap()).unwrap();
            let address = bound.address();
            assert_ne!(address.port(), 0);
            assert!(TcpStream::connect(address).is_err());
            let _listener = bound.open().unwrap();
            assert!(TcpStream::connect(address).is_ok());
        }
    }

    #[test]
    fn a_closed_address_refuses_clients() {
        let listener = Bound::to("127.0.0.1:0".parse().unwrap()).unwrap().open().unwrap();
        Closer::of(&listener).unwrap().close();
        assert!(TcpStream::connect(listener.local_addr().unwrap()).is_err());
    }

    #[test]
    fn an_address_has_one_owner() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = Bound::to(listener.local_addr().unwrap()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
