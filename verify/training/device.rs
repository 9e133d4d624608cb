//! The trainer on a second device: a small one whose memory nobody but itself can reach, and which
//! writes down everything that it is asked for.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use plummet::backend::{
    Action, Backend, Element, Host, Memory, Pace, Place, Room, Rule, Stretch, Update, clip_factor,
    norm,
};
use plummet::config::RunConfig;
use plummet::op::{Grad, Op, Shape, View};
use plummet::probe::Probe;
use plummet::setting::Invalid;
use plummet::train::{Corpus, Stepped, Trainer};

#[derive(Debug, Clone, Default)]
struct Far(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    memory: Vec<Vec<f32>>,
    calls: Vec<String>,
    /// An operator that it cannot run.
    lacks: Option<&'static str>,
}

/// The number of a vector in the device's memory.
#[derive(Debug)]
struct Handle(usize);

impl Far {
    fn call(&self, what: String) -> std::sync::MutexGuard<'_, Inside> {
        let mut inside = self.0.lock().unwrap();
        inside.calls.push(what);
        inside
    }
    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().calls)
    }
}

impl Inside {
    fn args(&self, action: &Action, memory: &Memory<Far>) -> Vec<Vec<f32>> {
        let read = |place: &Place| match place {
            Place::Nowhere => Vec::new(),
            Place::Weight(range) => self.memory[memory.parameters.0][range.clone()].to_vec(),
            Place::State(range) => self.memory[memory.states.0][range.clone()].to_vec(),
            Place::Slot(slot) => self.memory[memory.slots[*slot].0].clone(),
        };
        action.args.iter().map(read).collect()
    }
}

fn views<'a>(action: &Action, args: &'a [Vec<f32>]) -> Vec<View<'a, f32>> {
    let shapes = action.shapes.iter().copied();
    shapes.zip(args).map(|(shape, data)| View { shape, data }).collect()
}

impl Backend for Far {
    type Number = f32;
    type Buffer = Handle;
    /// The norm, and whether it and the losses are finite.
    type Norm = (f64, bool);
    type Pace = Pace;
    type Recording = ();

    fn lanes(&self, _threads: usize) -> usize {
        1
    }
    fn runs(&self, op: &dyn Op) -> bool {
        self.0.lock().unwrap().lacks != Some(op.id())
    }
    fn room(&self, op: &dyn Op, shapes: &[Shape]) -> Room {
        let (saved, scratch) = (f32::saved(op, shapes), f32::scratch(op, shapes));
        Room { saved, scratch }
    }
    fn allocate(&self, lens: &[usize]) -> Vec<Handle> {
        let mut inside = self.call(format!("allocate {lens:?}"));
        let first = inside.memory.len();
        inside.memory.extend(lens.iter().map(|&len| vec![0.0; len]));
        (first..first + lens.len()).map(Handle).collect()
    }
    fn upload(&self, to: &mut Handle, range: Range<usize>, write: impl FnOnce(&mut [f32])) {
        // What is handed out is rubbish: nobody may rely on what the buffer held.
        let mut numbers = vec![f32::NAN; range.len()];
        write(&mut numbers);
        let mut inside = self.call(format!("upload {} {range:?}", to.0));
        inside.memory[to.0][range].copy_from_slice(&numbers);
    }
    fn download<'a>(&self, from: &'a Handle, range: Range<usize>) -> Cow<'a, [f32]> {
        let inside = self.call(format!("download {} {range:?}", from.0));
        Cow::Owned(inside.memory[from.0][range].to_vec())
    }
    fn copy(&self, from: &Handle, range: Range<usize>, to: &mut Handle, at: usize) {
        let mut inside = self.call(format!("copy {} {range:?} to {} {at}", from.0, to.0));
        let numbers = inside.memory[from.0][range].to_vec();
        inside.memory[to.0][at..at + numbers.len()].copy_from_slice(&numbers);
    }

    fn forward(&self, op: &dyn Op, action: &Action, memory: &mut Memory<Far>) {
        let mut inside = self.call(format!("forward {} {action:?}", op.id()));
        let args = inside.args(action, memory);
        let lens = action.outs.iter().map(|&slot| inside.memory[memory.slots[slot].0].len());
        let mut outs: Vec<Vec<f32>> = lens.map(|len| vec![f32::NAN; len]).collect();
        let saved = action.saved.map(|slot| memory.slots[slot].0);
        let mut kept = vec![f32::NAN; saved.map_or(0, |saved| inside.memory[saved].len())];
        let mut slices: Vec<&mut [f32]> = outs.iter_mut().map(|out| &mut out[..]).collect();
        let mut scratch = vec![f32::NAN; action.scratch];
        Element::forward(op, &views(action, &args), &mut slices, &mut kept, &mut scratch);
        for (out, &slot) in outs.into_iter().zip(&action.outs) {
            inside.memory[memory.slots[slot].0] = out;
        }
        if let Some(saved) = saved {
            inside.memory[saved] = kept;
        }
    }

    fn vjp(&self, op: &dyn Op, action: &Action, memory: &mut Memory<Far>) {
        let mut inside = self.call(format!("vjp {} {action:?}", op.id()));
        let args = inside.args(action, memory);
        let gradients = memory.gradients.as_ref().map(|gradients| gradients.0);
        let whole =
            |slot: usize| (memory.slots[slot].0, 0..inside.memory[memory.slots[slot].0].len());
        let places = action.dargs.iter().map(|place| match place {
            Place::Slot(slot) => Some(whole(*slot)),
            Place::Weight(range) => Some((gradients.unwrap(), range.clone())),
            _ => None,
        });
        let places: Vec<Option<(usize, Range<usize>)>> = places.collect();
        let dargs = places.iter().enumerate().map(|(i, place)| match place {
            Some((_, range)) if action.fresh(i, memory.cleared) => vec![f32::NAN; range.len()],
            Some((vector, range)) => inside.memory[*vector][range.clone()].to_vec(),
            None => Vec::new(),
        });
        let mut dargs: Vec<Vec<f32>> = dargs.collect();
        let grads = dargs.iter_mut().enumerate();
        let grads = grads.map(|(i, darg)| match action.fresh(i, memory.cleared) {
            true => Grad::fresh(darg),
            false => Grad::onto(darg),
        });
        let dy = inside.memory[memory.slots[action.outs[0]].0].clone();
        let saved = action.saved.map(|slot| inside.memory[memory.slots[slot].0].clone());
        Element::vjp(
            op,
            &views(action, &args),
            &dy,
            &saved.unwrap_or_default(),
            &mut grads.collect::<Vec<Grad>>(),
            &mut vec![f32::NAN; action.scratch],
        );
        for (place, darg) in places.into_iter().zip(dargs) {
            if let Some((vector, range)) = place {
                inside.memory[vector][range].copy_from_slice(&darg);
            }
        }
    }

    fn reduce(&self, gradients: &mut [Handle], losses: &[Handle], length: &mut (f64, bool)) {
        let mut inside = self.call(format!("reduce {gradients:?}"));
        for other in 1..gradients.len() {
            let other = inside.memory[gradients[other].0].clone();
            let sum = &mut inside.memory[gradients[0].0];
            sum.iter_mut().zip(other).for_each(|(sum, x)| *sum += x);
        }
        length.0 = norm(&inside.memory[gradients[0].0]);
        let mut losses = losses.iter().flat_map(|losses| &inside.memory[losses.0]);
        length.1 = length.0.is_finite() && losses.all(|loss| loss.is_finite());
    }
    fn read(&self, length: &(f64, bool)) -> f64 {
        drop(self.call("read".to_string()));
        length.0
    }

    fn set_pace(&self, to: &mut Pace, pace: Pace, _rule: &Rule, _stretches: &[Stretch]) {
        drop(self.call("set_pace".to_string()));
        *to = pace;
    }

    fn update(&self, update: Update<Far>) {
        let Update { parameters, gradient, m, v, .. } = update;
        let Pace { lr, step } = *update.pace;
        let mut inside = self.call(format!("update {} {} {}", parameters.0, gradient.0, m.0));
        let memory = &mut inside.memory;
        if !update.norm.1 {
            return;
        }
        let scale = clip_factor(update.norm.0, update.clip) as f32;
        for stretch in update.stretches {
            for i in stretch.range.clone() {
                let g = scale * memory[gradient.0][i];
                let (lr, factors) = (lr * stretch.factors.lr, stretch.factors);
                let keep = (1.0 - lr * factors.decay) as f32;
                let (before, after);
                match *update.rule {
                    Rule::Adamw { beta1, beta2, eps } => {
                        let [one, two] = [beta1, beta2].map(|beta| 1.0 - beta.powi(step as i32));
                        let (b1, b2) = (beta1 as f32, beta2 as f32);
                        let (c1, c2) = ((1.0 - beta1) as f32, (1.0 - beta2) as f32);
                        memory[m.0][i] = b1 * memory[m.0][i] + c1 * g;
                        memory[v.0][i] = b2 * memory[v.0][i] + c2 * (g * g);
                        let root = memory[v.0][i].sqrt() * (1.0 / two.sqrt()) as f32;
                        before = memory[parameters.0][i];
                        after = (lr / one) as f32 * memory[m.0][i]
                            / (root + (eps * factors.eps) as f32);
                    }
                    Rule::Muon { .. } => panic!("this device does not follow it"),
                    Rule::Sgd { beta } => {
                        memory[m.0][i] = beta as f32 * memory[m.0][i] + g;
                        before = memory[parameters.0][i];
                        after = lr as f32 * memory[m.0][i];
                    }
                }
                memory[parameters.0][i] = keep * before - after;
            }
        }
    }
}

const KINDS: [&[(&str, &str)]; 5] = [
    &[("clip", "0.5"), ("weight-decay", "0.1"), ("batch", "8"), ("shards", "2")],
    &[("norm", "batch_norm"), ("micro-batches", "2"), ("batch", "8"), ("shards", "2")],
    &[("checkpoint", "1"), ("wiring", "resi_dual"), ("ffn", "gated"), ("dropout", "0.2")],
    &[("init", "mup(base_width=8)"), ("depth-exponent", "1"), ("weight-decay", "0.1")],
    &[("optimizer", "sgd"), ("wiring", "rezero"), ("task", "hops"), ("positions", "rotary")],
];

fn trainer<B: Backend>(backend: B, fields: &[(&str, &str)]) -> Trainer<B> {
    asked(backend, fields).unwrap()
}

fn asked<B: Backend>(backend: B, fields: &[(&str, &str)]) -> Result<Trainer<B>, Invalid> {
    let small = [("width", "16"), ("depth", "3"), ("heads", "2"), ("seq", "12"), ("batch", "4")];
    let config = RunConfig::from_settings(small.into_iter().chain(fields.iter().copied())).unwrap();
    let corpus = Corpus::load(&config).unwrap();
    Trainer::new(backend, &config, Arc::new(corpus))
}

/// Four steps, the second of them probed, and everything that they show.
fn shown<B: Backend<Number = f32>>(
    trainer: &mut Trainer<B>,
) -> (Vec<Stepped>, String, u64, Vec<u8>) {
    let mut probe = Probe::full(1);
    let steps = vec![
        trainer.advance(None),
        trainer.advance(Some(&mut probe)),
        trainer.advance(None),
        trainer.advance(None),
    ];
    // A metric may be NaN, which equals nothing but its text.
    let rows = format!("{:?}", probe.into_rows());
    (steps, rows, trainer.evaluate(2).loss.to_bits(), trainer.snapshot())
}

#[test]
fn a_second_device_trains_with_the_same_bits() {
    for fields in KINDS {
        let (mut near, mut far) =
            (trainer(Host::<f32>::new(), fields), trainer(Far::default(), fields));
        let (here, there) = (shown(&mut near), shown(&mut far));
        assert_eq!(here.0, there.0, "{fields:?}");
        assert!(here.1.len() > 1000 && here.1 == there.1, "rows of the probe under {fields:?}");
        assert!(here.2 == there.2 && here.3 == there.3, "{fields:?}");
        assert_eq!(near.parameters(), far.parameters());
        // What one has trained, the other goes on with.
        far.restore(&here.3).unwrap();
        assert_eq!(near.advance(None), far.advance(None), "{fields:?}");
    }
}

/// Whatever part of a stack needs the operator.
#[test]
fn a_stack_with_an_operator_that_a_device_lacks_is_refused_in_a_line() {
    for (field, value, op) in [
        ("norm", "group_norm", "group_norm"),
        ("wiring", "hyper_connections", "weighted_sum"),
        ("wiring", "branch_norm", "ramp"),
        ("wiring", "normformer", "head_gain"),
        ("weights", "sigma_reparam", "power_iteration"),
        ("softcap", "50", "attention"),
        ("logit-softcap", "30", "softcap"),
        ("z-loss", "0.1", "cross_entropy"),
        ("task", "series", "gaussian_nll"),
        ("task", "series(head=student)", "student_nll"),
    ] {
        let device = Far::default();
        device.0.lock().unwrap().lacks = Some(op);
        let line = asked(device.clone(), &[(field, value)]).unwrap_err().to_string();
        let says = format!("device = cpu: allowed is cpu for {op}, which has no kernels yet");
        assert!(line.starts_with(&says), "{field} {value}: {line}");
        device.0.lock().unwrap().lacks = Some("an operator of no stack");
        assert!(asked(device, &[(field, value)]).is_ok(), "{field} {value}");
    }
}

#[test]
fn every_step_asks_a_device_for_the_same_and_reads_nothing_until_its_end() {
    for fields in KINDS {
        let device = Far::default();
        let mut trainer = trainer(device.clone(), fields);
        trainer.advance(None);
        device.calls();
        let steps: Vec<Vec<String>> = (0..3)
            .map(|_| {
                trainer.advance(None);
                device.calls()
            })
            .collect();
        assert!(steps.iter().all(|calls| *calls == steps[0]), "{fields:?}");
        let kind = |call: &String| call.split(' ').next().unwrap_or_default().to_string();
        let kinds: Vec<String> = steps[0].iter().map(kind).collect();
        let position = |kind: &str| kinds.iter().position(|k| k == kind).unwrap();
        let (begun, ended) = (position("copy"), position("update"));
        assert!(
            kinds[..begun].iter().all(|kind| kind == "upload" || kind == "set_pace"),
            "{fields:?}: {kinds:?}"
        );
        for kind in &kinds[begun..ended] {
            let allowed = ["copy", "forward", "vjp", "reduce"];
            assert!(allowed.contains(&kind.as_str()), "{kind} within a step of {fields:?}");
        }
        assert_eq!(kinds.iter().filter(|kind| *kind == "update").count(), 1);
        assert!(kinds[ended..].iter().all(|kind| kind != "allocate" && kind != "forward"));
    }
}

#[test]
fn only_what_a_probe_asks_for_is_downloaded() {
    let device = Far::default();
    let mut trainer = trainer(device.clone(), &[]);
    let downloaded = |probe: Option<&mut Probe>, trainer: &mut Trainer<Far>| {
        device.calls();
        trainer.advance(probe);
        device.calls().iter().filter(|call| call.starts_with("download")).count()
    };
    // The losses of the step.
    assert_eq!(downloaded(None, &mut trainer), 1);
    let brief = downloaded(Some(&mut Probe::brief(1)), &mut trainer);
    let full = downloaded(Some(&mut Probe::full(2)), &mut trainer);
    assert!(1 < brief && brief < full, "{brief}, {full}");
}

#[test]
fn a_step_that_is_not_finite_updates_nothing_on_any_device() {
    fn ended<B: Backend<Number = f32>>(mut trainer: Trainer<B>) -> (usize, Option<String>) {
        let mut before = trainer.snapshot();
        for step in 0..40 {
            let stepped = trainer.advance(None);
            if let Some(name) = stepped.non_finite {
                assert!(trainer.snapshot() == before, "step {step}");
                return (step, Some(name));
            }
            before = trainer.snapshot();
        }
        (40, None)
    }
    let fields = &[
        ("lr", "1e18"),
        ("optimizer", "sgd"),
        ("clip", "0"),
        ("schedule", "constant"),
        ("warmup", "0"),
    ];
    let near = ended(trainer(Host::<f32>::new(), fields));
    assert!(near.1.is_some(), "{near:?}");
    assert_eq!(near, ended(trainer(Far::default(), fields)));
}
