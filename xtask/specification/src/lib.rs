//! The official specification of the ARP Standard ([`sdk`]), and OpenAPI
//! documents compared by what they mean ([`openapi`]).

pub mod openapi;
pub mod sdk;
