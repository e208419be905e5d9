//! When requests arrived: in the order in which the kernel had them, not in
//! that in which our threads came to look at them.
//!
//! ```text
//!   kernel:   request arrives ─────┬────────── our thread reads it, some time later
//!   a client:                      │  gets an answer at T ──▶ mark(T)
//!                                  └──────────────────────────▶ the request arrived by T
//! ```
//!
//! A thread that reads a request may be late, by as much as the machine is busy:
//! its clock does not tell what came first, the request or an answer that
//! another thread got. A client that needs to know asks for a *mark*: every
//! request whose first byte is there at that moment, read or not, accepted or
//! not, is noted to have arrived by then. A request that is noted later has come
//! later.

use std::{
    io::{self, ErrorKind},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Instant,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    net::{RecvFlags, recv},
};

/// The requests of a group of servers.
#[derive(Default)]
pub struct Arrivals {
    doors: Mutex<Vec<Weak<Door>>>,
    connections: Mutex<Vec<Weak<Connection>>>,
}

/// Where connections are accepted.
pub(super) struct Door {
    /// Does not block; [`Door::wait`] does.
    listener: TcpListener,
    arrivals: Arc<Arrivals>,
    serve: Box<dyn Fn(Arc<Connection>) + Send + Sync>,
}

/// A connection, for one request.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    arrived: Mutex<Option<Instant>>,
}

impl Arrivals {
    /// Notes that all requests that are here arrived by `at`, which is now.
    pub fn mark(&self, at: Instant) {
        let doors: Vec<Arc<Door>> = lock(&self.doors).iter().filter_map(Weak::upgrade).collect();
        for door in doors {
            // A door that cannot accept has no connections to mark.
            let _ = door.accept_all();
        }
        let mut connections = lock(&self.connections);
        connections.retain(|connection| connection.strong_count() > 0);
        for connection in connections.iter().filter_map(Weak::upgrade) {
            if connection.has_bytes() {
                connection.note(at);
            }
        }
    }
}

impl Door {
    pub(super) fn open(
        listener: TcpListener,
        arrivals: &Arc<Arrivals>,
        serve: impl Fn(Arc<Connection>) + Send + Sync + 'static,
    ) -> io::Result<Arc<Self>> {
        listener.set_nonblocking(true)?;
        let door = Arc::new(Self { listener, arrivals: Arc::clone(arrivals), serve: Box::new(serve) });
        let mut doors = lock(&arrivals.doors);
        doors.retain(|door| door.strong_count() > 0);
        doors.push(Arc::downgrade(&door));
        Ok(door)
    }

    /// Waits until there is a connection.
    pub(super) fn wait(&self) -> io::Result<()> {
        poll(&mut [PollFd::new(&self.listener, PollFlags::IN)], None)?;
        Ok(())
    }

    /// Accepts all connections that are waiting.
    pub(super) fn accept_all(&self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The client went away before it was accepted.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(false)?;
            let connection = Arc::new(Connection { stream, arrived: Mutex::default() });
            lock(&self.arrivals.connections).push(Arc::downgrade(&connection));
            (self.serve)(connection);
        }
    }
}

impl Connection {
    /// Waits for the first byte of the request, and says when it arrived.
    /// Nothing may be read before.
    pub(super) fn arrived(&self) -> io::Result<Instant> {
        // The byte is not taken: a mark must find it as well.
        self.stream.peek(&mut [0])?;
        Ok(self.note(Instant::now()))
    }

    /// Only the first note counts.
    fn note(&self, at: Instant) -> Instant {
        *lock(&self.arrived).get_or_insert(at)
    }

    fn has_bytes(&self) -> bool {
        let looked = recv(&self.stream, &mut [0_u8], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        looked.is_ok_and(|(_, length)| length > 0)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{io::Write, sync::mpsc, time::Duration};

    use super::*;

    /// A connection that is not accepted before a mark is asked for.
    fn door(arrivals: &Arc<Arrivals>) -> (Arc<Door>, TcpStream, mpsc::Receiver<Arc<Connection>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (sender, connections) = mpsc::channel();
        let door = Door::open(listener, arrivals, move |connection| sender.send(connection).unwrap());
        (door.unwrap(), client, connections)
    }

    #[test]
    fn a_mark_notes_requests_that_no_thread_has_read() {
        let arrivals = Arc::new(Arrivals::default());
        let (_door, mut client, connections) = door(&arrivals);
        client.write_all(b"GET").unwrap();
        let mark = Instant::now();
        arrivals.mark(mark);
        let connection = connections.try_recv().expect("accepted");
        assert_eq!(connection.arrived().unwrap(), mark);
        arrivals.mark(mark + Duration::from_secs(1));
        assert_eq!(connection.arrived().unwrap(), mark, "the first time counts");
    }

    #[test]
    fn requests_after_a_mark_have_arrived_later() {
        let arrivals = Arc::new(Arrivals::default());
        let (_door, mut client, connections) = door(&arrivals);
        let mark = Instant::now();
        arrivals.mark(mark);
        client.write_all(b"GET").unwrap();
        let connection = connections.try_recv().expect("accepted");
        assert!(connection.arrived().unwrap() > mark);
    }
}
