/* Addresses: literals, and names by c-ares with a cache in front. Must not block (but for the hosts
 * file, a small local read) and not connect.
 *
 * A name in the cache is FRESH until its time to live is over, then STALE: still served at once
 * while one question refreshes it, for an hour at most. Askers of a name that has no answer yet
 * wait in its list. c-ares's own callback only stores; askers are told from a deferred call, so
 * that they may close the resolver. */
#include "net/address.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/map.h"
#include "base/random.h"

#include <ares.h>
#include <uv.h>

#include <netinet/in.h>
#include <stdio.h>

enum {
    NAMES_MAX = 1024,
    NAME_BYTES_MAX = 253, /* RFC 1035 section 2.3.4, as text */
    ADDRESSES_MAX = 16,
    TTL_SECONDS_MIN = 1,
    TTL_SECONDS_MAX = 300,
    STALE_MS = 3600 * 1000,
    WAIT_MS = 5000,
    TRY_MS = 1500,
    TRIES = 3,
};

struct name {
    struct dr_list node; /* in the order of first use, for eviction */
    struct dr_resolver *resolver;
    struct dr_list askers;
    struct dr_timer bound; /* over the askers' wait */
    struct dr_deferred answered;
    bool is_asking; /* c-ares will call back */
    dr_instant fresh_until;
    dr_instant stale_until;
    size_t count;
    struct dr_address addresses[ADDRESSES_MAX]; /* port 0 */
    struct dr_error error;                      /* why count is 0 */
    size_t text_len;
    char text[]; /* lower case, NUL-terminated */
};

struct watch {
    struct dr_list node;
    struct dr_resolver *resolver;
    ares_socket_t fd;
    uv_poll_t poll;
};

struct dr_resolver {
    struct dr_loop *loop;
    ares_channel channel;
    bool is_closing;
    struct dr_map names;
    struct dr_list by_age;
    struct dr_list watches;
    size_t watches_closing;
    struct dr_timer retry; /* c-ares's own time-outs */
    struct dr_deferred freed;
};

/* ---- literals */

static void address_set_port(struct dr_address *address, uint16_t port) {
    if (address->storage.ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)(void *)&address->storage)->sin6_port = htons(port);
    } else {
        ((struct sockaddr_in *)(void *)&address->storage)->sin_port = htons(port);
    }
}

bool dr_address_parse(dr_slice host, uint16_t port, struct dr_address *ret) {
    char text[INET6_ADDRSTRLEN + 1];
    if (!dr_slice_to_text(host, text, sizeof(text))) return false;
    struct dr_address address;
    memset(&address, 0, sizeof(address));
    if (uv_ip4_addr(text, port, (struct sockaddr_in *)(void *)&address.storage) != 0) {
        memset(&address, 0, sizeof(address));
        if (dr_slice_find_char(host, '%') < host.len) return false; /* no zones */
        if (uv_ip6_addr(text, port, (struct sockaddr_in6 *)(void *)&address.storage)) return false;
    }
    *ret = address;
    return true;
}

bool dr_address_split(dr_slice text, dr_slice *ret_host, uint16_t *ret_port) {
    size_t colon = text.len;
    while (colon > 0 && text.data[colon - 1] != ':') colon--;
    if (colon == 0) return false;
    dr_slice host = dr_slice_first(text, colon - 1);
    uint64_t port;
    if (!dr_slice_to_u64(dr_slice_from(text, colon), &port) || port > UINT16_MAX) return false;
    if (host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']') {
        host = dr_slice_first(dr_slice_from(host, 1), host.len - 2);
        if (dr_slice_find_char(host, ':') == host.len) return false;
    } else if (dr_slice_find_char(host, ':') < host.len) {
        return false; /* IPv6 needs its brackets, or the port would be a guess */
    }
    *ret_host = host;
    *ret_port = (uint16_t)port;
    return true;
}

/* ---- telling */

static void asker_tell(struct dr_resolve *asker, const struct name *name) {
    struct dr_address addresses[ADDRESSES_MAX];
    for (size_t i = 0; i < name->count; i++) {
        addresses[i] = name->addresses[i];
        address_set_port(&addresses[i], asker->port);
    }
    const struct dr_error error = name->error; /* the name may go while this is told */
    asker->resolver = NULL;
    asker->resolved(asker->owner, addresses, name->count, name->count ? NULL : &error);
}

static void askers_tell(void *owner) {
    struct name *name = owner;
    dr_timer_stop(&name->bound);
    /* What is told may close the resolver, and `name` goes with it. */
    struct dr_list askers;
    dr_list_init(&askers);
    while (!dr_list_is_empty(&name->askers)) {
        struct dr_list *node = name->askers.next;
        dr_list_remove(node);
        dr_list_put_last(&askers, node);
    }
    const struct name answer = *name;
    while (!dr_list_is_empty(&askers)) {
        struct dr_resolve *asker = dr_list_item(askers.next, struct dr_resolve, node);
        dr_list_remove(&asker->node);
        asker_tell(asker, &answer);
    }
}

static void askers_late(void *owner) {
    struct name *name = owner;
    name->count = 0;
    (void)dr_fail(&name->error, DR_TIMED_OUT, 0,
                  "cannot resolve %s: no answer from the name servers within 5 s", name->text);
    name->fresh_until = dr_loop_now(name->resolver->loop);
    askers_tell(name);
}

/* ---- what c-ares finds */

static const char *reason_of(int code) {
    if (code == ARES_ENOTFOUND) return "no such host";
    if (code == ARES_ENODATA) return "the name has no address";
    if (code == ARES_ETIMEOUT) return "no answer from the name servers";
    if (code == ARES_ECONNREFUSED) return "cannot reach the name servers";
    return ares_strerror(code);
}

/* The n-th node of a family; NULL when there are fewer. */
static const struct ares_addrinfo_node *node_find(const struct ares_addrinfo *found, int family,
                                                  size_t index) {
    const struct ares_addrinfo_node *node = found->nodes;
    for (; node; node = node->ai_next) {
        if (node->ai_family != family) continue;
        if (index-- == 0) return node;
    }
    return NULL;
}

static void address_store(struct name *name, const struct ares_addrinfo_node *node) {
    if (!node || name->count == ADDRESSES_MAX) return;
    if ((size_t)node->ai_addrlen > sizeof(struct sockaddr_storage)) return;
    struct dr_address *address = &name->addresses[name->count++];
    memset(address, 0, sizeof(*address));
    memcpy(&address->storage, node->ai_addr, (size_t)node->ai_addrlen);
}

static int64_t ttl_seconds(const struct ares_addrinfo *found) {
    int64_t ttl = TTL_SECONDS_MAX;
    for (const struct ares_addrinfo_node *node = found->nodes; node; node = node->ai_next) {
        if (node->ai_ttl < ttl) ttl = node->ai_ttl;
    }
    for (const struct ares_addrinfo_cname *alias = found->cnames; alias; alias = alias->next) {
        if (alias->ttl < ttl) ttl = alias->ttl;
    }
    return ttl < TTL_SECONDS_MIN ? TTL_SECONDS_MIN : ttl;
}

static void addresses_store(struct name *name, const struct ares_addrinfo *found) {
    name->count = 0;
    for (size_t i = 0; i < ADDRESSES_MAX; i++) {
        address_store(name, node_find(found, AF_INET6, i));
        address_store(name, node_find(found, AF_INET, i));
    }
    const dr_instant now = dr_loop_now(name->resolver->loop);
    name->fresh_until = dr_instant_after_ms(now, ttl_seconds(found) * 1000);
    name->stale_until = dr_instant_after_ms(name->fresh_until, STALE_MS);
}

static void found_answer(void *owner, int code, int timeouts, struct ares_addrinfo *found) {
    struct name *name = owner;
    struct dr_resolver *resolver = name->resolver;
    (void)timeouts;
    name->is_asking = false;
    if (resolver->is_closing) {
        if (found) ares_freeaddrinfo(found);
        return;
    }
    if (code == ARES_SUCCESS && found && found->nodes) {
        addresses_store(name, found);
    } else {
        /* A stale answer outlives a failed refresh, which is tried again a second later. */
        const dr_instant now = dr_loop_now(resolver->loop);
        if (name->stale_until.us <= now.us) name->count = 0;
        name->fresh_until = dr_instant_after_ms(now, TTL_SECONDS_MIN * 1000);
        if (code == ARES_SUCCESS) code = ARES_ENODATA;
        (void)dr_fail(&name->error, code == ARES_ETIMEOUT ? DR_TIMED_OUT : DR_NOT_FOUND, 0,
                      "cannot resolve %s: %s", name->text, reason_of(code));
    }
    if (found) ares_freeaddrinfo(found);
    if (!dr_list_is_empty(&name->askers)) dr_deferred_queue(&name->answered, resolver->loop);
}

/* ---- c-ares on the loop */

static void retry_arm(struct dr_resolver *resolver) {
    struct timeval most = {.tv_sec = WAIT_MS / 1000};
    struct timeval room;
    if (dr_list_is_empty(&resolver->watches)) {
        dr_timer_stop(&resolver->retry);
        return;
    }
    const struct timeval *wait = ares_timeout(resolver->channel, &most, &room);
    dr_timer_start(&resolver->retry, resolver->loop,
                   (int64_t)wait->tv_sec * 1000 + wait->tv_usec / 1000 + 1);
}

static void retry_due(void *owner) {
    struct dr_resolver *resolver = owner;
    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    retry_arm(resolver);
}

static void socket_ready(uv_poll_t *poll, int status, int events) {
    const struct watch *watch = poll->data;
    struct dr_resolver *resolver = watch->resolver;
    const ares_socket_t fd = watch->fd;
    const bool is_readable = status < 0 || (events & UV_READABLE);
    const bool is_writable = status < 0 || (events & UV_WRITABLE);
    ares_process_fd(resolver->channel, is_readable ? fd : ARES_SOCKET_BAD,
                    is_writable ? fd : ARES_SOCKET_BAD);
    retry_arm(resolver);
}

static void resolver_free_if_over(void *owner) {
    struct dr_resolver *resolver = owner;
    if (resolver->is_closing && resolver->watches_closing == 0) dr_free(resolver);
}

static void watch_closed(uv_handle_t *handle) {
    struct watch *watch = handle->data;
    struct dr_resolver *resolver = watch->resolver;
    dr_free(watch);
    resolver->watches_closing--;
    if (resolver->is_closing) dr_deferred_queue(&resolver->freed, resolver->loop);
}

static struct watch *watch_find(struct dr_resolver *resolver, ares_socket_t fd) {
    struct dr_list *node = resolver->watches.next;
    for (; node != &resolver->watches; node = node->next) {
        struct watch *watch = dr_list_item(node, struct watch, node);
        if (watch->fd == fd) return watch;
    }
    return NULL;
}

/* NULL leaves the question to c-ares's time-out. */
static struct watch *watch_new(struct dr_resolver *resolver, ares_socket_t fd) {
    struct watch *watch = dr_alloc_zero(1, sizeof(*watch));
    if (!watch) return NULL;
    if (uv_poll_init(dr_loop_uv(resolver->loop), &watch->poll, fd)) {
        dr_free(watch);
        return NULL;
    }
    watch->resolver = resolver;
    watch->fd = fd;
    watch->poll.data = watch;
    dr_list_put_last(&resolver->watches, &watch->node);
    return watch;
}

/* From c-ares, before it closes the socket when both are 0. */
static void socket_changed(void *owner, ares_socket_t fd, int is_reading, int is_writing) {
    struct dr_resolver *resolver = owner;
    struct watch *watch = watch_find(resolver, fd);
    if (!is_reading && !is_writing) {
        if (!watch) return;
        dr_list_remove(&watch->node);
        (void)uv_poll_stop(&watch->poll);
        resolver->watches_closing++;
        uv_close((uv_handle_t *)&watch->poll, watch_closed);
        return;
    }
    if (!watch) watch = watch_new(resolver, fd);
    if (!watch) return;
    (void)uv_poll_start(&watch->poll,
                        (is_reading ? UV_READABLE : 0) | (is_writing ? UV_WRITABLE : 0),
                        socket_ready);
}

/* ---- the cache */

static void name_free(struct name *name) {
    dr_timer_stop(&name->bound);
    dr_deferred_cancel(&name->answered);
    dr_list_remove(&name->node);
    (void)dr_map_take(&name->resolver->names, dr_slice_of(name->text, name->text_len));
    while (!dr_list_is_empty(&name->askers)) {
        struct dr_resolve *asker = dr_list_item(name->askers.next, struct dr_resolve, node);
        dr_resolve_cancel(asker);
    }
    dr_free(name);
}

/* The oldest name that nobody waits for; false when all are being asked. */
static bool name_evict(struct dr_resolver *resolver) {
    struct dr_list *node = resolver->by_age.next;
    for (; node != &resolver->by_age; node = node->next) {
        struct name *name = dr_list_item(node, struct name, node);
        if (name->is_asking || !dr_list_is_empty(&name->askers)) continue;
        name_free(name);
        return true;
    }
    return false;
}

static struct name *name_new(struct dr_resolver *resolver, dr_slice text) {
    if (resolver->names.count >= NAMES_MAX && !name_evict(resolver)) return NULL;
    struct name *name = dr_alloc_zero(1, sizeof(*name) + text.len + 1);
    if (!name) return NULL;
    name->resolver = resolver;
    name->text_len = text.len;
    memcpy(name->text, text.data, text.len);
    dr_list_init(&name->node);
    dr_list_init(&name->askers);
    dr_timer_init(&name->bound, name, askers_late);
    dr_deferred_init(&name->answered, name, askers_tell);
    if (dr_map_put(&resolver->names, dr_slice_of(name->text, text.len), name)) {
        dr_free(name);
        return NULL;
    }
    dr_list_put_last(&resolver->by_age, &name->node);
    return name;
}

static void name_ask(struct name *name) {
    struct dr_resolver *resolver = name->resolver;
    const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT, /* sorting would open sockets to probe routes */
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
    };
    /* before the call: hosts file and errors are answered from within */
    name->is_asking = true;
    ares_getaddrinfo(resolver->channel, name->text, NULL, &hints, found_answer, name);
    retry_arm(resolver);
}

/* ---- asking */

static void fail_now(struct dr_resolve *resolve, enum dr_status status, dr_slice host,
                     const char *reason) {
    struct dr_error error;
    const dr_slice shown = dr_slice_first(host, 100);
    (void)dr_fail(&error, status, 0, "cannot resolve \"%.*s\": %s", DR_FMT(shown), reason);
    resolve->resolver = NULL;
    resolve->resolved(resolve->owner, NULL, 0, &error);
}

/* Answers what needs neither cache nor server (RFC 6761 section 6.3 for localhost). */
static bool answer_literal(struct dr_resolve *resolve, dr_slice host, uint16_t port) {
    struct dr_address addresses[2];
    size_t count = 1;
    if (dr_slice_is_nocase(host, DR_LIT("localhost"))) {
        (void)dr_address_parse(DR_LIT("127.0.0.1"), port, &addresses[0]);
        (void)dr_address_parse(DR_LIT("::1"), port, &addresses[1]);
        count = 2;
    } else if (!dr_address_parse(host, port, &addresses[0])) {
        return false;
    }
    resolve->resolver = NULL;
    resolve->resolved(resolve->owner, addresses, count, NULL);
    return true;
}

static bool name_lower(dr_slice host, char text[NAME_BYTES_MAX + 1]) {
    if (host.len == 0 || host.len > NAME_BYTES_MAX) return false;
    for (size_t i = 0; i < host.len; i++) {
        const char c = host.data[i];
        if (c <= ' ' || c >= 0x7f) return false;
        text[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    text[host.len] = '\0';
    return true;
}

void dr_resolve_start(struct dr_resolve *resolve, struct dr_resolver *resolver, dr_slice host,
                      uint16_t port) {
    dr_assert(resolve->resolved);
    dr_list_init(&resolve->node);
    resolve->resolver = resolver;
    resolve->port = port;
    if (answer_literal(resolve, host, port)) return;
    char text[NAME_BYTES_MAX + 1];
    if (!name_lower(host, text)) {
        fail_now(resolve, DR_INVALID, host, "that is no host name");
        return;
    }
    const dr_slice key = dr_slice_of(text, host.len);
    struct name *name = dr_map_find(&resolver->names, key);
    if (!name) name = name_new(resolver, key);
    if (!name) {
        fail_now(resolve, DR_NO_MEMORY, host, "too many names are being resolved");
        return;
    }
    const dr_instant now = dr_loop_now(resolver->loop);
    if (now.us >= name->fresh_until.us && !name->is_asking) name_ask(name);
    const bool has_answer = name->count > 0 && now.us < name->stale_until.us;
    if (has_answer || (!name->is_asking && now.us < name->fresh_until.us)) {
        asker_tell(resolve, name);
        return;
    }
    if (dr_list_is_empty(&name->askers)) dr_timer_start(&name->bound, resolver->loop, WAIT_MS);
    dr_list_put_last(&name->askers, &resolve->node);
}

void dr_resolve_cancel(struct dr_resolve *resolve) {
    if (!resolve->resolver) return;
    resolve->resolver = NULL;
    dr_list_remove(&resolve->node);
}

/* ---- life */

enum dr_status dr_resolver_open(struct dr_loop *loop, const char *servers,
                                struct dr_resolver **ret_resolver, struct dr_error *error) {
    struct dr_resolver *resolver = dr_alloc_zero(1, sizeof(*resolver));
    if (!resolver) return dr_fail(error, DR_NO_MEMORY, 0, "no memory for a resolver");
    struct dr_entropy entropy = {.left = 0};
    uint64_t seed;
    dr_entropy_take(&entropy, &seed, sizeof(seed));
    char lookups[] = "fb"; /* hosts file first, then servers */
    struct ares_options options = {
        .timeout = TRY_MS,
        .tries = TRIES,
        .lookups = lookups,
        .sock_state_cb = socket_changed,
        .sock_state_cb_data = resolver,
    };
    const int mask =
        ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
    int code = ares_init_options(&resolver->channel, &options, mask);
    if (code == ARES_SUCCESS && servers) {
        code = ares_set_servers_ports_csv(resolver->channel, servers);
        if (code != ARES_SUCCESS) ares_destroy(resolver->channel);
    }
    if (code != ARES_SUCCESS) {
        dr_free(resolver);
        return dr_fail(error, DR_INVALID, 0, "cannot open a resolver%s%s: %s",
                       servers ? " with " : "", servers ? servers : "", ares_strerror(code));
    }
    resolver->loop = loop;
    dr_map_init(&resolver->names, NAMES_MAX, seed);
    dr_list_init(&resolver->by_age);
    dr_list_init(&resolver->watches);
    dr_timer_init(&resolver->retry, resolver, retry_due);
    dr_deferred_init(&resolver->freed, resolver, resolver_free_if_over);
    *ret_resolver = resolver;
    return DR_OK;
}

/* Askers that still wait are forgotten without a word. */
void dr_resolver_close(struct dr_resolver *resolver) {
    if (!resolver) return;
    resolver->is_closing = true;
    dr_timer_stop(&resolver->retry);
    ares_destroy(resolver->channel); /* ends all questions by found_answer, closes all sockets */
    while (!dr_list_is_empty(&resolver->by_age)) {
        name_free(dr_list_item(resolver->by_age.next, struct name, node));
    }
    dr_map_clear(&resolver->names);
    dr_deferred_queue(&resolver->freed, resolver->loop);
}
