//! What the coordinator does about services that fail: one mechanism a purpose.
//!
//! | mechanism | question that it answers | users |
//! |---|---|---|
//! | [`Breaker`] | may this call be sent at all? | executors |
//! | [`CoolDown`] | is the pause since the last failure over? | node registry, policy point, artifact store, outbox pumps |
//! | [`Refreshed`] | what is the current value, and who fetches the next one? | signing keys, outbound tokens |
//! | [`ServiceWatch`] | does it answer, and since when not? | executors, node registry, policy point, token service, stores |
//! | [`KeyedLocks`] | whose turn is it, of those that want the same? | commands on a run, questions about a node type |
//!
//! The pause between two attempts is `time::backoff`; the time limit of a call
//! is `clients::CallTimeout`, which knows how a call reports that it ran out.
//!
//! **Invariants.** Nothing here reads a clock of its own: a [`Breaker`] and a
//! [`CoolDown`] are plain values whose methods take `now`, as those of a
//! [`ServiceWatch`] do, and [`Refreshed`] is given its clock. Nothing here knows what
//! it protects.

mod breaker;
mod cool_down;
mod locks;
mod refreshed;
mod watch;

pub use breaker::{Breaker, CallHealth, FAILURES};
pub use cool_down::CoolDown;
pub use locks::{Held, KeyedLocks};
pub use refreshed::{Fetched, Pauses, RefreshOptions, Refreshed, Source, Status};
pub use watch::{ServiceOutage, ServiceWatch};
