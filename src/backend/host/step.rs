//! One action on the CPU: its buffers out of their slots, its operator over them, and back.

use super::{Buffer, Element, Host};
use crate::backend::{Action, Memory, Place};
use crate::num::Num;
use crate::op::{Grad, MAX_ARGS, Op, Shape, View};

pub(super) fn forward<T: Element>(op: &dyn Op, action: &Action, memory: &mut Memory<Host<T>>) {
    let Memory { parameters, states, slots, scratch, .. } = memory;
    let mut outs: [Buffer<T>; MAX_ARGS] = Default::default();
    for (out, &slot) in outs.iter_mut().zip(&action.outs) {
        *out = std::mem::take(&mut slots[slot]);
    }
    let mut saved = action.saved.map(|s| std::mem::take(&mut slots[s])).unwrap_or_default();
    {
        let args = views(action, slots, parameters, states);
        let mut out_slices = outs.each_mut().map(|out| &mut **out);
        let out_slices = &mut out_slices[..action.outs.len()];
        let scratch = &mut scratch[..action.scratch];
        T::forward(op, &args[..action.args.len()], out_slices, &mut saved, scratch);
    }
    for (out, &slot) in outs.into_iter().zip(&action.outs) {
        slots[slot] = out;
    }
    if let Some(slot) = action.saved {
        slots[slot] = saved;
    }
}

pub(super) fn vjp<T: Element>(op: &dyn Op, action: &Action, memory: &mut Memory<Host<T>>) {
    let Memory { parameters, states, slots, scratch, gradients, cleared } = memory;
    let mut taken: [Buffer<T>; MAX_ARGS] = Default::default();
    for (taken, place) in taken.iter_mut().zip(&action.dargs) {
        if let Place::Slot(slot) = place {
            *taken = std::mem::take(&mut slots[*slot]);
        }
    }
    {
        let mut slices = taken.each_mut().map(|taken| &mut **taken);
        if let Some(gradients) = gradients {
            lend_weights(&mut slices, &action.dargs, gradients);
        }
        let mut index = 0..;
        let mut dargs =
            slices.map(|slice| match action.fresh(index.next().unwrap_or(0), *cleared) {
                true => Grad::fresh(slice),
                false => Grad::onto(slice),
            });
        let args = views(action, slots, parameters, states);
        let saved = action.saved.map_or(&[][..], |slot| &slots[slot]);
        T::vjp(
            op,
            &args[..action.args.len()],
            &slots[action.outs[0]],
            saved,
            &mut dargs[..action.args.len()],
            &mut scratch[..action.scratch],
        );
    }
    for (taken, place) in taken.into_iter().zip(&action.dargs) {
        if let Place::Slot(slot) = place {
            slots[*slot] = taken;
        }
    }
}

/// Asks the second cache for the beginning of a buffer.
pub(super) fn fetch<T>(data: &[T]) {
    /// Bytes of a line, and lines that the cache can spare.
    const LINE: usize = 64;
    const LINES: usize = 1024;
    for line in data.chunks(LINE / size_of::<T>()).take(LINES) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a hint for an address that exists; it changes nothing.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = line;
    }
}

/// The arguments of an action. What a vjp does not read may be gone; its shape stays.
fn views<'a, T: Num>(
    action: &Action,
    slots: &'a [Buffer<T>],
    parameters: &'a [T],
    states: &'a [T],
) -> [View<'a, T>; MAX_ARGS] {
    std::array::from_fn(|i| match action.args.get(i) {
        None | Some(Place::Nowhere) => {
            View { shape: action.shapes.get(i).copied().unwrap_or(Shape::ABSENT), data: &[] }
        }
        Some(Place::Weight(range)) => View::new(action.shapes[i], &parameters[range.clone()]),
        Some(Place::State(range)) => View::new(action.shapes[i], &states[range.clone()]),
        Some(Place::Slot(slot)) => View::new(action.shapes[i], &slots[*slot]),
    })
}

/// Puts the ranges of the gradient vector into the slices that wait for them.
fn lend_weights<'a, T>(
    dargs: &mut [&'a mut [T]; MAX_ARGS],
    places: &[Place],
    mut gradients: &'a mut [T],
) {
    let mut at = 0;
    // Ranges are lent from the front, in ascending order.
    for _ in 0..places.len() {
        let next = (places.iter().enumerate())
            .filter_map(|(i, place)| match place {
                Place::Weight(range) if range.start >= at => Some((range.clone(), i)),
                _ => None,
            })
            .min_by_key(|(range, _)| range.start);
        let Some((range, i)) = next else { return };
        let (_, rest) = gradients.split_at_mut(range.start - at);
        let (lent, rest) = rest.split_at_mut(range.len());
        dargs[i] = lent;
        gradients = rest;
        at = range.end;
    }
}
