//! What the process's allocator does with large blocks.
//!
//! A body of 8 MiB is several blocks of 8 MiB while it is read, decided and
//! written, in the heaps of several threads. glibc gives such blocks back to the
//! system when they are freed, but only until the first one was: then it takes
//! them for common, keeps them, and every thread keeps its own. Here it is told
//! to go on giving them back, so that what was freed in one thread is there for
//! all. (Other C libraries do so by themselves.)

/// From this many bytes on, a block is the system's again once it is freed. A
/// call of the system each time, which is little beside what fills the block.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 1 << 20;

/// What a heap may keep free at its end, rather than give it back.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const SPARE: libc::c_int = 2 << 20;

/// For the beginning of the program.
pub fn give_back_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (parameter, bytes) in [(libc::M_MMAP_THRESHOLD, LARGE), (libc::M_TRIM_THRESHOLD, SPARE)] {
        // SAFETY: it sets a number of the allocator, which may be done at any
        // time. One that does not know it says so, and stays as it was.
        #[expect(unsafe_code, reason = "the allocator has no other switch")]
        unsafe {
            libc::mallopt(parameter, bytes);
        }
    }
}
