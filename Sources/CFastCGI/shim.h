#pragma once
#include <fcgiapp.h>

// Hands a connection that was accepted elsewhere to the next FCGX_Accept_r, which then reads the request from it instead of
// accepting one itself. FCGX_Accept_r first finishes the previous request and closes ipcFd, unless keepConnection is set. It
// then sets keepConnection from the new request (libfcgi 2.4.2, fcgiapp.c). fcgiapp.h documents both members.
static inline void cfastcgi_adopt(FCGX_Request *request, int connection) {
    request->ipcFd = connection;
    request->keepConnection = 1;
}
