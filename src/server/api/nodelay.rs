//! Sets `TCP_NODELAY` on dropshot's listener.
//!
//! Dropshot does not set it. Without it, a small write waits for the previous
//! one to be acknowledged, which the peer delays by up to 40 ms; that would
//! affect every line of an event stream. On Linux, connections inherit the
//! option from their listener, which is found by its address (`sockets`).

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
    fn accepted_connections_inherit_nodelay() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("its address");
        super::set(address).expect("it is found");
        let _client = TcpStream::connect(address).expect("a connection");
        let (accepted, _) = listener.accept().expect("the other end");
        assert!(accepted.nodelay().expect("the option"));
    }
}
