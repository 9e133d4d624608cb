//! Verification of the run store: what goes in comes out, whatever happens.

#[path = "store/concurrency.rs"]
mod concurrency;
#[path = "store/damage.rs"]
mod damage;
#[path = "store/kill.rs"]
mod kill;
#[path = "store/places.rs"]
mod places;
#[path = "store/resume.rs"]
mod resume;
#[path = "store/round_trip.rs"]
mod round_trip;
#[path = "store/support.rs"]
mod support;
#[path = "store/versions.rs"]
mod versions;
#[path = "store/volume.rs"]
mod volume;
