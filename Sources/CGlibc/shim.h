#pragma once
#include <malloc.h>
#include <pthread.h>
#include <sys/eventfd.h>

// pthread_getattr_np(3), which pthread.h declares for _GNU_SOURCE alone: Swift's module of glibc is made without.
extern int pthread_getattr_np(pthread_t thread, pthread_attr_t *attributes);
