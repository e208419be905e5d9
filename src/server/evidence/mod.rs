//! Evidence: everything that is recorded about a run, in one file that shows
//! whether anything in it is missing or was changed.
//!
//! ```text
//!   journal ──▶ BundleWriter ──▶ header · run · nodes · events · attempts · audit · footer
//!                                  └── each line has the hash of itself and of the line before it
//!   file ──▶ verify ──▶ Summary, with the hash of the last line │ Fault, with its line
//!   two files ──▶ diff ──▶ where the runs parted
//! ```
//!
//! - `bundle`: the lines of a file, and the chain of their hashes.
//! - `verify`: reads a file, and checks the chain and that the records fit together.
//! - `diff`: compares two runs node by node.
//!
//! **Architecture invariants.** Pure but for the reader and the writer that are
//! passed in. A bundle contains no secret of the coordinator. The chain proves that a
//! file is whole and unchanged to those who know the hash of its last line from
//! elsewhere: without that, it could be written again from the start.

mod bundle;
mod diff;
#[cfg(test)]
mod tests;
mod verify;

pub use self::{
    bundle::{BundleWriter, Footer, Header, Line, NodeLine, Part, RunLine},
    diff::{Difference, diff},
    verify::{Bundle, Fault, Summary, read},
};
