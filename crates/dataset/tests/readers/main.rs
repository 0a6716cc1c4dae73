//! The readers from outside: round trips, refusals, damaged files. One binary, one link.

mod damage;
mod files;
mod refusals;
mod round_trip;
