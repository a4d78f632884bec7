// Shows ThreadSanitizer what Swift's Mutex does when threads meet at it.
//
// `Synchronization.Mutex` is a futex on Linux. Without contention an atomic operation takes and releases the lock; it is
// inlined into our code, where the sanitizer sees it. With contention the kernel hands the lock over (FUTEX_LOCK_PI,
// FUTEX_UNLOCK_PI) within libswiftSynchronization.so, which is not instrumented. Two uses under the lock then look like a
// race. The tests have contended locks.
//
// These two, linked into each program, come before the library's, call them, and say what they did. Both get the mutex, which
// has the address of the word of the atomic operations. Should another version of Swift call them otherwise, false races show
// again.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>
#include <stdint.h>

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"
#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context)) void *

// func _lockSlow(_ selfId: UInt32)
SWIFT void seen_lock(uint32_t thread, SELF mutex) __asm__(LOCK);
// func _unlockSlow()
SWIFT void seen_unlock(SELF mutex) __asm__(UNLOCK);

SWIFT void seen_lock(uint32_t thread, SELF mutex) {
    typedef SWIFT void (*function)(uint32_t, SELF);
    ((function)dlsym(RTLD_NEXT, LOCK))(thread, mutex);
    __tsan_acquire(mutex);
}

SWIFT void seen_unlock(SELF mutex) {
    typedef SWIFT void (*function)(SELF);
    __tsan_release(mutex);
    ((function)dlsym(RTLD_NEXT, UNLOCK))(mutex);
}
