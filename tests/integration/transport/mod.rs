//! Certificates and keys: HTTPS in, and out to services that demand a certificate.

mod calls;
mod commands;
mod handshakes;
mod listener;
