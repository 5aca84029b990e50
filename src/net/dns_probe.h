/* For the tests of this folder: a DNS server on loopback UDP, on the loop of the test. */
#ifndef DR_NET_DNS_PROBE_H
#define DR_NET_DNS_PROBE_H

#include "base/assert.h"
#include "net/loop.h"
#include "net/loop_private.h"

#include <uv.h>

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TYPE_A = 1, TYPE_AAAA = 28, PACKET_BYTES = 512, HEAD_BYTES = 12 };

/* Answers each question by its first label: "none" does not exist, "silent" gets no answer, "six"
 * has both families, "two" are 127.0.0.2 and 127.0.0.1, others have one IPv4 address that ends in
 * the number of the answer. */
struct dns {
    struct dr_loop *loop;
    int fd;
    uv_poll_t poll;
    char servers[40];
    uint32_t ttl;
    int questions_a;
    bool is_silent;
};

static inline size_t record_put(uint8_t *packet, size_t len, uint16_t type, uint32_t ttl,
                                const uint8_t *bytes, uint8_t count) {
    const uint8_t head[] = {0xc0,
                            HEAD_BYTES,
                            0,
                            (uint8_t)type,
                            0,
                            1,
                            (uint8_t)(ttl >> 24),
                            (uint8_t)(ttl >> 16),
                            (uint8_t)(ttl >> 8),
                            (uint8_t)ttl,
                            0,
                            count};
    memcpy(packet + len, head, sizeof(head));
    memcpy(packet + len + sizeof(head), bytes, count);
    return len + sizeof(head) + count;
}

static inline size_t answer_make(struct dns *dns, uint8_t *packet, size_t len) {
    size_t at = HEAD_BYTES;
    while (at < len && packet[at] != 0) at += packet[at] + 1U;
    const uint16_t type = packet[at + 2];
    size_t end = at + 5;
    const char *label = (const char *)packet + HEAD_BYTES + 1;
    packet[2] = 0x81; /* an answer, recursion wanted */
    packet[3] = 0x80; /* and available */
    memset(packet + 6, 0, 6);
    if (type == TYPE_A) dns->questions_a++;
    if (memcmp(label, "none", 4) == 0) {
        packet[3] |= 3; /* no such name */
        return end;
    }
    const uint8_t four[] = {192, 0, 2, (uint8_t)dns->questions_a};
    const uint8_t other[] = {192, 0, 2, 200};
    const uint8_t six[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
    if (type == TYPE_A) {
        end = record_put(packet, end, TYPE_A, dns->ttl, four, 4);
        packet[7]++;
    }
    if (memcmp(label, "six", 3) == 0 && type == TYPE_A) {
        end = record_put(packet, end, TYPE_A, dns->ttl, other, 4);
        packet[7]++;
    }
    if (memcmp(label, "two", 3) == 0 && type == TYPE_A) {
        static const uint8_t nobody[] = {127, 0, 0, 2};
        static const uint8_t somebody[] = {127, 0, 0, 1};
        end = record_put(packet, at + 5, TYPE_A, dns->ttl, nobody, 4);
        end = record_put(packet, end, TYPE_A, dns->ttl, somebody, 4);
        packet[7] = 2;
    }
    if (memcmp(label, "six", 3) == 0 && type == TYPE_AAAA) {
        end = record_put(packet, end, TYPE_AAAA, dns->ttl, six, 16);
        packet[7]++;
    }
    return end;
}

static inline void dns_asked(uv_poll_t *poll, int status, int events) {
    struct dns *dns = poll->data;
    (void)status;
    (void)events;
    uint8_t packet[PACKET_BYTES + 100];
    struct sockaddr_storage from;
    socklen_t from_len = sizeof(from);
    const ssize_t len =
        recvfrom(dns->fd, packet, PACKET_BYTES, 0, (struct sockaddr *)&from, &from_len);
    if (len < HEAD_BYTES + 5 || dns->is_silent) return;
    if (memcmp(packet + HEAD_BYTES + 1, "silent", 6) == 0) return;
    const size_t answer_len = answer_make(dns, packet, (size_t)len);
    (void)sendto(dns->fd, packet, answer_len, 0, (const struct sockaddr *)&from, from_len);
}

/* `dns->servers` is then for dr_resolver_open. */
static inline void dns_listen(struct dns *dns, struct dr_loop *loop) {
    *dns = (struct dns){.ttl = 60, .loop = loop};
    dns->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in name = {.sin_family = AF_INET};
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof(name);
    dr_assert(bind(dns->fd, (const struct sockaddr *)&name, len) == 0);
    dr_assert(getsockname(dns->fd, (struct sockaddr *)&name, &len) == 0);
    (void)snprintf(dns->servers, sizeof(dns->servers), "127.0.0.1:%u", ntohs(name.sin_port));
    dr_assert(uv_poll_init(dr_loop_uv(dns->loop), &dns->poll, dns->fd) == 0);
    dns->poll.data = dns;
    dr_assert(uv_poll_start(&dns->poll, UV_READABLE, dns_asked) == 0);
}

/* The descriptor goes when the loop is gone. */
static inline void dns_hang_up(struct dns *dns) {
    uv_close((uv_handle_t *)&dns->poll, NULL);
}

#endif
