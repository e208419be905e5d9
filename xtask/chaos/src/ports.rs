//! Ports that stay free for us while no server listens there.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Result, bail};

use scripted_executor::Chance;

/// Below the ephemeral ports: a connection must not get the port of a server that
/// is being restarted.
const FIRST: u64 = 20_000;
const LAST: u64 = 32_000;
const TRIES: u32 = 200;

pub(super) struct Ports {
    chance: Chance,
}

impl Ports {
    /// Two instances on one machine try the ports in different orders.
    pub(super) fn new() -> Self {
        Self { chance: Chance::of_party(u64::from(std::process::id()), "ports") }
    }

    /// A loopback address that is not in use.
    pub(super) fn free(&mut self) -> Result<SocketAddr> {
        for _ in 0..TRIES {
            let port = FIRST + self.chance.below(LAST - FIRST);
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port)?));
            if TcpListener::bind(address).is_ok() {
                return Ok(address);
            }
        }
        bail!("no free port between {FIRST} and {LAST}")
    }
}
