//! A training step is recorded once and then replayed: nothing else is asked of the machine, and the
//! bits are those of a step that was asked for call by call.

use std::sync::{Arc, Mutex};

use plummet::backend::device::{Device, Interpreted, Machine, Value};
use plummet::config::RunConfig;
use plummet::op::device::{Chip, Launch};
use plummet::probe::Probe;
use plummet::train::{Corpus, Trainer};

type Inner = <Interpreted as Machine>::Memory;

/// The interpreter, and the names of the calls that reached it.
#[derive(Debug, Clone, Default)]
struct Heard {
    inner: Interpreted,
    calls: Arc<Mutex<Vec<&'static str>>>,
}

impl Heard {
    fn call(&self, name: &'static str) -> &Interpreted {
        self.calls.lock().unwrap().push(name);
        &self.inner
    }
    fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

impl Machine for Heard {
    type Memory = Inner;
    type Recording = <Interpreted as Machine>::Recording;

    fn chip(&self) -> Chip {
        self.inner.chip()
    }
    fn name(&self) -> String {
        self.inner.name()
    }
    fn allocate(&self, bytes: usize, zeros: bool) -> Inner {
        self.call("allocate").allocate(bytes, zeros)
    }
    fn write(&self, to: &Inner, at: usize, bytes: &[u8]) {
        self.call("write").write(to, at, bytes);
    }
    fn read(&self, from: &Inner, at: usize, bytes: &mut [u8]) {
        self.call("read").read(from, at, bytes);
    }
    fn copy(&self, from: &Inner, from_at: usize, to: &Inner, to_at: usize, bytes: usize) {
        self.call("copy").copy(from, from_at, to, to_at, bytes);
    }
    fn launch(&self, ptx: &'static str, launch: &Launch, values: &[Value<Inner>]) {
        self.call("launch").launch(ptx, launch, values);
    }
    fn begin(&self) {
        self.call("begin").begin();
    }
    fn end(&self) -> Option<Self::Recording> {
        self.call("end").end()
    }
    fn replay(&self, recording: &Self::Recording) {
        self.call("replay").replay(recording);
    }
    fn timed(&self, work: &mut dyn FnMut()) -> f64 {
        self.inner.timed(work)
    }
    fn failure(&self) -> Option<String> {
        self.inner.failure()
    }
}

/// Rates, masks, batches and decays that differ from step to step.
const KINDS: [&[(&str, &str)]; 3] = [
    &[("clip", "0.5"), ("weight-decay", "0.1"), ("dropout", "0.2"), ("warmup", "3")],
    &[("norm", "batch_norm"), ("micro-batches", "2"), ("shards", "2"), ("batch", "4")],
    &[("optimizer", "sgd"), ("weight-decay", "0.1"), ("wiring", "rezero"), ("checkpoint", "1")],
];

fn trainer<M: Machine>(machine: M, fields: &[(&str, &str)]) -> Trainer<Device<M>> {
    let small = [("width", "8"), ("depth", "2"), ("heads", "2"), ("seq", "4"), ("batch", "2")];
    let config = RunConfig::from_settings(small.into_iter().chain(fields.iter().copied())).unwrap();
    let corpus = Arc::new(Corpus::load(&config).unwrap());
    Trainer::new(Device::new(machine), &config, corpus).unwrap()
}

#[test]
fn the_second_step_is_recorded_and_every_later_one_is_nothing_but_its_replay() {
    for fields in KINDS {
        let machine = Heard::default();
        let mut trainer = trainer(machine.clone(), fields);
        let mut step = || {
            machine.calls();
            trainer.advance(None);
            assert_eq!(trainer.failure(), None);
            machine.calls()
        };
        let of = |calls: &[&str], name: &str| calls.iter().filter(|call| **call == name).count();
        let (first, second, third, fourth) = (step(), step(), step(), step());
        assert!(of(&first, "launch") > 20 && of(&first, "begin") == 0, "{first:?}");
        let place = |name: &str| second.iter().position(|call| *call == name).unwrap();
        let recorded = &second[place("begin") + 1..place("end")];
        assert!(recorded.iter().all(|call| ["launch", "copy"].contains(call)), "{recorded:?}");
        for name in ["launch", "copy"] {
            assert_eq!(of(recorded, name), of(&first, name), "{name} under {fields:?}");
        }
        assert_eq!(of(&second, "replay"), 1);
        assert_eq!(third, fourth);
        assert_eq!(of(&third, "replay"), 1);
        let other = third.iter().find(|call| !["write", "replay", "read"].contains(call));
        assert_eq!(other, None, "{third:?}");
    }
}

#[test]
fn a_replayed_step_has_the_bits_of_one_that_was_asked_for() {
    for fields in KINDS {
        let mut replayed = trainer(Interpreted::default(), fields);
        // What a probe sees is asked for call by call.
        let mut asked = trainer(Interpreted::default(), fields);
        for step in 0..5 {
            let (here, there) =
                (replayed.advance(None), asked.advance(Some(&mut Probe::brief(step))));
            assert_eq!(here, there, "step {step} under {fields:?}");
            assert!(here.loss.is_finite());
        }
        assert!(replayed.snapshot() == asked.snapshot(), "{fields:?}");
        assert_eq!((replayed.failure(), asked.failure()), (None, None));
    }
}

#[test]
fn a_list_is_done_on_what_memory_holds_then_and_on_nothing_that_is_gone() {
    let machine = Interpreted::default();
    let (from, to) = (machine.allocate(4, true), machine.allocate(4, true));
    let read = |to: &Inner| {
        let mut bytes = [9; 4];
        machine.read(to, 0, &mut bytes);
        bytes
    };
    machine.begin();
    machine.copy(&from, 0, &to, 0, 4);
    let list = machine.end().unwrap();
    machine.write(&from, 0, &[1, 2, 3, 4]);
    assert_eq!(read(&to), [0; 4], "kept, and not done");
    machine.replay(&list);
    assert_eq!(read(&to), [1, 2, 3, 4]);
    drop(from);
    machine.replay(&list);
    assert!(machine.failure().is_some(), "copied from memory that was given back");
}

#[test]
fn what_a_list_must_not_hold_is_a_failure() {
    type Act<'a> = &'a dyn Fn(&Interpreted, &Inner);
    let cases: [(&str, Act); 3] = [
        ("writing", &|machine, memory| machine.write(memory, 0, &[0; 4])),
        ("reading", &|machine, memory| machine.read(memory, 0, &mut [0; 4])),
        ("allocating", &|machine, _| std::mem::forget(machine.allocate(4, false))),
    ];
    for (doing, act) in cases {
        let machine = Interpreted::default();
        let memory = machine.allocate(4, true);
        machine.begin();
        act(&machine, &memory);
        assert!(machine.end().is_none());
        assert_eq!(machine.failure(), Some(format!("{doing} while a list is kept")));
    }
}
