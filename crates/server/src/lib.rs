//! The VecDB server: gRPC and HTTP over one database.
//!
//! ```text
//! listen/   sockets, TLS, which protocol a request speaks, graceful shutdown
//! grpc/     the gRPC face                 \  translate a request, ask the gateway,
//! http/     the HTTP face and its document /  translate the answer
//! gateway/  every call on its way to the database: rights, queues, deadlines, memory, records
//! auth/     who is calling and what they may do
//! observe/  metrics, logs, traces
//! config/   settings from file, environment and flags
//! server/   all of these put together, from the start to the end of a process
//! ```
//! A face knows no rule and the gateway knows no protocol.

pub mod auth;
pub mod config;
pub mod gateway;
mod grpc;
mod http;
pub mod listen;
pub mod observe;
mod server;

pub use server::{Event, Server};
