//! Declared arithmetic: a composition that writes every step in 16 bits is right where it says so, and
//! a wrong one is wrong all the same.

use plummet::check::arithmetic::{Arithmetic, Attributes, Intermediates};
use plummet::check::call::{Broken, Call, Candidate, Claims, Dir, Hello, Identity, Reply, Served};
use plummet::gate::report::Report;
use plummet::gate::run::{Options, check};
use plummet::gate::{Dtype, Tensor};

const STORAGE: Arithmetic = Arithmetic {
    intermediates: Intermediates::Storage,
    exp: 0.0,
    tanh: 0.0,
    rsqrt: 0.0,
    attributes: Attributes::Exact,
};

/// Rows of a tensor, every operation on which rounds what it writes.
#[derive(Clone)]
struct Rows {
    dtype: Dtype,
    cols: usize,
    data: Vec<f64>,
}

impl Rows {
    fn with(&self, data: impl Iterator<Item = f64>) -> Rows {
        // Within an operation f32 computes.
        let round = |x: f64| self.dtype.round(f64::from(x as f32));
        Rows { data: data.map(round).collect(), ..self.clone() }
    }
    fn map(&self, f: impl Fn(f64) -> f64) -> Rows {
        self.with(self.data.iter().map(|&x| f(x)))
    }
    /// With another of one number a row, of one number a column, or of as many.
    fn zip(&self, other: &Rows, f: impl Fn(f64, f64) -> f64) -> Rows {
        let at = |i: usize| match (other.data.len(), other.cols) {
            (n, _) if n == self.data.len() => i,
            (1, _) => 0,
            (_, 1) => i / self.cols,
            _ => i % self.cols,
        };
        self.with((0..self.data.len()).map(|i| f(self.data[i], other.data[at(i)])))
    }
    /// One number a row, summed in f32.
    fn sum(&self) -> Rows {
        let sum = |row: &[f64]| f64::from(row.iter().fold(0f32, |sum, &x| sum + x as f32));
        let sums = self.data.chunks(self.cols).map(sum).collect::<Vec<_>>();
        Rows { cols: 1, ..self.with(sums.into_iter()) }
    }
    fn mean(&self) -> Rows {
        let n = self.cols as f64;
        let sum =
            |row: &[f64]| f64::from(row.iter().fold(0f32, |sum, &x| sum + x as f32) / n as f32);
        let sums = self.data.chunks(self.cols).map(sum).collect::<Vec<_>>();
        Rows { cols: 1, ..self.with(sums.into_iter()) }
    }
    fn largest(&self) -> Rows {
        let largest =
            self.data.chunks(self.cols).map(|row| row.iter().fold(f64::MIN, |a, &b| a.max(b)));
        Rows { cols: 1, ..self.with(largest.collect::<Vec<_>>().into_iter()) }
    }
}

/// What frameworks run where nothing is fused, and faults put into it.
#[derive(Clone)]
struct Eager {
    op: &'static str,
    dtype: Dtype,
    arithmetic: Arithmetic,
    fault: &'static str,
}

impl Eager {
    fn answer(&self, call: &Call) -> Vec<(&'static str, Rows)> {
        let get = |name: &str| {
            call.tensors.get(name).map(|t| Rows {
                dtype: self.dtype,
                cols: t.shape.last().copied().unwrap_or(1),
                data: t.values.clone(),
            })
        };
        let x = get("x").expect("x");
        let number = |name: &str| call.attrs[name].as_f64().expect("a number");
        let eps = || if self.fault == "no_eps" { 0.0 } else { number("eps") };
        match (self.op, call.dir) {
            ("rms_norm", Dir::Fwd) => {
                let square = x.zip(&x, |a, b| a * b).mean();
                let rate = square.map(|s| s + eps()).map(|v| 1.0 / v.sqrt());
                let y = x.zip(&rate, |a, r| a * r);
                let offset = number("offset");
                let y = match get("weight") {
                    Some(w) if self.fault == "no_offset" => y.zip(&w, |a, w| a * w),
                    Some(w) => y.zip(&w.map(|w| w + offset), |a, w| a * w),
                    None => y,
                };
                vec![("y", y)]
            }
            ("rms_norm", Dir::Bwd) => {
                let (dy, n) = (get("dy").expect("dy"), x.cols as f64);
                let v = x.zip(&x, |a, b| a * b).mean().map(|s| s + eps());
                let rate = v.map(|v| 1.0 / v.sqrt());
                let offset = number("offset");
                let gained = get("weight").map(|w| w.map(|w| w + offset));
                let g = gained.map_or(dy.clone(), |w| dy.zip(&w, |d, w| d * w));
                // By autograd: of the product, of the reciprocal root, of the mean of squares.
                let direct = g.zip(&rate, |g, r| g * r);
                let drate = g.zip(&x, |g, x| g * x).sum();
                let cube = rate.zip(&rate, |a, b| a * b).zip(&rate, |a, b| a * b);
                let dv = drate.zip(&cube, |d, c| d * c).map(|d| -0.5 * d);
                let dv = if self.fault == "no_half" { dv.map(|d| 2.0 * d) } else { dv };
                let dsquare = dv.map(|d| d / n);
                let through = x.map(|x| 2.0 * x).zip(&dsquare, |x, d| x * d);
                let dx = direct.zip(&through, |a, b| a + b);
                let mut all = vec![("dx", dx)];
                if let Some(w) = get("weight") {
                    let each = dy.zip(&x.zip(&rate, |a, r| a * r), |d, x| d * x);
                    let sums = (0..w.cols).map(|j| {
                        let column = each.data.iter().skip(j).step_by(w.cols);
                        f64::from(column.fold(0f32, |sum, &x| sum + x as f32))
                    });
                    all.push(("dweight", w.with(sums)));
                }
                all
            }
            ("softmax", _) => {
                let shifted = match self.fault {
                    "no_max" => x.clone(),
                    // A row of nothing but −∞ has no largest number, and is 0.
                    _ => x.zip(&x.largest(), |a, m| if m.is_finite() { a - m } else { a }),
                };
                let e = shifted.map(f64::exp);
                vec![("y", e.zip(&e.sum(), |e, s| if s > 0.0 { e / s } else { 0.0 }))]
            }
            other => unreachable!("{other:?}"),
        }
    }
}

impl Candidate for Eager {
    fn hello(&mut self) -> Result<Hello, Broken> {
        // The cube of a rate is no number of f16: that backward of a composition is wrong there.
        let forward = self.op == "softmax" || self.dtype == Dtype::F16;
        let dirs = if forward { vec![Dir::Fwd] } else { vec![Dir::Fwd, Dir::Bwd] };
        let mut served = Served {
            dir: Some(dirs),
            dtype: Some(vec![self.dtype]),
            arithmetic: self.arithmetic,
            ..Served::default()
        };
        if self.op == "rms_norm" {
            served.attrs.insert("cast".into(), vec!["before_weight".into()]);
            served.attrs.insert("eps".into(), vec![1e-5.into(), 1e-3.into()]);
        } else {
            // A row of nothing but −∞ is another matter.
            served.limits.max_abs = Some(300.0);
        }
        let identity = Identity { name: "eager".into(), ..Identity::default() };
        Ok(Hello { identity, ops: [(self.op.into(), served)].into(), claims: Claims::default() })
    }
    fn run(&mut self, call: &Call) -> Result<Reply, Broken> {
        let shape = |name: &str, rows: &Rows| match call.tensors.get(name.trim_start_matches('d')) {
            Some(tensor) => tensor.shape.clone(),
            None => call.tensors["x"].shape[..call.tensors["x"].shape.len() - 1]
                .iter()
                .copied()
                .chain([rows.cols])
                .collect(),
        };
        let answer =
            self.answer(call).into_iter().filter(|(name, _)| call.want.iter().any(|w| w == name));
        let tensors = answer.map(|(name, rows)| {
            (name.into(), Tensor::new(self.dtype, &shape(name, &rows), rows.data))
        });
        Ok(Reply::Ok(tensors.collect()))
    }
}

fn judged(target: &Eager) -> Report {
    let start = || -> Result<Box<dyn Candidate>, Broken> { Ok(Box::new(target.clone())) };
    let options =
        Options { cases: 24, stages: vec![0, 2], largest: Some(8192), ..Options::default() };
    check(&start, &options, &|_| ())
}

fn eager(op: &'static str, dtype: Dtype, arithmetic: Arithmetic, fault: &'static str) -> Report {
    judged(&Eager { op, dtype, arithmetic, fault })
}

#[test]
fn a_composition_in_16_bits_is_right_where_it_says_so_and_told_how_where_it_does_not() {
    for op in ["rms_norm", "softmax"] {
        for dtype in [Dtype::Bf16, Dtype::F16] {
            let declared = eager(op, dtype, STORAGE, "");
            assert_eq!(declared.exit_code, 0, "{op} {dtype}: {:#?}", declared.findings.first());
            if (op, dtype) == ("softmax", Dtype::F16) {
                // Its two roundings stay within what a kernel may be off by.
                continue;
            }
            let strict = eager(op, dtype, Arithmetic::default(), "");
            assert_eq!(strict.exit_code, 1, "{op} {dtype} passes as if it were fused");
            let said = format!(
                "{op} in {dtype} is right as a composition of operations that each round to {dtype}: \
                 declare arithmetic = {{\"intermediates\": \"storage\"}} if that is meant"
            );
            assert!(strict.notes.contains(&said), "{op} {dtype}: {:?}", strict.notes);
        }
    }
}

#[test]
fn a_fault_dies_whatever_is_declared() {
    for (op, fault) in [
        ("rms_norm", "no_eps"),
        ("rms_norm", "no_offset"),
        ("rms_norm", "no_half"),
        ("softmax", "no_max"),
    ] {
        for dtype in [Dtype::Bf16, Dtype::F16] {
            if fault == "no_half" && dtype == Dtype::F16 {
                continue;
            }
            let report = eager(op, dtype, STORAGE, fault);
            assert_eq!(report.exit_code, 1, "{op} {dtype} {fault} survives");
            let strict = eager(op, dtype, Arithmetic::default(), fault);
            let excused = strict.notes.iter().any(|note| note.contains("declare arithmetic"));
            assert!(strict.exit_code == 1 && !excused, "{fault}: {:?}", strict.notes);
        }
    }
}

#[test]
fn what_cannot_be_declared_is_refused_by_name() {
    let far = Arithmetic { exp: 0.5, ..Arithmetic::default() };
    let report = eager("softmax", Dtype::F32, far, "");
    assert_eq!(report.exit_code, 6);
    let said = &report.findings[0].message;
    assert!(
        said.contains("hello.ops.softmax.arithmetic.exp = 0.5: allowed is 0 to 0.001"),
        "{said}"
    );
    for (text, field) in [
        ("[arithmetic.rms_norms]\nexp = 1e-6", "arithmetic = rms_norms"),
        ("[arithmetic.rms_norm]\nexp = 1", "arithmetic.rms_norm = "),
        ("[arithmetic.rms_norm]\nintermediates = 'f8'", "arithmetic.rms_norm = "),
        ("[arithmetic.rms_norm]\nexps = 1e-6", "arithmetic.rms_norm = "),
        ("arithmetic = 3", "arithmetic = 3"),
    ] {
        let error = plummet::gate::manifest::parse(text).unwrap_err().to_string();
        assert!(error.starts_with(field), "{error}");
    }
    let some =
        plummet::gate::manifest::parse("[arithmetic.'*']\nintermediates = 'storage'").unwrap();
    assert_eq!(some.arithmetic("softmax"), Some(STORAGE));
}

/// An exponential of 17 bits, as fast approximations have it.
#[test]
fn a_coarse_function_is_named_where_it_is_all_that_is_wrong() {
    #[derive(Clone)]
    struct Fast(Arithmetic);
    impl Candidate for Fast {
        fn hello(&mut self) -> Result<Hello, Broken> {
            let mut served = Served { arithmetic: self.0, ..Served::default() };
            served.limits.max_abs = Some(50.0);
            let identity = Identity { name: "fast".into(), ..Identity::default() };
            Ok(Hello {
                identity,
                ops: [("softmax".into(), served)].into(),
                claims: Claims::default(),
            })
        }
        fn run(&mut self, call: &Call) -> Result<Reply, Broken> {
            let x = &call.tensors["x"];
            let cols = x.shape.last().copied().unwrap_or(1);
            let rows = x.values.chunks(cols).flat_map(|row| {
                let most = row.iter().fold(f64::MIN, |a, &b| a.max(b));
                // Off by up to 8·10⁻⁶, differently for every argument.
                let e: Vec<f64> = (row.iter().map(|x| x - most))
                    .map(|x| {
                        if x.is_finite() {
                            x.exp() * (1.0 + 8e-6 * (1e3 * x).sin())
                        } else {
                            x.exp()
                        }
                    })
                    .collect();
                let sum: f64 = e.iter().sum();
                e.into_iter()
                    .map(move |e| if sum > 0.0 { f64::from((e / sum) as f32) } else { 0.0 })
                    .collect::<Vec<_>>()
            });
            let y = Tensor::new(Dtype::F32, &x.shape, rows.collect());
            Ok(Reply::Ok([("y".into(), y)].into()))
        }
    }
    let judged = |arithmetic| {
        let start = || -> Result<Box<dyn Candidate>, Broken> { Ok(Box::new(Fast(arithmetic))) };
        let options =
            Options { cases: 12, stages: vec![0, 2], largest: Some(4096), ..Options::default() };
        check(&start, &options, &|_| ())
    };
    let declared = judged(Arithmetic { exp: 1e-5, ..Arithmetic::default() });
    assert_eq!(declared.exit_code, 0, "{:#?}", declared.findings.first());
    let strict = judged(Arithmetic::default());
    assert_eq!(strict.exit_code, 1);
    let said = strict.notes.iter().find(|note| note.contains("declare arithmetic"));
    assert!(
        said.is_some_and(|note| note.contains("an exponential of 17 bits")),
        "{:?}",
        strict.notes
    );
    assert_eq!(judged(Arithmetic { exp: 1e-6, ..Arithmetic::default() }).exit_code, 1);
}
