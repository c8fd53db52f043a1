/* scripted_http: see scripted_http.h.
 *
 * One child, one poll() loop, blocking writes with a time limit. What it saw lies in memory shared with the test, so a count is true
 * as soon as the client has its answer. The child dies with its parent. */
#include "tests/support/scripted_http.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLIENTS_MAX = 128, KEPT_MAX = 16, REQUEST_MAX_BYTES = 8192 };

struct seen {
    _Atomic int connections;
    _Atomic int requests;
    char text[KEPT_MAX][REQUEST_MAX_BYTES];
};

struct client {
    int fd;
    size_t len;
    char text[REQUEST_MAX_BYTES];
};

struct scripted_http {
    const struct scripted_step *steps;
    size_t n_steps;
    int listen_fd;
    int port;
    pid_t pid;
    struct seen *seen;
    struct client clients[CLIENTS_MAX];
    size_t n_clients;
};

/* Bytes of the first whole request in the text, or 0. */
static size_t whole_request(const struct client *client) {
    const char *end = strstr(client->text, "\r\n\r\n");
    if (end == NULL) {
        return 0;
    }
    size_t head = (size_t)(end - client->text) + 4;
    const char *length = strcasestr(client->text, "\r\ncontent-length:");
    size_t body = length == NULL || length > end ? 0 : strtoul(length + 17, NULL, 10);
    return client->len >= head + body ? head + body : 0;
}

static int write_all(int fd, const char *data, size_t len) {
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return -1;
        }
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* At most 64 MiB, so that a client without a limit still ends. */
static void write_endless(int fd) {
    static const char block[65536] = {'x'};
    for (int i = 0; i < 1024 && write_all(fd, block, sizeof block) == 0; i++) {
    }
}

/* Answers one request. 0, or -1 where the connection is to be closed. */
static int act(struct scripted_http *server, struct client *client, size_t len) {
    int k = server->seen->requests;
    if (k < KEPT_MAX) {
        memcpy(server->seen->text[k], client->text, len);
        server->seen->text[k][len < REQUEST_MAX_BYTES ? len : REQUEST_MAX_BYTES - 1] = '\0';
    }
    server->seen->requests++;
    const struct scripted_step *step = &server->steps[(size_t)k < server->n_steps ? (size_t)k : server->n_steps - 1];
    size_t n = step->bytes == NULL ? 0 : step->len == 0 ? strlen(step->bytes) : step->len;
    if (n > 0 && write_all(client->fd, step->bytes, n) < 0) {
        return -1;
    }
    if (step->act == SCRIPTED_ENDLESS) {
        write_endless(client->fd);
    }
    return step->act == SCRIPTED_ANSWER || step->act == SCRIPTED_STALL ? 0 : -1;
}

static int serve(struct scripted_http *server, struct client *client) {
    ssize_t n = recv(client->fd, client->text + client->len, sizeof client->text - client->len - 1, 0);
    if (n <= 0) {
        return -1;
    }
    client->len += (size_t)n;
    client->text[client->len] = '\0';
    for (size_t len; (len = whole_request(client)) > 0;) {
        if (act(server, client, len) < 0) {
            return -1;
        }
        client->len -= len;
        memmove(client->text, client->text + len, client->len + 1);
    }
    return 0;
}

static void accept_one(struct scripted_http *server) {
    int fd = accept(server->listen_fd, NULL, NULL);
    if (fd < 0 || server->n_clients == CLIENTS_MAX) {
        (void)close(fd);
        return;
    }
    struct timeval limit = {.tv_sec = 5};
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    server->seen->connections++;
    struct client *client = &server->clients[server->n_clients++];
    client->fd = fd;
    client->len = 0;
    client->text[0] = '\0';
}

static void __attribute__((noreturn)) run(struct scripted_http *server) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        struct pollfd fds[CLIENTS_MAX + 1] = {{.fd = server->listen_fd, .events = POLLIN}};
        for (size_t i = 0; i < server->n_clients; i++) {
            fds[i + 1] = (struct pollfd){.fd = server->clients[i].fd, .events = POLLIN};
        }
        if (poll(fds, server->n_clients + 1, -1) < 0) {
            _exit(1);
        }
        for (size_t i = server->n_clients; i > 0; i--) {
            if (fds[i].revents != 0 && serve(server, &server->clients[i - 1]) < 0) {
                (void)close(server->clients[i - 1].fd);
                server->clients[i - 1] = server->clients[--server->n_clients];
            }
        }
        if (fds[0].revents != 0) {
            accept_one(server);
        }
    }
}

static int listen_anywhere(struct scripted_http *server) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server->listen_fd < 0 || bind(server->listen_fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(server->listen_fd, 128) < 0 || getsockname(server->listen_fd, (struct sockaddr *)&address, &len) < 0) {
        perror("scripted_http");
        return -1;
    }
    server->port = ntohs(address.sin_port);
    return 0;
}

struct scripted_http *scripted_http_start(const struct scripted_step *steps, size_t n_steps) {
    struct scripted_http *server = calloc(1, sizeof *server);
    if (server == NULL) {
        return NULL;
    }
    server->steps = steps;
    server->n_steps = n_steps;
    server->seen = mmap(NULL, sizeof *server->seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (server->seen == MAP_FAILED || listen_anywhere(server) < 0 || (server->pid = fork()) < 0) {
        free(server);
        return NULL;
    }
    if (server->pid == 0) {
        run(server);
    }
    (void)close(server->listen_fd);
    return server;
}

void scripted_http_stop(struct scripted_http *server) {
    if (server != NULL) {
        (void)kill(server->pid, SIGKILL);
        (void)waitpid(server->pid, NULL, 0);
        (void)munmap(server->seen, sizeof *server->seen);
        free(server);
    }
}

int scripted_http_port(const struct scripted_http *server) {
    return server->port;
}

int scripted_http_connections(const struct scripted_http *server) {
    return server->seen->connections;
}

int scripted_http_requests(const struct scripted_http *server) {
    return server->seen->requests;
}

const char *scripted_http_request(const struct scripted_http *server, int k) {
    return k < server->seen->requests && k < KEPT_MAX ? server->seen->text[k] : "";
}

const char *scripted_answer(int slot, const char *status_line, const char *headers, const char *body) {
    static char answers[8][4096];
    (void)snprintf(answers[slot], sizeof answers[slot], "%s\r\nContent-Length: %zu\r\n%s\r\n%s", status_line, strlen(body), headers, body);
    return answers[slot];
}
