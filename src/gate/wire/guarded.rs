//! Buffers that end, or begin, at a page that must not be touched, and word of who touched it.

use std::ffi::{CString, c_int, c_void};
use std::io;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::check::tensor::{Dtype, Tensor};

use super::frame;

/// Which end of a buffer lies at a guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The buffer begins where a page does: elements are aligned as an allocator would.
    Begin,
    /// The buffer ends where a page does: only items are aligned.
    End,
}

/// One tensor in pages of its own.
#[derive(Debug)]
pub(super) struct Buffer {
    pub(super) name: CString,
    dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// The pages, a guard at either end.
    pages: *mut u8,
    length: usize,
    page: usize,
    /// The elements.
    start: *mut u8,
    bytes: usize,
}

impl Buffer {
    /// Room for a tensor, every byte 0xFF: each float is NaN.
    pub(super) fn new(name: &str, dtype: Dtype, shape: &[usize], side: Side) -> io::Result<Buffer> {
        let bytes = shape.iter().product::<usize>() * dtype.bytes();
        // SAFETY: a question to the system.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page = usize::try_from(page).map_err(io::Error::other)?;
        let inside = bytes.next_multiple_of(page).max(page);
        let length = inside + 2 * page;
        let name = CString::new(name)?;
        let (protection, kind) = (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANON);
        // SAFETY: new pages, wherever there is room.
        let pages = unsafe { libc::mmap(ptr::null_mut(), length, protection, kind, -1, 0) };
        if pages == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let pages = pages.cast::<u8>();
        let at = if side == Side::Begin { page } else { page + inside - bytes };
        // SAFETY: within the pages, as `bytes` ≤ `inside`.
        let start = unsafe { pages.add(at) };
        let buffer =
            Buffer { name, dtype, shape: shape.to_vec(), pages, length, page, start, bytes };
        buffer.protect(libc::PROT_READ | libc::PROT_WRITE)?;
        // SAFETY: the inner pages are this buffer's and can be written.
        unsafe { ptr::write_bytes(pages.add(page), 0xFF, inside) };
        Ok(buffer)
    }

    /// A tensor that can only be read.
    pub(super) fn holding(name: &str, tensor: &Tensor, side: Side) -> io::Result<Buffer> {
        let buffer = Buffer::new(name, tensor.dtype, &tensor.shape, side)?;
        let bytes = frame::bytes(tensor);
        assert_eq!(bytes.len(), buffer.bytes, "a tensor has as many elements as its shape");
        // SAFETY: there is room for as many bytes.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.start, bytes.len()) };
        buffer.protect(libc::PROT_READ)?;
        Ok(buffer)
    }

    /// What may be done with the pages between the guards.
    fn protect(&self, protection: c_int) -> io::Result<()> {
        // SAFETY: the inner pages are this buffer's.
        let result = unsafe {
            let inner = self.pages.add(self.page).cast::<c_void>();
            libc::mprotect(inner, self.length - 2 * self.page, protection)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// The elements.
    pub(super) fn data(&self) -> *mut c_void {
        self.start.cast()
    }

    /// The name of the dtype in the header's words.
    pub(super) fn dtype(&self) -> &'static std::ffi::CStr {
        match self.dtype {
            Dtype::F64 => c"f64",
            Dtype::F32 => c"f32",
            Dtype::F16 => c"f16",
            Dtype::Bf16 => c"bf16",
            Dtype::I64 => c"i64",
            Dtype::U8 => c"u8",
        }
    }

    /// What the buffer holds.
    pub(super) fn tensor(&self) -> Tensor {
        // SAFETY: the bytes are this buffer's, all of them written at least once.
        let bytes = unsafe { std::slice::from_raw_parts(self.start, self.bytes) };
        let values = frame::values(self.dtype, bytes);
        Tensor { dtype: self.dtype, shape: self.shape.clone(), values }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nothing points into it any more.
        unsafe { libc::munmap(self.pages.cast(), self.length) };
    }
}

/// The buffers of the call under way, for the handler of faults.
static WATCHED: AtomicPtr<Vec<Buffer>> = AtomicPtr::new(ptr::null_mut());
/// One call at a time is watched.
static CALLS: Mutex<()> = Mutex::new(());

/// Runs `call` with these buffers; whoever touches what it must not ends the process, and the end
/// of standard error then names the buffer.
pub(super) fn watched<R>(buffers: &mut Vec<Buffer>, call: impl FnOnce(&[Buffer]) -> R) -> R {
    let _alone = CALLS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    WATCHED.store(buffers, Ordering::SeqCst);
    let result = call(buffers);
    WATCHED.store(ptr::null_mut(), Ordering::SeqCst);
    result
}

/// Installs the handler of faults.
pub(super) fn watch() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: the handler only reads memory and calls write and signal, which are allowed in
        // handlers.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = fault as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&mut action.sa_mask);
            libc::sigaction(signal, &action, ptr::null_mut());
        }
    }
}

extern "C" fn fault(signal: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    let say = |text: &[u8]| {
        // SAFETY: the text is there; a failure to tell changes nothing.
        unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
    };
    // SAFETY: the system passes the information of this signal; the buffers outlive their call.
    let (at, buffers) =
        unsafe { ((*info).si_addr() as usize, WATCHED.load(Ordering::SeqCst).as_ref()) };
    let pages =
        |buffer: &&Buffer| (0..buffer.length).contains(&at.wrapping_sub(buffer.pages as usize));
    match buffers.into_iter().flatten().find(pages) {
        Some(buffer) => {
            let start = buffer.start as usize;
            say(match at {
                _ if at < start => b"memory before the start of ",
                _ if at >= start + buffer.bytes => b"memory past the end of ",
                // All else of a buffer can be read, and outputs can be written.
                _ => b"the read-only input ",
            });
            say(buffer.name.to_bytes());
            say(b" was touched\n");
        }
        None => say(b"memory that belongs to no tensor was touched\n"),
    }
    // SAFETY: back to the default; the fault happens again and ends the process.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}
