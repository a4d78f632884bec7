// Usage: hello SOCKET
//
// The smallest FastCGI program: libfcgi, one thread for each of 4 requests at once, a constant answer. What /busy is
// measured against.
#include <fcgiapp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static int listener;

static void *serve(void *unused) {
    FCGX_Request request;
    FCGX_InitRequest(&request, listener, 0);
    while (FCGX_Accept_r(&request) == 0) {
        FCGX_PutS("Status: 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"busy\":false}", request.out);
        FCGX_Finish_r(&request);
    }
    return unused;
}

int main(int count, char **arguments) {
    if (count != 2) return 64;
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
