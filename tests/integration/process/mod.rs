//! The real program in a process of its own: what a crash and a stop leave behind.

mod crash;
