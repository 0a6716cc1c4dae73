//! Servers in this process, from their start to their end: sockets, TLS, settings that change, shutdown.

mod lifetime;
mod listen;
mod reload;
mod started;
mod tls;
