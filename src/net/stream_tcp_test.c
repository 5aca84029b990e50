/* TCP streams over the loopback interface: back-pressure, pausing, ends and failures. */
#include "net/stream.h"

#include "base/alloc.h"
#include "net/address.h"
#include "net/listener.h"
#include "net/loop_private.h"
#include "net/stream_private.h"
#include "net/stream_probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static char noise[8 * MEBIBYTE]; /* filled before the first test */

static int fill_noise(void **state) {
    (void)state;
    noise_fill(noise, sizeof(noise));
    return 0;
}

/* A client and a server end, connected. */
struct line {
    struct dr_loop *loop;
    struct dr_listener *listener;
    struct probe client;
    struct probe server;
};

static void line_accepted(void *owner, struct dr_stream *stream) {
    struct line *line = owner;
    probe_take(&line->server, stream);
}

static enum dr_status connect_probe(struct probe *probe, uint16_t port) {
    struct dr_address address;
    assert_true(dr_address_parse(DR_LIT("127.0.0.1"), port, &address));
    return dr_stream_connect(probe->loop, (const struct sockaddr *)&address.storage, NULL, NULL,
                             &probe_events, probe, &probe->stream, NULL);
}

static void line_connect(struct line *line) {
    const uint16_t port = dr_listener_port(line->listener);
    probe_init(&line->client, line->loop);
    probe_init(&line->server, line->loop);
    assert_int_equal(connect_probe(&line->client, port), DR_OK);
}

static int line_open(void **state) {
    struct line *line = dr_alloc_zero(1, sizeof *line);
    assert_non_null(line);
    assert_int_equal(dr_loop_new(&line->loop, NULL), DR_OK);
    const struct dr_listener_options options = {
        .address = DR_LIT("127.0.0.1:0"),
        .connections_max = 8,
        .accepted = line_accepted,
        .owner = line,
    };
    assert_int_equal(dr_listener_open(line->loop, &options, NULL, &line->listener, NULL), DR_OK);
    line_connect(line);
    RUN_UNTIL(line->loop, line->client.opened == 1 && line->server.stream);
    *state = line;
    return 0;
}

static int line_close(void **state) {
    struct line *line = *state;
    probe_end(&line->client);
    probe_end(&line->server);
    dr_listener_close(line->listener);
    dr_listener_note_closed(line->listener);
    dr_loop_free(line->loop);
    dr_free(line);
    return 0;
}

/* A few turns, in which nothing more may happen. */
static void line_idle(struct line *line) {
    for (int i = 0; i < 20; i++) dr_loop_run_once(line->loop, 1);
}

static void test_a_mebibyte_comes_back_through_a_slow_reader(void **state) {
    struct line *line = *state;
    line->server.echoes = true;
    dr_stream_set_pending_max(line->client.stream, 2 * MEBIBYTE);
    dr_stream_pause(line->client.stream);
    const dr_slice parts[] = {{noise, 1},
                              DR_NONE,
                              {noise + 1, MEBIBYTE / 2},
                              {noise + 1 + MEBIBYTE / 2, MEBIBYTE / 2 - 1}};
    size_t written = 0;
    for (int i = 0; i < 60; i++) { /* the system holds several MiB */
        assert_int_equal(dr_stream_write(line->client.stream, parts, 4), DR_OK);
        written += MEBIBYTE;
        for (int turn = 0; turn < 10; turn++) dr_loop_run_once(line->loop, 1);
        if (dr_stream_pending(line->client.stream) > 0) break;
    }
    /* The reader reads nothing: the echo must come to a halt, holding no more than one read. */
    assert_true(dr_stream_pending(line->client.stream) > 0);
    assert_true(dr_stream_is_paused(line->server.stream));
    assert_true(line->server.pending_most <= DR_LOOP_READ_BYTES);
    assert_int_equal(line->client.received.len, 0);
    line->client.pauses = true;
    dr_stream_resume(line->client.stream);
    for (int turn = 0; turn < 100000 && line->client.received.len < MEBIBYTE; turn++) {
        dr_loop_run_once(line->loop, 1);
        dr_stream_resume(line->client.stream);
    }
    assert_memory_equal(line->client.received.data, noise, MEBIBYTE);
    line->client.pauses = false;
    dr_stream_resume(line->client.stream);
    RUN_UNTIL(line->loop, line->client.received.len == written);
    assert_int_equal(line->server.received.len, written);
    assert_memory_equal(line->client.received.data + written - MEBIBYTE, noise, MEBIBYTE);
    assert_true(line->client.drained > 0 && line->server.drained > 0);
    assert_int_equal(line->client.failed + line->server.failed, 0);
}

static void test_more_than_the_pending_limit_is_refused(void **state) {
    struct line *line = *state;
    dr_stream_set_pending_max(line->client.stream, 100000);
    dr_stream_pause(line->server.stream);
    enum dr_status status = DR_OK;
    for (int i = 0; i < 100 && !status; i++) {
        status = say(&line->client, dr_slice_of(noise, 50000));
        assert_true(dr_stream_pending(line->client.stream) <= 100000);
    }
    assert_int_equal(status, DR_TOO_LARGE);
}

static void test_nothing_arrives_while_paused_and_all_after_resume(void **state) {
    struct line *line = *state;
    dr_stream_pause(line->server.stream);
    dr_stream_pause(line->server.stream);
    assert_int_equal(say(&line->client, DR_LIT("hello")), DR_OK);
    dr_stream_finish(line->client.stream);
    line_idle(line);
    assert_int_equal(line->server.pieces + line->server.ended, 0);
    dr_stream_resume(line->server.stream);
    RUN_UNTIL(line->loop, line->server.ended == 1);
    assert_int_equal(line->server.received.len, 5);
    /* Half closed: the other direction goes on. */
    assert_int_equal(say(&line->server, DR_LIT("bye")), DR_OK);
    dr_stream_finish(line->server.stream);
    RUN_UNTIL(line->loop, line->client.ended == 1);
    assert_int_equal(line->client.received.len, 3);
    assert_int_equal(say(&line->client, DR_LIT("late")), DR_CLOSED);
}

static void test_finish_waits_for_what_is_pending(void **state) {
    struct line *line = *state;
    dr_stream_set_pending_max(line->client.stream, sizeof(noise));
    dr_stream_pause(line->server.stream);
    assert_int_equal(say(&line->client, dr_slice_of(noise, sizeof(noise))), DR_OK);
    assert_true(dr_stream_pending(line->client.stream) > 0);
    dr_stream_finish(line->client.stream);
    dr_stream_resume(line->server.stream);
    RUN_UNTIL(line->loop, line->server.ended == 1);
    assert_int_equal(line->server.received.len, sizeof(noise));
    assert_int_equal(line->client.drained, 1);
}

static void test_gathering_joins_a_burst_into_one_piece(void **state) {
    struct line *line = *state;
    assert_int_equal(say(&line->client, DR_LIT("a")), DR_OK);
    RUN_UNTIL(line->loop, line->server.pieces == 1);
    dr_stream_gather(line->server.stream);
    dr_stream_gather(line->server.stream);
    assert_false(dr_stream_is_paused(line->server.stream));
    assert_int_equal(say(&line->client, DR_LIT("b")), DR_OK);
    assert_int_equal(say(&line->client, DR_LIT("c")), DR_OK);
    RUN_UNTIL(line->loop, line->server.received.len == 3);
    assert_int_equal(line->server.pieces, 2);
    /* A pause that comes meanwhile outlasts the gathering. */
    dr_stream_gather(line->server.stream);
    dr_stream_pause(line->server.stream);
    assert_int_equal(say(&line->client, DR_LIT("d")), DR_OK);
    line_idle(line);
    assert_int_equal(line->server.pieces, 2);
    dr_stream_resume(line->server.stream);
    RUN_UNTIL(line->loop, line->server.pieces == 3);
    dr_stream_gather(line->server.stream); /* closed while it gathers */
}

/* Small writes leave at the end of the turn, larger ones at once: the order of one stream's bytes
 * is theirs nevertheless, and what is written before an end or a close arrives. */
static void test_writes_of_a_turn_leave_together_and_in_order(void **state) {
    struct line *line = *state;
    const struct dr_outbox *outbox = dr_loop_outbox(line->loop);
    assert_int_equal(say(&line->client, dr_slice_of(noise, 3)), DR_OK);
    assert_int_equal(say(&line->client, dr_slice_of(noise + 3, 4)), DR_OK);
    assert_int_equal(say(&line->server, DR_LIT("hello")), DR_OK);
    assert_int_equal(outbox->piece_count, 2);
    assert_int_equal(say(&line->client, dr_slice_of(noise + 7, 3)), DR_OK);
    assert_int_equal(outbox->piece_count, 3);
    assert_int_equal(dr_stream_pending(line->client.stream), 0);
    size_t written = 10;
    for (size_t len = 1; written + len <= 200000; len = len * 7 % 9973) {
        assert_int_equal(say(&line->client, dr_slice_of(noise + written, len)), DR_OK);
        written += len;
    }
    dr_stream_finish(line->client.stream);
    assert_int_equal(outbox->piece_count, 0);
    RUN_UNTIL(line->loop, line->server.ended == 1 && line->client.received.len == 5);
    assert_int_equal(line->server.received.len, written);
    assert_memory_equal(line->server.received.data, noise, written);
    assert_int_equal(say(&line->server, DR_LIT(" and goodbye")), DR_OK);
    dr_stream_close(line->server.stream);
    RUN_UNTIL(line->loop, line->client.ended == 1);
    assert_int_equal(line->client.received.len, 17);
}

/* Its pieces may lie apart in the box. What one system call takes is one packet here. */
static void test_all_writes_of_a_turn_to_one_stream_are_one_call(void **state) {
    struct line *line = *state;
    int fds[2];
    char room[256];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
    struct probe probe;
    probe_init(&probe, line->loop);
    struct dr_stream *stream;
    assert_int_equal(dr_stream_tcp_accept(line->loop, fds[0], &stream, NULL), DR_OK);
    probe_take(&probe, stream);
    for (size_t i = 0; i < 40; i++) {
        assert_int_equal(say(&probe, dr_slice_of(noise + 2 * i, 2)), DR_OK);
        assert_int_equal(say(&line->client, dr_slice_of(noise + i, 1)), DR_OK);
    }
    dr_loop_run_once(line->loop, 0);
    assert_int_equal(recv(fds[1], room, sizeof(room), 0), 64); /* a call takes 32 parts */
    assert_memory_equal(room, noise, 64);
    assert_int_equal(recv(fds[1], room, sizeof(room), 0), 16);
    assert_memory_equal(room, noise + 64, 16);
    RUN_UNTIL(line->loop, line->server.received.len == 40);
    assert_memory_equal(line->server.received.data, noise, 40);
    probe_end(&probe);
    (void)close(fds[1]);
}

/* The box is emptied in the middle of a turn when it is full. What the system leaves of a stream's
 * bytes then waits, and what the same stream writes next comes behind it. */
static void test_what_follows_a_rest_of_the_same_turn_stays_behind_it(void **state) {
    struct line *line = *state;
    dr_stream_set_pending_max(line->client.stream, sizeof(noise));
    dr_stream_pause(line->server.stream);
    for (size_t at = 0; at < sizeof(noise); at += DR_OUTBOX_WRITE_BYTES) {
        const dr_slice piece = dr_slice_of(noise + at, DR_OUTBOX_WRITE_BYTES);
        assert_int_equal(say(&line->client, piece), DR_OK);
    }
    assert_true(dr_stream_pending(line->client.stream) > 0);
    dr_stream_resume(line->server.stream);
    RUN_UNTIL(line->loop, line->server.received.len == sizeof(noise));
    assert_memory_equal(line->server.received.data, noise, sizeof(noise));
}

static void test_many_streams_of_a_turn_need_no_room_for_all(void **state) {
    struct line *line = *state;
    const struct dr_outbox *outbox = dr_loop_outbox(line->loop);
    size_t client_bytes = 0;
    for (int i = 0; i < 3 * DR_OUTBOX_PIECES; i++) {
        const size_t len = i % 2 ? DR_OUTBOX_WRITE_BYTES : 1;
        assert_int_equal(say(i % 2 ? &line->client : &line->server, dr_slice_of(noise, len)),
                         DR_OK);
        assert_true(outbox->piece_count <= DR_OUTBOX_PIECES && outbox->len <= DR_OUTBOX_BYTES);
        if (i % 2) client_bytes += len;
    }
    RUN_UNTIL(line->loop, line->server.received.len == client_bytes &&
                              line->client.received.len == 3 * DR_OUTBOX_PIECES / 2);
}

/* Reading goes on, without a word from the system, until all is there, but in pieces between which
 * others are served. */
static void test_a_stream_with_much_to_read_leaves_turns_to_others(void **state) {
    struct line *line = *state;
    dr_stream_set_pending_max(line->client.stream, sizeof(noise));
    const int room = 4 * MEBIBYTE;
    dr_stream_pause(line->server.stream);
    for (int fd = 0; fd < 64; fd++) { /* so that one turn could read more than it may */
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
    }
    assert_int_equal(say(&line->client, dr_slice_of(noise, sizeof(noise))), DR_OK);
    line_idle(line);
    dr_stream_resume(line->server.stream);
    size_t most = 0;
    size_t before = 0;
    for (int turn = 0; turn < 100000 && line->server.received.len < sizeof(noise); turn++) {
        dr_loop_run_once(line->loop, 10);
        const size_t read = line->server.received.len - before;
        before = line->server.received.len;
        if (read > most) most = read;
    }
    assert_int_equal(line->server.received.len, sizeof(noise));
    assert_memory_equal(line->server.received.data, noise, sizeof(noise));
    assert_true(most > DR_LOOP_READ_BYTES);
    assert_true(most <= (size_t)16 * DR_LOOP_READ_BYTES);
}

/* Stops the loop when all has come, or nothing has for long. */
struct drain {
    struct dr_loop *loop;
    size_t left;
    struct dr_timer patience;
};

static void drain_received(void *owner, dr_slice bytes) {
    struct drain *drain = owner;
    drain->left -= bytes.len;
    if (drain->left == 0) dr_loop_stop(drain->loop);
}

static void drain_stalled(void *owner) {
    struct drain *drain = owner;
    dr_loop_stop(drain->loop);
}

/* All has arrived before the first read, so nothing wakes the loop any more. */
static void test_reading_goes_on_without_a_word_from_the_system(void **state) {
    (void)state;
    static const struct dr_stream_events events = {.received = drain_received};
    const int room = 8 * MEBIBYTE;
    struct drain drain = {0};
    struct dr_stream *stream;
    int fds[2];
    assert_int_equal(dr_loop_new(&drain.loop, NULL), DR_OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    (void)setsockopt(fds[1], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
    assert_int_equal(dr_stream_tcp_accept(drain.loop, fds[0], &stream, NULL), DR_OK);
    dr_stream_set_owner(stream, &events, &drain);
    const ssize_t len = write(fds[1], noise, (size_t)2 * MEBIBYTE);
    assert_true(len > 0);
    drain.left = (size_t)len;
    dr_timer_init(&drain.patience, &drain, drain_stalled);
    dr_timer_start(&drain.patience, drain.loop, 5000);
    dr_loop_run(drain.loop);
    dr_timer_stop(&drain.patience);
    assert_int_equal(drain.left, 0);
    dr_stream_close(stream);
    (void)close(fds[1]);
    dr_loop_free(drain.loop);
}

/* While a stream gathers the system is asked for nothing: what came meanwhile, an end too, is
 * found afterwards, and so is what comes long after. */
static void test_nothing_is_missed_by_gathering(void **state) {
    struct line *line = *state;
    for (int round = 1; round <= 20; round++) {
        assert_int_equal(say(&line->client, DR_LIT("a")), DR_OK);
        dr_stream_gather(line->server.stream);
        RUN_UNTIL(line->loop, line->server.received.len == (size_t)(2 * round - 1));
        dr_stream_gather(line->server.stream); /* in vain */
        for (int i = 0; i < 3; i++) dr_loop_run_once(line->loop, 1);
        assert_int_equal(say(&line->client, DR_LIT("b")), DR_OK);
        RUN_UNTIL(line->loop, line->server.received.len == (size_t)(2 * round));
    }
    dr_stream_gather(line->server.stream);
    assert_int_equal(say(&line->client, DR_LIT("end")), DR_OK);
    dr_stream_finish(line->client.stream);
    RUN_UNTIL(line->loop, line->server.ended == 1);
    assert_int_equal(line->server.received.len, 43);
}

static void test_a_reset_is_told_as_failure(void **state) {
    struct line *line = *state;
    dr_stream_reset(line->client.stream);
    RUN_UNTIL(line->loop, line->server.failed == 1);
    assert_int_equal(line->server.error.status, DR_CLOSED);
    assert_string_equal(line->server.error.text, "connection reset by peer");
    assert_int_equal(line->server.ended, 0);
    assert_int_equal(say(&line->server, DR_LIT("x")), DR_CLOSED);
}

static void test_writing_to_a_dead_peer_fails_in_a_later_turn(void **state) {
    struct line *line = *state;
    dr_stream_pause(line->server.stream); /* so that the reset is not read */
    dr_stream_reset(line->client.stream);
    line_idle(line);
    assert_int_equal(line->server.failed, 0);
    assert_int_equal(say(&line->server, DR_LIT("x")), DR_OK); /* nothing has been tried yet */
    assert_int_equal(line->server.failed, 0);
    RUN_UNTIL(line->loop, line->server.failed == 1);
    assert_true(line->server.error.os_code != 0);
    assert_int_equal(say(&line->server, DR_LIT("x")), DR_CLOSED);
}

/* Without a word from the system for each turn in which nobody reads. */
static void test_a_peer_that_leaves_is_told_of_while_paused(void **state) {
    struct line *line = *state;
    line->server.pauses = true;
    assert_int_equal(say(&line->client, DR_LIT("bye")), DR_OK);
    RUN_UNTIL(line->loop, line->server.pieces == 1);
    line_idle(line);
    assert_int_equal(line->server.hung_up, 0);
    assert_int_equal(say(&line->client, DR_LIT("more")), DR_OK);
    dr_stream_finish(line->client.stream);
    RUN_UNTIL(line->loop, line->server.hung_up > 0);
    const int told = line->server.hung_up;
    line_idle(line);
    assert_int_equal(line->server.hung_up, told);
    assert_int_equal(line->server.ended, 0);
    /* What came before is not lost. */
    line->server.pauses = false;
    dr_stream_resume(line->server.stream);
    RUN_UNTIL(line->loop, line->server.ended == 1);
    assert_int_equal(line->server.received.len, 7);
}

static void test_a_reset_is_told_of_while_paused(void **state) {
    struct line *line = *state;
    dr_stream_pause(line->server.stream);
    assert_int_equal(say(&line->client, DR_LIT("bye")), DR_OK);
    line_idle(line);
    dr_stream_reset(line->client.stream);
    RUN_UNTIL(line->loop, line->server.hung_up > 0);
    assert_int_equal(line->server.failed, 0);
    dr_stream_resume(line->server.stream);
    RUN_UNTIL(line->loop, line->server.failed == 1);
    assert_int_equal(line->server.received.len, 3);
}

static void test_an_end_found_before_the_pause_is_told_too(void **state) {
    struct line *line = *state;
    line->server.pauses = true;
    assert_int_equal(say(&line->client, dr_slice_of(noise, 100000)), DR_OK);
    dr_stream_finish(line->client.stream);
    RUN_UNTIL(line->loop, line->server.hung_up > 0);
    assert_true(line->server.received.len < 100000);
    assert_int_equal(line->server.ended, 0);
}

/* The writer learns of the reset only by writing, with words of the peer unread. */
static void test_what_was_said_before_a_reset_is_heard_before_the_failure(void **state) {
    struct line *line = *state;
    dr_stream_pause(line->server.stream); /* so that its close is a reset */
    assert_int_equal(say(&line->client, dr_slice_of(noise, 1000)), DR_OK);
    line_idle(line);
    assert_int_equal(say(&line->server, dr_slice_of(noise, 60000)), DR_OK);
    dr_stream_close(line->server.stream);
    assert_int_equal(say(&line->client, dr_slice_of(noise, MEBIBYTE)), DR_CLOSED);
    assert_int_equal(line->client.failed, 0);
    RUN_UNTIL(line->loop, line->client.failed == 1);
    assert_int_equal(line->client.received.len, 60000);
    assert_memory_equal(line->client.received.data, noise, 60000);
}

static void test_a_refused_connection_names_address_and_reason(void **state) {
    struct line *line = *state;
    int fd;
    assert_int_equal(dr_listener_claim(DR_LIT("127.0.0.1:0"), &fd, NULL), DR_OK);
    struct sockaddr_in name;
    socklen_t len = sizeof(name);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    const uint16_t port = ntohs(name.sin_port);
    struct probe refused;
    probe_init(&refused, line->loop);
    assert_int_equal(connect_probe(&refused, port), DR_OK);
    const dr_slice early = DR_LIT("waits for the connection");
    assert_int_equal(dr_stream_write(refused.stream, &early, 1), DR_OK);
    RUN_UNTIL(line->loop, refused.failed == 1);
    char expected[100];
    (void)snprintf(expected, sizeof(expected), "cannot connect to 127.0.0.1:%u: connection refused",
                   port);
    assert_string_equal(refused.error.text, expected);
    assert_int_equal(refused.opened, 0);
    probe_end(&refused);
    dr_listener_unclaim(fd);
}

static void test_what_is_written_while_connecting_arrives_first(void **state) {
    struct line *line = *state;
    probe_end(&line->client);
    RUN_UNTIL(line->loop, line->server.ended == 1);
    probe_end(&line->server);
    dr_listener_note_closed(line->listener);
    line_connect(line);
    assert_int_equal(say(&line->client, DR_LIT("one ")), DR_OK);
    assert_int_equal(say(&line->client, DR_LIT("two")), DR_OK);
    assert_int_equal(dr_stream_pending(line->client.stream), 7);
    dr_stream_finish(line->client.stream);
    RUN_UNTIL(line->loop, line->server.ended == 1);
    assert_int_equal(line->server.received.len, 7);
    assert_memory_equal(line->server.received.data, "one two", 7);
    assert_int_equal(line->client.drained, 1);
}

static void test_closing_inside_a_fact_is_safe_and_ends_the_facts(void **state) {
    struct line *line = *state;
    line->server.closes = true;
    assert_int_equal(say(&line->client, DR_LIT("x")), DR_OK);
    dr_stream_finish(line->client.stream);
    RUN_UNTIL(line->loop, line->server.closed == 1);
    RUN_UNTIL(line->loop, line->client.ended == 1);
    assert_int_equal(line->server.failed, 0);
}

static void test_the_peer_is_named(void **state) {
    struct line *line = *state;
    char text[DR_ADDRESS_TEXT_BYTES];
    char expected[DR_ADDRESS_TEXT_BYTES];
    dr_stream_peer_text(line->client.stream, text);
    (void)snprintf(expected, sizeof(expected), "127.0.0.1:%u", dr_listener_port(line->listener));
    assert_string_equal(text, expected);
    assert_false(dr_stream_is_tls(line->client.stream));
    assert_ptr_equal(dr_stream_loop(line->client.stream), line->loop);
}

static void test_an_idle_stream_is_one_block_of_less_than_200_bytes(void **state) {
    struct line *line = *state;
    const uint64_t before = dr_alloc_count();
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    struct probe probe;
    probe_init(&probe, line->loop);
    struct dr_stream *stream;
    assert_int_equal(dr_stream_tcp_accept(line->loop, fds[0], &stream, NULL), DR_OK);
    probe_take(&probe, stream);
    assert_int_equal(dr_alloc_count() - before, 1);
    assert_true(dr_stream_tcp_bytes() < 200);
    print_message("bytes per accepted stream: %zu (block %zu)\n", dr_stream_tcp_bytes(),
                  malloc_usable_size(stream));
    /* Bytes that pass leave no buffer behind. */
    assert_int_equal(write(fds[1], "x", 1), 1);
    RUN_UNTIL(line->loop, probe.pieces == 1);
    assert_int_equal(say(&probe, DR_LIT("y")), DR_OK);
    assert_int_equal(dr_alloc_count() - before, 2); /* the second is the probe's own */
    probe_end(&probe);
    (void)close(fds[1]);
}

static void test_no_memory_while_writing_or_connecting_is_reported(void **state) {
    struct line *line = *state;
    dr_stream_set_pending_max(line->client.stream, sizeof(noise));
    dr_alloc_fail_at(1);
    assert_int_equal(say(&line->client, dr_slice_of(noise, sizeof(noise))), DR_NO_MEMORY);
    dr_alloc_fail_at(0);
    struct probe other = {.loop = line->loop};
    for (uint64_t nth = 1; nth <= 2; nth++) {
        dr_alloc_fail_at(nth);
        assert_int_equal(connect_probe(&other, 1), DR_NO_MEMORY);
        dr_alloc_fail_at(0);
    }
}

#define LINE_TEST(name) cmocka_unit_test_setup_teardown(name, line_open, line_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        LINE_TEST(test_a_mebibyte_comes_back_through_a_slow_reader),
        LINE_TEST(test_more_than_the_pending_limit_is_refused),
        LINE_TEST(test_nothing_arrives_while_paused_and_all_after_resume),
        LINE_TEST(test_finish_waits_for_what_is_pending),
        LINE_TEST(test_gathering_joins_a_burst_into_one_piece),
        LINE_TEST(test_writes_of_a_turn_leave_together_and_in_order),
        LINE_TEST(test_all_writes_of_a_turn_to_one_stream_are_one_call),
        LINE_TEST(test_what_follows_a_rest_of_the_same_turn_stays_behind_it),
        LINE_TEST(test_many_streams_of_a_turn_need_no_room_for_all),
        LINE_TEST(test_a_stream_with_much_to_read_leaves_turns_to_others),
        cmocka_unit_test(test_reading_goes_on_without_a_word_from_the_system),
        LINE_TEST(test_nothing_is_missed_by_gathering),
        LINE_TEST(test_a_reset_is_told_as_failure),
        LINE_TEST(test_writing_to_a_dead_peer_fails_in_a_later_turn),
        LINE_TEST(test_a_peer_that_leaves_is_told_of_while_paused),
        LINE_TEST(test_a_reset_is_told_of_while_paused),
        LINE_TEST(test_an_end_found_before_the_pause_is_told_too),
        LINE_TEST(test_what_was_said_before_a_reset_is_heard_before_the_failure),
        LINE_TEST(test_a_refused_connection_names_address_and_reason),
        LINE_TEST(test_what_is_written_while_connecting_arrives_first),
        LINE_TEST(test_closing_inside_a_fact_is_safe_and_ends_the_facts),
        LINE_TEST(test_the_peer_is_named),
        LINE_TEST(test_an_idle_stream_is_one_block_of_less_than_200_bytes),
        LINE_TEST(test_no_memory_while_writing_or_connecting_is_reported),
    };
    return cmocka_run_group_tests(tests, fill_noise, NULL);
}
