// Usage: load PORT [--clients 1] [--seconds 1 | --requests N] [--stream 1] [--path /v1/chat/completions]
//             [--header 'Name: value'] [--memory-of PID]
//
// Closed-loop clients on kept connections, all in one thread. Prints a line of figures:
//
//   done, failed   complete responses (a stream: with its [DONE]), and incomplete responses
//   latency_us     from the request to the end of the response (median)
//   first_us       from the request to the first token (median)
//   chunk_us       from the engine's send of a token to its arrival here (median), chunk_p99_us
//   held           most streams that were open at once with their first token here
//   memory_kib     resident memory of PID when the last client had its first token
//
// With --requests each client sends that number. --seconds ends the sending; open responses may end.
#include "common.h"
#include <sys/epoll.h>

enum { BUFFER_SIZE = 64 * 1024 };

struct client {
    int fd, is_open;
    long requests_left;
    int64_t sent, first;
    size_t length, scanned;
    char *buffer;
};

static int poller, port, is_stream, active, held, held_most;
static long done_count, failed_count, memory_kib = -1, memory_pid;
static int64_t deadline;
static char request[2048];
static int client_count;
static struct samples latencies, firsts, chunks;

static long resident_kib(long pid) {
    char path[64], line[256];
    long result = -1;
    snprintf(path, sizeof path, "/proc/%ld/status", pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) sscanf(line, "VmRSS: %ld", &result);
    if (file) fclose(file);
    return result;
}

static void leave(struct client *client) {
    if (client->fd >= 0) close(client->fd);
    client->fd = -1;
}

static void send_request(struct client *client) {
    if (client->requests_left-- == 0 || now_ns() > deadline) {
        leave(client);
        active--;
        return;
    }
    if (client->fd < 0) {
        client->fd = connect_to(port);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        epoll_ctl(poller, EPOLL_CTL_ADD, client->fd, &event);
    }
    client->length = client->scanned = 0;
    client->first = 0;
    client->sent = now_ns();
    if (send(client->fd, request, strlen(request), MSG_NOSIGNAL) < 0) die("send");
}

static void finish(struct client *client, int is_whole) {
    if (client->is_open) {
        client->is_open = 0;
        held--;
    }
    if (is_whole) {
        done_count++;
        add_sample(&latencies, now_ns() - client->sent);
        // nginx ends a connection after keepalive_requests, 1000.
        if (strcasestr(client->buffer, "\r\nConnection: close\r\n")) leave(client);
    } else {
        if (failed_count++ == 0) fprintf(stderr, "load: a failed response:\n%.600s\n", client->buffer);
        leave(client);
    }
    send_request(client);
}

// Notes the times of the tokens that have arrived.
static void look_at_tokens(struct client *client, int64_t now) {
    char *at;
    while ((at = strstr(client->buffer + client->scanned, "\"t\":"))) {
        char *end;
        int64_t sent = strtoll(at + 4, &end, 10);
        // The rest of the event may come later.
        if (*end != '}') return;
        client->scanned = (size_t)(end - client->buffer);
        add_sample(&chunks, now - sent);
        if (client->first) continue;
        client->first = now;
        client->is_open = 1;
        add_sample(&firsts, now - client->sent);
        if (++held > held_most) held_most = held;
        if (held == client_count && memory_pid && memory_kib < 0) memory_kib = resident_kib(memory_pid);
    }
}

static int is_whole_length(struct client *client, const char *body) {
    const char *field = strcasestr(client->buffer, "\r\nContent-Length:");
    return field && field < body && client->length - (size_t)(body - client->buffer) >= strtoul(field + 17, NULL, 10);
}

static void receive(struct client *client) {
    ssize_t count = recv(client->fd, client->buffer + client->length, BUFFER_SIZE - 1 - client->length, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) return finish(client, 0);
    int64_t now = now_ns();
    client->length += (size_t)count;
    client->buffer[client->length] = 0;
    const char *body = strstr(client->buffer, "\r\n\r\n");
    if (!body) return;
    body += 4;
    int is_good = strncmp(client->buffer, "HTTP/1.1 200 ", 13) == 0;
    if (is_good && is_stream) {
        look_at_tokens(client, now);
        if (client->length > 7 && memcmp(client->buffer + client->length - 7, "\r\n0\r\n\r\n", 7) == 0)
            finish(client, strstr(client->buffer, "data: [DONE]\n\n") != NULL);
        else if (client->length >= BUFFER_SIZE - 1) die("a response is longer than expected");
    } else if (is_whole_length(client, body)) {
        finish(client, is_good);
    }
}

int main(int count, char **arguments) {
    if (count < 2) die("usage: load PORT [options]");
    raise_descriptor_limit();
    port = atoi(arguments[1]);
    client_count = (int)number_option(count, arguments, "--clients", 1);
    is_stream = (int)number_option(count, arguments, "--stream", 0);
    memory_pid = number_option(count, arguments, "--memory-of", 0);
    long requests = number_option(count, arguments, "--requests", -1);
    const char *path = option(count, arguments, "--path"), *header = option(count, arguments, "--header");
    const char *body = is_stream ? "{\"model\":\"bench\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}"
        : "{\"model\":\"bench\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}";
    snprintf(request, sizeof request,
        "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: */*\r\n%s%s"
        "Content-Length: %zu\r\n\r\n%s",
        path ? path : "/v1/chat/completions", header ? header : "", header ? "\r\n" : "", strlen(body), body);
    poller = epoll_create1(EPOLL_CLOEXEC);
    int64_t started = now_ns(), limit = number_option(count, arguments, "--seconds", 1) * 1000000000;
    deadline = requests >= 0 ? INT64_MAX : started + limit;
    struct client *clients = calloc((size_t)client_count, sizeof *clients);
    active = client_count;
    for (int index = 0; index < client_count; index++) {
        clients[index] = (struct client){.fd = -1, .requests_left = requests, .buffer = malloc(BUFFER_SIZE)};
        send_request(&clients[index]);
    }
    while (active > 0) {
        struct epoll_event events[256];
        int ready = epoll_wait(poller, events, 256, 60000);
        if (ready == 0) die("%d clients have waited a minute for their responses", active);
        for (int index = 0; index < ready; index++) receive(events[index].data.ptr);
    }
    double seconds = (double)(now_ns() - started) / 1e9;
    printf("done=%ld failed=%ld per_second=%.1f latency_us=%.1f first_us=%.1f chunk_us=%.1f chunk_p99_us=%.1f held=%d "
        "memory_kib=%ld\n", done_count, failed_count, (double)done_count / seconds, quantile_us(&latencies, 0.5),
        quantile_us(&firsts, 0.5), quantile_us(&chunks, 0.5), quantile_us(&chunks, 0.99), held_most, memory_kib);
    return failed_count > 0;
}
