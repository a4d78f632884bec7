#pragma once
#include <fcgiapp.h>

// Hands a connection that was accepted elsewhere to the next FCGX_Accept_r, which then reads the request from it instead
// of accepting one itself. FCGX_Accept_r first finishes what came before and, unless keepConnection says otherwise,
// closes ipcFd; it sets keepConnection anew from the request it reads (libfcgi 2.4.2, fcgiapp.c). fcgiapp.h documents
// both members.
static inline void cfastcgi_adopt(FCGX_Request *request, int connection) {
    request->ipcFd = connection;
    request->keepConnection = 1;
}
