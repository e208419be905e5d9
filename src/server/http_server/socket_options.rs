//! Options of dropshot's listener, which its connections inherit on Linux. It is
//! found by its address (`sockets`).
//!
//! - `TCP_NODELAY`. Without it, a small write waits for the previous one to be
//!   acknowledged, which the peer delays by up to 40 ms; that would affect every
//!   line of an event stream.
//! - `TCP_USER_TIMEOUT`: the kernel gives up a peer that takes nothing of what was
//!   written to it for this time, be it gone or just not reading. What hyper has
//!   handed to the kernel cannot be watched otherwise.

use std::{io, net::SocketAddr, time::Duration};

use super::sockets;

pub(super) fn set(listening_at: SocketAddr, answer_timeout: Duration) -> io::Result<()> {
    let mut set = Err(io::Error::new(io::ErrorKind::NotFound, "the listener was not found"));
    sockets::each(listening_at, |socket| {
        if socket.is_listener().unwrap_or(false) {
            set = socket.set_tcp_nodelay(true).and_then(|()| set_user_timeout(socket, answer_timeout));
        }
    })?;
    set
}

#[cfg(target_os = "linux")]
fn set_user_timeout(socket: &socket2::Socket, timeout: Duration) -> io::Result<()> {
    // 24 days is the most, and 0 would be none.
    let timeout = timeout.clamp(Duration::from_millis(1), Duration::from_millis(i32::MAX as u64));
    socket.set_tcp_user_timeout(Some(timeout))
}

#[cfg(not(target_os = "linux"))]
fn set_user_timeout(_: &socket2::Socket, _: Duration) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        time::Duration,
    };

    #[test]
    fn accepted_connections_inherit_the_options() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("its address");
        super::set(address, Duration::from_secs(7)).expect("it is found");
        let _client = TcpStream::connect(address).expect("a connection");
        let (accepted, _) = listener.accept().expect("the other end");
        assert!(accepted.nodelay().expect("the option"));
        let accepted = socket2::SockRef::from(&accepted);
        assert_eq!(accepted.tcp_user_timeout().expect("the option"), Some(Duration::from_secs(7)));
    }
}
