//! The C library returns large blocks to the system when it frees them.
//!
//! What is Rust is allocated by jemalloc, which does so by its settings (`.cargo/config.toml`);
//! this is about SQLite, and about tests and embedders, which have the allocator of the C
//! library. A body of 8 MiB is several blocks of 8 MiB while it is read and written, in the
//! heaps of several threads. glibc returns such blocks only until the first one is freed:
//! from then on each thread's heap keeps its own, so that what one thread has freed stands
//! beside what another needs. This module fixes the threshold. (Other C libraries need no
//! such setting.)

/// From this many bytes on, a freed block goes back to the system. This costs a
/// system call, which is little beside filling the block.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 1 << 20;

/// Free bytes that a heap may keep at its end.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const SPARE: libc::c_int = 2 << 20;

/// Fixes the threshold, before anything large is allocated.
pub fn return_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (parameter, bytes) in [(libc::M_MMAP_THRESHOLD, LARGE), (libc::M_TRIM_THRESHOLD, SPARE)] {
        // SAFETY: mallopt sets a number of the allocator, which is allowed at any
        // time. An allocator that does not know the number ignores it.
        #[expect(unsafe_code, reason = "the allocator has no safe interface")]
        unsafe {
            libc::mallopt(parameter, bytes);
        }
    }
}
