//! Verification of the run store: what goes in comes out, whatever happens.

mod concurrency;
mod damage;
mod kill;
mod places;
mod resume;
mod round_trip;
mod support;
mod versions;
mod volume;
