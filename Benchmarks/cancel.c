// Usage: cancel PORT ENGINE_PORT [--times 20]
//
// Measures the time from a client's leaving to the close of the engine's stream. Half of the clients leave before the first
// token, half after it. Prints the median and the longest time in milliseconds. The engine at ENGINE_PORT tells when it noticed
// each close.
#include "common.h"

static const char body[] = "{\"model\":\"bench\",\"stream\":true,\"messages\":[]}";

static void ask(int port, long *open, long *gone, int64_t *last) {
    static const char request[] = "GET /gone HTTP/1.1\r\nHost: engine\r\n\r\n";
    char text[1024];
    int fd = connect_to(port);
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0) die("send");
    ssize_t length = recv(fd, text, sizeof text - 1, 0);
    close(fd);
    text[length > 0 ? length : 0] = 0;
    const char *response = strstr(text, "{\"open\":");
    long long time = 0;
    if (!response || sscanf(response, "{\"open\":%ld,\"gone\":%ld,\"last\":%lld}", open, gone, &time) != 3) die("the engine says: %s", text);
    *last = time;
}

int main(int count, char **arguments) {
    if (count < 3) die("usage: cancel PORT ENGINE_PORT [--times 20]");
    int port = atoi(arguments[1]), engine = atoi(arguments[2]);
    long times = number_option(count, arguments, "--times", 20);
    struct samples samples = {0};
    for (long round = 0; round < times; round++) {
        char text[4096] = "";
        long open = 0, before, after;
        int64_t last;
        ask(engine, &open, &before, &last);
        int fd = connect_to(port), is_late = round % 2;
        // The first token comes at once, or never within the time of this program.
        snprintf(text, sizeof text, "POST /v1/completions?delay_ms=3600000%s HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", is_late ? "" : "&first_ms=3600000",
            sizeof body - 1, body);
        if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0) die("send");
        if (is_late) {
            while (!strstr(text, "\"t\":")) {
                ssize_t length = recv(fd, text, sizeof text - 1, 0);
                if (length <= 0) die("no first token");
                text[length] = 0;
            }
        } else {
            while (open == 0) {
                usleep(1000);
                ask(engine, &open, &after, &last);
            }
        }
        int64_t left = now_ns();
        close(fd);
        do {
            usleep(1000);
            ask(engine, &open, &after, &last);
            if (now_ns() - left > 5000000000) die("the engine never noticed");
        } while (after == before);
        add_sample(&samples, last - left);
    }
    printf("cancel_ms=%.2f cancel_longest_ms=%.2f\n", quantile_us(&samples, 0.5) / 1000, quantile_us(&samples, 1) / 1000);
    return 0;
}
