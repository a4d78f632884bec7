// Shows ThreadSanitizer what Swift's Mutex does when threads meet at it.
//
// `Synchronization.Mutex` is a futex on Linux. Where nobody else wants it, it is taken and given back by an atomic operation that is
// inlined into code of ours, and seen. Where somebody does, the kernel hands it over (FUTEX_LOCK_PI, FUTEX_UNLOCK_PI) within
// libswiftSynchronization.so, which is not instrumented: what one thread did under the lock and another does under it next then
// look like a race. The tests have such locks.
//
// These two, linked into each program, come before the library's, call them, and say what they did. Both are given the
// mutex, whose address is also that of the word which the atomic operations are done on. Should another version of Swift
// call them otherwise, false races show again.
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
