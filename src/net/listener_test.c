/* Listening: what accepted sockets inherit, the cap, sharing a port, the claim, running out of
 * descriptors. */
#include "net/listener.h"

#include "net/address.h"
#include "net/loop_private.h"
#include "net/places_shared.h"
#include "net/stream_private.h"
#include "net/stream_probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS_MAX = 8 };

struct house {
    struct dr_loop *loop;
    struct dr_listener *listener;
    struct probe guests[CLIENTS_MAX];
    int count;
};

static void house_accepted(void *owner, struct dr_stream *stream) {
    struct house *house = owner;
    assert_true(house->count < CLIENTS_MAX);
    struct probe *guest = &house->guests[house->count++];
    probe_init(guest, house->loop);
    probe_take(guest, stream);
}

static void house_open_sharing(struct house *house, const char *address, bool is_shared,
                               uint32_t most, struct dr_places *places) {
    *house = (struct house){.count = 0};
    assert_int_equal(dr_loop_new(&house->loop, NULL), DR_OK);
    const struct dr_listener_options options = {
        .address = dr_slice_text(address),
        .is_shared = is_shared,
        .connections_max = most,
        .places = places,
        .accepted = house_accepted,
        .owner = house,
    };
    struct dr_error error;
    assert_int_equal(dr_listener_open(house->loop, &options, NULL, &house->listener, &error),
                     DR_OK);
}

static void house_open(struct house *house, const char *address, bool is_shared, uint32_t most) {
    house_open_sharing(house, address, is_shared, most, NULL);
}

static void house_close(struct house *house) {
    dr_listener_close(house->listener);
    for (int i = 0; i < house->count; i++) {
        if (!house->guests[i].loop) continue;
        probe_end(&house->guests[i]);
        dr_listener_note_closed(house->listener);
    }
    dr_loop_free(house->loop);
}

/* A blocking client socket of the test's own. */
static int client_connect(uint16_t port) {
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&name, sizeof(name)), 0);
    return fd;
}

static int nodelay_of(int fd) {
    int value = -1;
    socklen_t len = sizeof(value);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
    return value;
}

struct fd_finder {
    int found[CLIENTS_MAX];
    int count;
};

/* Every connected TCP socket of the process. */
static void sockets_find(struct fd_finder *finder) {
    for (int fd = 0; fd < 256; fd++) {
        struct sockaddr_in peer;
        socklen_t len = sizeof(peer);
        if (getpeername(fd, (struct sockaddr *)&peer, &len) || peer.sin_family != AF_INET) continue;
        assert_true(finder->count < CLIENTS_MAX);
        finder->found[finder->count++] = fd;
    }
}

static void test_both_ends_have_nodelay(void **state) {
    (void)state;
    struct house house;
    house_open(&house, "localhost:0", false, 8);
    struct probe client;
    probe_init(&client, house.loop);
    struct dr_address address;
    assert_true(dr_address_parse(DR_LIT("127.0.0.1"), dr_listener_port(house.listener), &address));
    assert_int_equal(dr_stream_connect(house.loop, (const struct sockaddr *)&address.storage, NULL,
                                       NULL, &probe_events, &client, &client.stream, NULL),
                     DR_OK);
    RUN_UNTIL(house.loop, house.count == 1 && client.opened == 1);
    struct fd_finder finder = {.count = 0};
    sockets_find(&finder);
    assert_int_equal(finder.count, 2);
    for (int i = 0; i < 2; i++) {
        assert_true(nodelay_of(finder.found[i]) > 0);
        assert_true(fcntl(finder.found[i], F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(finder.found[i], F_GETFL) & O_NONBLOCK);
    }
    probe_end(&client);
    house_close(&house);
}

static void test_beyond_the_cap_connections_wait_until_one_closes(void **state) {
    (void)state;
    struct house house;
    house_open(&house, "127.0.0.1:0", false, 2);
    int fds[4];
    for (int i = 0; i < 4; i++) fds[i] = client_connect(dr_listener_port(house.listener));
    RUN_UNTIL(house.loop, house.count == 2);
    for (int i = 0; i < 10; i++) dr_loop_run_once(house.loop, 1);
    assert_int_equal(house.count, 2);
    probe_end(&house.guests[0]);
    house.guests[0].loop = NULL;
    dr_listener_note_closed(house.listener);
    RUN_UNTIL(house.loop, house.count == 3);
    for (int i = 0; i < 10; i++) dr_loop_run_once(house.loop, 1);
    assert_int_equal(house.count, 3);
    for (int i = 0; i < 4; i++) (void)close(fds[i]);
    house_close(&house);
}

static void test_listeners_that_share_places_accept_no_more_together(void **state) {
    (void)state;
    struct dr_places places;
    struct house houses[2];
    int fds[6];
    dr_places_init(&places, 3);
    for (int i = 0; i < 2; i++) house_open_sharing(&houses[i], "127.0.0.1:0", false, 8, &places);
    for (int i = 0; i < 6; i++) fds[i] = client_connect(dr_listener_port(houses[i % 2].listener));
    for (int i = 0; i < 1000 && houses[0].count + houses[1].count < 3; i++) {
        dr_loop_run_once(houses[0].loop, 1);
        dr_loop_run_once(houses[1].loop, 1);
    }
    for (int i = 0; i < 10; i++) {
        dr_loop_run_once(houses[0].loop, 1);
        dr_loop_run_once(houses[1].loop, 1);
    }
    assert_int_equal(houses[0].count + houses[1].count, 3);
    assert_int_equal(dr_places_taken(&places), 3);
    /* All that left here make room there. */
    const int crowded = houses[0].count > houses[1].count ? 0 : 1;
    const int other = 1 - crowded;
    const int before = houses[other].count;
    house_close(&houses[crowded]);
    RUN_UNTIL(houses[other].loop, houses[other].count > before);
    for (int i = 0; i < 6; i++) (void)close(fds[i]);
    house_close(&houses[other]);
    assert_int_equal(dr_places_taken(&places), 0);
}

static void test_waiting_connections_are_accepted_before_closing(void **state) {
    (void)state;
    struct house house;
    house_open(&house, "127.0.0.1:0", false, 8);
    const int first = client_connect(dr_listener_port(house.listener));
    const int second = client_connect(dr_listener_port(house.listener));
    dr_listener_close(house.listener);
    assert_int_equal(house.count, 2);
    (void)close(first);
    (void)close(second);
    RUN_UNTIL(house.loop, house.guests[0].ended == 1 && house.guests[1].ended == 1);
    house_close(&house);
}

static void test_a_taken_port_is_explained(void **state) {
    (void)state;
    struct house house;
    house_open(&house, "127.0.0.1:0", false, 8);
    char address[40];
    char expected[120];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", dr_listener_port(house.listener));
    (void)snprintf(expected, sizeof(expected),
                   "cannot listen on %s: address already in use "
                   "(is another drover running?)",
                   address);
    struct dr_error error;
    struct dr_listener *second = NULL;
    const struct dr_listener_options options = {
        .address = dr_slice_text(address), .connections_max = 1, .accepted = house_accepted};
    assert_int_equal(dr_listener_open(house.loop, &options, NULL, &second, &error), DR_EXISTS);
    assert_string_equal(error.text, expected);
    house_close(&house);
}

static void test_addresses_that_cannot_be_are_explained(void **state) {
    (void)state;
    static const struct {
        const char *address;
        const char *expected;
    } cases[] = {
        {"8080", "cannot listen on \"8080\": expected an address and a port, as in 127.0.0.1:8080, "
                 "[::1]:8080 or :8080"},
        {"::1:8080", "cannot listen on \"::1:8080\": expected an address and a port, as in "
                     "127.0.0.1:8080, [::1]:8080 or :8080"},
        {"example.org:80",
         "cannot listen on example.org:80: expected a literal address, not a name"},
        {"192.0.2.1:8080", "cannot listen on 192.0.2.1:8080: this machine has no such address"},
    };
    struct dr_loop *loop;
    assert_int_equal(dr_loop_new(&loop, NULL), DR_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dr_error error;
        struct dr_listener *listener = NULL;
        const struct dr_listener_options options = {.address = dr_slice_text(cases[i].address),
                                                    .connections_max = 1,
                                                    .accepted = house_accepted};
        assert_int_not_equal(dr_listener_open(loop, &options, NULL, &listener, &error), DR_OK);
        assert_string_equal(error.text, cases[i].expected);
    }
    dr_loop_free(loop);
}

static void test_all_addresses_take_ipv4_and_ipv6(void **state) {
    (void)state;
    static const char *const addresses[] = {":0", "[::]:0", "0.0.0.0:0"};
    for (size_t i = 0; i < 3; i++) {
        struct house house;
        house_open(&house, addresses[i], false, 8);
        const int fd = client_connect(dr_listener_port(house.listener));
        RUN_UNTIL(house.loop, house.count == 1);
        (void)close(fd);
        house_close(&house);
    }
}

static void test_a_claim_finds_a_second_gateway_and_lets_the_own_listeners_pass(void **state) {
    (void)state;
    int claim;
    int second;
    assert_int_equal(dr_listener_claim(DR_LIT("127.0.0.1:0"), &claim, NULL), DR_OK);
    struct sockaddr_in name;
    socklen_t len = sizeof(name);
    assert_int_equal(getsockname(claim, (struct sockaddr *)&name, &len), 0);
    char address[40];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", ntohs(name.sin_port));
    struct dr_error error;
    assert_int_equal(dr_listener_claim(dr_slice_text(address), &second, &error), DR_EXISTS);
    struct house left;
    struct house right;
    house_open(&left, address, true, 8);
    house_open(&right, address, true, 8);
    dr_listener_unclaim(claim);
    assert_int_equal(dr_listener_claim(dr_slice_text(address), &second, &error), DR_EXISTS);
    const int client = client_connect(ntohs(name.sin_port));
    for (int i = 0; i < 1000 && left.count + right.count == 0; i++) {
        dr_loop_run_once(left.loop, 1);
        dr_loop_run_once(right.loop, 1);
    }
    assert_int_equal(left.count + right.count, 1);
    /* The gateway closes first, so that its side lingers in TIME_WAIT: a restart must still
     * claim. */
    house_close(&left);
    house_close(&right);
    char byte;
    assert_int_equal(read(client, &byte, 1), 0);
    (void)close(client);
    assert_int_equal(dr_listener_claim(dr_slice_text(address), &claim, &error), DR_OK);
    assert_int_equal(dr_listener_claim(dr_slice_text(address), &second, &error), DR_EXISTS);
    dr_listener_unclaim(claim);
}

static void test_without_descriptors_it_waits_without_spinning_and_loses_nobody(void **state) {
    (void)state;
    struct house house;
    house_open(&house, "127.0.0.1:0", false, 8);
    dr_loop_run_once(house.loop, 1); /* libuv opens what it needs */
    const int client = client_connect(dr_listener_port(house.listener));
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    const uint64_t before = dr_loop_take_stats(house.loop).turns;
    for (int i = 0; i < 5; i++) dr_loop_run_once(house.loop, 10);
    const uint64_t turns = dr_loop_take_stats(house.loop).turns - before;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(house.count, 0);
    assert_true(turns <= 10);
    RUN_UNTIL(house.loop, house.count == 1);
    (void)close(client);
    house_close(&house);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ends_have_nodelay),
        cmocka_unit_test(test_beyond_the_cap_connections_wait_until_one_closes),
        cmocka_unit_test(test_listeners_that_share_places_accept_no_more_together),
        cmocka_unit_test(test_waiting_connections_are_accepted_before_closing),
        cmocka_unit_test(test_a_taken_port_is_explained),
        cmocka_unit_test(test_addresses_that_cannot_be_are_explained),
        cmocka_unit_test(test_all_addresses_take_ipv4_and_ipv6),
        cmocka_unit_test(test_a_claim_finds_a_second_gateway_and_lets_the_own_listeners_pass),
        cmocka_unit_test(test_without_descriptors_it_waits_without_spinning_and_loses_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
