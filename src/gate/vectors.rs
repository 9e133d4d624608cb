//! Static vectors: the cases as files, and answers graded that were computed elsewhere.
//!
//! [`export`] writes a directory of requests, each a safetensors file with the JSON message under
//! `plummet` in its metadata, which is the body of a frame of the protocol, and `index.json` with
//! their ids. [`grade`] reads answers of the same file names from another directory. There an
//! answer needs no message, as plain tensors mean `ok`, and `hello.json`, which may be left out,
//! states who answered, what sums are kept in and which variants are meant. A file that is not
//! there is coverage that is missing, not a failure.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::time::Instant;

use half::{bf16, f16};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype as Stored, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::report::{Finding, Report, Row, Stage, exit_code};
use super::run::Filter;
use super::wire::message;
use crate::check::call::{Broken, Call, Claims, Dir, Hello, Identity, Reply, SPEC, Served};
use crate::check::flaw::Fault;
use crate::check::judge::{Grade, Graded, Judged, judge};
use crate::check::oracle;
use crate::check::plan::Plan;
use crate::check::reading::Reading;
use crate::check::scope;
use crate::check::spec;
use crate::check::spec::case::Case;
use crate::check::spec::operator::Operator;
use crate::check::tensor::{Dtype, Tensor, Tensors};
use crate::check::vacuous;
use crate::setting::Invalid;

/// The largest file of answers that is read: 2 GiB, as for a frame.
const LARGEST: u64 = 2 << 30;

/// What `index.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// The version of Plummet: another may draw other cases.
    pub plummet: String,
    /// The edition of the operators' specification.
    pub spec: String,
    /// The seed of the cases.
    pub seed: u64,
    /// How many cases of each operator, pass and dtype.
    pub cases: usize,
    /// What was asked for by name, as `softmax:fwd`; nothing where everything was exported.
    #[serde(default)]
    pub asked: Vec<String>,
    /// Every request.
    pub vectors: Vec<Vector>,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vector {
    /// The name of its file.
    pub file: String,
    /// The id of its case.
    pub id: String,
}

/// Every operator, pass and dtype of the specification that vectors can be made of, parameters
/// stored as activations; what is random is left out, since its answers are known by their law only.
pub fn rows() -> Vec<(&'static dyn Operator, Dir, Dtype)> {
    let mut rows = Vec::new();
    for operator in spec::all().filter(|operator| !operator.random()) {
        for &dir in operator.dirs() {
            rows.extend(operator.dtypes().iter().map(|&dtype| (operator, dir, dtype)));
        }
    }
    rows
}

/// The cases of a row, each with its file.
fn cases(
    (operator, dir, dtype): (&'static dyn Operator, Dir, Dtype),
    cases: usize,
    seed: u64,
) -> impl Iterator<Item = (String, Case)> {
    let plan = Plan::new(operator, &scope::everything(operator), dir, (dtype, dtype), seed);
    let stem = format!("{}-{dir}-{dtype}", operator.name());
    plan.take(cases).enumerate().map(move |(i, case)| (format!("{stem}-{i:04}.safetensors"), case))
}

/// Writes `count` cases of each row that a filter names, or of every one where there is no filter,
/// `index.json` and a README.
pub fn export(
    directory: &Path,
    filters: &[Filter],
    count: usize,
    seed: u64,
) -> Result<Index, Invalid> {
    let plummet = env!("CARGO_PKG_VERSION").to_string();
    let asked = filters.iter().map(Filter::to_string).collect();
    let mut index =
        Index { plummet, spec: SPEC.to_string(), seed, cases: count, asked, vectors: Vec::new() };
    let chosen = |name: &str| filters.is_empty() || filters.iter().any(|filter| filter.names(name));
    let name =
        |row: &(&'static dyn Operator, Dir, Dtype)| format!("{}:{}:{}", row.0.name(), row.1, row.2);
    let rows: Vec<_> = rows().into_iter().filter(|row| chosen(&name(row))).collect();
    if rows.is_empty() {
        return Err(Invalid::new("ops", "no row", spec::names().join(", ")));
    }
    fs::create_dir_all(directory).map_err(|why| unwritten(directory, &why))?;
    for row in rows {
        for (file, case) in cases(row, count, seed) {
            let call = case.call();
            let body = encode(&request(&call, index.vectors.len() as u64), &call.tensors)?;
            let path = directory.join(&file);
            fs::write(&path, body).map_err(|why| unwritten(&path, &why))?;
            index.vectors.push(Vector { file, id: call.id });
        }
    }
    let written = serde_json::to_string_pretty(&index).expect("an index has names and numbers");
    for (file, text) in [("index.json", written.as_str()), ("README.md", README)] {
        let path = directory.join(file);
        fs::write(&path, text).map_err(|why| unwritten(&path, &why))?;
    }
    Ok(index)
}

const README: &str = "\
# Test vectors

Each `.safetensors` file is one question: its tensors are the inputs, and the string under `plummet`
in its metadata is JSON with the operator (`op`), the pass (`dir`), its attributes (`attrs`) and the
names of the tensors to answer with (`want`).

Write each answer, a safetensors file with exactly the tensors of `want`, under the same name into
another directory; leave out what you do not serve. A `hello.json` beside the answers may hold
`{\"impl\": {\"name\": \"mine\"}, \"ops\": {\"layer_norm\": {\"accumulate\": {\"bf16\": \"f32\"}}}}`.
Then:

    plummet gate vectors grade DIR RESULTS
";

fn unwritten(path: &Path, why: &std::io::Error) -> Invalid {
    let value = format!("{}: {why}", path.display());
    Invalid::new("vectors", value, "a directory that can be written to")
}

/// The message of a call.
fn request(call: &Call, seq: u64) -> Value {
    json!({
        "kind": "run", "seq": seq, "id": call.id, "op": call.op, "dir": call.dir,
        "dtype": call.dtype, "params_dtype": call.params_dtype, "attrs": call.attrs,
        "want": call.want,
    })
}

/// Grades the answers in `results` to the questions in `directory`.
pub fn grade(directory: &Path, results: &Path) -> Result<Report, Invalid> {
    let start = Instant::now();
    let index: Index = read_json(&directory.join("index.json"))?;
    let cases = resolved(&index)?;
    if !results.is_dir() {
        let allowed = "a directory of answers";
        return Err(Invalid::new("results", results.display(), allowed));
    }
    let hello = hello(&results.join("hello.json"))?;
    let command = Vec::new();
    let mut report = Report::begin(hello.identity, command, Claims::default(), index.seed);
    report.served = hello.ops;
    let mut graded: BTreeMap<usize, Row> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    let mut silent = 0;
    for (seq, (vector, case)) in index.vectors.iter().zip(&cases).enumerate() {
        let subject = format!("{}:{}:{}", case.op, case.dir, case.dtype);
        let path = results.join(&vector.file);
        if !path.exists() {
            silent += 1;
            continue;
        }
        let place = order.iter().position(|name| *name == subject).unwrap_or_else(|| {
            order.push(subject.clone());
            order.len() - 1
        });
        let row = graded.entry(place).or_insert_with(|| empty(case));
        let served = report.served.get(case.op).cloned().unwrap_or_default();
        match answer(&path, seq as u64) {
            Ok(reply) => one(row, &mut report.findings, case, &served, &reply),
            Err(invalid) => {
                row.cases += 1;
                row.failed += 1;
                let why = format!("{}: {invalid}", vector.file);
                found(&mut report.findings, case, Fault::Protocol, None, why);
            }
        }
    }
    report.rows = graded.into_values().collect();
    report.uncovered = rows()
        .into_iter()
        .map(|(operator, dir, dtype)| format!("{}:{dir}:{dtype}", operator.name()))
        .filter(|name| !order.contains(name))
        .collect();
    if silent > 0 {
        let of = index.vectors.len();
        report.notes.push(format!("{silent} of {of} vectors have no answer"));
    }
    report.inconclusive = unanswered(&index, &report, results);
    report.seconds = start.elapsed().as_secs_f64();
    report.stages.push(Stage {
        number: 2,
        name: "cases".into(),
        checks: report.rows.iter().map(|row| row.cases).sum(),
        failed: report.rows.iter().map(|row| row.failed).sum(),
        seconds: report.seconds,
    });
    let inconclusive = if report.inconclusive.is_empty() { 0 } else { 5 };
    let found = report.findings.iter().map(|finding| finding.fault.exit_code());
    report.exit_code = exit_code(found.chain([inconclusive]));
    Ok(report)
}

/// Why nothing can be said of what was exported: no answer at all, none to what was asked for by
/// name, or none that tells a right answer from a wrong one.
fn unanswered(index: &Index, report: &Report, results: &Path) -> Vec<String> {
    let tested = |filter: &Filter| {
        report.rows.iter().any(|row| (row.tested() || row.failed > 0) && filter.names(&row.name()))
    };
    let of = index.vectors.len();
    if report.rows.is_empty() {
        let files = fs::read_dir(results).into_iter().flatten().flatten();
        let other = files.filter(|file| file.file_name() != "hello.json").count();
        let named = match other {
            0 => String::new(),
            other => format!(", and {other} files there are named like no vector"),
        };
        let place = results.display();
        return vec![format!(
            "nothing was tested: {place} has no answer to any of {of} vectors{named}"
        )];
    }
    let asked = index.asked.iter().filter_map(|text| text.parse::<Filter>().ok());
    let silent = asked.filter(|filter| !tested(filter));
    let mut reasons: Vec<String> = silent
        .map(|filter| format!("nothing of {filter} was tested: there is no answer"))
        .collect();
    let vacuous = report.rows.iter().filter(|row| !row.tested() && row.failed == 0);
    reasons.extend(vacuous.map(|row| {
        let (name, cases) = (row.name(), row.cases);
        format!("nothing of {name} was tested: none of {cases} answers tells right from wrong")
    }));
    reasons
}

/// The cases of an index: those that this version of Plummet draws from its seed, and no others.
fn resolved(index: &Index) -> Result<Vec<Case>, Invalid> {
    let same = |field: &str, is: &str, here: &str| match is == here {
        true => Ok(()),
        false => Err(Invalid::new(&format!("index.{field}"), is, here)),
    };
    same("plummet", &index.plummet, env!("CARGO_PKG_VERSION"))?;
    same("spec", &index.spec, SPEC)?;
    if index.cases > index.vectors.len() {
        let most = format!("0 to {}, the number of vectors", index.vectors.len());
        return Err(Invalid::new("index.cases", index.cases, most));
    }
    let mut known: HashMap<String, (String, Case)> = HashMap::new();
    for row in rows() {
        let drawn = cases(row, index.cases, index.seed);
        known.extend(drawn.map(|(file, case)| (file, (case.to_string(), case))));
    }
    let case = |vector: &Vector| match known.get(&vector.file) {
        Some((id, case)) if *id == vector.id => Ok(case.clone()),
        Some((id, _)) => Err(Invalid::new("index.vectors.id", &vector.id, id)),
        None => Err(Invalid::new("index.vectors.file", &vector.file, "a file of the export")),
    };
    index.vectors.iter().map(case).collect()
}

fn empty(case: &Case) -> Row {
    Row {
        op: case.op.to_string(),
        dir: case.dir,
        dtype: case.dtype,
        params_dtype: case.params_dtype,
        cases: 0,
        grade_a: 0,
        grade_b: 0,
        failed: 0,
        ill_conditioned: 0,
        vacuous: 0,
        q: BTreeMap::new(),
        q_statistical: BTreeMap::new(),
    }
}

/// Grades one answer.
fn one(row: &mut Row, findings: &mut Vec<Finding>, case: &Case, served: &Served, reply: &Reply) {
    let call = case.call();
    let operator = case.operator();
    let expected = match operator.must_refuse(&call) {
        true => Vec::new(),
        false => oracle::expect(&call, &Reading::of(served, case.dtype)),
    };
    let judged = judge(&call, &expected, reply);
    let mut grade = judged.grade();
    row.cases += 1;
    let random = operator.random();
    row.vacuous += usize::from(!random && !judged.fails() && vacuous::vacuous(&call, &expected));
    match &judged {
        Judged::Wrong(why) => found(findings, case, Fault::Wrong, None, why.clone()),
        Judged::Graded(tensors) => {
            row.ill_conditioned += usize::from(tensors.iter().any(|t| t.unbounded > 0.0));
            for tensor in tensors {
                let most = |all: &mut BTreeMap<String, f64>, q: f64| {
                    let own = all.entry(tensor.tensor.clone()).or_insert(0.0);
                    *own = own.max(q);
                };
                most(&mut row.q, tensor.q);
                most(&mut row.q_statistical, tensor.q_statistical);
                if tensor.grade == Grade::Fail {
                    let q = crate::num::show::short(tensor.q);
                    let why = format!("{} is off by {q} times its bound", tensor.tensor);
                    found(findings, case, Fault::Wrong, Some(tensor), why);
                }
            }
        }
    }
    if let (Reply::Ok(answer), false) = (reply, judged.fails()) {
        let mut beyond = operator.beyond(&call, answer).into_iter();
        if let Some(why) = beyond.next() {
            found(findings, case, Fault::Wrong, None, why);
            grade = Grade::Fail;
        }
    }
    match grade {
        Grade::A => row.grade_a += 1,
        Grade::B => row.grade_b += 1,
        Grade::Fail => row.failed += 1,
    }
}

/// Notes a failure: one finding for each subject, tensor and fault, with the first case of it.
fn found(
    findings: &mut Vec<Finding>,
    case: &Case,
    fault: Fault,
    worst: Option<&Graded>,
    message: String,
) {
    let subject = format!("{}:{}:{}", case.op, case.dir, case.dtype);
    let tensor = worst.map(|worst| worst.tensor.clone());
    let same = |f: &&mut Finding| (&f.subject, &f.tensor, f.fault) == (&subject, &tensor, fault);
    if let Some(known) = findings.iter_mut().find(same) {
        known.times += 1;
        return;
    }
    findings.push(Finding {
        stage: 2,
        fault,
        subject,
        tensor,
        case: case.to_string(),
        times: 1,
        message,
        worst: worst.cloned(),
        shrunk: None,
        when: Vec::new(),
        breaks: Vec::new(),
        behaves_like: None,
        affects: Vec::new(),
        pattern: None,
        repeats: None,
    });
}

/// What `hello.json` says, or what is assumed without one.
fn hello(path: &Path) -> Result<Hello, Invalid> {
    if !path.exists() {
        let identity = Identity { name: "vectors".into(), ..Identity::default() };
        return Ok(Hello { identity, ..Hello::default() });
    }
    let message: serde_json::Map<String, Value> = read_json(path)?;
    let hello = message::declared(&message).map_err(|broken| match broken {
        Broken::Protocol(why) => Invalid::new("hello.json", why, "what a target declares"),
        other => Invalid::new("hello.json", other, "what a target declares"),
    })?;
    if let Some(op) = hello.ops.keys().find(|op| spec::find(op).is_none()) {
        return Err(Invalid::new("hello.ops", op, spec::names().join(", ")));
    }
    for (op, served) in &hello.ops {
        if let Some(dtype) = served.accumulate.values().find(|dtype| !Dtype::REAL.contains(dtype)) {
            let field = format!("hello.ops.{op}.accumulate");
            return Err(Invalid::new(&field, dtype, "f64, f32, f16, bf16"));
        }
    }
    Ok(hello)
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, Invalid> {
    let refused = |why: &dyn std::fmt::Display| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Invalid::new(&name, format!("{}: {why}", path.display()), "a file of gate vectors export")
    };
    let text = fs::read_to_string(path).map_err(|why| refused(&why))?;
    serde_json::from_str(&text).map_err(|why| refused(&why))
}

/// Reads an answer.
fn answer(path: &Path, seq: u64) -> Result<Reply, Invalid> {
    let allowed = "a safetensors file of less than 2 GiB";
    let refused = |why: &dyn std::fmt::Display| Invalid::new("file", why, allowed);
    let length = fs::metadata(path).map_err(|why| refused(&why))?.len();
    if length > LARGEST {
        return Err(refused(&format!("{length} bytes")));
    }
    let body = fs::read(path).map_err(|why| refused(&why))?;
    let (message, tensors) = decode(&body)?;
    let word = |key: &str| message[key].as_str().unwrap_or_default().to_string();
    match message.get("seq") {
        Some(own) if own.as_u64() != Some(seq) => {
            return Err(Invalid::new("seq", own, seq.to_string()));
        }
        _ => {}
    }
    match message.get("kind").map(Value::as_str) {
        None | Some(Some("ok")) => Ok(Reply::Ok(tensors)),
        Some(Some("unsupported")) => Ok(Reply::Unsupported(word("reason"))),
        Some(Some("error")) => Ok(Reply::Error(word("message"))),
        Some(_) => Err(Invalid::new("kind", &message["kind"], "ok, unsupported, error")),
    }
}

/// The body of a frame: a safetensors file with a message in its metadata.
pub fn encode(message: &Value, tensors: &Tensors) -> Result<Vec<u8>, Invalid> {
    let bytes: Vec<(&String, &Tensor, Vec<u8>)> =
        tensors.iter().map(|(name, tensor)| (name, tensor, stored(tensor))).collect();
    let views = bytes.iter().map(|(name, tensor, bytes)| {
        let view = TensorView::new(stored_as(tensor.dtype), tensor.shape.clone(), bytes);
        view.map(|view| (name.as_str(), view))
    });
    let refused = |why| Invalid::new("tensors", why, "tensors whose bytes fit their shapes");
    let views: Vec<_> = views.collect::<Result<_, _>>().map_err(refused)?;
    let metadata = HashMap::from([("plummet".to_string(), message.to_string())]);
    safetensors::serialize(views, Some(metadata)).map_err(refused)
}

/// The message and the tensors of a body; the message is null where there is none.
pub fn decode(body: &[u8]) -> Result<(Value, Tensors), Invalid> {
    let refused = |why| Invalid::new("header", why, "that of a safetensors file");
    let (_, header) = SafeTensors::read_metadata(body).map_err(refused)?;
    let message = match header.metadata().as_ref().and_then(|words| words.get("plummet")) {
        None => Value::Null,
        Some(text) => serde_json::from_str(text)
            .map_err(|why| Invalid::new("plummet", why, "a message as JSON"))?,
    };
    let file = SafeTensors::deserialize(body).map_err(refused)?;
    let tensors = file.iter().map(|(name, view)| Ok((name.to_string(), tensor(name, &view)?)));
    Ok((message, tensors.collect::<Result<_, _>>()?))
}

fn stored_as(dtype: Dtype) -> Stored {
    match dtype {
        Dtype::F64 => Stored::F64,
        Dtype::F32 => Stored::F32,
        Dtype::F16 => Stored::F16,
        Dtype::Bf16 => Stored::BF16,
        Dtype::I64 => Stored::I64,
        Dtype::U8 => Stored::U8,
    }
}

fn stored(tensor: &Tensor) -> Vec<u8> {
    let values = tensor.values.iter().copied();
    match tensor.dtype {
        Dtype::F64 => values.flat_map(f64::to_le_bytes).collect(),
        Dtype::F32 => values.flat_map(|v| (v as f32).to_le_bytes()).collect(),
        Dtype::F16 => values.flat_map(|v| f16::from_f64(v).to_le_bytes()).collect(),
        Dtype::Bf16 => values.flat_map(|v| bf16::from_f64(v).to_le_bytes()).collect(),
        Dtype::I64 => values.flat_map(|v| (v as i64).to_le_bytes()).collect(),
        Dtype::U8 => values.map(|v| v as u8).collect(),
    }
}

fn tensor(name: &str, view: &TensorView) -> Result<Tensor, Invalid> {
    fn each<const N: usize>(bytes: &[u8], read: fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.as_chunks::<N>().0.iter().map(|&chunk| read(chunk)).collect()
    }
    let bytes = view.data();
    let (dtype, values) = match view.dtype() {
        Stored::F64 => (Dtype::F64, each(bytes, f64::from_le_bytes)),
        Stored::F32 => (Dtype::F32, each(bytes, |b| f64::from(f32::from_le_bytes(b)))),
        Stored::F16 => (Dtype::F16, each(bytes, |b| f16::from_le_bytes(b).to_f64())),
        Stored::BF16 => (Dtype::Bf16, each(bytes, |b| bf16::from_le_bytes(b).to_f64())),
        Stored::I64 => (Dtype::I64, each(bytes, |b| i64::from_le_bytes(b) as f64)),
        Stored::U8 => (Dtype::U8, each(bytes, |[b]: [u8; 1]| f64::from(b))),
        other => {
            let field = format!("dtype of {name}");
            return Err(Invalid::new(&field, format!("{other:?}"), "F64, F32, F16, BF16, I64, U8"));
        }
    };
    Ok(Tensor { dtype, shape: view.shape().to_vec(), values })
}
