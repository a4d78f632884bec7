// Usage: hello SOCKET [LOCATION]
//
// The smallest FastCGI program: libfcgi, one thread for each of 4 requests at once, a constant answer. What /busy is
// measured against. With a location of nginx's it hands each request to that, as the worker does in handoff, and like that
// spares libfcgi's wait for nginx to close: what is left is nginx's and libfcgi's own.
#include <fcgiapp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int listener, hands_off;
static char answer[256] = "Status: 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"busy\":false}";

static void *serve(void *unused) {
    FCGX_Request request;
    FCGX_InitRequest(&request, listener, 0);
    while (FCGX_Accept_r(&request) == 0) {
        FCGX_PutS(answer, request.out);
        if (hands_off) FCGX_Detach(&request);
        FCGX_Finish_r(&request);
    }
    return unused;
}

int main(int count, char **arguments) {
    if (count < 2) return 64;
    hands_off = count > 2;
    if (hands_off) snprintf(answer, sizeof answer, "X-Accel-Redirect: %s\r\n\r\n", arguments[2]);
    signal(SIGPIPE, SIG_IGN);
    FCGX_Init();
    listener = FCGX_OpenSocket(arguments[1], 4096);
    if (listener < 0) return 1;
    for (int index = 0; index < 3; index++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, NULL) != 0) return 1;
    }
    serve(NULL);
    return 0;
}
