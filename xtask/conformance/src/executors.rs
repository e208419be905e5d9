//! The suite's executors. The inputs of a node choose the behaviour, by the name of
//! a [`Behaviour`] in the member [`DO`]. Atomic and composite nodes come to one
//! address, which the coordinator under test must know as its executors.
//!
//! Without the member an atomic node succeeds, and a composite is accepted and
//! left to the check.

use std::{io, net::SocketAddr};

use scripted_executor::{Behaviour, Call, Executors};
use serde_json::{Value, json};

/// The member of a node's inputs that names the behaviour.
pub const DO: &str = "conformance";

/// Inputs that ask for a behaviour.
pub fn inputs(behaviour: Behaviour) -> Value {
    json!({ DO: behaviour.name() })
}

pub fn listen(address: SocketAddr) -> io::Result<Executors> {
    Executors::listen(address, |call| Some(asked_for(call)))
}

fn asked_for(call: &Call) -> Behaviour {
    let by_default = if call.path.ends_with(":begin") { Behaviour::Accept } else { Behaviour::Echo };
    call.body["inputs"][DO].as_str().and_then(Behaviour::named).unwrap_or(by_default)
}
