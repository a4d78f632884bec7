// A machine that runs out of descriptors, for LD_PRELOAD. While the file that $DESCRIPTORS_TAKEN names exists, the next
// accept takes all remaining descriptors first. They are given back with the first accept without it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int taken[65536];
static size_t count;

static void take(void) {
    const char *path = getenv("DESCRIPTORS_TAKEN");
    pthread_mutex_lock(&lock);
    // Opens nothing.
    if (!path || access(path, F_OK) != 0) {
        while (count > 0) close(taken[--count]);
    } else if (count == 0) {
        // Once: descriptors that are closed later stay free.
        int descriptor;
        while (count < sizeof taken / sizeof *taken && (descriptor = dup(STDERR_FILENO)) >= 0) taken[count++] = descriptor;
    }
    pthread_mutex_unlock(&lock);
}

int accept(int socket, struct sockaddr *address, socklen_t *length) {
    static int (*next)(int, struct sockaddr *, socklen_t *);
    if (!next) next = (int (*)(int, struct sockaddr *, socklen_t *))dlsym(RTLD_NEXT, "accept");
    take();
    return next(socket, address, length);
}
