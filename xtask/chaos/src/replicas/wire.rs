//! The network between a replica and the database: a relay on loopback for each host,
//! which can be cut.
//!
//! ```text
//!   replica ──▶ relay ──▶ host            open: bytes pass
//!   replica ──▶ relay │   host            cut:  connections stand, and nothing passes; what
//!                                               was under way arrives when it is whole again
//! ```
//!
//! So a COMMIT may reach the database long after its replica was declared dead.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use anyhow::{Context, Result};
use private_postgres::USER;

/// What is read at once.
const PIECE: usize = 64 << 10;

/// The relays of one replica, which end with the process.
pub(crate) struct Wire {
    gate: Arc<Gate>,
    ports: Vec<u16>,
}

#[derive(Default)]
struct Gate {
    is_cut: Mutex<bool>,
    whole: Condvar,
}

impl Gate {
    fn is_cut(&self) -> MutexGuard<'_, bool> {
        self.is_cut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self) {
        drop(self.whole.wait_while(self.is_cut(), |is_cut| *is_cut).unwrap_or_else(PoisonError::into_inner));
    }
}

impl Wire {
    /// To these hosts.
    pub(crate) fn to(hosts: &[u16]) -> Result<Self> {
        let gate = Arc::<Gate>::default();
        let relay = |host: &u16| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen for a replica")?;
            let (port, host) =
                (listener.local_addr()?.port(), SocketAddr::from((Ipv4Addr::LOCALHOST, *host)));
            let gate = Arc::clone(&gate);
            thread::Builder::new().name("relay".into()).spawn(move || accept(&listener, host, &gate))?;
            Ok(port)
        };
        let ports = hosts.iter().map(relay).collect::<Result<_>>()?;
        Ok(Self { gate, ports })
    }

    /// The URL of the database behind it.
    pub(crate) fn url(&self) -> String {
        let hosts: Vec<String> = self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("postgres://{USER}@{}/postgres", hosts.join(","))
    }

    pub(super) fn cut(&self) {
        *self.gate.is_cut() = true;
    }

    pub(super) fn mend(&self) {
        *self.gate.is_cut() = false;
        self.gate.whole.notify_all();
    }
}

/// Relays each connection, until the process ends.
fn accept(listener: &TcpListener, host: SocketAddr, gate: &Arc<Gate>) {
    for replica in listener.incoming().map_while(Result::ok) {
        let gate = Arc::clone(gate);
        let relay = move || {
            gate.wait();
            // Dropped, as a host without a server refuses it.
            let Ok(database) = TcpStream::connect(host) else { return };
            let Ok((to_database, to_replica)) = both(&database, &replica) else { return };
            let back = Arc::clone(&gate);
            let _other = thread::spawn(move || pass(database, to_replica, &back));
            pass(replica, to_database, &gate);
        };
        let _relay = thread::spawn(relay);
    }
}

fn both(database: &TcpStream, replica: &TcpStream) -> io::Result<(TcpStream, TcpStream)> {
    database.set_nodelay(true)?;
    replica.set_nodelay(true)?;
    Ok((database.try_clone()?, replica.try_clone()?))
}

/// Passes bytes on until one of the two ends the connection. The other hears of that, too,
/// only while the wire is whole.
fn pass(mut from: TcpStream, mut to: TcpStream, gate: &Gate) {
    let mut piece = vec![0; PIECE];
    loop {
        let read = from.read(&mut piece).unwrap_or(0);
        gate.wait();
        if read == 0 || to.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    let _closed = from.shutdown(Shutdown::Both);
    let _closed = to.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn cut_wire_delivers_when_it_is_whole_again() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let wire = Wire::to(&[server.local_addr().expect("bound").port()]).expect("a relay");
        let mut replica = TcpStream::connect((Ipv4Addr::LOCALHOST, wire.ports[0])).expect("connected");
        replica.write_all(b"one").expect("sent");
        let (mut database, _) = server.accept().expect("a connection");
        let mut heard = [0; 3];
        database.read_exact(&mut heard).expect("heard");
        assert_eq!(&heard, b"one");

        wire.cut();
        replica.write_all(b"two").expect("sent");
        database.set_read_timeout(Some(Duration::from_millis(200))).expect("set");
        assert!(database.read(&mut heard).is_err(), "nothing passes");
        wire.mend();
        database.set_read_timeout(None).expect("set");
        database.read_exact(&mut heard).expect("heard");
        assert_eq!(&heard, b"two");
        drop(database);
        assert_eq!(replica.read(&mut heard).expect("the end"), 0);
    }
}
