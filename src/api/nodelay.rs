//! `TCP_NODELAY` for a listener that somebody else made.
//!
//! Dropshot never sets it. Without it, the second small piece of an answer
//! waits for the first to be acknowledged, which the other side puts off for 40
//! ms: every line of an event stream would. On Linux, connections inherit
//! the option from their listener; dropshot does not give its listener away,
//! so it is found by its address.

#[cfg(target_os = "linux")]
pub(super) fn set(listening_at: std::net::SocketAddr) -> std::io::Result<()> {
    use std::{fs, io, os::fd::BorrowedFd};

    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(fd) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        let is_socket = |target: std::path::PathBuf| target.to_string_lossy().starts_with("socket:");
        if !fs::read_link(format!("/proc/self/fd/{fd}")).is_ok_and(is_socket) {
            continue;
        }
        // SAFETY: it is only asked what it is, and used further if it is our
        // listener, which the caller keeps open. If another thread closes it
        // between listing and asking, the system says so; nothing is read,
        // written or closed through it.
        #[expect(unsafe_code, reason = "dropshot does not give its listener away")]
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        let socket = socket2::SockRef::from(&borrowed);
        let address = socket.local_addr().ok().and_then(|address| address.as_socket());
        if address == Some(listening_at) && socket.is_listener().unwrap_or(false) {
            return socket.set_tcp_nodelay(true);
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "the listener was not found"))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn set(_: std::net::SocketAddr) -> std::io::Result<()> {
    Err(std::io::Error::new(std::io::ErrorKind::Unsupported, "known for Linux only"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn connections_of_the_listener_do_not_delay() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("its address");
        super::set(address).expect("it is found");
        let _client = TcpStream::connect(address).expect("a connection");
        let (accepted, _) = listener.accept().expect("the other end");
        assert!(accepted.nodelay().expect("the option"));
    }
}
