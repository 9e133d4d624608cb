//! The device that a configuration asks for.

use crate::backend::device::{Device, Interpreted};
use crate::backend::{Backend, Host};
use crate::config::{self, Invalid, Precision, RunConfig};
use crate::program::Program;

use super::optimizer::rule;

/// Something to do on the device of a run, whichever it is.
pub(super) trait Work {
    /// What comes of it.
    type Done;
    /// Does it.
    fn on<B: Backend>(self, backend: B) -> Self::Done;
}

/// Does some work on the device that `config` asks for.
///
/// # Errors
/// Where this machine does not have it, or it does not have the precision.
pub(super) fn on_device<W: Work>(config: &RunConfig, work: W) -> Result<W::Done, Invalid> {
    let done = match (config.device, config.precision) {
        (config::Device::Cpu, Precision::F32) => work.on(Host::<f32>::new()),
        (config::Device::Cpu, Precision::F64) => work.on(Host::<f64>::new()),
        (_, Precision::F64) => {
            let allowed = "f32 on a device other than cpu";
            return Err(Invalid::new("precision", "f64", allowed));
        }
        (config::Device::CudaInterpreted, _) => work.on(Device::new(Interpreted::default())),
        (config::Device::Cuda, _) => work.on(Device::new(gpu(config.tf32)?)),
    };
    Ok(done)
}

/// The first GPU of this machine; `tf32` says whether products of matrices may be in TF32.
///
/// # Errors
/// Where there is none that will do.
#[cfg(feature = "cuda")]
pub fn gpu(tf32: bool) -> Result<crate::backend::device::Cuda, Invalid> {
    let gpu = crate::backend::device::Cuda::open(tf32);
    gpu.map_err(|why| Invalid::new("device", "cuda", format!("cpu: {why}")))
}

/// The first GPU of this machine, which nobody can reach: an interpreter stands for its type.
///
/// # Errors
/// Always.
#[cfg(not(feature = "cuda"))]
pub fn gpu(_tf32: bool) -> Result<Interpreted, Invalid> {
    let allowed = "cpu: this plummet was built without the feature cuda";
    Err(Invalid::new("device", "cuda", allowed))
}

/// Refuses a program of which the backend cannot run an operator, and an optimiser that it does not have.
pub(super) fn runs<B: Backend>(
    backend: &B,
    config: &RunConfig,
    program: &Program,
) -> Result<(), Invalid> {
    if !backend.follows(&rule(config)) {
        let allowed = format!("adamw or sgd on device {}", config.device.id());
        return Err(Invalid::new("optimizer", config.optimizer.id(), allowed));
    }
    match program.steps().iter().find(|step| !backend.runs(&*step.op)) {
        None => Ok(()),
        Some(step) => {
            let device = config.get("device").unwrap_or_default();
            let allowed = format!("cpu for {}, which has no kernels yet", step.op.id());
            Err(Invalid::new("device", device, allowed))
        }
    }
}
