//! The linear maps of a stack by a machine's own library of products: which factors it is given, how they
//! lie, and what is added.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use plummet::backend::device::{Device, Interpreted, Machine, Product, Value};
use plummet::config::RunConfig;
use plummet::op::device::{Chip, Launch};
use plummet::probe::Probe;
use plummet::train::{Corpus, Trainer};

type Inner = <Interpreted as Machine>::Memory;

/// The interpreter, with products formed on the host.
#[derive(Debug, Clone, Default)]
struct Multiplying {
    inner: Interpreted,
    products: Arc<AtomicUsize>,
}

impl Multiplying {
    fn numbers(&self, (memory, at): (&Inner, usize), len: usize) -> Vec<f32> {
        let mut bytes = vec![0; 4 * len];
        self.inner.read(memory, at, &mut bytes);
        bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }

    fn one(&self, product: &Product<Inner>) {
        let &Product { rows, cols, depth, .. } = product;
        let left = self.numbers(product.left, rows * depth);
        let right = self.numbers(product.right, depth * cols);
        let bias = product.bias.map(|bias| self.numbers(bias, cols));
        let before = product.adds.then(|| self.numbers(product.to, rows * cols));
        let mut bytes = Vec::new();
        for (row, col) in (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))) {
            let mut sum = bias.as_ref().map_or(0.0, |bias| bias[col]);
            for term in 0..depth {
                let l = if product.left_across { term * rows + row } else { row * depth + term };
                let r = if product.right_across { col * depth + term } else { term * cols + col };
                sum += left[l] * right[r];
            }
            sum += before.as_ref().map_or(0.0, |before| before[row * cols + col]);
            bytes.extend(sum.to_le_bytes());
        }
        self.inner.write(product.to.0, product.to.1, &bytes);
        self.products.fetch_add(1, SeqCst);
    }
}

impl Machine for Multiplying {
    type Memory = Inner;
    type Recording = <Interpreted as Machine>::Recording;

    fn chip(&self) -> Chip {
        self.inner.chip()
    }
    fn name(&self) -> String {
        self.inner.name()
    }
    fn allocate(&self, bytes: usize, zeros: bool) -> Inner {
        self.inner.allocate(bytes, zeros)
    }
    fn write(&self, to: &Inner, at: usize, bytes: &[u8]) {
        self.inner.write(to, at, bytes);
    }
    fn read(&self, from: &Inner, at: usize, bytes: &mut [u8]) {
        self.inner.read(from, at, bytes);
    }
    fn copy(&self, from: &Inner, from_at: usize, to: &Inner, to_at: usize, bytes: usize) {
        self.inner.copy(from, from_at, to, to_at, bytes);
    }
    fn launch(&self, ptx: &'static str, launch: &Launch, values: &[Value<Inner>]) {
        let ours = ["linear_forward", "linear_dx", "linear_dweight", "linear_vjp"];
        assert!(!ours.iter().any(|name| launch.kernel.starts_with(name)), "{}", launch.kernel);
        self.inner.launch(ptx, launch, values);
    }
    fn multiply(&self, products: &[Product<Inner>]) -> bool {
        products.iter().for_each(|product| self.one(product));
        true
    }
    fn begin(&self) {
        self.inner.begin();
    }
    fn end(&self) -> Option<Self::Recording> {
        self.inner.end()
    }
    fn replay(&self, recording: &Self::Recording) {
        self.inner.replay(recording);
    }
    fn timed(&self, work: &mut dyn FnMut()) -> f64 {
        self.inner.timed(work)
    }
    fn failure(&self) -> Option<String> {
        self.inner.failure()
    }
}

#[test]
fn products_of_a_library_train_like_our_own() {
    for bias in ["true", "false"] {
        // The factors of no product are square, so that none may lie the other way.
        let fields = [
            ("width", "8"),
            ("depth", "2"),
            ("heads", "2"),
            ("seq", "6"),
            ("batch", "2"),
            ("shards", "1"),
            ("kv-heads", "1"),
            ("bias", bias),
            ("micro-batches", "2"),
        ];
        let config = RunConfig::from_settings(fields).unwrap();
        let corpus = Arc::new(Corpus::load(&config).unwrap());
        let machine = Multiplying::default();
        let device = Device::new(Interpreted::default());
        let mut own = Trainer::new(device, &config, corpus.clone()).unwrap();
        let mut library = Trainer::new(Device::new(machine.clone()), &config, corpus).unwrap();
        for step in 0..3 {
            // What a probe sees is asked for call by call: this library cannot be recorded.
            let here = library.advance(Some(&mut Probe::brief(step)));
            let there = own.advance(None);
            assert_eq!((library.failure(), own.failure()), (None, None));
            let off = |a: f64, b: f64| (a - b).abs() / b.abs();
            // As between the interpreted kernels and the CPU: roundings in another order.
            assert!(off(here.loss, there.loss) < 1e-4, "step {step}: {here:?}, {there:?}");
            assert!(
                off(here.grad_norm, there.grad_norm) < 1e-3,
                "step {step}: {here:?}, {there:?}"
            );
        }
        assert!(machine.products.load(SeqCst) > 3 * 2 * 2 * 6);
    }
}
