// Usage: engine PORT
//
// The benchmark's engine and central system: one thread, responses of 32 tokens without delay, never the bottleneck.
//
//   POST …  with "stream":true in the body: server-sent events, a send for each token as real engines do
//   POST …  else: one JSON response with the same tokens
//   POST …/validate_hmac: valid
//   GET /gone: the number of open streams, the number of streams whose reader has left, and the time at which the engine
//   noticed the last of these (ns of CLOCK_MONOTONIC)
//   GET …   else: a list of one model
//
// Parameters of the query: tokens=32, first_ms=0 before the first, delay_ms=0 after each. Each event has its time of sending, "t".
#include "common.h"
#include <signal.h>
#include <sys/epoll.h>

enum { INPUT_SIZE = 64 * 1024, MAX_CONNECTIONS = 65536 };

struct connection {
    int fd, heap_index, is_streaming, is_first;
    long tokens_left, delay_ns;
    int64_t due;
    size_t length;
    char *input;
};

static struct connection *connections[MAX_CONNECTIONS];
static struct connection *heap[MAX_CONNECTIONS]; // connections that wait for their next token, the earliest first
static int heap_count, poller;
static long gone_count, open_count;
static int64_t last_gone;

static void place(struct connection *connection, int index) {
    heap[index] = connection;
    connection->heap_index = index;
}

static void settle(struct connection *connection, int index) {
    while (index > 0 && heap[(index - 1) / 2]->due > connection->due) {
        place(heap[(index - 1) / 2], index);
        index = (index - 1) / 2;
    }
    for (int child; (child = index * 2 + 1) < heap_count; index = child) {
        if (child + 1 < heap_count && heap[child + 1]->due < heap[child]->due) child++;
        if (heap[child]->due >= connection->due) break;
        place(heap[child], index);
    }
    place(connection, index);
}

static void stop_waiting(struct connection *connection) {
    int index = connection->heap_index;
    if (index < 0) return;
    connection->heap_index = -1;
    if (index != --heap_count) settle(heap[heap_count], index);
}

static void close_connection(struct connection *connection) {
    if (connection->is_streaming) {
        gone_count++;
        open_count--;
        last_gone = now_ns();
    }
    stop_waiting(connection);
    connections[connection->fd] = NULL;
    close(connection->fd);
    free(connection->input);
    free(connection);
}

// False when the connection has failed. Responses are small: they always fit into the socket's buffer.
static int put(struct connection *connection, const char *text, size_t length) {
    return send(connection->fd, text, length, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)length;
}

static int respond_json(struct connection *connection, const char *body) {
    char text[4096];
    int length = snprintf(text, sizeof text,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
    return put(connection, text, (size_t)length);
}

static int respond_whole(struct connection *connection, long tokens) {
    char body[2048], words[1024] = "";
    for (long token = 0; token < tokens && token < 128; token++) strcat(words, " token");
    snprintf(body, sizeof body,
        "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"bench\",\"choices\":"
        "[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},\"finish_reason\":\"stop\"}],"
        "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":%ld,\"total_tokens\":%ld}}",
        words, tokens, tokens + 10);
    return respond_json(connection, body);
}

static const char stream_head[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
static const char stream_end[] = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

// Sends the next token: with a delay one token, without a delay all. False when the reader has left.
static int send_tokens(struct connection *connection) {
    while (connection->tokens_left > 0) {
        char event[512], text[1024];
        int length = snprintf(event, sizeof event,
            "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\","
            "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"finish_reason\":null}],\"t\":%lld}\n\n",
            (long long)now_ns());
        length = snprintf(text, sizeof text, "%s%x\r\n%s\r\n", connection->is_first ? stream_head : "", length, event);
        connection->is_first = 0;
        if (!put(connection, text, (size_t)length)) return 0;
        connection->tokens_left--;
        if (connection->delay_ns > 0) {
            connection->due += connection->delay_ns;
            settle(connection, heap_count++);
            return 1;
        }
    }
    connection->is_streaming = 0;
    open_count--;
    return put(connection, stream_end, sizeof stream_end - 1);
}

static int respond(struct connection *connection, const char *target, int is_post, const char *body) {
    if (!is_post) {
        char text[128];
        snprintf(text, sizeof text, "{\"open\":%ld,\"gone\":%ld,\"last\":%lld}", open_count, gone_count,
            (long long)last_gone);
        return respond_json(connection, strncmp(target, "/gone", 5) == 0 ? text
            : "{\"object\":\"list\",\"data\":[{\"id\":\"bench\",\"object\":\"model\",\"created\":1,\"owned_by\":\"b\"}]}");
    }
    if (strstr(target, "/validate_hmac ")) return respond_json(connection, "{\"valid\":true}");
    long tokens = parameter(target, "tokens", 32);
    if (!strstr(body, "\"stream\":true")) return respond_whole(connection, tokens);
    connection->is_streaming = 1;
    open_count++;
    connection->tokens_left = tokens;
    connection->delay_ns = parameter(target, "delay_ms", 0) * 1000000;
    connection->due = now_ns() + parameter(target, "first_ms", 0) * 1000000;
    connection->is_first = 1;
    if (connection->due <= now_ns()) return send_tokens(connection);
    settle(connection, heap_count++);
    return 1;
}

// Responds to the request once it is complete. False when the connection has ended.
static int receive(struct connection *connection) {
    ssize_t count = recv(connection->fd, connection->input + connection->length,
        INPUT_SIZE - 1 - connection->length, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 1;
    if (count <= 0) return 0;
    connection->length += (size_t)count;
    connection->input[connection->length] = 0;
    char *end = strstr(connection->input, "\r\n\r\n");
    if (!end) return connection->length < INPUT_SIZE - 1;
    char *field = strcasestr(connection->input, "\r\nContent-Length:");
    size_t size = field && field < end ? strtoul(field + 17, NULL, 10) : 0;
    size_t have = connection->length - (size_t)(end + 4 - connection->input);
    if (have < size) return connection->length < INPUT_SIZE - 1;
    connection->length = 0;
    const char *target = strchr(connection->input, ' ');
    return target && respond(connection, target + 1, connection->input[0] == 'P', end + 4);
}

static void accept_all(int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *connection = calloc(1, sizeof *connection);
        if (fd >= MAX_CONNECTIONS || !connection || !(connection->input = malloc(INPUT_SIZE))) die("too many connections");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connection->fd = fd;
        connection->heap_index = -1;
        connections[fd] = connection;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
}

int main(int count, char **arguments) {
    if (count != 2) die("usage: engine PORT");
    raise_descriptor_limit();
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in address = loopback(atoi(arguments[1]));
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 4096) != 0)
        die("listen on %s", arguments[1]);
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    while (1) {
        struct epoll_event events[256];
        int64_t wait = heap_count ? heap[0]->due - now_ns() : 1000000000;
        int ready = epoll_wait(poller, events, 256, wait <= 0 ? 0 : (int)(wait / 1000000) + 1);
        for (int index = 0; index < ready; index++) {
            int fd = events[index].data.fd;
            if (fd == listener) accept_all(listener);
            else if (connections[fd] && !receive(connections[fd])) close_connection(connections[fd]);
        }
        for (int64_t now = now_ns(); heap_count && heap[0]->due <= now;) {
            struct connection *connection = heap[0];
            stop_waiting(connection);
            if (!send_tokens(connection)) close_connection(connection);
        }
    }
}
