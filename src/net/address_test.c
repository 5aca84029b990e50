/* Addresses and the resolver, against a small DNS server of our own on loopback UDP, driven by the
 * same loop. */
#include "net/address.h"

#include "base/alloc.h"
#include "net/dns_probe.h"
#include "net/loop_private.h"
#include "net/stream_private.h"
#include "net/stream_probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>

static void dns_open(struct dns *dns) {
    struct dr_loop *loop = NULL;
    assert_int_equal(dr_loop_new(&loop, NULL), DR_OK);
    dns_listen(dns, loop);
}

static void dns_close(struct dns *dns) {
    dns_hang_up(dns);
    dr_loop_free(dns->loop);
    (void)close(dns->fd);
}

struct ask {
    struct dr_resolve resolve;
    struct dr_resolver *resolver;
    int answers;
    size_t count;
    struct dr_error error;
    char texts[4][DR_ADDRESS_TEXT_BYTES];
    struct dr_resolver *closes;
};

static void ask_resolved(void *owner, const struct dr_address *addresses, size_t count,
                         const struct dr_error *error) {
    struct ask *ask = owner;
    ask->answers++;
    ask->count = count;
    assert_int_equal(count == 0, error != NULL);
    if (error) ask->error = *error;
    for (size_t i = 0; i < count && i < 4; i++) {
        dr_sockaddr_text((const struct sockaddr *)&addresses[i].storage, ask->texts[i]);
    }
    if (ask->closes) dr_resolver_close(ask->closes);
}

static void ask_start(struct ask *ask, struct dr_resolver *resolver, dr_slice host) {
    *ask = (struct ask){.resolve.resolved = ask_resolved, .resolver = resolver};
    ask->resolve.owner = ask;
    dr_resolve_start(&ask->resolve, resolver, host, 443);
}

static struct dr_resolver *resolver_open(struct dns *dns) {
    struct dr_resolver *resolver = NULL;
    assert_int_equal(dr_resolver_open(dns->loop, dns->servers, &resolver, NULL), DR_OK);
    return resolver;
}

static void test_literals_are_read_strictly(void **state) {
    (void)state;
    static const struct {
        const char *host;
        const char *expected; /* NULL: refused */
    } cases[] = {
        {"127.0.0.1", "127.0.0.1:80"},
        {"::1", "[::1]:80"},
        {"2001:db8::A", "[2001:db8::a]:80"},
        {"0.0.0.0", "0.0.0.0:80"},
        {"127.1", NULL},
        {"127.0.0.1 ", NULL},
        {"[::1]", NULL},
        {"fe80::1%lo", NULL},
        {"", NULL},
        {"localhost", NULL},
        {"1.2.3.4.5", NULL},
        {"1:2:3:4:5:6:7:8:9", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dr_address address;
        const bool is_read = dr_address_parse(dr_slice_text(cases[i].host), 80, &address);
        assert_int_equal(is_read, cases[i].expected != NULL);
        if (!is_read) continue;
        char text[DR_ADDRESS_TEXT_BYTES];
        dr_sockaddr_text((const struct sockaddr *)&address.storage, text);
        assert_string_equal(text, cases[i].expected);
    }
}

static void test_host_and_port_are_split_strictly(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *host; /* NULL: refused */
        uint16_t port;
    } cases[] = {
        {"127.0.0.1:8080", "127.0.0.1", 8080},
        {"[::1]:1", "::1", 1},
        {":8080", "", 8080},
        {"localhost:0", "localhost", 0},
        {"[::]:65535", "::", 65535},
        {"8080", NULL, 0},
        {"", NULL, 0},
        {"a:", NULL, 0},
        {"a:65536", NULL, 0},
        {"::1:80", NULL, 0},
        {"a:-1", NULL, 0},
        {"a: 1", NULL, 0},
        {"[::1]", NULL, 0},
        {"[a]:1", NULL, 0},
        {"a:1x", NULL, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        dr_slice host;
        uint16_t port;
        const bool is_split = dr_address_split(dr_slice_text(cases[i].text), &host, &port);
        assert_int_equal(is_split, cases[i].host != NULL);
        if (!is_split) continue;
        assert_true(dr_slice_is(host, dr_slice_text(cases[i].host)));
        assert_int_equal(port, cases[i].port);
    }
}

static void test_literals_and_localhost_are_answered_at_once(void **state) {
    (void)state;
    struct dns dns;
    dns_open(&dns);
    struct dr_resolver *resolver = resolver_open(&dns);
    struct ask ask;
    ask_start(&ask, resolver, DR_LIT("::1"));
    assert_int_equal(ask.answers, 1);
    assert_string_equal(ask.texts[0], "[::1]:443");
    ask_start(&ask, resolver, DR_LIT("LocalHost"));
    assert_int_equal(ask.answers, 1);
    assert_int_equal(ask.count, 2);
    assert_string_equal(ask.texts[0], "127.0.0.1:443");
    ask_start(&ask, resolver, DR_LIT("no name"));
    assert_string_equal(ask.error.text, "cannot resolve \"no name\": that is no host name");
    assert_int_equal(dns.questions_a, 0);
    dr_resolver_close(resolver);
    dns_close(&dns);
}

static void test_a_name_is_asked_once_and_then_served_from_the_cache(void **state) {
    (void)state;
    struct dns dns;
    dns_open(&dns);
    struct dr_resolver *resolver = resolver_open(&dns);
    struct ask first;
    struct ask second;
    struct ask cancelled;
    ask_start(&first, resolver, DR_LIT("api.provider.test"));
    ask_start(&second, resolver, DR_LIT("API.provider.test"));
    ask_start(&cancelled, resolver, DR_LIT("api.provider.test"));
    assert_int_equal(first.answers, 0);
    dr_resolve_cancel(&cancelled.resolve);
    dr_resolve_cancel(&cancelled.resolve);
    RUN_UNTIL(dns.loop, first.answers == 1 && second.answers == 1);
    assert_int_equal(dns.questions_a, 1);
    assert_string_equal(first.texts[0], "192.0.2.1:443");
    assert_string_equal(second.texts[0], "192.0.2.1:443");
    assert_int_equal(cancelled.answers, 0);
    ask_start(&first, resolver, DR_LIT("api.provider.test"));
    assert_int_equal(first.answers, 1);
    assert_int_equal(dns.questions_a, 1);
    dr_resolver_close(resolver);
    dns_close(&dns);
}

static void test_families_are_interleaved_ipv6_first(void **state) {
    (void)state;
    struct dns dns;
    dns_open(&dns);
    struct dr_resolver *resolver = resolver_open(&dns);
    struct ask ask;
    ask_start(&ask, resolver, DR_LIT("six.provider.test"));
    RUN_UNTIL(dns.loop, ask.answers == 1);
    assert_int_equal(ask.count, 3);
    assert_string_equal(ask.texts[0], "[2001:db8::1]:443");
    assert_string_equal(ask.texts[1], "192.0.2.1:443");
    assert_string_equal(ask.texts[2], "192.0.2.200:443");
    dr_resolver_close(resolver);
    dns_close(&dns);
}

static void test_a_stale_answer_is_served_while_it_is_refreshed(void **state) {
    (void)state;
    struct dns dns;
    dns_open(&dns);
    dns.ttl = 0; /* clamped to one second */
    struct dr_resolver *resolver = resolver_open(&dns);
    struct ask ask;
    ask_start(&ask, resolver, DR_LIT("api.provider.test"));
    RUN_UNTIL(dns.loop, ask.answers == 1);
    const dr_instant start = dr_loop_now(dns.loop);
    RUN_UNTIL(dns.loop, dr_instant_us_since(dr_instant_now(), start) > 1010000);
    ask_start(&ask, resolver, DR_LIT("api.provider.test"));
    assert_int_equal(ask.answers, 1);
    assert_string_equal(ask.texts[0], "192.0.2.1:443");
    RUN_UNTIL(dns.loop, dns.questions_a == 2);
    for (int i = 0; i < 100 && strcmp(ask.texts[0], "192.0.2.2:443") != 0; i++) {
        dr_loop_run_once(dns.loop, 5);
        ask_start(&ask, resolver, DR_LIT("api.provider.test"));
        assert_int_equal(ask.answers, 1);
    }
    assert_string_equal(ask.texts[0], "192.0.2.2:443");
    dr_resolver_close(resolver);
    dns_close(&dns);
}

static void test_failures_are_explained_and_bounded(void **state) {
    (void)state;
    struct dns dns;
    dns_open(&dns);
    struct dr_resolver *resolver = resolver_open(&dns);
    struct ask none;
    struct ask silent;
    const dr_instant start = dr_instant_now();
    ask_start(&none, resolver, DR_LIT("none.provider.test"));
    ask_start(&silent, resolver, DR_LIT("silent.provider.test"));
    RUN_UNTIL(dns.loop, none.answers == 1);
    assert_int_equal(none.error.status, DR_NOT_FOUND);
    assert_string_equal(none.error.text, "cannot resolve none.provider.test: no such host");
    RUN_UNTIL(dns.loop, silent.answers == 1);
    assert_int_equal(silent.error.status, DR_TIMED_OUT);
    assert_string_equal(silent.error.text, "cannot resolve silent.provider.test: no answer from "
                                           "the name servers within 5 s");
    assert_true(dr_instant_us_since(dr_instant_now(), start) < 6000000);
    dr_resolver_close(resolver);
    dns_close(&dns);
}

static void test_the_resolver_may_be_closed_from_an_answer_or_with_askers(void **state) {
    (void)state;
    struct dns dns;
    dns_open(&dns);
    struct dr_resolver *resolver = resolver_open(&dns);
    struct ask ask;
    struct ask left;
    ask_start(&ask, resolver, DR_LIT("api.provider.test"));
    ask.closes = resolver;
    ask_start(&left, resolver, DR_LIT("silent.provider.test"));
    RUN_UNTIL(dns.loop, ask.answers == 1);
    for (int i = 0; i < 5; i++) dr_loop_run_once(dns.loop, 1);
    assert_int_equal(left.answers, 0);
    dr_resolve_cancel(&left.resolve);
    dns_close(&dns);
}

static void test_bad_servers_and_no_memory_are_reported(void **state) {
    (void)state;
    struct dns dns;
    dns_open(&dns);
    struct dr_resolver *resolver = NULL;
    struct dr_error error;
    assert_int_equal(dr_resolver_open(dns.loop, "nonsense", &resolver, &error), DR_INVALID);
    dr_alloc_fail_at(1);
    assert_int_equal(dr_resolver_open(dns.loop, dns.servers, &resolver, &error), DR_NO_MEMORY);
    dr_alloc_fail_at(0);
    resolver = resolver_open(&dns);
    struct ask ask;
    dr_alloc_fail_at(1);
    ask_start(&ask, resolver, DR_LIT("api.provider.test"));
    dr_alloc_fail_at(0);
    assert_int_equal(ask.answers, 1);
    assert_int_equal(ask.error.status, DR_NO_MEMORY);
    dr_resolver_close(resolver);
    dns_close(&dns);
}

static void test_the_cache_forgets_the_oldest_beyond_its_bound(void **state) {
    (void)state;
    struct dns dns;
    dns_open(&dns);
    struct dr_resolver *resolver = resolver_open(&dns);
    for (int i = 0; i < 1100; i++) {
        char host[40];
        (void)snprintf(host, sizeof(host), "h%d.provider.test", i);
        struct ask ask;
        ask_start(&ask, resolver, dr_slice_text(host));
        RUN_UNTIL(dns.loop, ask.answers == 1);
        assert_int_equal(ask.count, 1);
    }
    struct ask ask;
    ask_start(&ask, resolver, DR_LIT("h1099.provider.test"));
    assert_int_equal(ask.answers, 1);
    ask_start(&ask, resolver, DR_LIT("h0.provider.test"));
    assert_int_equal(ask.answers, 0);
    RUN_UNTIL(dns.loop, ask.answers == 1);
    dr_resolver_close(resolver);
    dns_close(&dns);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literals_are_read_strictly),
        cmocka_unit_test(test_host_and_port_are_split_strictly),
        cmocka_unit_test(test_literals_and_localhost_are_answered_at_once),
        cmocka_unit_test(test_a_name_is_asked_once_and_then_served_from_the_cache),
        cmocka_unit_test(test_families_are_interleaved_ipv6_first),
        cmocka_unit_test(test_a_stale_answer_is_served_while_it_is_refreshed),
        cmocka_unit_test(test_failures_are_explained_and_bounded),
        cmocka_unit_test(test_the_resolver_may_be_closed_from_an_answer_or_with_askers),
        cmocka_unit_test(test_bad_servers_and_no_memory_are_reported),
        cmocka_unit_test(test_the_cache_forgets_the_oldest_beyond_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
