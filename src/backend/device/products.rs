//! Products of matrices by NVIDIA's library of them, cuBLASLt, where this machine has it.
//!
//! A product is planned once, by its sizes, its forms and how its pointers are aligned; what the library
//! answered is kept, so that a step that is recorded asks it nothing.

use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr::{from_ref, null_mut};

use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys;
use cudarc::driver::sys::{CUdeviceptr, CUstream};
use cudarc::driver::{self, DriverError};

use super::machine::Product;

/// Bytes that the library may work in: what NVIDIA advises for its largest chips.
const WORKSPACE: usize = 32 << 20;
/// The strictest alignment that the library asks about, in bytes.
const ALIGNED: u64 = 256;

/// The library, and the products that were planned.
#[derive(Debug)]
pub struct Library {
    handle: sys::cublasLtHandle_t,
    workspace: CUdeviceptr,
    arithmetic: sys::cublasComputeType_t,
    plans: HashMap<Key, Option<Plan>>,
}

// SAFETY: the handles are the library's own and bound to no thread; whoever has them has them alone.
unsafe impl Send for Library {}

/// A product without its pointers: rows, columns, terms, what is transposed, what is added to it, and
/// the alignment of the factors and of the result.
type Key = ([usize; 3], [bool; 4], [u32; 3]);

/// How the library does a product.
#[derive(Debug)]
struct Plan {
    product: sys::cublasLtMatmulDesc_t,
    right: sys::cublasLtMatrixLayout_t,
    left: sys::cublasLtMatrixLayout_t,
    to: sys::cublasLtMatrixLayout_t,
    algorithm: sys::cublasLtMatmulAlgo_t,
}

/// A product with the pointers of its tensors: factors, result, bias.
#[derive(Debug)]
pub struct Pointed {
    key: Key,
    left: CUdeviceptr,
    right: CUdeviceptr,
    to: CUdeviceptr,
    bias: CUdeviceptr,
}

impl Pointed {
    /// A product whose memory is where `pointer` says.
    pub fn new<M>(product: &Product<M>, pointer: impl Fn(&M) -> CUdeviceptr) -> Self {
        let at = |(memory, at): (&M, usize)| pointer(memory) + at as u64;
        let (left, right, to) = (at(product.left), at(product.right), at(product.to));
        let aligned = |pointer: u64| (pointer | ALIGNED).trailing_zeros();
        let forms = [product.left_across, product.right_across, product.bias.is_some()];
        let [left_across, right_across, bias] = forms;
        Pointed {
            key: (
                [product.rows, product.cols, product.depth],
                [left_across, right_across, bias, product.adds],
                [left, right, to].map(aligned),
            ),
            left,
            right,
            to,
            bias: product.bias.map_or(0, at),
        }
    }
}

impl Library {
    /// The library; nothing where this machine has none. The context must be current.
    pub fn open(tf32: bool) -> Result<Option<Self>, DriverError> {
        // SAFETY: it looks for a library and loads it, no more.
        if !unsafe { sys::is_culib_present() } {
            return Ok(None);
        }
        let Ok(handle) = result::create_handle() else { return Ok(None) };
        // SAFETY: nobody has the memory before the library.
        let workspace = unsafe { driver::result::malloc_sync(WORKSPACE) }?;
        let arithmetic = match tf32 {
            true => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
            false => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
        };
        Ok(Some(Library { handle, workspace, arithmetic, plans: HashMap::new() }))
    }

    /// Whether the library has a way to do a product; it is asked once.
    pub fn plans(&mut self, product: &Pointed) -> bool {
        if !self.plans.contains_key(&product.key) {
            let plan = self.plan(product).ok();
            self.plans.insert(product.key, plan);
        }
        self.plans[&product.key].is_some()
    }

    /// Row-major to[rows, cols] is column-major to[cols, rows], and the product of the transposes in the
    /// other order: the library's first factor is our right one.
    fn plan(&self, product: &Pointed) -> Result<Plan, CublasError> {
        let ([rows, cols, depth], [left_across, right_across, bias, _], aligned) = product.key;
        // A matrix as it lies, row by row, is one of the library's, column by column.
        let layout = |rows: usize, cols: usize| {
            let single = sys::cudaDataType_t::CUDA_R_32F;
            result::create_matrix_layout(single, cols as u64, rows as u64, cols as i64)
        };
        let stored = |across: bool, rows, cols| if across { (cols, rows) } else { (rows, cols) };
        let (left_rows, left_cols) = stored(left_across, rows, depth);
        let (right_rows, right_cols) = stored(right_across, depth, cols);
        let description =
            result::create_matmul_desc(self.arithmetic, sys::cudaDataType_t::CUDA_R_32F)?;
        use sys::cublasLtMatmulDescAttributes_t::*;
        describe(description, CUBLASLT_MATMUL_DESC_TRANSA, &i32::from(right_across))?;
        describe(description, CUBLASLT_MATMUL_DESC_TRANSB, &i32::from(left_across))?;
        if bias {
            let epilogue = sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS;
            describe(description, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue)?;
            describe(description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &product.bias)?;
        }
        let (left, right) = (layout(left_rows, left_cols)?, layout(right_rows, right_cols)?);
        let to = layout(rows, cols)?;
        let wanted = result::create_matmul_pref()?;
        use sys::cublasLtMatmulPreferenceAttributes_t::*;
        let [of_left, of_right, of_to] = aligned.map(|power| 1u32 << power);
        prefer(wanted, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &WORKSPACE)?;
        prefer(wanted, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &of_right)?;
        prefer(wanted, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &of_left)?;
        prefer(wanted, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &of_to)?;
        prefer(wanted, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &of_to)?;
        // SAFETY: all handles have just been made.
        let found = unsafe {
            let found = result::get_matmul_algo_heuristic(
                self.handle,
                description,
                right,
                left,
                to,
                to,
                wanted,
            );
            result::destroy_matmul_pref(wanted)?;
            found?
        };
        Ok(Plan { product: description, right, left, to, algorithm: found.algo })
    }

    /// Does a product that has a plan.
    ///
    /// # Safety
    /// The pointers are those of tensors of its sizes, which live until the stream has done its work.
    pub unsafe fn multiply(&self, product: &Pointed, stream: CUstream) -> Result<(), CublasError> {
        let Some(Some(plan)) = self.plans.get(&product.key) else { return Ok(()) };
        let (_, [.., bias, adds], _) = product.key;
        if bias {
            use sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER;
            describe(plan.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &product.bias)?;
        }
        let (one, share) = (1.0f32, if adds { 1.0f32 } else { 0.0 });
        // SAFETY: the plan is of this product, and the caller answers for the pointers. The scalars lie on
        // the host and are read before this returns.
        unsafe {
            result::matmul(
                self.handle,
                plan.product,
                from_ref(&one).cast(),
                from_ref(&share).cast(),
                product.right as *const c_void,
                plan.right,
                product.left as *const c_void,
                plan.left,
                product.to as *const c_void,
                plan.to,
                product.to as *mut c_void,
                plan.to,
                &plan.algorithm,
                self.workspace as *mut c_void,
                WORKSPACE,
                stream.cast(),
            )
        }
    }

    /// Gives everything back. The context must be current, and all work done.
    pub fn close(&mut self) {
        let handle = std::mem::replace(&mut self.handle, null_mut());
        // SAFETY: made here, given back once. What fails here fails at the end of everything.
        unsafe {
            for plan in self.plans.drain().filter_map(|(_, plan)| plan) {
                let _ = result::destroy_matmul_desc(plan.product);
                for layout in [plan.right, plan.left, plan.to] {
                    let _ = result::destroy_matrix_layout(layout);
                }
            }
            let _ = driver::result::free_sync(self.workspace);
            let _ = result::destroy_handle(handle);
        }
    }
}

/// Sets what a product is.
fn describe<T>(
    product: sys::cublasLtMatmulDesc_t,
    what: sys::cublasLtMatmulDescAttributes_t,
    value: &T,
) -> Result<(), CublasError> {
    // SAFETY: the library copies as many bytes as the value has.
    unsafe {
        result::set_matmul_desc_attribute(product, what, from_ref(value).cast(), size_of::<T>())
    }
}

/// Sets what a way to do it must keep to.
fn prefer<T>(
    wanted: sys::cublasLtMatmulPreference_t,
    what: sys::cublasLtMatmulPreferenceAttributes_t,
    value: &T,
) -> Result<(), CublasError> {
    // SAFETY: as above.
    unsafe {
        result::set_matmul_pref_attribute(wanted, what, from_ref(value).cast(), size_of::<T>())
    }
}
