/* An echoing session against a table of our own of what Autobahn's suite asks, numbered as there:
 * framing, pings, reserved bits, opcodes, fragments, UTF-8, closing, sizes. Each case is sent in
 * one piece and in small ones; those of section 9 in its sizes, up to 16 MiB. */
#include "net/ws_session.h"

#include "base/alloc.h"
#include "net/stream_probe.h"
#include "net/ws_probe.h"

enum { LARGEST_BYTES = 16 * 1024 * 1024, TALK_BYTES_MAX = 4 * LARGEST_BYTES };

static const struct dr_ws_session_options echo_options = {
    .limits = {.frame_bytes_max = LARGEST_BYTES,
               .message_bytes_max = LARGEST_BYTES,
               .fragments_max = 65536,
               .takes_binary = true},
    .send_high_bytes = 65536,
    .send_bytes_max = 2 * LARGEST_BYTES,
    .ping_ms = 60000,
    .stall_ms = 60000,
    .message_ms = 60000,
    .close_ms = 60000,
};

struct echo {
    struct dr_ws_session *session;
    bool is_closed;
};

static void echo_message(void *owner, dr_slice bytes, bool is_binary) {
    const struct echo *echo = owner;
    const enum dr_status status = is_binary ? dr_ws_session_send_binary(echo->session, &bytes, 1)
                                            : dr_ws_session_send_text(echo->session, &bytes, 1);
    assert_int_equal(status, DR_OK);
}

static void echo_ended(void *owner, uint16_t code, dr_slice reason) {
    (void)owner;
    (void)code;
    (void)reason;
}

static void echo_closed(void *owner) {
    struct echo *echo = owner;
    echo->is_closed = true;
}

static const struct dr_ws_session_events echo_events = {
    .message = echo_message,
    .ended = echo_ended,
    .closed = echo_closed,
};

struct hearing {
    struct dr_ws_pool *pool;
    struct dr_ws_reader reader;
    struct dr_buf line;
    size_t read_len;
};

/* As ws_probe_read, without the reasons of close frames: their wording is ours to change. */
static void hear(struct hearing *hearing, const struct probe *peer) {
    dr_slice bytes = dr_slice_from(dr_buf_slice(&peer->received), hearing->read_len);
    hearing->read_len = peer->received.len;
    for (;;) {
        struct dr_ws_event event = {.bytes = DR_NONE};
        const enum dr_ws_progress progress = dr_ws_read(&hearing->reader, &bytes, &event);
        if (progress == DR_WS_NEED_MORE) return;
        if (progress == DR_WS_CLOSE) event.bytes = DR_NONE;
        ws_probe_note(&hearing->line, progress, &event);
    }
}

static void talk_in_steps(const char *name, dr_slice bytes, dr_slice expected, size_t step) {
    struct dr_loop *loop;
    struct dr_ws_hub *hub;
    struct dr_stream *stream;
    struct dr_stream *other;
    struct probe peer;
    struct hearing hearing = {.pool = dr_ws_pool_new()};
    struct echo echo = {0};
    assert_int_equal(dr_loop_new(&loop, NULL), DR_OK);
    assert_int_equal(dr_ws_hub_new(loop, &hub, NULL), DR_OK);
    assert_int_equal(dr_stream_pair(loop, 65536, &stream, &other, NULL), DR_OK);
    probe_init(&peer, loop);
    peer.closes = true;
    probe_take(&peer, other);
    dr_buf_init(&hearing.line, TALK_BYTES_MAX);
    dr_ws_reader_init(&hearing.reader, hearing.pool, &echo_options.limits, DR_WS_CLIENT);
    echo.session = dr_ws_session_new(hub, DR_WS_SERVER, &echo_options, &echo_events, &echo);
    assert_non_null(echo.session);
    dr_ws_session_start(echo.session, stream, DR_NONE);

    for (size_t at = 0; at < bytes.len; at += step) {
        const dr_slice piece = dr_slice_first(dr_slice_from(bytes, at), step);
        if (!peer.stream || dr_stream_write(peer.stream, &piece, 1)) break;
        dr_loop_run_once(loop, 0);
    }
    for (int i = 0; i < 2000; i++) {
        dr_loop_run_once(loop, 0);
        hear(&hearing, &peer);
        if (hearing.line.len >= expected.len) break;
    }
    ws_probe_expect(name, dr_buf_slice(&hearing.line), expected);
    probe_end(&peer);
    RUN_UNTIL(loop, echo.is_closed);
    dr_ws_hub_free(hub);
    dr_ws_reader_clear(&hearing.reader);
    dr_ws_pool_free(hearing.pool);
    dr_buf_clear(&hearing.line);
    dr_loop_free(loop);
}

static void talk(const char *name, dr_slice bytes, dr_slice expected) {
    talk_in_steps(name, bytes, expected, bytes.len + 1);
    talk_in_steps(name, bytes, expected, bytes.len > 2000 ? 997 : 1);
}

struct ws_case {
    const char *id;
    const char *script; /* see ws_probe.h */
    const char *heard;
    size_t unsent; /* bytes at the end that are never sent */
};

#define BYE "|88:\x03\xe8"

static void talk_all(const struct ws_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct dr_buf bytes;
        dr_buf_init(&bytes, 1 << 20);
        ws_probe_put_script(&bytes, DR_WS_SERVER, dr_slice_text(cases[i].script));
        talk(cases[i].id, dr_slice_first(dr_buf_slice(&bytes), bytes.len - cases[i].unsent),
             dr_slice_text(cases[i].heard));
        dr_buf_clear(&bytes);
    }
}
#define TALK_ALL(cases) talk_all(cases, sizeof(cases) / sizeof(cases)[0])

static void test_section_1_framing(void **state) {
    (void)state;
    static const struct ws_case cases[] = {
        {"1.1.1", "81:" BYE, "T()C1000()", 0},
        {"1.1.2", "81*125" BYE, "T(#125)C1000()", 0},
        {"1.1.3", "81*126" BYE, "T(#126)C1000()", 0},
        {"1.1.4", "81*127" BYE, "T(#127)C1000()", 0},
        {"1.1.5", "81*128" BYE, "T(#128)C1000()", 0},
        {"1.1.6", "81*65535" BYE, "T(#65535)C1000()", 0},
        {"1.1.7 and 1.1.8", "81*65536" BYE, "T(#65536)C1000()", 0},
        {"1.2.1", "82:" BYE, "B()C1000()", 0},
        {"1.2.2", "82*125" BYE, "B(#125)C1000()", 0},
        {"1.2.3", "82*126" BYE, "B(#126)C1000()", 0},
        {"1.2.4", "82*127" BYE, "B(#127)C1000()", 0},
        {"1.2.5", "82*128" BYE, "B(#128)C1000()", 0},
        {"1.2.6", "82*65535" BYE, "B(#65535)C1000()", 0},
        {"1.2.7 and 1.2.8", "82*65536" BYE, "B(#65536)C1000()", 0},
    };
    TALK_ALL(cases);
}

static void test_section_2_pings_and_pongs(void **state) {
    (void)state;
    static const struct ws_case cases[] = {
        {"2.1", "89:" BYE, "Q()C1000()", 0},
        {"2.2", "89:Hello, world!" BYE, "Q(Hello, world!)C1000()", 0},
        {"2.3", "89:\xff\xfe\xfd\xfc\xfb\x01\xff" BYE, "Q(\xff\xfe\xfd\xfc\xfb\x01\xff)C1000()", 0},
        {"2.4 and 2.6", "89*125" BYE, "Q(#125)C1000()", 0},
        {"2.5", "89*126" BYE, "C1002()", 0},
        {"2.7", "8A:" BYE, "C1000()", 0},
        {"2.8", "8A:unsolicited" BYE, "C1000()", 0},
        {"2.9", "8A:unsolicited|89:ping" BYE, "Q(ping)C1000()", 0},
        {"2.10 and 2.11", "89:0|89:1|89:2|89:3|89:4|89:5|89:6|89:7|89:8|89:9" BYE,
         "Q(0)Q(1)Q(2)Q(3)Q(4)Q(5)Q(6)Q(7)Q(8)Q(9)C1000()", 0},
    };
    TALK_ALL(cases);
}

static void test_sections_3_and_4_reserved_bits_and_opcodes(void **state) {
    (void)state;
    static const struct ws_case cases[] = {
        {"3.1", "91:Hello" BYE, "C1002()", 0},
        {"3.2", "81:Hello|A1:Hello|89:", "T(Hello)C1002()", 0},
        {"3.3 and 3.4", "81:Hello|B1:Hello|89:", "T(Hello)C1002()", 0},
        {"3.4", "81:Hello|C1:Hello|89:", "T(Hello)C1002()", 0},
        {"3.5", "D2:Hello", "C1002()", 0},
        {"3.6", "E9:Hello", "C1002()", 0},
        {"3.7", "F8:\x03\xe8", "C1002()", 0},
        {"4.1.1", "83:", "C1002()", 0},
        {"4.1.2", "84:reserved", "C1002()", 0},
        {"4.1.3", "81:Hello|85:|89:", "T(Hello)C1002()", 0},
        {"4.1.4", "81:Hello|86:reserved|89:", "T(Hello)C1002()", 0},
        {"4.1.5", "81:Hello|87:reserved|89:", "T(Hello)C1002()", 0},
        {"4.2.1", "8B:", "C1002()", 0},
        {"4.2.2", "8C:reserved", "C1002()", 0},
        {"4.2.3", "81:Hello|8D:|89:", "T(Hello)C1002()", 0},
        {"4.2.4", "81:Hello|8E:reserved|89:", "T(Hello)C1002()", 0},
        {"4.2.5", "81:Hello|8F:reserved|89:", "T(Hello)C1002()", 0},
    };
    TALK_ALL(cases);
}

static void test_section_5_fragments(void **state) {
    (void)state;
    static const struct ws_case cases[] = {
        {"5.1", "09:one|80:two", "C1002()", 0},
        {"5.2", "0A:one|80:two", "C1002()", 0},
        {"5.3 to 5.5", "01:one|80:two" BYE, "T(onetwo)C1000()", 0},
        {"5.6 to 5.8", "01:one|89:ping|80:two" BYE, "Q(ping)T(onetwo)C1000()", 0},
        {"5.9 to 5.11", "80:nothing|81:Hello", "C1002()", 0},
        {"5.12 to 5.14", "00:nothing|81:Hello", "C1002()", 0},
        {"5.15", "01:one|80:two|00:three|81:four", "T(onetwo)C1002()", 0},
        {"5.16", "00:one|01:two|80:three", "C1002()", 0},
        {"5.17", "80:one|01:two|80:three", "C1002()", 0},
        {"5.18", "01:one|81:two", "C1002()", 0},
        {"5.19 and 5.20", "01:one|00:two|89:p1|00:three|00:four|89:p2|80:five" BYE,
         "Q(p1)Q(p2)T(onetwothreefourfive)C1000()", 0},
    };
    TALK_ALL(cases);
}

#define GREEK "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"

static void test_sections_6_1_to_6_4_text(void **state) {
    (void)state;
    static const struct ws_case cases[] = {
        {"6.1.1", "81:" BYE, "T()C1000()", 0},
        {"6.1.2", "01:|00:|80:" BYE, "T()C1000()", 0},
        {"6.1.3", "01:|00:middle|80:" BYE, "T(middle)C1000()", 0},
        {"6.2.1", "81:Hello-\xc2\xb5@\xc3\x9f" BYE, "T(Hello-\xc2\xb5@\xc3\x9f)C1000()", 0},
        {"6.2.2", "01:Hello-\xc2\xb5@|80:\xc3\x9f" BYE, "T(Hello-\xc2\xb5@\xc3\x9f)C1000()", 0},
        {"6.2.3", "01:-|00:\xc2|00:\xb5|00:@|00:\xc3|80:\x9f" BYE, "T(-\xc2\xb5@\xc3\x9f)C1000()",
         0},
        {"6.2.4",
         "01:\xce|00:\xba|00:\xe1|00:\xbd|00:\xb9|00:\xcf|00:\x83|00:\xce|00:\xbc|00:\xce|"
         "80:\xb5" BYE,
         "T(" GREEK ")C1000()", 0},
        {"6.3.1",
         "81:" GREEK "\xed\xa0\x80"
         "edited",
         "C1007()", 0},
        {"6.3.2", "01:\xce|00:\xba|00:\xed|00:\xa0|00:\x80|80:e", "C1007()", 0},
        /* The end of the message is never sent: the first bad byte must do. */
        {"6.4.1", "01:" GREEK "|00:\xf4\x90\x80\x80", "C1007()", 0},
        {"6.4.2", "01:" GREEK "\xf4|00:\x90", "C1007()", 0},
        {"6.4.3",
         "81:" GREEK "\xf4\x90\x80\x80"
         "edited",
         "C1007()", 8},
        {"6.4.4",
         "81:" GREEK "\xf4\x90\x80\x80"
         "edited",
         "C1007()", 7},
    };
    TALK_ALL(cases);
}

static void talk_text(const char *name, dr_slice text, bool is_valid) {
    struct dr_buf bytes;
    struct dr_buf expected;
    dr_buf_init(&bytes, 4096);
    dr_buf_init(&expected, 4096);
    ws_probe_put_frame(&bytes, 0x81, text, true);
    ws_probe_put_script(&bytes, DR_WS_SERVER, DR_LIT("88:\x03\xe8"));
    if (is_valid) {
        const struct dr_ws_event event = {.bytes = text};
        ws_probe_note(&expected, DR_WS_MESSAGE, &event);
    }
    dr_buf_put(&expected, is_valid ? DR_LIT("C1000()") : DR_LIT("C1007()"));
    talk(name, dr_buf_slice(&bytes), dr_buf_slice(&expected));
    dr_buf_clear(&bytes);
    dr_buf_clear(&expected);
}

/* The sequences of Markus Kuhn's stress test of UTF-8 decoders. */
static void test_sections_6_5_to_6_23_utf8(void **state) {
    (void)state;
    const struct {
        const char *id;
        dr_slice valid;   /* groups separated by blanks: */
        dr_slice invalid; /* each is a message of its own */
    } cases[] = {
        {"6.5",
         DR_LIT("a$b a\xc2\xa2"
                "b a\xe2\x82\xac"
                "b a\xf0\xa4\xad\xa2"
                "b " GREEK),
         DR_NONE},
        {"6.6",
         DR_LIT("\xce\xba \xce\xba\xe1\xbd\xb9 \xce\xba\xe1\xbd\xb9\xcf\x83 "
                "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc"),
         DR_LIT("\xce \xce\xba\xe1 \xce\xba\xe1\xbd \xce\xba\xe1\xbd\xb9\xcf "
                "\xce\xba\xe1\xbd\xb9\xcf\x83\xce \xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce")},
        {"6.7 and 6.8", DR_LIT("\0 \xc2\x80 \xe0\xa0\x80 \xf0\x90\x80\x80"),
         DR_LIT("\xf8\x88\x80\x80\x80 \xfc\x84\x80\x80\x80\x80")},
        {"6.9 and 6.10", DR_LIT("\x7f \xdf\xbf \xef\xbf\xbf \xf4\x8f\xbf\xbf"),
         DR_LIT("\xf7\xbf\xbf\xbf \xfb\xbf\xbf\xbf\xbf \xfd\xbf\xbf\xbf\xbf\xbf")},
        {"6.11", DR_LIT("\xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbd \xf4\x8f\xbf\xbf"),
         DR_LIT("\xf4\x90\x80\x80")},
        {"6.12", DR_NONE,
         DR_LIT("\x80 \xbf \x80\xbf \x80\xbf\x80 \x80\xbf\x80\xbf \x80\xbf\x80\xbf\x80 "
                "\x80\xbf\x80\xbf\x80\xbf \x80\x81\x82\x83\x9f\xa0\xbe\xbf")},
        {"6.13", DR_NONE, DR_LIT("\xc0 \xc1 \xc2 \xdf \xe0 \xef \xf0 \xf7 \xf8 \xfb \xfc \xfd")},
        {"6.14", DR_NONE,
         DR_LIT("\xc0 \xe0\x80 \xf0\x80\x80 \xf8\x80\x80\x80 \xfc\x80\x80\x80\x80 \xdf \xef\xbf "
                "\xf7\xbf\xbf \xfb\xbf\xbf\xbf \xfd\xbf\xbf\xbf\xbf")},
        {"6.15", DR_NONE, DR_LIT("\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xdf\xef\xbf")},
        {"6.16", DR_NONE, DR_LIT("\xfe \xff \xfe\xfe\xff\xff")},
        {"6.17", DR_NONE,
         DR_LIT("\xc0\xaf \xe0\x80\xaf \xf0\x80\x80\xaf \xf8\x80\x80\x80\xaf "
                "\xfc\x80\x80\x80\x80\xaf")},
        {"6.18", DR_NONE,
         DR_LIT("\xc1\xbf \xe0\x9f\xbf \xf0\x8f\xbf\xbf \xf8\x87\xbf\xbf\xbf "
                "\xfc\x83\xbf\xbf\xbf\xbf")},
        {"6.19", DR_NONE,
         DR_LIT("\xc0\x80 \xe0\x80\x80 \xf0\x80\x80\x80 \xf8\x80\x80\x80\x80 "
                "\xfc\x80\x80\x80\x80\x80")},
        {"6.20", DR_NONE,
         DR_LIT("\xed\xa0\x80 \xed\xad\xbf \xed\xae\x80 \xed\xaf\xbf \xed\xb0\x80 \xed\xbe\x80 "
                "\xed\xbf\xbf")},
        {"6.21", DR_NONE,
         DR_LIT("\xed\xa0\x80\xed\xb0\x80 \xed\xa0\x80\xed\xbf\xbf \xed\xad\xbf\xed\xb0\x80 "
                "\xed\xad\xbf\xed\xbf\xbf \xed\xae\x80\xed\xb0\x80 \xed\xae\x80\xed\xbf\xbf "
                "\xed\xaf\xbf\xed\xb0\x80 \xed\xaf\xbf\xed\xbf\xbf")},
        {"6.22",
         DR_LIT("\xef\xbf\xbe \xef\xbf\xbf \xf0\x9f\xbf\xbe \xf0\xaf\xbf\xbf \xf0\xbf\xbf\xbe "
                "\xf1\x8f\xbf\xbf \xf2\x9f\xbf\xbe \xf3\xaf\xbf\xbf \xf3\xbf\xbf\xbe "
                "\xf4\x8f\xbf\xbe \xf4\x8f\xbf\xbf"),
         DR_NONE},
        {"6.23", DR_LIT("\xef\xbf\xb9 \xef\xbf\xba \xef\xbf\xbb \xef\xbf\xbc \xef\xbf\xbd"),
         DR_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        dr_slice rest = cases[i].valid;
        while (rest.data) talk_text(cases[i].id, dr_slice_split(&rest, ' '), true);
        rest = cases[i].invalid;
        while (rest.data) talk_text(cases[i].id, dr_slice_split(&rest, ' '), false);
    }
}

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static void test_section_7_closing(void **state) {
    (void)state;
    static const struct ws_case cases[] = {
        {"7.1.1", "81:Hello" BYE, "T(Hello)C1000()", 0},
        {"7.1.2", "88:\x03\xe8" BYE, "C1000()", 0},
        {"7.1.3", "88:\x03\xe8|89:", "C1000()", 0},
        {"7.1.4", "88:\x03\xe8|81:late", "C1000()", 0},
        {"7.1.5", "01:one|88:\x03\xe8|80:two", "C1000()", 0},
        {"7.1.6", "81*65536|81:Hello" BYE "|89:", "T(#65536)T(Hello)C1000()", 0},
        {"7.3.1", "88:", "C1005()", 0},
        {"7.3.2", "88:a", "C1002()", 0},
        {"7.3.3", "88:\x03\xe8", "C1000()", 0},
        {"7.3.4", "88:\x03\xe8Hello", "C1000()", 0},
        {"7.3.5", "88:\x03\xe8" HUNDRED TEN TEN "012", "C1000()", 0},
        {"7.3.6", "88:\x03\xe8" HUNDRED TEN TEN "0123", "C1002()", 0},
        {"7.5.1", "88:\x03\xe8\xce\xba\xed\xa0\x80", "C1007()", 0},
    };
    TALK_ALL(cases);
}

static void test_sections_7_7_to_7_13_close_codes(void **state) {
    (void)state;
    static const struct {
        const char *id;
        uint16_t code;
        bool is_valid;
    } cases[] = {
        {"7.7.1", 1000, true},      {"7.7.2", 1001, true},      {"7.7.3", 1002, true},
        {"7.7.4", 1003, true},      {"7.7.5", 1007, true},      {"7.7.6", 1008, true},
        {"7.7.7", 1009, true},      {"7.7.8", 1010, true},      {"7.7.9", 1011, true},
        {"7.7.10", 3000, true},     {"7.7.11", 3999, true},     {"7.7.12", 4000, true},
        {"7.7.13", 4999, true},     {"7.9.1", 0, false},        {"7.9.2", 999, false},
        {"7.9.3", 1004, false},     {"7.9.4", 1005, false},     {"7.9.5", 1006, false},
        {"7.9.6", 1016, false},     {"7.9.7", 1100, false},     {"7.9.8", 2000, false},
        {"7.9.9", 2999, false},     {"7.13.1", 5000, false},    {"7.13.2", 65535, false},
        {"registered", 1012, true}, {"registered", 1013, true}, {"registered", 1014, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dr_buf bytes;
        struct dr_buf expected;
        const char payload[2] = {(char)(cases[i].code >> 8), (char)(cases[i].code & 0xff)};
        dr_buf_init(&bytes, 64);
        dr_buf_init(&expected, 64);
        ws_probe_put_frame(&bytes, 0x88, dr_slice_of(payload, 2), true);
        dr_buf_format(&expected, "C%u()", cases[i].is_valid ? cases[i].code : 1002u);
        talk(cases[i].id, dr_buf_slice(&bytes), dr_buf_slice(&expected));
        dr_buf_clear(&bytes);
        dr_buf_clear(&expected);
    }
}

/* --- section 9 and 10: sizes ------------------------------------------------------------------ */

struct bulk {
    struct dr_buf bytes; /* what is sent */
    struct dr_buf heard;
    char *payload; /* LARGEST_BYTES of 'x' */
};

static void bulk_init(struct bulk *bulk) {
    dr_buf_init(&bulk->bytes, TALK_BYTES_MAX);
    dr_buf_init(&bulk->heard, TALK_BYTES_MAX);
    bulk->payload = dr_alloc(LARGEST_BYTES);
    assert_non_null(bulk->payload);
    memset(bulk->payload, 'x', LARGEST_BYTES);
}

static void bulk_clear(struct bulk *bulk) {
    dr_buf_clear(&bulk->bytes);
    dr_buf_clear(&bulk->heard);
    dr_free(bulk->payload);
}

/* One message of `len` bytes in frames of `frame_len`. */
static void bulk_add(struct bulk *bulk, uint8_t opcode, size_t len, size_t frame_len) {
    const struct dr_ws_event event = {.bytes = dr_slice_of(bulk->payload, len),
                                      .is_binary = opcode == DR_WS_OPCODE_BINARY};
    size_t at = 0;
    do {
        const size_t part = len - at < frame_len ? len - at : frame_len;
        const unsigned is_last = at + part == len ? 0x80u : 0u;
        ws_probe_put_frame(&bulk->bytes, (uint8_t)((at == 0 ? opcode : 0u) | is_last),
                           dr_slice_of(bulk->payload, part), true);
        at += part;
    } while (at < len);
    ws_probe_note(&bulk->heard, DR_WS_MESSAGE, &event);
}

/* In pieces of `step` bytes; then nothing is left for the next case. */
static void bulk_talk(struct bulk *bulk, const char *id, size_t step) {
    ws_probe_put_script(&bulk->bytes, DR_WS_SERVER, DR_LIT("88:\x03\xe8"));
    dr_buf_put(&bulk->heard, DR_LIT("C1000()"));
    assert_int_equal(dr_buf_status(&bulk->bytes), DR_OK);
    talk_in_steps(id, dr_buf_slice(&bulk->bytes), dr_buf_slice(&bulk->heard), step);
    dr_buf_reset(&bulk->bytes);
    dr_buf_reset(&bulk->heard);
}

enum { KIB = 1024, MIB = 1024 * KIB, STEP = 64 * KIB };
static const uint8_t opcodes[] = {DR_WS_OPCODE_TEXT, DR_WS_OPCODE_BINARY};

static void test_sections_9_1_to_9_4_large_messages(void **state) {
    static const size_t lens[] = {64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB};
    static const size_t frame_lens[] = {64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB};
    struct bulk bulk;
    (void)state;
    bulk_init(&bulk);
    for (size_t kind = 0; kind < sizeof opcodes; kind++) {
        for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
            bulk_add(&bulk, opcodes[kind], lens[i], LARGEST_BYTES);
            bulk_talk(&bulk, "9.1 and 9.2", STEP);
        }
        for (size_t i = 0; i < sizeof frame_lens / sizeof frame_lens[0]; i++) {
            bulk_add(&bulk, opcodes[kind], 4 * MIB, frame_lens[i]);
            bulk_talk(&bulk, "9.3 and 9.4", STEP);
        }
    }
    bulk_add(&bulk, DR_WS_OPCODE_TEXT, 16 * MIB, 256);
    bulk_talk(&bulk, "16 MiB in 65,536 fragments", STEP);
    bulk_clear(&bulk);
}

static void test_sections_9_5_to_9_8_and_10_many_pieces(void **state) {
    static const size_t steps[] = {64, 128, 256, 512, 1024, 2048};
    static const size_t lens[] = {0, 16, 64, 256, 1024, 4096};
    struct bulk bulk;
    (void)state;
    bulk_init(&bulk);
    for (size_t kind = 0; kind < sizeof opcodes; kind++) {
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
            bulk_add(&bulk, opcodes[kind], MIB, MIB);
            bulk_talk(&bulk, "9.5 and 9.6", steps[i]);
        }
        for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
            for (int k = 0; k < 1000; k++) bulk_add(&bulk, opcodes[kind], lens[i], LARGEST_BYTES);
            bulk_talk(&bulk, "9.7 and 9.8", STEP);
        }
    }
    bulk_add(&bulk, DR_WS_OPCODE_TEXT, 65536, 1300);
    bulk_talk(&bulk, "10.1.1", STEP);
    bulk_clear(&bulk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_section_1_framing),
        cmocka_unit_test(test_section_2_pings_and_pongs),
        cmocka_unit_test(test_sections_3_and_4_reserved_bits_and_opcodes),
        cmocka_unit_test(test_section_5_fragments),
        cmocka_unit_test(test_sections_6_1_to_6_4_text),
        cmocka_unit_test(test_sections_6_5_to_6_23_utf8),
        cmocka_unit_test(test_section_7_closing),
        cmocka_unit_test(test_sections_7_7_to_7_13_close_codes),
        cmocka_unit_test(test_sections_9_1_to_9_4_large_messages),
        cmocka_unit_test(test_sections_9_5_to_9_8_and_10_many_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
