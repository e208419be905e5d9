//! The sockets behind an address that dropshot listens at: it gives neither its
//! listener away nor the connections that it accepts. On Linux they are among
//! the open files of the process, and known by their own address.
//!
//! What is given out is a descriptor of its own for the same socket. So whatever
//! becomes of dropshot's meanwhile, nobody acts on a stranger that has got its
//! number.

use std::{io, net::SocketAddr};

use socket2::Socket;

/// Every open socket of this process whose own address is `at`: the listener,
/// and what it has accepted.
#[cfg(target_os = "linux")]
pub(super) fn at(at: SocketAddr) -> io::Result<Vec<Socket>> {
    use std::{
        fs,
        os::fd::{AsFd, BorrowedFd},
    };

    let is_there = |socket: &socket2::SockRef<'_>| {
        let own = socket.local_addr().ok().and_then(|address| address.as_socket());
        own.is_some_and(|own| own.port() == at.port() && (own.ip() == at.ip() || at.ip().is_unspecified()))
    };
    let mut sockets = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(fd) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // SAFETY: it is asked for its address, which files that are no sockets
        // refuse, and copied. If another thread closes it meanwhile, the system
        // says so; nothing is read, written or closed through it.
        #[expect(unsafe_code, reason = "dropshot does not give its sockets away")]
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        if !is_there(&socket2::SockRef::from(&borrowed)) {
            continue;
        }
        // It may have been closed and its number given to another since then.
        let Ok(socket) = borrowed.as_fd().try_clone_to_owned().map(Socket::from) else { continue };
        if is_there(&socket2::SockRef::from(&socket)) {
            sockets.push(socket);
        }
    }
    Ok(sockets)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn at(_: SocketAddr) -> io::Result<Vec<Socket>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "known for Linux only"))
}
