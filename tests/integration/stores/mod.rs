//! The outbox and the JARVIS stores (contract §14, §15).

mod faults;
