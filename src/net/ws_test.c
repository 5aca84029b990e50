/* WebSocket frames, each case fed whole, byte by byte and in two pieces cut at every place. */
#include "net/ws.h"

#include "base/alloc.h"
#include "net/ws_probe.h"

#include <stdio.h>

static const struct dr_ws_limits usual_limits = {
    .frame_bytes_max = 100000,
    .message_bytes_max = 100000,
    .fragments_max = 8,
    .takes_binary = true,
};

struct reading {
    struct dr_ws_pool *pool;
    struct dr_ws_reader reader;
    struct dr_buf line;
};

static void reading_open(struct reading *reading, const struct dr_ws_limits *limits,
                         enum dr_ws_role role) {
    reading->pool = dr_ws_pool_new();
    assert_non_null(reading->pool);
    dr_ws_reader_init(&reading->reader, reading->pool, limits, role);
    dr_buf_init(&reading->line, 1 << 20);
}

static void reading_close(struct reading *reading) {
    dr_ws_reader_clear(&reading->reader);
    assert_int_equal(dr_ws_pool_attached_count(reading->pool), 0);
    dr_ws_pool_free(reading->pool);
    dr_buf_clear(&reading->line);
}

/* In pieces of `step` bytes after a first of `cut`. */
static void read_in_pieces(const char *name, const struct dr_ws_limits *limits,
                           enum dr_ws_role role, dr_slice bytes, size_t cut, size_t step,
                           dr_slice expected) {
    struct reading reading;
    reading_open(&reading, limits, role);
    bool goes_on = ws_probe_read(&reading.reader, dr_slice_first(bytes, cut), &reading.line);
    for (size_t at = cut; goes_on && at < bytes.len; at += step) {
        const dr_slice piece = dr_slice_first(dr_slice_from(bytes, at), step);
        goes_on = ws_probe_read(&reading.reader, piece, &reading.line);
    }
    ws_probe_expect(name, dr_buf_slice(&reading.line), expected);
    reading_close(&reading);
}

static void read_every_way(const char *name, const struct dr_ws_limits *limits,
                           enum dr_ws_role role, dr_slice bytes, dr_slice expected) {
    read_in_pieces(name, limits, role, bytes, 0, 1, expected);
    for (size_t cut = 0; cut <= bytes.len && cut <= 300; cut++) {
        read_in_pieces(name, limits, role, bytes, cut, bytes.len + 1, expected);
    }
}

static void read_script(const struct dr_ws_limits *limits, enum dr_ws_role role, const char *script,
                        dr_slice expected) {
    struct dr_buf bytes;
    dr_buf_init(&bytes, 1 << 24);
    ws_probe_put_script(&bytes, role, dr_slice_text(script));
    read_every_way(script, limits, role, dr_buf_slice(&bytes), expected);
    dr_buf_clear(&bytes);
}

/* RFC 6455 section 5.7, byte for byte. */
static void test_the_examples_of_rfc_6455_section_5_7_are_read(void **state) {
    (void)state;
    const struct {
        const char *name;
        enum dr_ws_role role;
        dr_slice bytes;
        dr_slice expected;
    } cases[] = {
        {"unmasked text", DR_WS_CLIENT, DR_LIT("\x81\x05\x48\x65\x6c\x6c\x6f"), DR_LIT("T(Hello)")},
        {"masked text", DR_WS_SERVER, DR_LIT("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
         DR_LIT("T(Hello)")},
        {"fragmented text", DR_WS_CLIENT, DR_LIT("\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f"),
         DR_LIT("T(Hello)")},
        {"ping", DR_WS_CLIENT, DR_LIT("\x89\x05\x48\x65\x6c\x6c\x6f"), DR_LIT("P(Hello)")},
        {"masked pong", DR_WS_SERVER, DR_LIT("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
         DR_LIT("Q(Hello)")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        read_every_way(cases[i].name, &usual_limits, cases[i].role, cases[i].bytes,
                       cases[i].expected);
    }
}

static void test_the_examples_of_rfc_6455_section_5_7_are_written(void **state) {
    (void)state;
    struct dr_buf out;
    dr_buf_init(&out, 1 << 20);
    const dr_slice parts[2] = {DR_LIT("He"), DR_LIT("llo")};
    dr_ws_put_frame(&out, DR_WS_OPCODE_TEXT, parts, 2, NULL);
    ws_probe_expect("text", dr_buf_slice(&out), DR_LIT("\x81\x05Hello"));
    dr_buf_reset(&out);
    dr_ws_put_frame(&out, DR_WS_OPCODE_PONG, parts, 2, ws_probe_mask);
    ws_probe_expect("masked pong", dr_buf_slice(&out),
                    DR_LIT("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"));
    char head[DR_WS_HEAD_BYTES_MAX];
    ws_probe_expect("256 bytes",
                    dr_slice_of(head, dr_ws_write_head(head, DR_WS_OPCODE_BINARY, 256, NULL)),
                    DR_LIT("\x82\x7e\x01\x00"));
    ws_probe_expect("64 KiB",
                    dr_slice_of(head, dr_ws_write_head(head, DR_WS_OPCODE_BINARY, 65536, NULL)),
                    DR_LIT("\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"));
    dr_buf_clear(&out);
}

static void test_messages_and_control_frames_are_told_apart(void **state) {
    (void)state;
    const struct {
        const char *script;
        dr_slice expected;
    } cases[] = {
        {"81:", DR_LIT("T()")},
        {"82:", DR_LIT("B()")},
        {"81:a|81:b", DR_LIT("T(a)T(b)")},
        {"81*125|81*126|81*127", DR_LIT("T(#125)T(#126)T(#127)")},
        {"81*65535|82*65536", DR_LIT("T(#65535)B(#65536)")},
        {"01:a|00:b|80:c", DR_LIT("T(abc)")},
        {"02:a|80:", DR_LIT("B(a)")},
        {"01:|00:|80:", DR_LIT("T()")},
        {"01:|80:a", DR_LIT("T(a)")},
        {"01:a|89:x|00:b|8A:y|80:c|81:d", DR_LIT("P(x)Q(y)T(abc)T(d)")},
        {"89*125|8A*125", DR_LIT("P(#125)Q(#125)")},
        {"01*5000|89:x|80*5000", DR_LIT("P(x)T(#10000)")},
        {"88:", DR_LIT("C1005()")},
        {"88:\x03\xe8", DR_LIT("C1000()")},
        {"88:\x0f\xa0"
         "bye",
         DR_LIT("C4000(bye)")},
        {"88:\x03\xe8|81:late|89:", DR_LIT("C1000()")},
        {"01:a|88:", DR_LIT("C1005()")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        read_script(&usual_limits, DR_WS_SERVER, cases[i].script, cases[i].expected);
        read_script(&usual_limits, DR_WS_CLIENT, cases[i].script, cases[i].expected);
    }
}

static void test_broken_rules_fail_with_their_code(void **state) {
    (void)state;
    const struct {
        const char *script;
        dr_slice expected;
    } cases[] = {
        /* reserved bits, opcodes, masks (sections 5.1 and 5.2) */
        {"C1:a", DR_LIT("!1002")},
        {"A1:a", DR_LIT("!1002")},
        {"91:a", DR_LIT("!1002")},
        {"F9:a", DR_LIT("!1002")},
        {"C1:", DR_LIT("!1002")},
        {"01:a|C0:b", DR_LIT("!1002")},
        {"83:a", DR_LIT("!1002")},
        {"87:", DR_LIT("!1002")},
        {"8B:a", DR_LIT("!1002")},
        {"8F:", DR_LIT("!1002")},
        {"R81:a", DR_LIT("!1002")},
        {"R89:", DR_LIT("!1002")},
        /* fragments (section 5.4) */
        {"80:a", DR_LIT("!1002")},
        {"00:a", DR_LIT("!1002")},
        {"81:a|80:b", DR_LIT("T(a)!1002")},
        {"01:a|81:b", DR_LIT("!1002")},
        {"01:a|02:b", DR_LIT("!1002")},
        /* control frames (section 5.5) */
        {"09:a", DR_LIT("!1002")},
        {"0A:", DR_LIT("!1002")},
        {"08:", DR_LIT("!1002")},
        {"89*126", DR_LIT("!1002")},
        {"88*126", DR_LIT("!1002")},
        {"89*65536", DR_LIT("!1002")},
        /* close codes (section 7.4) */
        {"88:\x03", DR_LIT("!1002")},
        {"88:\x03\xe7", DR_LIT("!1002")},
        {"88:\x03\xec", DR_LIT("!1002")},
        {"88:\x03\xed", DR_LIT("!1002")},
        {"88:\x03\xee", DR_LIT("!1002")},
        {"88:\x03\xf7", DR_LIT("!1002")},
        {"88:\x03\xf8", DR_LIT("!1002")},
        {"88:\x07\xd0", DR_LIT("!1002")},
        {"88:\x0b\xb7", DR_LIT("!1002")},
        {"88:\x13\x88", DR_LIT("!1002")},
        {"88:\xff\xff", DR_LIT("!1002")},
        {"88:\x03\xe8\xff", DR_LIT("!1007")},
        {"88:\x03\xe8\xe2\x82", DR_LIT("!1007")},
        /* text (section 8.1) */
        {"81:\xff", DR_LIT("!1007")},
        {"81:abc\xc3", DR_LIT("!1007")},
        {"01:\xe2|00:\x82|80:\xac", DR_LIT("T(\xe2\x82\xac)")},
        {"01:\xe2|89:|80:\x82", DR_LIT("P()!1007")},
        {"01:\xed|80:\xa0\x80", DR_LIT("!1007")},
        {"82:\xff", DR_LIT("B(\xff)")},
        /* limits */
        {"81*100000", DR_LIT("T(#100000)")},
        {"81*100001", DR_LIT("!1009")},
        {"01*60000|80*40001", DR_LIT("!1009")},
        {"01:|00:|00:|00:|00:|00:|00:|80:", DR_LIT("T()")},
        {"01:|00:|00:|00:|00:|00:|00:|00:|80:", DR_LIT("!1009")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        read_script(&usual_limits, DR_WS_SERVER, cases[i].script, cases[i].expected);
        read_script(&usual_limits, DR_WS_CLIENT, cases[i].script, cases[i].expected);
    }
}

static void test_a_length_not_in_its_shortest_form_is_refused(void **state) {
    (void)state;
    const struct {
        const char *name;
        dr_slice bytes;
    } cases[] = {
        {"125 in two bytes", DR_LIT("\x81\x7e\x00\x7d")},
        {"65535 in eight bytes", DR_LIT("\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff")},
        {"highest bit", DR_LIT("\x82\x7f\x80\x00\x00\x00\x00\x01\x00\x00")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        read_every_way(cases[i].name, &usual_limits, DR_WS_CLIENT, cases[i].bytes, DR_LIT("!1002"));
    }
}

static void test_binary_is_refused_with_its_head_where_it_is_not_taken(void **state) {
    (void)state;
    struct dr_ws_limits limits = usual_limits;
    limits.takes_binary = false;
    read_script(&limits, DR_WS_SERVER, "81:a|82:b", DR_LIT("T(a)!1003"));
    read_script(&limits, DR_WS_SERVER, "02:b", DR_LIT("!1003"));
    read_script(&limits, DR_WS_SERVER, "02*5000|80:", DR_LIT("!1003"));
}

/* No payload byte has come, and none may ever. */
static void test_a_head_is_judged_when_it_is_there_whole(void **state) {
    (void)state;
    static const struct {
        dr_slice bytes;
        dr_slice expected;
    } cases[] = {
        {{"\x81\xff\0\0\0\0\0\1\x86\xa1mask", 14}, {"!1009", 5}},
        {{"\x81\xff\0\0\0\0\0\1\x86\xa0mask", 14}, {"", 0}},
        {{"\x81\xfe\x01\x00mask", 8}, {"", 0}},
        {{"\x89\x80mask\x81\xff\0\0\1\0\0\0\0\0mask", 20}, {"P()!1009", 8}},
        {{"\x01\x81\0\0\0\0a\x80\xff\0\0\0\0\0\1\x86\xa0mask", 21}, {"!1009", 5}},
        {{"\xc1\x85mask", 6}, {"!1002", 5}},
        {{"\x80\x85mask", 6}, {"!1002", 5}},
        {{"\x83\x85mask", 6}, {"!1002", 5}},
        {{"\x82\x85mask", 6}, {"!1003", 5}},
        {{"\x81\x05", 2}, {"!1002", 5}},
        {{"\x89\x85mask", 6}, {"", 0}},
        {{"\x01\x81\0\0\0\0a\x89\x82mask", 13}, {"", 0}},
    };
    struct dr_ws_limits limits = usual_limits;
    limits.takes_binary = false;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "head %zu", i);
        read_every_way(name, &limits, DR_WS_SERVER, cases[i].bytes, cases[i].expected);
    }
}

static void expect_read(struct reading *reading, const char *script, bool goes_on,
                        const char *line) {
    struct dr_buf bytes;
    dr_buf_init(&bytes, 1 << 20);
    ws_probe_put_script(&bytes, DR_WS_SERVER, dr_slice_text(script));
    dr_buf_reset(&reading->line);
    assert_int_equal(ws_probe_read(&reading->reader, dr_buf_slice(&bytes), &reading->line),
                     goes_on);
    ws_probe_expect(script, dr_buf_slice(&reading->line), dr_slice_text(line));
    dr_buf_clear(&bytes);
}

static void test_unfinished_messages_share_a_budget(void **state) {
    (void)state;
    struct dr_ws_budget budget = {.own_bytes = 100, .bytes_max = 1000, .reason = "no room"};
    struct reading readings[3];
    for (size_t i = 0; i < 3; i++) {
        reading_open(&readings[i], &usual_limits, DR_WS_SERVER);
        dr_ws_reader_set_budget(&readings[i].reader, &budget);
    }
    expect_read(&readings[0], "01*100", true, "");
    assert_int_equal(budget.bytes, 0);
    expect_read(&readings[0], "00*500|89:", true, "P()");
    assert_int_equal(budget.bytes, 500);
    expect_read(&readings[1], "01*600", true, "");
    assert_int_equal(budget.bytes, 1000);
    /* What is each reader's own is left to it. */
    expect_read(&readings[2], "01*50|80*50", true, "T(#100)");
    expect_read(&readings[2], "01*50|00*51", false, "!1009");
    assert_int_equal(budget.bytes, 1000);
    expect_read(&readings[0], "80:", true, "T(#600)");
    assert_int_equal(budget.bytes, 500);
    expect_read(&readings[0], "01*601", false, "!1009");
    assert_int_equal(budget.bytes, 500);
    /* One that is known counts no more, nor does what it says from now on. */
    dr_ws_reader_set_budget(&readings[1].reader, NULL);
    assert_int_equal(budget.bytes, 0);
    expect_read(&readings[1], "00*2000|80*2000", true, "T(#4600)");
    assert_int_equal(budget.bytes, 0);
    reading_close(&readings[2]);
    reading_open(&readings[2], &usual_limits, DR_WS_SERVER);
    dr_ws_reader_set_budget(&readings[2].reader, &budget);
    expect_read(&readings[2], "01*1100", true, "");
    assert_int_equal(budget.bytes, 1000);
    for (size_t i = 0; i < 3; i++) reading_close(&readings[i]);
    assert_int_equal(budget.bytes, 0);
}

static void test_a_frame_limit_below_the_message_limit_holds(void **state) {
    (void)state;
    struct dr_ws_limits limits = usual_limits;
    limits.frame_bytes_max = 10;
    read_script(&limits, DR_WS_SERVER, "01*10|00*10|80*10",
                DR_LIT("T(xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx)"));
    read_script(&limits, DR_WS_SERVER, "81*11", DR_LIT("!1009"));
    read_script(&limits, DR_WS_SERVER, "89*20", DR_LIT("P(xxxxxxxxxxxxxxxxxxxx)"));
}

/* A frame may declare 2^63-1 bytes: nothing may be allocated on its word. */
static void test_a_declared_length_alone_allocates_nothing(void **state) {
    (void)state;
    struct reading reading;
    const struct dr_ws_limits limits = {
        .frame_bytes_max = UINT64_MAX,
        .message_bytes_max = SIZE_MAX,
        .fragments_max = 8,
    };
    reading_open(&reading, &limits, DR_WS_CLIENT);
    assert_true(ws_probe_read(&reading.reader, DR_LIT("\x81\x00"), &reading.line));
    const uint64_t before = dr_alloc_count();
    assert_true(ws_probe_read(&reading.reader,
                              DR_LIT("\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"
                                     "a"),
                              &reading.line));
    assert_in_range(dr_alloc_count() - before, 0, 1);
    assert_int_equal(dr_ws_pool_attached_count(reading.pool), 1);
    reading_close(&reading);
}

static void test_bad_text_fails_at_its_first_byte_not_at_the_end(void **state) {
    (void)state;
    struct reading reading;
    reading_open(&reading, &usual_limits, DR_WS_CLIENT);
    assert_true(ws_probe_read(&reading.reader,
                              DR_LIT("\x81\x0a"
                                     "ab\xf4"),
                              &reading.line));
    assert_false(ws_probe_read(&reading.reader, DR_LIT("\x90"), &reading.line));
    ws_probe_expect("line", dr_buf_slice(&reading.line), DR_LIT("!1007"));
    reading_close(&reading);
}

static void test_a_reader_at_rest_owns_nothing(void **state) {
    (void)state;
    struct reading reading;
    reading_open(&reading, &usual_limits, DR_WS_CLIENT);
    const struct {
        dr_slice bytes;
        size_t attached;
    } steps[] = {
        {DR_LIT("\x81"), 1},      {DR_LIT("\x02"), 1},          {DR_LIT("a"), 1},
        {DR_LIT("b"), 0},         {DR_LIT("\x81\x01x\x89"), 1}, {DR_LIT("\x00"), 0},
        {DR_LIT("\x01\x01x"), 1}, /* between fragments the message is kept */
        {DR_LIT("\x89\x00"), 1},  {DR_LIT("\x80\x00"), 0},      {DR_LIT("\x81\x02zz"), 0},
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        assert_true(ws_probe_read(&reading.reader, steps[i].bytes, &reading.line));
        assert_int_equal(dr_ws_pool_attached_count(reading.pool), steps[i].attached);
    }
    ws_probe_expect("line", dr_buf_slice(&reading.line), DR_LIT("T(ab)T(x)P()P()T(x)T(zz)"));
    reading_close(&reading);
}

static void test_16_mib_in_65536_fragments_arrive(void **state) {
    (void)state;
    enum { FRAGMENTS = 65536, FRAGMENT_BYTES = 256 };
    const struct dr_ws_limits limits = {
        .frame_bytes_max = FRAGMENT_BYTES,
        .message_bytes_max = FRAGMENTS * FRAGMENT_BYTES,
        .fragments_max = FRAGMENTS,
    };
    struct reading reading;
    struct dr_buf frames;
    reading_open(&reading, &limits, DR_WS_SERVER);
    dr_buf_init(&frames, SIZE_MAX / 2);
    char payload[FRAGMENT_BYTES];
    memset(payload, 'x', sizeof payload);
    for (int i = 0; i < FRAGMENTS; i++) {
        const uint8_t first = i == 0 ? 0x01 : i == FRAGMENTS - 1 ? 0x80 : 0x00;
        ws_probe_put_frame(&frames, first, dr_slice_of(payload, sizeof payload), true);
    }
    for (size_t at = 0; at < frames.len; at += 65536) {
        const dr_slice piece = dr_slice_first(dr_slice_from(dr_buf_slice(&frames), at), 65536);
        assert_true(ws_probe_read(&reading.reader, piece, &reading.line));
    }
    ws_probe_expect("line", dr_buf_slice(&reading.line), DR_LIT("T(#16777216)"));
    assert_int_equal(dr_ws_pool_attached_count(reading.pool), 0);
    dr_buf_clear(&frames);
    reading_close(&reading);
}

static void test_close_codes_of_the_registry_pass_and_others_do_not(void **state) {
    (void)state;
    const struct {
        uint16_t from;
        uint16_t to;
        bool is_valid;
    } ranges[] = {
        {0, 999, false},     {1000, 1003, true}, {1004, 1006, false},  {1007, 1014, true},
        {1015, 2999, false}, {3000, 4999, true}, {5000, 65535, false},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        for (uint32_t code = ranges[i].from; code <= ranges[i].to; code++) {
            assert_int_equal(dr_ws_close_code_is_valid((uint16_t)code), ranges[i].is_valid);
        }
    }
}

static void test_a_close_reason_is_cut_between_characters(void **state) {
    (void)state;
    struct dr_buf out;
    char reason[200];
    dr_buf_init(&out, 1024);
    memset(reason, 'a', sizeof reason);
    memcpy(reason + 121, "\xe2\x82\xac", 3);
    dr_ws_put_close(&out, 1000, dr_slice_of(reason, sizeof reason), NULL);
    assert_int_equal(out.len, 2 + 2 + 121);
    dr_buf_reset(&out);
    dr_ws_put_close(&out, DR_WS_CLOSE_NONE, DR_NONE, NULL);
    ws_probe_expect("empty", dr_buf_slice(&out), DR_LIT("\x88\x00"));
    dr_buf_clear(&out);
}

/* What one role writes the other reads, at all lengths around the borders of the heads. */
static void test_written_frames_are_read_by_the_other_role(void **state) {
    (void)state;
    static const size_t lens[] = {0, 1, 7, 8, 9, 124, 125, 126, 127, 4090, 4096, 65535, 65536};
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        for (int is_client = 0; is_client < 2; is_client++) {
            struct reading reading;
            struct dr_buf out;
            struct dr_buf payload;
            reading_open(&reading, &usual_limits, is_client ? DR_WS_SERVER : DR_WS_CLIENT);
            dr_buf_init(&out, 1 << 20);
            dr_buf_init(&payload, 1 << 20);
            for (size_t at = 0; at < lens[i]; at++) dr_buf_put_char(&payload, (char)(at % 127));
            const dr_slice part = dr_buf_slice(&payload);
            dr_ws_put_frame(&out, DR_WS_OPCODE_TEXT, &part, 1, is_client ? ws_probe_mask : NULL);
            dr_slice bytes = dr_buf_slice(&out);
            struct dr_ws_event event;
            assert_int_equal(dr_ws_read(&reading.reader, &bytes, &event), DR_WS_MESSAGE);
            assert_true(dr_slice_is(event.bytes, part));
            assert_int_equal(dr_ws_read(&reading.reader, &bytes, &event), DR_WS_NEED_MORE);
            dr_buf_clear(&out);
            dr_buf_clear(&payload);
            reading_close(&reading);
        }
    }
}

static void test_without_memory_a_reader_fails_and_leaks_nothing(void **state) {
    (void)state;
    struct dr_buf bytes;
    dr_buf_init(&bytes, 1 << 20);
    ws_probe_put_script(&bytes, DR_WS_CLIENT, DR_LIT("01*3000|80*3000"));
    bool has_passed = false;
    for (uint64_t nth = 1; !has_passed; nth++) {
        struct reading reading;
        reading_open(&reading, &usual_limits, DR_WS_CLIENT);
        dr_buf_put(&reading.line, DR_LIT(" "));
        dr_alloc_fail_at(nth);
        has_passed = ws_probe_read(&reading.reader, dr_buf_slice(&bytes), &reading.line);
        dr_alloc_fail_at(0);
        ws_probe_expect("line", dr_buf_slice(&reading.line),
                        has_passed ? DR_LIT(" T(#6000)") : DR_LIT(" !1011"));
        reading_close(&reading);
        assert_true(nth < 100);
    }
    dr_buf_clear(&bytes);
}

static void test_written_frames_are_told_apart_again(void **state) {
    (void)state;
    static const size_t lens[] = {0, 1, 125, 126, 65535, 65536, 2};
    struct dr_buf frames;
    dr_buf_init(&frames, 1024 * 1024);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        char head[DR_WS_HEAD_BYTES_MAX];
        dr_buf_put(&frames,
                   dr_slice_of(head, dr_ws_write_head(head, DR_WS_OPCODE_TEXT, lens[i], NULL)));
        for (size_t at = 0; at < lens[i]; at++) dr_buf_put_char(&frames, (char)('a' + i));
    }
    dr_slice rest = dr_buf_slice(&frames);
    dr_slice payload;
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        assert_true(dr_ws_next_written(&rest, &payload));
        assert_int_equal(payload.len, lens[i]);
        for (size_t at = 0; at < lens[i]; at++) assert_int_equal(payload.data[at], 'a' + i);
    }
    assert_false(dr_ws_next_written(&rest, &payload));
    dr_buf_clear(&frames);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_frames_are_told_apart_again),
        cmocka_unit_test(test_the_examples_of_rfc_6455_section_5_7_are_read),
        cmocka_unit_test(test_the_examples_of_rfc_6455_section_5_7_are_written),
        cmocka_unit_test(test_messages_and_control_frames_are_told_apart),
        cmocka_unit_test(test_broken_rules_fail_with_their_code),
        cmocka_unit_test(test_a_length_not_in_its_shortest_form_is_refused),
        cmocka_unit_test(test_binary_is_refused_with_its_head_where_it_is_not_taken),
        cmocka_unit_test(test_a_head_is_judged_when_it_is_there_whole),
        cmocka_unit_test(test_unfinished_messages_share_a_budget),
        cmocka_unit_test(test_a_frame_limit_below_the_message_limit_holds),
        cmocka_unit_test(test_a_declared_length_alone_allocates_nothing),
        cmocka_unit_test(test_bad_text_fails_at_its_first_byte_not_at_the_end),
        cmocka_unit_test(test_a_reader_at_rest_owns_nothing),
        cmocka_unit_test(test_16_mib_in_65536_fragments_arrive),
        cmocka_unit_test(test_close_codes_of_the_registry_pass_and_others_do_not),
        cmocka_unit_test(test_a_close_reason_is_cut_between_characters),
        cmocka_unit_test(test_written_frames_are_read_by_the_other_role),
        cmocka_unit_test(test_without_memory_a_reader_fails_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
