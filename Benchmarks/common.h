// Shared by the programs of the benchmark: time, errors, numbers from the command line, sockets on 127.0.0.1.
#pragma once
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// Nanoseconds of the monotonic clock, which is the same for all processes.
static inline int64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

__attribute__((format(printf, 1, 2), noreturn)) static inline void die(const char *format, ...) {
    int code = errno;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s%s\n", code ? ": " : "", code ? strerror(code) : "");
    exit(1);
}

// Each stream needs a descriptor. Raises the limit to the most that the system allows.
static inline void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static inline struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

// Connects without Nagle's algorithm: each write leaves at once.
static inline int connect_to(int port) {
    struct sockaddr_in address = loopback(port);
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) die("connect to %d", port);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

// The value of `name=` in a text such as `a=1&b=2` that ends at a space; `otherwise` when it is not there.
static inline long parameter(const char *text, const char *name, long otherwise) {
    size_t length = strlen(name);
    for (const char *at = text; *at && *at != ' ' && *at != '\r'; at++)
        if ((at == text || at[-1] == '?' || at[-1] == '&') && strncmp(at, name, length) == 0 && at[length] == '=')
            return atol(at + length + 1);
    return otherwise;
}

// `--name value` among the arguments; NULL when it is not there.
static inline const char *option(int count, char **arguments, const char *name) {
    for (int index = 1; index + 1 < count; index++)
        if (strcmp(arguments[index], name) == 0) return arguments[index + 1];
    return NULL;
}

static inline long number_option(int count, char **arguments, const char *name, long otherwise) {
    const char *value = option(count, arguments, name);
    return value ? atol(value) : otherwise;
}

// Times of one kind, in nanoseconds.
struct samples {
    int64_t *values;
    size_t count, room;
};

static inline void add_sample(struct samples *samples, int64_t value) {
    if (samples->count == samples->room) {
        samples->room = samples->room ? samples->room * 2 : 1024;
        samples->values = realloc(samples->values, samples->room * sizeof *samples->values);
        if (!samples->values) die("out of memory");
    }
    samples->values[samples->count++] = value;
}

static inline int compare_samples(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

// A quantile (0 to 1) in microseconds; -1 without samples.
static inline double quantile_us(struct samples *samples, double quantile) {
    if (samples->count == 0) return -1;
    qsort(samples->values, samples->count, sizeof *samples->values, compare_samples);
    return (double)samples->values[(size_t)(quantile * (double)(samples->count - 1))] / 1000;
}
