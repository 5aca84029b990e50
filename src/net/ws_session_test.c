/* A session on one end of a pipe in memory, raw frames on the other. */
#include "net/ws_session.h"

#include "base/alloc.h"
#include "net/clock_probe.h"
#include "net/stream_private.h"
#include "net/stream_probe.h"
#include "net/ws_probe.h"

#include <sys/socket.h>
#include <unistd.h>

enum { PIPE_BYTES = 4096 };

struct talk {
    struct dr_loop *loop;
    struct dr_ws_hub *hub;
    struct dr_ws_session *session; /* NULL once closed */
    struct dr_ws_session_options options;
    struct dr_buf line; /* what the session told */
    int ended;
    uint16_t code;
    char reason[128];
    int drained;
    int closed;
    int stalled;
    int patience; /* so many stalls are forgiven */
    bool echoes;
    bool resets; /* at the next message */
    bool closes; /* at the next message */
    struct probe peer;
    struct dr_ws_pool *pool;
    struct dr_ws_reader reader; /* of what the peer receives */
    struct dr_buf heard;        /* as a line */
    size_t heard_len;           /* bytes of peer.received in it */
};

static void talk_message(void *owner, dr_slice bytes, bool is_binary) {
    struct talk *talk = owner;
    const struct dr_ws_event event = {.bytes = bytes, .is_binary = is_binary};
    assert_int_equal(talk->ended, 0);
    ws_probe_note(&talk->line, DR_WS_MESSAGE, &event);
    if (talk->echoes) (void)dr_ws_session_send_text(talk->session, &bytes, 1);
    if (talk->closes) dr_ws_session_close(talk->session, 1000, DR_LIT("bye"));
    if (talk->resets) dr_ws_session_reset(talk->session);
    assert_int_equal(talk->ended, 0); /* never from within a call */
    if (dr_ws_session_is_full(talk->session)) dr_ws_session_pause(talk->session);
}

static void talk_drained(void *owner) {
    struct talk *talk = owner;
    talk->drained++;
    dr_ws_session_resume(talk->session);
}

static bool talk_stalled(void *owner, size_t pending) {
    struct talk *talk = owner;
    assert_true(pending > 0);
    return talk->stalled++ < talk->patience;
}

static void talk_ended(void *owner, uint16_t code, dr_slice reason) {
    struct talk *talk = owner;
    talk->ended++;
    talk->code = code;
    assert_true(dr_slice_to_text(reason, talk->reason, sizeof talk->reason));
    assert_false(dr_ws_session_is_open(talk->session));
    assert_int_equal(dr_ws_session_send_text(talk->session, &reason, 1), DR_CLOSED);
}

static void talk_closed(void *owner) {
    struct talk *talk = owner;
    assert_int_equal(talk->ended, 1);
    talk->closed++;
    talk->session = NULL;
}

static const struct dr_ws_session_events talk_events = {
    .message = talk_message,
    .drained = talk_drained,
    .stalled = talk_stalled,
    .ended = talk_ended,
    .closed = talk_closed,
};

static void talk_open_with(struct talk *talk, enum dr_ws_role role, dr_slice first_bytes) {
    struct dr_stream *stream;
    struct dr_stream *peer;
    assert_int_equal(dr_loop_new(&talk->loop, NULL), DR_OK);
    assert_int_equal(dr_ws_hub_new(talk->loop, &talk->hub, NULL), DR_OK);
    assert_int_equal(dr_stream_pair(talk->loop, PIPE_BYTES, &stream, &peer, NULL), DR_OK);
    dr_buf_init(&talk->line, 1 << 20);
    dr_buf_init(&talk->heard, 1 << 20);
    talk->pool = dr_ws_pool_new();
    dr_ws_reader_init(&talk->reader, talk->pool, &talk->options.limits,
                      role == DR_WS_SERVER ? DR_WS_CLIENT : DR_WS_SERVER);
    probe_init(&talk->peer, talk->loop);
    probe_take(&talk->peer, peer);
    talk->session = dr_ws_session_new(talk->hub, role, &talk->options, &talk_events, talk);
    assert_non_null(talk->session);
    assert_int_equal(dr_ws_hub_session_count(talk->hub), 1);
    dr_ws_session_start(talk->session, stream, first_bytes);
}

static struct talk talk_of(void) {
    return (struct talk){
        .options = {.limits = {.frame_bytes_max = 65536,
                               .message_bytes_max = 65536,
                               .fragments_max = 16,
                               .takes_binary = true},
                    .send_high_bytes = 8192,
                    .send_bytes_max = 32768,
                    .ping_ms = 60000,
                    .stall_ms = 60000,
                    .message_ms = 60000,
                    .close_ms = 60000},
    };
}

static void talk_open(struct talk *talk) {
    talk_open_with(talk, DR_WS_SERVER, DR_NONE);
}

static void talk_close(struct talk *talk) {
    probe_end(&talk->peer);
    RUN_UNTIL(talk->loop, talk->closed == 1);
    assert_int_equal(talk->ended, 1);
    assert_int_equal(dr_ws_hub_session_count(talk->hub), 0);
    dr_ws_hub_free(talk->hub);
    dr_ws_reader_clear(&talk->reader);
    dr_ws_pool_free(talk->pool);
    dr_buf_clear(&talk->line);
    dr_buf_clear(&talk->heard);
    dr_loop_free(talk->loop);
}

/* Frames from a client. */
static void client_says(struct talk *talk, const char *script) {
    struct dr_buf bytes;
    dr_buf_init(&bytes, 1 << 20);
    ws_probe_put_script(&bytes, DR_WS_SERVER, dr_slice_text(script));
    const dr_slice part = dr_buf_slice(&bytes);
    assert_int_equal(dr_stream_write(talk->peer.stream, &part, 1), DR_OK);
    dr_buf_clear(&bytes);
}

static void listen_now(struct talk *talk) {
    const dr_slice all = dr_buf_slice(&talk->peer.received);
    (void)ws_probe_read(&talk->reader, dr_slice_from(all, talk->heard_len), &talk->heard);
    talk->heard_len = all.len;
}

static bool has_heard(struct talk *talk, const char *line) {
    listen_now(talk);
    return dr_slice_is(dr_buf_slice(&talk->heard), dr_slice_text(line));
}

static void run_turns(struct talk *talk) {
    for (int i = 0; i < 10; i++) dr_loop_run_once(talk->loop, 0);
}

static void send_text(struct talk *talk, const char *text) {
    const dr_slice part = dr_slice_text(text);
    assert_int_equal(dr_ws_session_send_text(talk->session, &part, 1), DR_OK);
}

static void fill(struct talk *talk) {
    char text[1001];
    memset(text, 'x', 1000);
    text[1000] = '\0';
    while (!dr_ws_session_is_full(talk->session)) {
        send_text(talk, text);
        run_turns(talk);
    }
}

static void test_messages_pass_in_both_directions(void **state) {
    (void)state;
    struct talk talk = talk_of();
    talk.echoes = true;
    talk_open(&talk);
    client_says(&talk, "81:one|01:tw|80:o|89:p|82:x");
    RUN_UNTIL(talk.loop, has_heard(&talk, "T(one)T(two)Q(p)T(x)"));
    ws_probe_expect("told", dr_buf_slice(&talk.line), DR_LIT("T(one)T(two)B(x)"));
    talk_close(&talk);
    assert_int_equal(talk.code, DR_WS_CLOSE_LOST);
}

static void test_what_is_sent_in_one_turn_leaves_in_one_write(void **state) {
    (void)state;
    struct talk talk = talk_of();
    talk_open(&talk);
    for (int i = 0; i < 100; i++) send_text(&talk, "token");
    assert_int_equal(dr_ws_session_pending(talk.session), 700);
    run_turns(&talk);
    assert_int_equal(talk.peer.received.len, 700);
    assert_int_equal(talk.peer.pieces, 1);
    talk_close(&talk);
}

/* Two of 150 bytes. */
static dr_slice two_frames(char *room) {
    char *at = room;
    for (int i = 0; i < 2; i++) {
        at += dr_ws_write_head(at, DR_WS_OPCODE_TEXT, 150, NULL);
        at = (char *)memset(at, 'x', 150) + 150;
    }
    return dr_slice_of(room, (size_t)(at - room));
}

static void test_frames_that_the_owner_wrote_keep_their_place(void **state) {
    (void)state;
    struct talk talk = talk_of();
    char room[400];
    talk_open(&talk);
    send_text(&talk, "before");
    assert_int_equal(dr_ws_session_send_frames(talk.session, two_frames(room)), DR_OK);
    send_text(&talk, "behind");
    run_turns(&talk);
    assert_true(has_heard(&talk, "T(before)T(#150)T(#150)T(behind)"));
    dr_ws_session_close(talk.session, DR_WS_CLOSE_NORMAL, DR_NONE);
    assert_int_equal(dr_ws_session_send_frames(talk.session, two_frames(room)), DR_CLOSED);
    talk_close(&talk);
}

static void test_there_is_no_place_for_frames_beyond_the_cap(void **state) {
    (void)state;
    static char frames[30001];
    struct talk talk = talk_of();
    talk.options.close_ms = 20;
    talk_open(&talk);
    dr_stream_pause(talk.peer.stream);
    fill(&talk);
    assert_int_equal(dr_ws_session_send_frames(talk.session, dr_slice_of(frames, sizeof frames)),
                     DR_TOO_LARGE);
    assert_int_equal(talk.ended, 0);
    dr_loop_run_once(talk.loop, 0);
    assert_int_equal(talk.ended, 1);
    assert_int_equal(talk.code, 1008);
    talk_close(&talk);
}

static void test_an_idle_session_is_small_and_owns_no_buffer(void **state) {
    (void)state;
    assert_in_range(dr_ws_session_bytes(), 1, 376);
    struct talk talk = talk_of();
    talk.echoes = true;
    talk_open(&talk);
    client_says(&talk, "81:warm|01*5000|80:");
    run_turns(&talk);
    /* From here on all is taken from the spare ones. */
    const uint64_t before = dr_alloc_count();
    send_text(&talk, "again");
    assert_int_equal(dr_alloc_count(), before);
    run_turns(&talk);
    talk_close(&talk);
}

static void test_first_bytes_are_read_within_start(void **state) {
    (void)state;
    struct talk talk = talk_of();
    struct dr_buf bytes;
    dr_buf_init(&bytes, 1024);
    ws_probe_put_script(&bytes, DR_WS_SERVER, DR_LIT("81:early"));
    talk_open_with(&talk, DR_WS_SERVER, dr_buf_slice(&bytes));
    ws_probe_expect("told", dr_buf_slice(&talk.line), DR_LIT("T(early)"));
    dr_buf_clear(&bytes);
    talk_close(&talk);
}

static void test_a_close_frame_is_answered_with_its_code(void **state) {
    (void)state;
    static const struct {
        const char *script;
        const char *heard;
        uint16_t code;
        const char *reason;
    } cases[] = {
        {"88:\x03\xe8"
         "bye|81:late",
         "C1000()", 1000, "bye"},
        {"88:", "C1005()", DR_WS_CLOSE_NONE, ""},
        {"88:\x03\xf4", "C1012()", 1012, ""},
        {"88:\x03\xf6", "C1014()", 1014, ""},
        {"88:\x0f\xa0", "C4000()", 4000, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct talk talk = talk_of();
        talk_open(&talk);
        client_says(&talk, cases[i].script);
        RUN_UNTIL(talk.loop, has_heard(&talk, cases[i].heard));
        assert_int_equal(talk.ended, 1);
        assert_int_equal(talk.code, cases[i].code);
        assert_string_equal(talk.reason, cases[i].reason);
        assert_int_equal(talk.line.len, 0);
        /* The server closes TCP first, and waits for the client to do so. */
        RUN_UNTIL(talk.loop, talk.peer.ended == 1);
        assert_int_equal(talk.closed, 0);
        talk_close(&talk);
    }
}

static void test_broken_frames_are_answered_with_a_code_and_the_end(void **state) {
    (void)state;
    static const struct {
        const char *script;
        const char *heard;
        uint16_t code;
    } cases[] = {
        {"C1:a|81:b", "C1002(reserved bit set)", 1002},
        {"81:\xff", "C1007(the text is not UTF-8)", 1007},
        {"R81:a", "C1002(frame without a mask)", 1002},
        {"81*65537", "C1009(frame too large)", 1009},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct talk talk = talk_of();
        talk_open(&talk);
        client_says(&talk, cases[i].script);
        RUN_UNTIL(talk.loop, has_heard(&talk, cases[i].heard) && talk.peer.ended == 1);
        assert_int_equal(talk.ended, 1);
        assert_int_equal(talk.code, cases[i].code);
        assert_int_equal(talk.line.len, 0);
        talk_close(&talk);
    }
}

static void test_our_close_waits_for_theirs(void **state) {
    (void)state;
    struct talk talk = talk_of();
    talk_open(&talk);
    send_text(&talk, "last");
    dr_ws_session_close(talk.session, 1012, DR_LIT("restarting"));
    dr_ws_session_close(talk.session, 1000, DR_LIT("twice"));
    RUN_UNTIL(talk.loop, has_heard(&talk, "T(last)C1012(restarting)"));
    client_says(&talk, "81:dropped|89:");
    run_turns(&talk);
    assert_int_equal(talk.ended, 0);
    client_says(&talk, "88:\x03\xf4");
    RUN_UNTIL(talk.loop, talk.ended == 1 && talk.peer.ended == 1);
    assert_int_equal(talk.code, 1012);
    assert_int_equal(talk.line.len, 0);
    talk_close(&talk);
}

static void test_a_peer_that_never_answers_our_close_is_cut(void **state) {
    (void)state;
    struct talk talk = talk_of();
    talk.options.close_ms = 20;
    talk_open(&talk);
    dr_ws_session_close(talk.session, 1000, DR_NONE);
    RUN_UNTIL(talk.loop, talk.closed == 1);
    assert_int_equal(talk.code, DR_WS_CLOSE_LOST);
    talk_close(&talk);
}

static void test_a_peer_that_never_sends_its_fin_is_cut(void **state) {
    (void)state;
    struct talk talk = talk_of();
    talk.options.close_ms = 20;
    talk_open(&talk);
    client_says(&talk, "88:\x03\xe8");
    RUN_UNTIL(talk.loop, talk.closed == 1);
    assert_int_equal(talk.code, 1000);
    talk_close(&talk);
}

static void test_silence_after_two_pings_is_the_end(void **state) {
    (void)state;
    struct talk talk = talk_of();
    talk.options.ping_ms = 20;
    talk_open(&talk);
    RUN_UNTIL(talk.loop, talk.ended == 1);
    RUN_UNTIL(talk.loop, has_heard(&talk, "P()P()C1008(two pings were not answered)"));
    assert_int_equal(talk.code, 1008);
    talk_close(&talk);
}

static void test_any_sign_of_life_keeps_a_session(void **state) {
    (void)state;
    struct talk talk = talk_of();
    talk.options.ping_ms = 20;
    talk_open(&talk);
    size_t answered = 0;
    for (int i = 0; i < 20000 && answered < 6; i++) {
        dr_loop_run_once(talk.loop, 10);
        listen_now(&talk);
        if (talk.heard.len / 3 == answered) continue;
        answered++;
        client_says(&talk, answered % 2 ? "8A:" : "81:x");
    }
    assert_int_equal(answered, 6);
    assert_int_equal(talk.ended, 0);
    talk_close(&talk);
}

static void time_passes(struct talk *talk, int64_t ms) {
    struct timespec ignored;
    clock_leap_ms = ms;
    (void)clock_gettime(CLOCK_MONOTONIC, &ignored);
    clock_leap_ms = 0;
    run_turns(talk);
}

static void test_a_message_has_a_time_to_become_whole(void **state) {
    (void)state;
    static const struct {
        const char *now;
        const char *later; /* 40 s later */
        const char *heard; /* 25 s after that, of the 60 s that a message has */
        bool is_ended;     /* 40 s after that */
    } cases[] = {
        {"01:never", "00:ends", "C1008(a message did not come whole in time)", true},
        {"01:never", "89:p", "Q(p)C1008(a message did not come whole in time)", true},
        {"01:one", "80:|01:two", "T(one)", true},
        {"01:one", "80:|81:two", "T(one)T(two)", false},
        {"81:one", "01:two", "T(one)", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct talk talk = talk_of();
        talk.echoes = true;
        talk.options.ping_ms = 86400000;
        talk.options.stall_ms = 86400000;
        talk_open(&talk);
        client_says(&talk, cases[i].now);
        run_turns(&talk);
        time_passes(&talk, 40000);
        assert_int_equal(talk.ended, 0);
        client_says(&talk, cases[i].later);
        run_turns(&talk);
        time_passes(&talk, 25000);
        assert_true(has_heard(&talk, cases[i].heard));
        time_passes(&talk, 40000);
        assert_int_equal(talk.ended, cases[i].is_ended);
        talk_close(&talk);
    }
}

/* A head without a payload byte is a beginning too; what we do not read is not held against it. */
static void test_a_paused_session_waits_for_the_rest_of_a_message(void **state) {
    (void)state;
    struct talk talk = talk_of();
    talk.options.ping_ms = 86400000;
    talk_open(&talk);
    const dr_slice head = DR_LIT("\x81\x85mask");
    assert_int_equal(dr_stream_write(talk.peer.stream, &head, 1), DR_OK);
    run_turns(&talk);
    dr_ws_session_pause(talk.session);
    time_passes(&talk, 61000);
    assert_int_equal(talk.ended, 0);
    dr_ws_session_resume(talk.session);
    time_passes(&talk, 61000);
    assert_int_equal(talk.ended, 1);
    assert_int_equal(talk.code, DR_WS_CLOSE_POLICY);
    talk_close(&talk);
}

static void test_a_lost_connection_is_told_once(void **state) {
    (void)state;
    for (int is_reset = 0; is_reset < 2; is_reset++) {
        struct talk talk = talk_of();
        talk_open(&talk);
        run_turns(&talk);
        if (is_reset) {
            dr_stream_reset(talk.peer.stream);
        } else {
            dr_stream_finish(talk.peer.stream);
        }
        RUN_UNTIL(talk.loop, talk.closed == 1);
        assert_int_equal(talk.code, DR_WS_CLOSE_LOST);
        talk_close(&talk);
    }
}

static void test_a_slow_reader_fills_and_drains(void **state) {
    (void)state;
    struct talk talk = talk_of();
    talk_open(&talk);
    dr_stream_pause(talk.peer.stream);
    fill(&talk);
    assert_in_range(dr_ws_session_pending(talk.session), 8193, 9300);
    assert_int_equal(talk.drained, 0);
    dr_stream_resume(talk.peer.stream);
    RUN_UNTIL(talk.loop, talk.drained == 1);
    assert_int_equal(dr_ws_session_pending(talk.session), 0);
    run_turns(&talk);
    assert_int_equal(talk.drained, 1);
    talk_close(&talk);
}

static void test_a_peer_that_never_reads_is_closed_after_a_time(void **state) {
    (void)state;
    struct talk talk = talk_of();
    talk.options.stall_ms = 20;
    talk.options.close_ms = 20;
    talk.patience = 2;
    talk_open(&talk);
    dr_stream_pause(talk.peer.stream);
    fill(&talk);
    RUN_UNTIL(talk.loop, talk.ended == 1);
    assert_int_equal(talk.stalled, 3);
    assert_int_equal(talk.code, 1008);
    assert_string_equal(talk.reason, "what was sent is not read");
    RUN_UNTIL(talk.loop, talk.closed == 1); /* reset, since it never takes the close frame */
    talk_close(&talk);
}

/* Over a socket, on whose other end nobody reads. Returns that one. */
static int talk_open_socket(struct talk *talk) {
    struct dr_stream *stream;
    int fds[2];
    talk->options.ping_ms = 86400000; /* a ping would be one more */
    talk->options.close_ms = 20;
    assert_int_equal(dr_loop_new(&talk->loop, NULL), DR_OK);
    assert_int_equal(dr_ws_hub_new(talk->loop, &talk->hub, NULL), DR_OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(dr_stream_tcp_accept(talk->loop, fds[0], &stream, NULL), DR_OK);
    talk->session = dr_ws_session_new(talk->hub, DR_WS_SERVER, &talk->options, &talk_events, talk);
    assert_non_null(talk->session);
    dr_ws_session_start(talk->session, stream, DR_NONE);
    return fds[1];
}

static void talk_stalls(struct talk *talk, int fd) {
    RUN_UNTIL(talk->loop, talk->ended == 1);
    assert_int_equal(talk->code, 1008);
    RUN_UNTIL(talk->loop, talk->closed == 1);
    assert_int_equal(close(fd), 0);
    dr_ws_hub_free(talk->hub);
    dr_loop_free(talk->loop);
}

/* Says something in each of so many turns, or until some of it waits. Returns in how many. */
static size_t say_on(struct talk *talk, size_t turns) {
    char text[1000];
    memset(text, 'x', sizeof text);
    const dr_slice part = dr_slice_of(text, sizeof text);
    size_t said = 0;
    for (; said < turns && dr_ws_session_pending(talk->session) == 0; said++) {
        assert_int_equal(dr_ws_session_send_text(talk->session, &part, 1), DR_OK);
        run_turns(talk); /* what is left shows */
    }
    return said;
}

/* What is left of a small write shows only at the end of the turn. */
static void test_a_stall_is_seen_though_nothing_more_is_sent(void **state) {
    (void)state;
    struct talk talk = talk_of();
    talk.options.stall_ms = 20;
    const int fd = talk_open_socket(&talk);
    (void)say_on(&talk, SIZE_MAX);
    talk_stalls(&talk, fd);
}

/* The first of these timers to fire sends, the second looks at what waits. */
static void send_two_frames(void *owner) {
    struct talk *talk = owner;
    char room[400];
    assert_int_equal(dr_ws_session_send_frames(talk->session, two_frames(room)), DR_OK);
}

static void note_timer(void *owner) {
    ++*(int *)owner;
}

static void test_a_stall_is_seen_though_it_begins_when_it_is_looked_for(void **state) {
    (void)state;
    struct talk talk = talk_of();
    struct dr_timer timer;
    int fired = 0;
    talk.options.stall_ms = 20;
    int fd = talk_open_socket(&talk);
    const size_t most = say_on(&talk, SIZE_MAX);
    talk_stalls(&talk, fd);

    talk = talk_of();
    talk.options.stall_ms = 20;
    fd = talk_open_socket(&talk);
    assert_int_equal(say_on(&talk, most - 2), most - 2);
    dr_timer_init(&timer, &fired, note_timer);
    dr_timer_start(&timer, talk.loop, talk.options.stall_ms);
    RUN_UNTIL(talk.loop, fired == 1); /* nothing waits, so nobody looks any more */
    dr_timer_init(&timer, &talk, send_two_frames);
    dr_timer_start(&timer, talk.loop, talk.options.stall_ms);
    send_two_frames(&talk);
    talk_stalls(&talk, fd);
}

static void test_more_than_the_cap_ends_a_session_in_the_same_turn(void **state) {
    (void)state;
    struct talk talk = talk_of();
    talk.options.close_ms = 20;
    talk_open(&talk);
    dr_stream_pause(talk.peer.stream);
    fill(&talk);
    char text[30001];
    memset(text, 'x', sizeof text);
    const dr_slice part = dr_slice_of(text, sizeof text);
    assert_int_equal(dr_ws_session_send_text(talk.session, &part, 1), DR_TOO_LARGE);
    assert_int_equal(talk.ended, 0);
    dr_loop_run_once(talk.loop, 0);
    assert_int_equal(talk.ended, 1);
    assert_int_equal(talk.code, 1008);
    talk_close(&talk);
}

static void test_pings_that_are_never_read_end_at_the_cap(void **state) {
    (void)state;
    struct talk talk = talk_of();
    talk.options.close_ms = 20;
    talk_open(&talk);
    dr_stream_pause(talk.peer.stream);
    for (int i = 0; i < 1000 && talk.ended == 0; i++) {
        client_says(&talk, "89*125");
        dr_loop_run_once(talk.loop, 0);
    }
    assert_int_equal(talk.ended, 1);
    assert_int_equal(talk.code, 1008);
    talk_close(&talk);
}

static void test_a_paused_session_reads_nothing(void **state) {
    (void)state;
    struct talk talk = talk_of();
    talk.options.ping_ms = 20;
    talk_open(&talk);
    dr_ws_session_pause(talk.session);
    client_says(&talk, "81:waits");
    /* Silence that we made ourselves is not held against the peer. */
    RUN_UNTIL(talk.loop, has_heard(&talk, "P()P()P()P()"));
    assert_int_equal(talk.ended, 0);
    assert_int_equal(talk.line.len, 0);
    dr_ws_session_resume(talk.session);
    RUN_UNTIL(talk.loop, talk.line.len > 0);
    talk_close(&talk);
}

static void test_closing_a_paused_session_still_hears_the_answer(void **state) {
    (void)state;
    struct talk talk = talk_of();
    talk_open(&talk);
    dr_ws_session_pause(talk.session);
    dr_ws_session_close(talk.session, 1000, DR_NONE);
    client_says(&talk, "88:\x03\xe8");
    RUN_UNTIL(talk.loop, talk.ended == 1);
    assert_int_equal(talk.code, 1000);
    talk_close(&talk);
}

static void test_an_owner_may_close_or_reset_within_a_message(void **state) {
    (void)state;
    for (int resets = 0; resets < 2; resets++) {
        struct talk talk = talk_of();
        talk.options.close_ms = 20;
        talk.resets = resets == 1;
        talk.closes = resets == 0;
        talk_open(&talk);
        client_says(&talk, "81:a|81:b|89:");
        RUN_UNTIL(talk.loop, talk.closed == 1);
        ws_probe_expect("told", dr_buf_slice(&talk.line), DR_LIT("T(a)"));
        assert_int_equal(talk.code, DR_WS_CLOSE_LOST);
        talk_close(&talk);
    }
}

static void test_a_hub_closes_and_resets_all(void **state) {
    (void)state;
    struct talk talk = talk_of();
    talk_open(&talk);
    struct dr_ws_session *unstarted =
        dr_ws_session_new(talk.hub, DR_WS_SERVER, &talk.options, &talk_events, NULL);
    assert_int_equal(dr_ws_hub_session_count(talk.hub), 2);
    dr_ws_hub_close_all(talk.hub, DR_WS_CLOSE_RESTART, DR_LIT("restarting"));
    RUN_UNTIL(talk.loop, has_heard(&talk, "C1012(restarting)"));
    dr_ws_hub_reset_all(talk.hub);
    RUN_UNTIL(talk.loop, talk.closed == 1 && talk.peer.failed == 1);
    dr_ws_session_free(unstarted);
    talk_close(&talk);
}

static void test_a_client_masks_each_frame_afresh(void **state) {
    (void)state;
    struct talk talk = talk_of();
    talk_open_with(&talk, DR_WS_CLIENT, DR_NONE);
    send_text(&talk, "same");
    send_text(&talk, "same");
    RUN_UNTIL(talk.loop, has_heard(&talk, "T(same)T(same)"));
    assert_int_equal(talk.peer.received.len, 20);
    assert_memory_not_equal(talk.peer.received.data + 2, talk.peer.received.data + 12, 4);
    /* The server closes first; only then the client lets go. */
    const dr_slice close_frame = DR_LIT("\x88\x02\x03\xe8");
    assert_int_equal(dr_stream_write(talk.peer.stream, &close_frame, 1), DR_OK);
    RUN_UNTIL(talk.loop, talk.ended == 1);
    run_turns(&talk);
    assert_int_equal(talk.peer.ended, 0);
    dr_stream_finish(talk.peer.stream);
    RUN_UNTIL(talk.loop, talk.closed == 1);
    talk_close(&talk);
}

static void test_without_memory_a_session_ends_and_leaks_nothing(void **state) {
    (void)state;
    for (uint64_t nth = 1; nth < 12; nth++) {
        struct talk talk = talk_of();
        talk.echoes = true;
        talk.options.close_ms = 20;
        talk_open(&talk);
        dr_buf_put(&talk.line, DR_LIT(" "));
        client_says(&talk, "01*3000|80*3000|89:p");
        dr_alloc_fail_at(nth);
        for (int i = 0; i < 3; i++) dr_loop_run_once(talk.loop, 0);
        dr_alloc_fail_at(0);
        talk_close(&talk);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_pass_in_both_directions),
        cmocka_unit_test(test_what_is_sent_in_one_turn_leaves_in_one_write),
        cmocka_unit_test(test_frames_that_the_owner_wrote_keep_their_place),
        cmocka_unit_test(test_there_is_no_place_for_frames_beyond_the_cap),
        cmocka_unit_test(test_an_idle_session_is_small_and_owns_no_buffer),
        cmocka_unit_test(test_first_bytes_are_read_within_start),
        cmocka_unit_test(test_a_close_frame_is_answered_with_its_code),
        cmocka_unit_test(test_broken_frames_are_answered_with_a_code_and_the_end),
        cmocka_unit_test(test_our_close_waits_for_theirs),
        cmocka_unit_test(test_a_peer_that_never_answers_our_close_is_cut),
        cmocka_unit_test(test_a_peer_that_never_sends_its_fin_is_cut),
        cmocka_unit_test(test_silence_after_two_pings_is_the_end),
        cmocka_unit_test(test_any_sign_of_life_keeps_a_session),
        cmocka_unit_test(test_a_message_has_a_time_to_become_whole),
        cmocka_unit_test(test_a_paused_session_waits_for_the_rest_of_a_message),
        cmocka_unit_test(test_a_lost_connection_is_told_once),
        cmocka_unit_test(test_a_slow_reader_fills_and_drains),
        cmocka_unit_test(test_a_peer_that_never_reads_is_closed_after_a_time),
        cmocka_unit_test(test_a_stall_is_seen_though_nothing_more_is_sent),
        cmocka_unit_test(test_a_stall_is_seen_though_it_begins_when_it_is_looked_for),
        cmocka_unit_test(test_more_than_the_cap_ends_a_session_in_the_same_turn),
        cmocka_unit_test(test_pings_that_are_never_read_end_at_the_cap),
        cmocka_unit_test(test_a_paused_session_reads_nothing),
        cmocka_unit_test(test_closing_a_paused_session_still_hears_the_answer),
        cmocka_unit_test(test_an_owner_may_close_or_reset_within_a_message),
        cmocka_unit_test(test_a_hub_closes_and_resets_all),
        cmocka_unit_test(test_a_client_masks_each_frame_afresh),
        cmocka_unit_test(test_without_memory_a_session_ends_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
