// Usage: hello SOCKET [LOCATION]
//
// The smallest FastCGI program, which /busy is compared with: libfcgi, 4 threads, a constant response. With LOCATION it hands
// each request over to that location of nginx, as the worker does in handoff. Like the worker it does not wait for nginx to
// close; nginx and libfcgi take the remaining time.
#include <fcgiapp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int listener, hands_off;
static char response[256] = "Status: 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"busy\":false}";

static void *serve(void *unused) {
    FCGX_Request request;
    FCGX_InitRequest(&request, listener, 0);
    while (FCGX_Accept_r(&request) == 0) {
        FCGX_PutS(response, request.out);
        if (hands_off) FCGX_Detach(&request);
        FCGX_Finish_r(&request);
    }
    return unused;
}

int main(int count, char **arguments) {
    if (count < 2) return 64;
    hands_off = count > 2;
    if (hands_off) snprintf(response, sizeof response, "X-Accel-Redirect: %s\r\n\r\n", arguments[2]);
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
