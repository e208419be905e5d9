//! Finds dropshot's sockets by their address. Dropshot exposes neither its
//! listener nor the connections that it accepts; on Linux they are among the
//! open files of the process.
//!
//! The descriptors returned are duplicates. So if dropshot closes its own and the
//! number is reused, no foreign socket is affected.

use std::{io, net::SocketAddr};

use socket2::Socket;

/// The open files of this process.
#[cfg(target_os = "linux")]
const FILES: &str = "/proc/self/fd";

/// In a bare chroot there is no `/proc`, and the error would not say what is missing.
#[cfg(target_os = "linux")]
fn without_proc(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot read {FILES}, is /proc mounted? {error}"))
}

/// Calls `visit` with every open socket of this process whose local address is
/// `at`: the listener and the connections that it accepted. One duplicate exists
/// at a time.
#[cfg(target_os = "linux")]
pub(super) fn each(at: SocketAddr, mut visit: impl FnMut(&Socket)) -> io::Result<()> {
    use std::{
        fs,
        os::fd::{AsFd, BorrowedFd},
    };

    let is_there = |socket: &socket2::SockRef<'_>| {
        let own = socket.local_addr().ok().and_then(|address| address.as_socket());
        own.is_some_and(|own| own.port() == at.port() && (own.ip() == at.ip() || at.ip().is_unspecified()))
    };
    for entry in fs::read_dir(FILES).map_err(|error| without_proc(&error))? {
        let name = entry?.file_name();
        let Some(fd) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // SAFETY: the descriptor is only asked for its address, which fails for
        // files that are not sockets, and duplicated. If another thread closes
        // it meanwhile, both calls fail; nothing is read, written or closed
        // through it.
        #[expect(unsafe_code, reason = "dropshot does not expose its sockets")]
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        if !is_there(&socket2::SockRef::from(&borrowed)) {
            continue;
        }
        // The number may have been reused since the first check.
        let Ok(socket) = borrowed.as_fd().try_clone_to_owned().map(Socket::from) else { continue };
        if is_there(&socket2::SockRef::from(&socket)) {
            visit(&socket);
        }
    }
    Ok(())
}

/// The number of open files of this process, if the system knows it: Linux does
/// since 6.2.
#[cfg(target_os = "linux")]
pub(super) fn open_files() -> io::Result<Option<usize>> {
    let files = std::fs::metadata(FILES).map_err(|error| without_proc(&error))?.len();
    Ok(usize::try_from(files).ok().filter(|files| *files > 0))
}

/// Counts the open files of this process.
#[cfg(target_os = "linux")]
pub(super) fn count_files() -> io::Result<usize> {
    Ok(std::fs::read_dir(FILES).map_err(|error| without_proc(&error))?.count())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn each(_: SocketAddr, _: impl FnMut(&Socket)) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "supported on Linux only"))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn open_files() -> io::Result<Option<usize>> {
    Ok(None)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn count_files() -> io::Result<usize> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "supported on Linux only"))
}
