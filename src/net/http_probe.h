/* The other end for tests of HTTP over loopback: raw sockets, pumped together with the loop
 * under test. Only for *_test.c files of this folder. */
#ifndef DR_NET_HTTP_PROBE_H
#define DR_NET_HTTP_PROBE_H

#include "base/alloc.h"
#include "base/assert.h"
#include "net/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PROBE_BYTES = 8 * 1024 * 1024, PROBE_PATIENCE_MS = 10000 };

struct probe {
    int fd;
    bool has_ended; /* FIN or RST came */
    bool was_reset;
    size_t len;
    char *text; /* NUL-terminated, all that came */
};

#define PROBE_CALL static inline __attribute__((unused))

PROBE_CALL struct probe probe_of(int fd) {
    char *text = dr_alloc(PROBE_BYTES + 1);
    dr_assert(text);
    text[0] = '\0';
    return (struct probe){.fd = fd, .text = text};
}

PROBE_CALL struct sockaddr_in probe_address(uint16_t port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

PROBE_CALL struct probe probe_connect(uint16_t port) {
    const struct sockaddr_in address = probe_address(port);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    dr_assert(fd >= 0);
    const struct sockaddr *const target = (const struct sockaddr *)(const void *)&address;
    dr_assert(connect(fd, target, sizeof address) == 0);
    return probe_of(fd);
}

/* A listening socket on a free port. */
PROBE_CALL int probe_listen(int backlog, uint16_t *ret_port) {
    struct sockaddr_in address = probe_address(0);
    socklen_t len = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    dr_assert(fd >= 0);
    dr_assert(bind(fd, (struct sockaddr *)(void *)&address, len) == 0);
    dr_assert(listen(fd, backlog) == 0);
    dr_assert(getsockname(fd, (struct sockaddr *)(void *)&address, &len) == 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* Takes at most `len_max` bytes of what has come, without waiting. */
PROBE_CALL void probe_read_some(struct probe *probe, size_t len_max) {
    if (probe->fd < 0 || probe->has_ended) return;
    size_t room = PROBE_BYTES - probe->len;
    if (len_max < room) room = len_max;
    const ssize_t len = recv(probe->fd, probe->text + probe->len, room, MSG_DONTWAIT);
    if (len > 0) {
        probe->len += (size_t)len;
        probe->text[probe->len] = '\0';
    } else if (len == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
        probe->has_ended = room > 0;
        probe->was_reset = len < 0;
    }
}

PROBE_CALL void probe_read(struct probe *probe) {
    probe_read_some(probe, PROBE_BYTES);
}

/* Bytes that the system took, without waiting. */
PROBE_CALL size_t probe_send_some(struct probe *probe, const char *text, size_t len) {
    const ssize_t sent = send(probe->fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent > 0 ? (size_t)sent : 0;
}

PROBE_CALL void probe_send_bytes(struct probe *probe, const char *text, size_t len) {
    dr_assert(probe_send_some(probe, text, len) == len);
}

PROBE_CALL void probe_send(struct probe *probe, const char *text) {
    probe_send_bytes(probe, text, strlen(text));
}

PROBE_CALL size_t probe_count(const struct probe *probe, const char *text) {
    size_t count = 0;
    for (const char *at = probe->text; (at = strstr(at, text)); at += strlen(text)) count++;
    return count;
}

PROBE_CALL bool probe_has(const struct probe *probe, const char *text) {
    return strstr(probe->text, text) != NULL;
}

PROBE_CALL void probe_forget(struct probe *probe) {
    probe->len = 0;
    probe->text[0] = '\0';
}

PROBE_CALL void probe_close(struct probe *probe) {
    if (probe->fd >= 0) close(probe->fd);
    probe->fd = -1;
    dr_free(probe->text);
    probe->text = NULL;
}

/* The other side sees RST. */
PROBE_CALL void probe_reset(struct probe *probe) {
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(probe->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    probe_close(probe);
}

/* Runs the loop and `poll` until `condition` holds; fails the test when that takes too long. */
#define PROBE_UNTIL(loop, poll, condition) \
    do { \
        const dr_instant probe_start = dr_instant_now(); \
        for (;;) { \
            poll; \
            if (condition) break; \
            dr_loop_run_once(loop, 2); \
            const int64_t probe_us = dr_instant_us_since(dr_instant_now(), probe_start); \
            if (probe_us > PROBE_PATIENCE_MS * 1000LL) fail_msg("never came true: " #condition); \
        } \
    } while (0)

/* A few turns in which nothing is expected to happen. */
PROBE_CALL void probe_turns(struct dr_loop *loop, int count) {
    for (int i = 0; i < count; i++) dr_loop_run_once(loop, 1);
}

#endif
