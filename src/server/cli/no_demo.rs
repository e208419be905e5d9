//! Takes the place of `demo` in builds without the cargo feature of that name.

use super::exit::{Exit, Failure};
use crate::config::Flags;

pub(super) fn command(_keep: bool, _flags: &Flags) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Usage, "demo: not part of this build (cargo feature `demo`)"))
}
