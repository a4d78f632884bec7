#pragma once
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <malloc.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// Types come from Swift's module of glibc, which is made without _GNU_SOURCE; a header here would define them again.

// posix_spawn_file_actions_addclosefrom_np(3), which spawn.h declares for _GNU_SOURCE alone. Available since glibc 2.34.
extern int posix_spawn_file_actions_addclosefrom_np(void *actions, int first);

// POSIX_SPAWN_SETSID, which spawn.h defines for _GNU_SOURCE alone.
static const short cglibc_spawn_setsid = 0x80;

// pidfd_open(2), for which glibc has a function since 2.36 alone. Swift cannot call syscall(2), which is variadic.
extern long syscall(long number, ...);
static inline int cglibc_pidfd_open(int process) {
    return (int)syscall(SYS_pidfd_open, process, 0);
}

// F_OFD_GETLK and F_OFD_SETLK (fcntl(2)), which fcntl.h declares for _GNU_SOURCE alone.
enum { CGLIBC_OFD_GETLK = 36, CGLIBC_OFD_SETLK = 37 };

// syscall(2) is variadic, which Swift cannot call. futex(2), between processes: both return -1 with errno.
static inline long cglibc_futex_wait(uint32_t *word, uint32_t expected, long nanoseconds) {
    const struct timespec limit = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    return syscall(SYS_futex, word, FUTEX_WAIT, expected, &limit, 0, 0);
}

static inline long cglibc_futex_wake(uint32_t *word, int count) {
    return syscall(SYS_futex, word, FUTEX_WAKE, count, 0, 0, 0);
}

// The handler of BusErrors.swift, which alone may use what follows: each file that does gets its own table. In C, because the first
// thing that Swift does with a global may take a lock, and the signal may come while the thread holds that lock.
enum { CGLIBC_MAPPINGS = 256 };
struct cglibc_bus_errors {
    struct {
        uintptr_t start;
        size_t size;
    } mappings[CGLIBC_MAPPINGS];
    struct sigaction former;
};

// A sanitizer's code takes locks as well.
#if defined(__has_attribute) && __has_attribute(disable_sanitizer_instrumentation)
#define CGLIBC_PLAIN __attribute__((disable_sanitizer_instrumentation))
#else
#define CGLIBC_PLAIN
#endif

// In a function: Swift makes no global of a header.
CGLIBC_PLAIN static inline struct cglibc_bus_errors *cglibc_bus_errors(void) {
    static struct cglibc_bus_errors errors;
    return &errors;
}

// Puts zeros in the place of the mapping that the access was to. Any other SIGBUS has its former effect, once the access is repeated.
CGLIBC_PLAIN static inline void cglibc_on_bus_error(int number, siginfo_t *information, void *context) {
    struct cglibc_bus_errors *errors = cglibc_bus_errors();
    const uintptr_t address = (uintptr_t)information->si_addr;
    const int code = errno;
    for (int index = 0; index < CGLIBC_MAPPINGS; index++) {
        const uintptr_t start = __atomic_load_n(&errors->mappings[index].start, __ATOMIC_ACQUIRE);
        const size_t size = errors->mappings[index].size;
        if (start == 0 || address < start || address - start >= size) continue;
        // mmap(2) by its number: a sanitizer has its own mmap.
        const long zeros = syscall(SYS_mmap, start, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        errno = code;
        if (zeros != -1) return;
    }
    sigaction(SIGBUS, &errors->former, NULL);
}

// Installs the handler; -1 with errno. The caller sees to it that this and the next are called one at a time.
static inline int cglibc_handle_bus_errors(void) {
    struct sigaction action = {.sa_sigaction = cglibc_on_bus_error, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    return sigaction(SIGBUS, &action, &cglibc_bus_errors()->former);
}

// Replaces a mapping by another; a start of 0 is none. Returns whether there was the former.
static inline int cglibc_replace_mapping(uintptr_t former, uintptr_t start, size_t size) {
    struct cglibc_bus_errors *errors = cglibc_bus_errors();
    for (int index = 0; index < CGLIBC_MAPPINGS; index++) {
        if (errors->mappings[index].start != former) continue;
        if (start != 0) errors->mappings[index].size = size;
        __atomic_store_n(&errors->mappings[index].start, start, __ATOMIC_RELEASE);
        return 1;
    }
    return 0;
}
