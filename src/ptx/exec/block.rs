//! A block: its warps, and which of them runs.

use super::super::fault::Step;
use super::super::options::Schedule;
use super::machine::Machine;
use super::step::Pause;
use super::warp::Warp;

/// A small generator for schedules (splitmix64).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below the one given.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

/// A random warp runs for fewer steps than this.
const LONGEST: u64 = 24;

/// Runs a block to its end. Trouble comes with the warp that ran into it.
pub(crate) fn run(
    machine: &mut Machine<'_>,
    warps: &mut [Warp],
    dice: &mut Dice,
) -> (usize, Step<()>) {
    let mut turn = 0;
    loop {
        let Some(next) = choose(machine.options.schedule, warps, turn, dice) else {
            if warps.iter().all(|warp| warp.alive == 0) {
                return (0, Ok(()));
            }
            let trouble = machine.deadlock(warps);
            return (0, Err(trouble));
        };
        turn = next + 1;
        let mut steps = match machine.options.schedule {
            Schedule::RoundRobin => 1,
            Schedule::Ascending | Schedule::Descending => u64::MAX,
            Schedule::Random(_) => 1 + dice.below(LONGEST),
        };
        while steps > 0 && warps[next].is_ready() {
            steps -= 1;
            match machine.step(&mut warps[next]) {
                Ok(Pause::None) => {}
                Ok(Pause::Arrival) => {
                    if let Err(trouble) = machine.settle(warps) {
                        return (next, Err(trouble));
                    }
                }
                Err(trouble) => return (next, Err(trouble)),
            }
        }
    }
}

/// The warp whose turn it is, if any can run.
fn choose(schedule: Schedule, warps: &[Warp], turn: usize, dice: &mut Dice) -> Option<usize> {
    let count = warps.len();
    let ready = |&index: &usize| warps[index].is_ready();
    match schedule {
        Schedule::RoundRobin => (turn..turn + count).map(|index| index % count).find(ready),
        Schedule::Ascending => (0..count).find(ready),
        Schedule::Descending => (0..count).rev().find(ready),
        Schedule::Random(_) => {
            let first = dice.below(count as u64) as usize;
            (first..first + count).map(|index| index % count).find(ready)
        }
    }
}
