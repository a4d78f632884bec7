// Usage: ready DIRECTORY PROGRAM [ARGUMENT…]
//
// Starts the program and prints its process id and the time from exec to its message that it is ready (sd_notify(3)). The
// program keeps running. The socket for the message is in DIRECTORY.
#include "common.h"
#include <signal.h>
#include <sys/un.h>

int main(int count, char **arguments) {
    if (count < 3) die("usage: ready DIRECTORY PROGRAM [ARGUMENT…]");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/notify.%d", arguments[1], getpid());
    if (length >= (int)sizeof address.sun_path) die("the directory's path is too long");
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0) die("bind %s", address.sun_path);
    struct timeval limit = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    int64_t started = now_ns();
    pid_t pid = fork();
    if (pid == 0) {
        // A caller that waits for the end of our output must not wait for the program's.
        dup2(STDERR_FILENO, STDOUT_FILENO);
        execvp(arguments[2], arguments + 2);
        die("%s", arguments[2]);
    }
    char text[256];
    ssize_t size = recv(fd, text, sizeof text, 0);
    int64_t ended = now_ns();
    unlink(address.sun_path);
    if (size < 7 || memcmp(text, "READY=1", 7) != 0) {
        kill(pid, SIGKILL);
        die("%s is not ready", arguments[2]);
    }
    printf("pid=%d ready_ms=%.2f\n", pid, (double)(ended - started) / 1e6);
    return 0;
}
