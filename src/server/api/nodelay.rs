//! `TCP_NODELAY` for a listener that somebody else made.
//!
//! Dropshot never sets it. Without it, the second small piece of an answer
//! waits for the first to be acknowledged, which the other side puts off for 40
//! ms: every line of an event stream would. On Linux, connections inherit
//! the option from their listener, which is found by its address (`sockets`).

use std::{io, net::SocketAddr};

use super::sockets;

pub(super) fn set(listening_at: SocketAddr) -> io::Result<()> {
    for socket in sockets::at(listening_at)? {
        if socket.is_listener().unwrap_or(false) {
            return socket.set_tcp_nodelay(true);
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "the listener was not found"))
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
