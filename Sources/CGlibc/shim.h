#pragma once
#include <malloc.h>
#include <sys/syscall.h>

// Types stay those of Swift's module of glibc, which is made without _GNU_SOURCE: a header here would define them again.

// posix_spawn_file_actions_addclosefrom_np(3), which spawn.h declares for _GNU_SOURCE alone. glibc has it since 2.34.
extern int posix_spawn_file_actions_addclosefrom_np(void *actions, int first);

// POSIX_SPAWN_SETSID, which spawn.h defines for _GNU_SOURCE alone.
static const short cglibc_spawn_setsid = 0x80;

// pidfd_open(2), for which glibc has a function since 2.36 alone. Swift cannot call syscall(2), which is variadic.
extern long syscall(long number, ...);
static inline int cglibc_pidfd_open(int process) {
    return (int)syscall(SYS_pidfd_open, process, 0);
}
