// A file server that hangs, for LD_PRELOAD: open(2) of the file that $HUNG_FILE names makes that file's name with ".hung" behind it,
// and never returns.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*opening)(const char *, int, ...);

static int open_or_hang(const char *name, const char *path, int flags, mode_t mode) {
    opening next = (opening)dlsym(RTLD_NEXT, name);
    const char *hung = getenv("HUNG_FILE");
    if (hung && strcmp(path, hung) == 0) {
        char mark[PATH_MAX];
        snprintf(mark, sizeof mark, "%s.hung", path);
        close(next(mark, O_WRONLY | O_CREAT, 0600));
        for (;;) pause();
    }
    return next(path, flags, mode);
}

// The mode is there with O_CREAT alone, and otherwise any value will do.
#define OPENING(name)                                  \
    int name(const char *path, int flags, ...) {       \
        va_list arguments;                             \
        va_start(arguments, flags);                    \
        const mode_t mode = va_arg(arguments, mode_t); \
        va_end(arguments);                             \
        return open_or_hang(#name, path, flags, mode); \
    }

OPENING(open)
OPENING(open64)
