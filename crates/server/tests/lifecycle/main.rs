//! Servers in this process, from their start to their end: sockets, TLS, settings that change, shutdown.

mod damage;
mod disk;
mod http2;
mod lifetime;
mod listen;
mod misuse;
mod overload;
mod refused;
mod reload;
mod started;
mod tls;
mod tokens;
