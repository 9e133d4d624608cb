//! The line protocol of a worker, the same for every implementation in Rust: a question a line on
//! stdin, an answer a line on stdout. `protocol.py` is its twin.

use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// What a worker answers, or why it cannot.
pub type Answer<T> = Result<T, String>;

/// One implementation of the training step, and perhaps of operators.
pub trait Worker {
    /// Loads the weights and the batch of a size and takes one step: its loss before the update,
    /// and the norm of its gradient where that is at hand.
    fn load(&mut self, size: &str) -> Answer<(f64, Option<f64>)>;

    /// Takes `n` further steps on the same batch.
    fn steps(&mut self, n: usize) -> Answer<()>;

    /// Prepares an operator: `pass` is `forward`, or `both` for forward and backward.
    fn op(&mut self, _name: &str, _pass: &str, _rows: usize, _cols: usize) -> Answer<()> {
        Err("operators are not measured here".into())
    }

    /// Calls the prepared operator `n` times.
    fn calls(&mut self, _n: usize) -> Answer<()> {
        Err("no operator is prepared".into())
    }

    /// Calls the prepared operator `n` times on a device, its caches cleared before each: the median of
    /// the seconds that the device took.
    fn device(&mut self, _n: usize) -> Answer<f64> {
        Err("no device is measured here".into())
    }

    /// Processor seconds that the matrix products of a step take by themselves on one thread, and
    /// their floating-point operations.
    fn floor(&mut self) -> Answer<(f64, f64)> {
        Err("the floor is measured elsewhere".into())
    }
}

/// Answers questions until `quit` or the end of the input.
pub fn serve(worker: &mut impl Worker) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        if words == ["quit"] {
            break;
        }
        let answer = answer(worker, &words);
        writeln!(stdout, "{}", answer.unwrap_or_else(|why| format!("no {}", one_line(&why))))?;
        stdout.flush()?;
    }
    Ok(())
}

fn answer(worker: &mut impl Worker, words: &[&str]) -> Answer<String> {
    match *words {
        ["load", size] => {
            let (loss, norm) = worker.load(size)?;
            let norm = norm.map_or(String::new(), |norm| format!(" {norm:e}"));
            Ok(format!("loss {loss}{norm}"))
        }
        ["steps", n] => {
            let n = number(n)?;
            timed(n, || worker.steps(n))
        }
        ["op", name, pass, rows, cols] => {
            worker.op(name, pass, number(rows)?, number(cols)?)?;
            Ok("ready".into())
        }
        ["calls", n] => {
            let n = number(n)?;
            timed(n, || worker.calls(n))
        }
        ["device", n] => Ok(format!("device {:e}", worker.device(number(n)?)?)),
        ["floor"] => {
            let (seconds, flops) = worker.floor()?;
            Ok(format!("floor {seconds:e} {flops:e}"))
        }
        ["memory"] => peak_memory(),
        _ => Err(format!("this is not understood: {}", words.join(" "))),
    }
}

fn number(word: &str) -> Answer<usize> {
    word.parse().map_err(|_| format!("{word} is not a number"))
}

/// Wall and processor seconds of one of `n` repetitions.
fn timed(n: usize, work: impl FnOnce() -> Answer<()>) -> Answer<String> {
    let (wall, cpu) = (Instant::now(), process_time());
    work()?;
    let each = |time: Duration| time.as_secs_f64() / n.max(1) as f64;
    Ok(format!("time {:e} {:e}", each(wall.elapsed()), each(process_time() - cpu)))
}

/// Processor time of all threads of this process.
pub fn process_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The most memory that this process held at once, as the system counts it.
fn peak_memory() -> Answer<String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|e| e.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmHWM")?;
    Ok(format!("memory {kib}"))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
