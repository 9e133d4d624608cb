//! Any bytes, in any pieces: frames and messages are read or refused, and nothing worse.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plummet::gate::wire::{frame, message};
use plummet::gate::{Broken, Dtype, Tensor};

/// What is refused is refused as a protocol error with a name.
fn refused<T>(result: &Result<T, Broken>) {
    if let Err(broken) = result {
        assert!(matches!(broken, Broken::Protocol(said) if said.contains(": ")), "{broken:?}");
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&piece, bytes)) = bytes.split_first() else { return };
    let mut reader = frame::Reader::default();
    // A frame's file behind a magic and a length that are right, so that they need not be guessed.
    let whole = [&frame::MAGIC[..], &(bytes.len() as u64).to_le_bytes(), bytes].concat();
    let bytes = if piece < 128 { &whole } else { bytes };
    for bytes in bytes.chunks(usize::from(piece % 128) * 16 + 1) {
        reader.push(bytes);
        loop {
            let frame = reader.frame();
            refused(&frame);
            match frame {
                Err(_) => return,
                Ok(None) => break,
                Ok(Some(frame)) => {
                    refused(&message::introduction(&frame));
                    refused(&message::reply(frame.clone(), 7));
                    let request = message::request(frame.clone());
                    refused(&request);
                    // What was read is written and read again as the same.
                    let again = frame::encode(&frame.message, &frame.tensors);
                    let mut reader = frame::Reader::default();
                    reader.push(&again.expect("what was read can be written"));
                    let again = reader.frame().expect("it can be read").expect("it is whole");
                    assert_eq!(again.message, frame.message);
                    for (name, tensor) in &frame.tensors {
                        assert!(again.tensors[name].same_bits(tensor) || exceeds(tensor), "{name}");
                    }
                }
            }
        }
    }
});

/// Indices beyond 2⁵³ are no `f64`, and are not in the domain.
fn exceeds(tensor: &Tensor) -> bool {
    tensor.dtype == Dtype::I64 && tensor.values.iter().any(|value| value.abs() >= 2f64.powi(53))
}
