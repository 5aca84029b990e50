/* Tests of net/http1_parse and of the rules in net/http1_head. Every input is read whole, byte by
 * byte and cut in two at every place; what comes out is written down as a line and must be the
 * same each time:
 *   [GET /x] (body) . and !400 for a failure, [200] for a response's head, $ for an end that
 * completes. */
#include "net/http1_parse.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

static const struct dr_http1_limits limits = {
    .head_bytes_max = 400,
    .headers_max = 6,
    .chunk_extension_bytes_max = 8,
    .trailer_bytes_max = 40,
    .body_bytes_max = 50,
};

struct transcript {
    struct dr_buf line;
    const char *failure_text;
    bool is_in_body;
};

static const char *const failure_names[] = {"!400", "!431", "!413", "!505", "!501", "!417", "!503"};

static void end_body(struct transcript *transcript) {
    if (transcript->is_in_body) dr_buf_put_char(&transcript->line, ')');
    transcript->is_in_body = false;
}

static void note_head(struct transcript *transcript, const struct dr_http1_head *head) {
    struct dr_buf *line = &transcript->line;
    dr_buf_put_char(line, '[');
    if (head->status > 0) {
        dr_buf_put_u64(line, head->status);
    } else {
        dr_buf_put(line, head->method_text);
        dr_buf_put_char(line, ' ');
        dr_buf_put(line, head->target);
    }
    dr_buf_put_char(line, ']');
}

/* Offers a piece in a block of its own, so that a byte read beyond it is noticed. */
static bool feed(struct dr_http1_parser *parser, dr_slice piece, struct transcript *transcript) {
    char *block = dr_alloc(piece.len);
    assert_non_null(block);
    if (piece.len > 0) memcpy(block, piece.data, piece.len);
    dr_slice bytes = {block, piece.len};
    enum dr_http1_progress progress;
    do {
        progress = dr_http1_parse(parser, &bytes);
        switch (progress) {
        case DR_HTTP1_NEED_MORE: assert_int_equal(bytes.len, 0); break;
        case DR_HTTP1_HEAD: note_head(transcript, dr_http1_head(parser)); break;
        case DR_HTTP1_BODY:
            assert_true(dr_http1_body(parser).len > 0);
            if (!transcript->is_in_body) dr_buf_put_char(&transcript->line, '(');
            transcript->is_in_body = true;
            dr_buf_put(&transcript->line, dr_http1_body(parser));
            break;
        case DR_HTTP1_MESSAGE_DONE:
            end_body(transcript);
            dr_buf_put_char(&transcript->line, '.');
            assert_false(dr_http1_parser_is_busy(parser));
            break;
        case DR_HTTP1_FAILED:
            end_body(transcript);
            dr_buf_put(&transcript->line, dr_slice_text(failure_names[dr_http1_failure(parser)]));
            transcript->failure_text = dr_http1_failure_text(parser);
            assert_true(strlen(transcript->failure_text) > 10);
            break;
        }
    } while (progress != DR_HTTP1_NEED_MORE && progress != DR_HTTP1_FAILED);
    dr_free(block);
    return progress != DR_HTTP1_FAILED;
}

static struct dr_http1_parser *open_parser(bool is_response, const struct dr_http1_limits *bounds) {
    struct dr_http1_parser *parser =
        is_response ? dr_http1_parser_new_response(bounds) : dr_http1_parser_new_request(bounds);
    assert_non_null(parser);
    return parser;
}

/* Reads `input` in a first piece of `cut` bytes and then in pieces of `step`. */
static struct transcript read_cut(bool is_response, const struct dr_http1_limits *bounds,
                                  dr_slice input, size_t cut, size_t step) {
    struct dr_http1_parser *parser = open_parser(is_response, bounds);
    struct transcript transcript = {0};
    dr_buf_init(&transcript.line, 1 << 20);
    bool goes_on = feed(parser, dr_slice_first(input, cut), &transcript);
    for (size_t at = cut; goes_on && at < input.len; at += step) {
        goes_on = feed(parser, dr_slice_first(dr_slice_from(input, at), step), &transcript);
    }
    if (goes_on && dr_http1_parse_end(parser)) {
        end_body(&transcript);
        dr_buf_put_char(&transcript.line, '$');
    }
    dr_http1_parser_free(parser);
    assert_int_equal(dr_buf_status(&transcript.line), DR_OK);
    return transcript;
}

static void check_reading(const char *name, bool is_response, const struct dr_http1_limits *bounds,
                          dr_slice input, const char *expected) {
    struct transcript whole = read_cut(is_response, bounds, input, input.len, 1);
    if (!dr_slice_is(dr_buf_slice(&whole.line), dr_slice_text(expected))) {
        fail_msg("%s: expected %s, got %.*s (%s)", name, expected,
                 DR_FMT(dr_buf_slice(&whole.line)), whole.failure_text ? whole.failure_text : "");
    }
    for (size_t cut = 0; cut <= input.len; ++cut) {
        for (int is_bytewise = 0; is_bytewise < 2; ++is_bytewise) {
            struct transcript parts =
                read_cut(is_response, bounds, input, cut, is_bytewise ? 1 : input.len + 1);
            if (!dr_slice_is(dr_buf_slice(&parts.line), dr_buf_slice(&whole.line)) ||
                parts.failure_text != whole.failure_text) {
                fail_msg("%s: cut at %zu gives %.*s (%s), whole gives %.*s (%s)", name, cut,
                         DR_FMT(dr_buf_slice(&parts.line)),
                         parts.failure_text ? parts.failure_text : "",
                         DR_FMT(dr_buf_slice(&whole.line)),
                         whole.failure_text ? whole.failure_text : "");
            }
            dr_buf_clear(&parts.line);
        }
    }
    dr_buf_clear(&whole.line);
}

struct reading_case {
    const char *name;
    dr_slice input;
    const char *expected;
};

static void check_cases(const struct reading_case *cases, size_t count, bool is_response) {
    for (size_t i = 0; i < count; ++i) {
        check_reading(cases[i].name, is_response, &limits, cases[i].input, cases[i].expected);
    }
}

#define TEXT(text) \
    { "" text, sizeof(text) - 1 }
#define COUNT(array) (sizeof(array) / sizeof *(array))
/* A POST whose fields and rest follow. */
#define POST(rest) TEXT("POST / HTTP/1.1\r\nHost: a\r\n" rest)
#define CHUNKED(rest) POST("Transfer-Encoding: chunked\r\n\r\n" rest)
#define GET(fields) TEXT("GET / HTTP/1.1\r\nHost: a\r\n" fields "\r\n")
#define LINE(line) TEXT(line "\r\nHost: a\r\n\r\n")

static void test_request_lines_follow_rfc_9112_section_3(void **state) {
    (void)state;
    static const struct reading_case cases[] = {
        {"plain", LINE("GET / HTTP/1.1"), "[GET /]."},
        {"query", LINE("GET /v1/models?a=b&c%20d HTTP/1.1"), "[GET /v1/models?a=b&c%20d]."},
        {"raw brackets", LINE("GET /x?include[]=y HTTP/1.1"), "[GET /x?include[]=y]."},
        {"double slash", LINE("GET //x HTTP/1.1"), "[GET //x]."},
        {"known method", LINE("PROPFIND / HTTP/1.1"), "[PROPFIND /]."},
        {"lower case method", LINE("get / HTTP/1.1"), "!400"},
        {"unknown method", LINE("FOO / HTTP/1.1"), "!400"},
        {"no method", LINE(" / HTTP/1.1"), "!400"},
        {"method no token", LINE("G(T / HTTP/1.1"), "!400"},
        {"tab after method", LINE("GET\t/ HTTP/1.1"), "!400"},
        {"two blanks after method", LINE("GET  / HTTP/1.1"), "!400"},
        {"two blanks before version", LINE("GET /  HTTP/1.1"), "!400"},
        {"blank behind version", LINE("GET / HTTP/1.1 "), "!400"},
        {"blank in target", LINE("GET /a b HTTP/1.1"), "!400"},
        {"no version", LINE("GET /"), "!400"},
        {"method only", LINE("GET"), "!400"},
        {"no target", LINE("GET HTTP/1.1"), "!400"},
        {"version 0.9", LINE("GET / HTTP/0.9"), "!505"},
        {"version 1.2", LINE("GET / HTTP/1.2"), "!505"},
        {"version 2.0", LINE("GET / HTTP/2.0"), "!505"},
        {"http/2 preface", TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "!505"},
        {"version 3", LINE("GET / HTTP/3"), "!400"},
        {"version 1.10", LINE("GET / HTTP/1.10"), "!400"},
        {"version 01.1", LINE("GET / HTTP/01.1"), "!400"},
        {"lower case version", LINE("GET / http/1.1"), "!400"},
        {"version x", LINE("GET / HTTP/1.x"), "!400"},
        {"another protocol", LINE("SOURCE / ICE/1.0"), "!400"},
        {"rtsp", LINE("DESCRIBE / RTSP/1.0"), "!400"},
        {"http/1.0 without host", TEXT("GET / HTTP/1.0\r\n\r\n"), "[GET /]."},
        {"fragment", LINE("GET /a#b HTTP/1.1"), "!400"},
        {"angle bracket", LINE("GET /a<b HTTP/1.1"), "!400"},
        {"quote", LINE("GET /a\"b HTTP/1.1"), "!400"},
        {"backslash", LINE("GET /a\\b HTTP/1.1"), "!400"},
        {"brace", LINE("GET /{a} HTTP/1.1"), "!400"},
        {"non-ascii target", LINE("GET /\xc3\xa4 HTTP/1.1"), "!400"},
        {"nul in target", LINE("GET /\0 HTTP/1.1"), "!400"},
        {"delete in target", LINE("GET /\x7f HTTP/1.1"), "!400"},
        {"tab in target", LINE("GET /\t HTTP/1.1"), "!400"},
        {"bare cr in target", LINE("GET /\r HTTP/1.1"), "!400"},
        {"bad percent", LINE("GET /%zz HTTP/1.1"), "!400"},
        {"cut percent", LINE("GET /%2 HTTP/1.1"), "!400"},
        {"relative target", LINE("GET v1 HTTP/1.1"), "!400"},
        {"query only", LINE("GET ?a HTTP/1.1"), "!400"},
        {"asterisk", LINE("OPTIONS * HTTP/1.1"), "[OPTIONS *]."},
        {"asterisk with get", LINE("GET * HTTP/1.1"), "!400"},
        {"two asterisks", LINE("OPTIONS ** HTTP/1.1"), "!400"},
        {"authority form", LINE("CONNECT a:443 HTTP/1.1"), "!501"},
        {"authority form without port", LINE("CONNECT a HTTP/1.1"), "!400"},
        {"connect with a path", LINE("CONNECT /x HTTP/1.1"), "!400"},
        {"authority form with get", LINE("GET a:443 HTTP/1.1"), "!400"},
        {"absolute form", LINE("GET http://a/x?y HTTP/1.1"), "[GET /x?y]."},
        {"absolute form, upper case", LINE("GET HTTP://A/x HTTP/1.1"), "[GET /x]."},
        {"absolute form, https", LINE("GET https://a:443/x HTTP/1.1"), "[GET /x]."},
        {"absolute form, default port", LINE("GET http://a:80/x HTTP/1.1"), "[GET /x]."},
        {"absolute form, other port", LINE("GET http://a:81/x HTTP/1.1"), "!400"},
        {"absolute form, port of https", LINE("GET http://a:443/x HTTP/1.1"), "!400"},
        {"absolute form, no path", LINE("GET http://a HTTP/1.1"), "[GET /]."},
        {"absolute form, options", LINE("OPTIONS http://a HTTP/1.1"), "[OPTIONS *]."},
        {"absolute form, other host", LINE("GET http://b/x HTTP/1.1"), "!400"},
        {"absolute form, no host", LINE("GET http:///x HTTP/1.1"), "!400"},
        {"absolute form, user", LINE("GET http://u@a/x HTTP/1.1"), "!400"},
        {"absolute form, query alone", LINE("GET http://a?x HTTP/1.1"), "!400"},
        {"absolute form, http/1.0", TEXT("GET http://a/x HTTP/1.0\r\n\r\n"), "[GET /x]."},
        {"absolute form without host", TEXT("GET http://a/ HTTP/1.1\r\n\r\n"), "!400"},
        {"another scheme", LINE("GET ftp://a/x HTTP/1.1"), "!400"},
        {"one empty line first", TEXT("\r\nGET / HTTP/1.0\r\n\r\n"), "[GET /]."},
        {"two empty lines first", TEXT("\r\n\r\nGET / HTTP/1.0\r\n\r\n"), "!400"},
        {"empty line of lf first", TEXT("\nGET / HTTP/1.0\r\n\r\n"), "!400"},
        {"lone cr first", TEXT("\rGET / HTTP/1.0\r\n\r\n"), "!400"},
        {"tls client hello", TEXT("\x16\x03\x01\x02\x00\x01"), "!400"},
        {"nothing", TEXT(""), ""},
    };
    check_cases(cases, COUNT(cases), false);
}

static void test_header_lines_follow_rfc_9112_section_5(void **state) {
    (void)state;
    static const struct reading_case cases[] = {
        {"blank before colon", GET("X : y\r\n"), "!400"},
        {"tab before colon", GET("X\t: y\r\n"), "!400"},
        {"length with blank before colon", POST("Content-Length : 3\r\n\r\nabc"), "!400"},
        {"coding with blank before colon", POST("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
         "!400"},
        {"empty name", GET(": y\r\n"), "!400"},
        {"no colon", GET("abc\r\n"), "!400"},
        {"blank in name", GET("X Y: z\r\n"), "!400"},
        {"bracket in name", GET("X[]: z\r\n"), "!400"},
        {"quote in name", GET("X\": z\r\n"), "!400"},
        {"non-ascii name", GET("X\xe4: z\r\n"), "!400"},
        {"nul in name", GET("X\0: z\r\n"), "!400"},
        {"every odd token byte", GET("!#$%&'*+-.^_`|~: z\r\n"), "[GET /]."},
        {"empty value", GET("X:\r\n"), "[GET /]."},
        {"value of blanks", GET("X: \t \r\n"), "[GET /]."},
        {"obs-text in value", GET("X: \xe4\xff\r\n"), "[GET /]."},
        {"tab in value", GET("X: a\tb\r\n"), "[GET /]."},
        {"nul in value", GET("X: a\0b\r\n"), "!400"},
        {"escape in value",
         GET("X: a\x1b"
             "b\r\n"),
         "!400"},
        {"vertical tab in value", GET("X: a\x0b\r\n"), "!400"},
        {"delete in value", GET("X: a\x7f\r\n"), "!400"},
        {"bare cr in value", GET("X: a\rb\r\n"), "!400"},
        {"bare cr before crlf", GET("X: a\r\r\n"), "!400"},
        {"bare lf in value", GET("X: a\nY: b\r\n"), "!400"},
        {"bare lf ends the head", TEXT("GET / HTTP/1.1\r\nHost: a\r\n\n"), "!400"},
        {"only bare lf", TEXT("GET / HTTP/1.1\nHost: a\n\n"), "!400"},
        {"folded value", GET("X: a\r\n b\r\n"), "!400"},
        {"folded by tab", GET("X: a\r\n\tb\r\n"), "!400"},
        {"first header begins with blank", TEXT("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), "!400"},
        {"first header begins with tab", TEXT("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n"), "!400"},
        {"line of a blank alone", GET("X: a\r\n \r\n"), "!400"},
        {"bare cr as empty line", TEXT("GET / HTTP/1.1\r\nHost: a\r\n\rGET /"), ""},
        {"no host", TEXT("GET / HTTP/1.1\r\nX: y\r\n\r\n"), "!400"},
        {"no header", TEXT("GET / HTTP/1.1\r\n\r\n"), "!400"},
        {"two hosts", GET("Host: b\r\n"), "!400"},
        {"two equal hosts", GET("host: a\r\n"), "!400"},
        {"two authorizations", GET("Authorization: a\r\nAUTHORIZATION: a\r\n"), "!400"},
        {"two media types", GET("Content-Type: a/b\r\ncontent-type: c/d\r\n"), "!400"},
        {"two hosts in http/1.0", TEXT("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"), "!400"},
        {"empty host", TEXT("GET / HTTP/1.1\r\nHost:\r\n\r\n"), "!400"},
        {"host with blank", TEXT("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), "!400"},
        {"host with comma", TEXT("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"), "!400"},
        {"host with user", TEXT("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), "!400"},
        {"host with path", TEXT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), "!400"},
        {"host with scheme", TEXT("GET / HTTP/1.1\r\nHost: http://a\r\n\r\n"), "!400"},
        {"host with port", TEXT("GET / HTTP/1.1\r\nHost: a.b:65535\r\n\r\n"), "[GET /]."},
        {"host with large port", TEXT("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"), "!400"},
        {"host with word as port", TEXT("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"), "!400"},
        {"host with two ports", TEXT("GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n"), "!400"},
        {"host ipv6", TEXT("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), "[GET /]."},
        {"host ipv6 cut", TEXT("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), "!400"},
        {"host ipv6 bare", TEXT("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n"), "!400"},
        {"host with obs-text", TEXT("GET / HTTP/1.1\r\nHost: \xe4\r\n\r\n"), "!400"},
        {"upgrade without body", GET("Connection: upgrade\r\nUpgrade: h2c\r\n"), "[GET /]."},
        {"upgrade with a body is a message",
         POST("Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.0"
              "\r\n\r\n"),
         "[POST /](abc).[GET /]."},
        {"upgrade with chunks is a message",
         POST(
             "Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
             "0\r\n\r\nGET / HTTP/1.0\r\n\r\n"),
         "[POST /](abc).[GET /]."},
        {"pipelined", TEXT("GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n"),
         "[GET /a].[GET /b]."},
        {"bytes after close are a message of their own",
         TEXT("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /b HTTP/1.0\r\n\r\n"),
         "[GET /a].[GET /b]."},
    };
    check_cases(cases, COUNT(cases), false);
}

static void test_body_length_can_be_read_in_one_way_only(void **state) {
    (void)state;
    static const struct reading_case cases[] = {
        {"length", POST("Content-Length: 3\r\n\r\nabc"), "[POST /](abc)."},
        {"length zero", POST("Content-Length: 0\r\n\r\n"), "[POST /]."},
        {"no length", POST("\r\n"), "[POST /]."},
        {"length with zeros", POST("Content-Length: 0003\r\n\r\nabc"), "[POST /](abc)."},
        {"length with blanks around", POST("Content-Length: \t3 \r\n\r\nabc"), "[POST /](abc)."},
        {"length cut", POST("Content-Length: 3\r\n\r\nab"), "[POST /](ab"},
        {"get with length", GET("Content-Length: 1\r\n"), "[GET /]"},
        {"two lengths", POST("Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), "!400"},
        {"two equal lengths", POST("Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"), "!400"},
        {"list of lengths", POST("Content-Length: 3, 4\r\n\r\nabc"), "!400"},
        {"list of equal lengths", POST("Content-Length: 3,3\r\n\r\nabc"), "!400"},
        {"length and comma", POST("Content-Length: 3,\r\n\r\nabc"), "!400"},
        {"length plus", POST("Content-Length: +3\r\n\r\nabc"), "!400"},
        {"length minus", POST("Content-Length: -3\r\n\r\nabc"), "!400"},
        {"length minus zero", POST("Content-Length: -0\r\n\r\n"), "!400"},
        {"length with inner blank", POST("Content-Length: 3 0\r\n\r\nabc"), "!400"},
        {"length hexadecimal", POST("Content-Length: 0x3\r\n\r\nabc"), "!400"},
        {"length a", POST("Content-Length: a\r\n\r\nabc"), "!400"},
        {"length with point", POST("Content-Length: 3.0\r\n\r\nabc"), "!400"},
        {"length with underscore", POST("Content-Length: 1_0\r\n\r\nabc"), "!400"},
        {"length quoted", POST("Content-Length: \"3\"\r\n\r\nabc"), "!400"},
        {"length empty", POST("Content-Length:\r\n\r\n"), "!400"},
        {"length overflows", POST("Content-Length: 18446744073709551616\r\n\r\n"), "!400"},
        {"length overflows to three", POST("Content-Length: 18446744073709551619\r\n\r\nabc"),
         "!400"},
        {"length largest", POST("Content-Length: 18446744073709551615\r\n\r\n"), "[POST /]!413"},
        {"length and coding",
         POST("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "!400"},
        {"coding and length",
         POST("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"), "!400"},
        {"length zero and coding",
         POST("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "!400"},
        {"length and identity", POST("Content-Length: 3\r\nTransfer-Encoding: identity\r\n\r\nabc"),
         "!400"},
        {"chunked", CHUNKED("3\r\nabc\r\n0\r\n\r\n"), "[POST /](abc)."},
        {"chunked in upper case", POST("TRANSFER-ENCODING: CHUNKED\r\n\r\n0\r\n\r\n"), "[POST /]."},
        {"chunked after tab", POST("Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n"), "[POST /]."},
        {"chunked without blank", POST("Transfer-Encoding:chunked\r\n\r\n0\r\n\r\n"), "[POST /]."},
        {"gzip, chunked", POST("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), "!501"},
        {"another expectation", POST("Expect: x\r\n\r\n"), "!417"},
        {"one expectation too many", POST("Expect: 100-continue\r\nExpect: x\r\n\r\n"), "!417"},
        {"identity, chunked", POST("Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"),
         "!501"},
        {"gzip", POST("Transfer-Encoding: gzip\r\n\r\n"), "!400"},
        {"identity", POST("Transfer-Encoding: identity\r\n\r\n"), "!400"},
        {"chunked, identity", POST("Transfer-Encoding: chunked, identity\r\n\r\n"), "!400"},
        {"chunked, chunked", POST("Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"), "!400"},
        {"chunked in two fields",
         POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "!400"},
        {"gzip and chunked in two fields",
         POST("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "!400"},
        {"chunked and identity in two fields",
         POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
         "!400"},
        {"empty coding", POST("Transfer-Encoding:\r\n\r\n"), "!400"},
        {"trailing comma", POST("Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"), "!400"},
        {"leading comma", POST("Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"), "!400"},
        {"xchunked", POST("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), "!400"},
        {"chunkedx", POST("Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n"), "!400"},
        {"chunked with parameter", POST("Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n"), "!400"},
        {"quoted chunked", POST("Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"), "!400"},
        {"vertical tab",
         POST("Transfer-Encoding: \x0b"
              "chunked\r\n\r\n0\r\n\r\n"),
         "!400"},
        {"nul", POST("Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n"), "!400"},
        {"folded", POST("Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"), "!400"},
        {"bare cr before name", POST("X: y\rTransfer-Encoding: chunked\r\n\r\n"), "!400"},
        {"in http/1.0", TEXT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
         "!400"},
    };
    check_cases(cases, COUNT(cases), false);
}

static void test_chunks_follow_rfc_9112_section_7(void **state) {
    (void)state;
    static const struct reading_case cases[] = {
        {"several", CHUNKED("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), "[POST /](abc)."},
        {"hexadecimal", CHUNKED("a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n"),
         "[POST /](01234567890123456789a)."},
        {"sixteen digits", CHUNKED("0000000000000003\r\nabc\r\n0\r\n\r\n"), "[POST /](abc)."},
        {"seventeen digits", CHUNKED("00000000000000003\r\nabc\r\n0\r\n\r\n"), "[POST /]!400"},
        {"overflow", CHUNKED("10000000000000003\r\nabc\r\n0\r\n\r\n"), "[POST /]!400"},
        {"largest", CHUNKED("ffffffffffffffff\r\nabc"), "[POST /]!413"},
        {"sum overflows", CHUNKED("1\r\na\r\nffffffffffffffff\r\nabc"), "[POST /](a)!413"},
        {"0x", CHUNKED("0x3\r\nabc\r\n0\r\n\r\n"), "[POST /]!400"},
        {"minus", CHUNKED("-3\r\nabc\r\n0\r\n\r\n"), "[POST /]!400"},
        {"plus", CHUNKED("+3\r\nabc\r\n0\r\n\r\n"), "[POST /]!400"},
        {"no size", CHUNKED("\r\nabc\r\n0\r\n\r\n"), "[POST /]!400"},
        {"extension without size", CHUNKED(";a\r\nabc\r\n0\r\n\r\n"), "[POST /]!400"},
        {"no hexadecimal", CHUNKED("g\r\nabc\r\n0\r\n\r\n"), "[POST /]!400"},
        {"blank before", CHUNKED(" 3\r\nabc\r\n0\r\n\r\n"), "[POST /]!400"},
        {"blank behind", CHUNKED("3 \r\nabc\r\n0\r\n\r\n"), "[POST /]!400"},
        {"blank behind last size", CHUNKED("0 \r\n\r\n"), "[POST /]!400"},
        {"tab behind", CHUNKED("3\t\r\nabc\r\n0\r\n\r\n"), "[POST /]!400"},
        {"underscore", CHUNKED("1_0\r\nabc"), "[POST /]!400"},
        {"bare lf behind size", CHUNKED("3\nabc\r\n0\r\n\r\n"), "[POST /]!400"},
        {"bare cr behind size", CHUNKED("3\rabc\r\n0\r\n\r\n"), "[POST /]!400"},
        {"two crs behind size", CHUNKED("3\r\r\nabc\r\n0\r\n\r\n"), "[POST /]!400"},
        {"bare lf behind data", CHUNKED("3\r\nabc\n0\r\n\r\n"), "[POST /](abc)!400"},
        {"bare cr behind data", CHUNKED("3\r\nabc\r0\r\n\r\n"), "[POST /](abc)!400"},
        {"nothing behind data", CHUNKED("3\r\nabc0\r\n\r\n"), "[POST /](abc)!400"},
        {"data longer than said", CHUNKED("2\r\nabc\r\n0\r\n\r\n"), "[POST /](ab)!400"},
        {"bare lf behind last size", CHUNKED("0\n\r\n"), "[POST /]!400"},
        {"bare lf at the end", CHUNKED("0\r\n\n"), "[POST /]!400"},
        {"cut in size", CHUNKED("3"), "[POST /]"},
        {"cut in data", CHUNKED("3\r\nab"), "[POST /](ab"},
        {"cut before the end", CHUNKED("3\r\nabc\r\n0\r\n"), "[POST /](abc"},
        {"extension", CHUNKED("3;a=b\r\nabc\r\n0\r\n\r\n"), "[POST /](abc)."},
        {"quoted extension", CHUNKED("3;a=\"b\"\r\nabc\r\n0;x\r\n\r\n"), "[POST /](abc)."},
        {"extension of eight bytes", CHUNKED("3;abcdefg\r\nabc\r\n0\r\n\r\n"), "[POST /](abc)."},
        {"extension of nine bytes", CHUNKED("3;abcdefgh\r\nabc\r\n0\r\n\r\n"), "[POST /]!400"},
        {"extension of nine bytes at the end", CHUNKED("0;abcdefgh\r\n\r\n"), "[POST /]!400"},
        {"bare lf in extension", CHUNKED("3;a\nabc\r\n0\r\n\r\n"), "[POST /]!400"},
        {"bare cr in extension", CHUNKED("3;a\rb\r\nabc\r\n0\r\n\r\n"), "[POST /]!400"},
        {"nul in extension", CHUNKED("3;a\0\r\nabc\r\n0\r\n\r\n"), "[POST /]!400"},
        {"lf in quoted extension", CHUNKED("3;a=\"\n\"\r\nabc\r\n"), "[POST /]!400"},
        {"trailer", CHUNKED("0\r\nX-Sum: 1\r\n\r\nGET / HTTP/1.0\r\n\r\n"), "[POST /].[GET /]."},
        {"trailers of forty bytes",
         CHUNKED("0\r\nX: 345678901234567\r\nY: 345678901234567\r\n\r\n"), "[POST /]."},
        {"trailers of 41 bytes", CHUNKED("0\r\nX: 345678901234567\r\nY: 3456789012345678\r\n\r\n"),
         "[POST /]!431"},
        {"seven trailers", CHUNKED("0\r\na:\r\nb:\r\nc:\r\nd:\r\ne:\r\nf:\r\ng:\r\n\r\n"),
         "[POST /]!431"},
        {"trailing length", CHUNKED("0\r\nContent-Length: 3\r\n\r\n"), "[POST /]!400"},
        {"trailing coding", CHUNKED("0\r\nTransfer-Encoding: chunked\r\n\r\n"), "[POST /]!400"},
        {"trailing host", CHUNKED("0\r\nHOST: b\r\n\r\n"), "[POST /]!400"},
        {"trailing authorization", CHUNKED("0\r\nAuthorization: x\r\n\r\n"), "[POST /]!400"},
        {"trailing connection", CHUNKED("0\r\nConnection: close\r\n\r\n"), "[POST /]!400"},
        {"malformed trailer", CHUNKED("0\r\nX y\r\n\r\n"), "[POST /]!400"},
        {"folded trailer", CHUNKED("0\r\nX: y\r\n z\r\n\r\n"), "[POST /]!400"},
        {"trailer begins with blank", CHUNKED("0\r\n X: y\r\n\r\n"), "[POST /]!400"},
        {"bare lf in trailers", CHUNKED("0\r\nX: y\n\r\n"), "[POST /]!400"},
        {"nul in trailers", CHUNKED("0\r\nX: \0\r\n\r\n"), "[POST /]!400"},
        {"request in place of trailers", CHUNKED("0\r\nGET / HTTP/1.1\r\n\r\n"), "[POST /]!400"},
    };
    check_cases(cases, COUNT(cases), false);
}

static void test_responses_end_as_rfc_9112_section_6_3_says(void **state) {
    (void)state;
    static const struct reading_case cases[] = {
        {"length", TEXT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), "[200](ok)."},
        {"length zero", TEXT("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "[200]."},
        {"no reason", TEXT("HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok"), "[200](ok)."},
        {"no blank before no reason", TEXT("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"),
         "[200](ok)."},
        {"reason in latin-1", TEXT("HTTP/1.1 404 n\xe4h\r\nContent-Length: 0\r\n\r\n"), "[404]."},
        {"chunked",
         TEXT("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
         "[200](ok)."},
        {"until the end", TEXT("HTTP/1.1 200 OK\r\n\r\nall of this"), "[200](all of this)$"},
        {"until the end, http/1.0", TEXT("HTTP/1.0 200 OK\r\n\r\nok"), "[200](ok)$"},
        {"until the end, empty", TEXT("HTTP/1.1 200 OK\r\n\r\n"), "[200]$"},
        {"204", TEXT("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), "[204].[200]$"},
        {"204 with length", TEXT("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"), "[204]."},
        {"304 with length", TEXT("HTTP/1.1 304 Not Modified\r\nContent-Length: 99999\r\n\r\n"),
         "[304]."},
        {"continue, then the answer",
         TEXT("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
         "[100].[200](ok)."},
        {"early hints", TEXT("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), "[103]."},
        {"two messages",
         TEXT("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 500 X\r\n"
              "Content-Length: 1\r\n\r\nb"),
         "[200](a).[500](b)."},
        {"unregistered status", TEXT("HTTP/1.1 529 Overloaded\r\nContent-Length: 0\r\n\r\n"),
         "[529]."},
        {"length and chunked",
         TEXT(
             "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
         "!400"},
        {"two lengths", TEXT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n"),
         "!400"},
        {"gzip, chunked", TEXT("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
         "!501"},
        {"gzip", TEXT("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx"), "!400"},
        {"http/1.0 chunked", TEXT("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
         "!400"},
        {"length too large", TEXT("HTTP/1.1 200 OK\r\nContent-Length: 51\r\n\r\n"), "!413"},
        {"body of 50 until the end",
         TEXT("HTTP/1.1 200 OK\r\n\r\n01234567890123456789012345678901234567890123456789"),
         "[200](01234567890123456789012345678901234567890123456789)$"},
        {"body of 51 until the end",
         TEXT("HTTP/1.1 200 OK\r\n\r\n01234567890123456789012345678901234567890123456789x"),
         "[200](01234567890123456789012345678901234567890123456789)!413"},
        {"no http", TEXT("SSH-2.0-OpenSSH_9.2\r\n"), "!400"},
        {"empty line first", TEXT("\r\nHTTP/1.1 200 OK\r\n\r\n"), "!400"},
        {"http/2", TEXT("HTTP/2.0 200 OK\r\n\r\n"), "!505"},
        {"http/2 without minor", TEXT("HTTP/2 200 OK\r\n\r\n"), "!400"},
        {"two digits", TEXT("HTTP/1.1 20 OK\r\n\r\n"), "!400"},
        {"four digits", TEXT("HTTP/1.1 2000 OK\r\n\r\n"), "!400"},
        {"leading zero", TEXT("HTTP/1.1 020 OK\r\n\r\n"), "!400"},
        {"word", TEXT("HTTP/1.1 abc OK\r\n\r\n"), "!400"},
        {"two blanks", TEXT("HTTP/1.1  200 OK\r\n\r\n"), "!400"},
        {"nul in reason", TEXT("HTTP/1.1 200 O\0K\r\n\r\n"), "!400"},
        {"bare lf", TEXT("HTTP/1.1 200 OK\nContent-Length: 0\n\n"), "!400"},
        {"folded", TEXT("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"), "!400"},
        {"cut head", TEXT("HTTP/1.1 200 OK\r\nX: a"), ""},
        {"cut body", TEXT("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"), "[200](ab"},
    };
    check_cases(cases, COUNT(cases), true);
}

static void test_limits_hold_at_n_and_fail_at_n_plus_one(void **state) {
    (void)state;
    static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nY: 2\r\nZ: 3\r\n\r\n";
    const dr_slice input = {head, sizeof head - 1};
    struct dr_http1_limits bounds = limits;
    bounds.headers_max = 4;
    bounds.head_bytes_max = input.len;
    check_reading("head of exactly n bytes", false, &bounds, input, "[GET /].");
    bounds.head_bytes_max = input.len - 1;
    check_reading("head of n + 1 bytes", false, &bounds, input, "!431");
    bounds.head_bytes_max = 3;
    check_reading("head of many more bytes", false, &bounds, input, "!431");
    bounds.head_bytes_max = 400;
    bounds.headers_max = 3;
    check_reading("n + 1 headers", false, &bounds, input, "!431");

    static const char length[] = "POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc";
    static const char chunks[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    bounds = limits;
    bounds.body_bytes_max = 3;
    check_reading("length n", false, &bounds, dr_slice_text(length), "[POST /](abc).");
    check_reading("chunks of n", false, &bounds, dr_slice_text(chunks), "[POST /](abc).");
    bounds.body_bytes_max = 2;
    check_reading("length n + 1", false, &bounds, dr_slice_text(length), "[POST /]!413");
    /* Who reads a response has nothing to say about it. */
    check_reading("response of n + 1", true, &bounds,
                  DR_LIT("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), "!413");
    check_reading("chunks of n + 1", false, &bounds, dr_slice_text(chunks), "[POST /](ab)!413");
}

/* The extensions of a message's chunks: sixty-four of eight bytes, and one more. */
static void test_extensions_are_bounded_together_too(void **state) {
    (void)state;
    static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    static const char answer_head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    struct dr_buf input;
    dr_buf_init(&input, 4096);
    for (int is_beyond = 0; is_beyond < 2; is_beyond++) {
        for (int is_response = 0; is_response < 2; is_response++) {
            struct dr_http1_limits bounds = limits;
            bounds.body_bytes_max = 100;
            dr_buf_reset(&input);
            dr_buf_put(&input, dr_slice_text(is_response ? answer_head : head));
            for (int i = 0; i < DR_HTTP1_EXTENSIONS_MAX; i++) {
                dr_buf_put(&input, DR_LIT("1;abcdefg\r\nx\r\n"));
            }
            dr_buf_put(&input, is_beyond ? DR_LIT("0;a\r\n\r\n") : DR_LIT("0\r\n\r\n"));
            struct transcript transcript =
                read_cut(is_response, &bounds, dr_buf_slice(&input), input.len, 1);
            const bool is_refused = is_beyond && !is_response;
            assert_int_equal(transcript.failure_text != NULL, is_refused);
            if (is_refused) {
                assert_string_equal(
                    transcript.failure_text,
                    "The chunks' extensions together are too large (RFC 9112 section 7.1.1)");
            }
            dr_buf_put_char(&transcript.line, '\0');
            check_reading("many extensions", is_response, &bounds, dr_buf_slice(&input),
                          transcript.line.data);
            dr_buf_clear(&transcript.line);
        }
    }
    dr_buf_clear(&input);
}

static void test_many_headers_take_an_array_of_their_own(void **state) {
    (void)state;
    struct dr_http1_limits bounds = limits;
    bounds.head_bytes_max = 4096;
    bounds.headers_max = 1000;
    for (uint32_t count = 250; count <= 260; ++count) {
        struct dr_buf head = {0};
        dr_buf_init(&head, 4096);
        dr_buf_put(&head, DR_LIT("GET / HTTP/1.1\r\nHost: a\r\n"));
        for (uint32_t i = 1; i < count; ++i) dr_buf_format(&head, "h%u: v\r\n", i);
        dr_buf_put(&head, DR_LIT("\r\n"));
        struct dr_http1_parser *parser = open_parser(false, &bounds);
        dr_slice bytes = dr_buf_slice(&head);
        const enum dr_http1_progress progress = dr_http1_parse(parser, &bytes);
        if (count <= DR_HTTP1_HEADERS_MAX) {
            assert_int_equal(progress, DR_HTTP1_HEAD);
            assert_int_equal(dr_http1_head(parser)->header_count, count);
            assert_true(
                dr_slice_is(dr_http1_header(dr_http1_head(parser), DR_LIT("H249")), DR_LIT("v")));
        } else {
            assert_int_equal(progress, DR_HTTP1_FAILED);
            assert_int_equal(dr_http1_failure(parser), DR_HTTP1_HEAD_TOO_LARGE);
        }
        dr_http1_parser_free(parser);
        dr_buf_clear(&head);
    }
}

static const struct dr_http1_head *read_one(struct dr_http1_parser *parser, const char *text) {
    dr_slice bytes = dr_slice_text(text);
    dr_http1_parser_reset(parser);
    assert_int_equal(dr_http1_parse(parser, &bytes), DR_HTTP1_HEAD);
    return dr_http1_head(parser);
}

static void test_heads_tell_what_the_fields_say(void **state) {
    (void)state;
    struct dr_http1_parser *parser = open_parser(false, &limits);
    const struct dr_http1_head *head =
        read_one(parser, "POST /v1 HTTP/1.1\r\nHost: a:8080\r\nExpect: 100-Continue\r\n"
                         "connection: x, Upgrade\r\nUpgrade: websocket\r\nx-A:  b c \t\r\n\r\n");
    assert_int_equal(head->method, DR_HTTP1_POST);
    assert_int_equal(head->minor_version, 1);
    assert_true(dr_slice_is(head->host, DR_LIT("a:8080")));
    assert_true(head->expects_continue);
    assert_true(head->keeps_alive);
    assert_false(head->has_body);
    assert_true(dr_slice_is(head->upgrade, DR_LIT("websocket")));
    assert_true(dr_slice_is(dr_http1_header(head, DR_LIT("X-a")), DR_LIT("b c")));
    assert_null(dr_http1_header(head, DR_LIT("absent")).data);
    assert_true(dr_http1_header_has_token(head, DR_LIT("Connection"), DR_LIT("upgrade")));
    assert_false(dr_http1_header_has_token(head, DR_LIT("Connection"), DR_LIT("up")));

    head = read_one(parser, "HEAD / HTTP/1.0\r\nExpect: 100-continue\r\nUpgrade: x\r\n\r\n");
    assert_int_equal(head->method, DR_HTTP1_METHOD_HEAD);
    assert_false(head->keeps_alive);
    assert_false(head->expects_continue);
    assert_int_equal(head->upgrade.len, 0);
    head = read_one(parser, "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    assert_true(head->keeps_alive);
    head = read_one(parser, "GET http://b/ HTTP/1.1\r\nHost: B\r\nConnection: a\r\n"
                            "Connection: Close\r\nContent-Length: 5\r\n\r\n");
    assert_false(head->keeps_alive);
    assert_true(head->has_length && head->has_body);
    assert_int_equal(head->content_length, 5);
    assert_true(dr_slice_is_nocase(head->host, DR_LIT("b")));
    assert_true(dr_slice_is(head->target, DR_LIT("/")));
    head = read_one(parser, "MKCOL / HTTP/1.1\r\nHost: B\r\n\r\n");
    assert_int_equal(head->method, DR_HTTP1_OTHER);
    dr_http1_parser_free(parser);

    parser = open_parser(true, &limits);
    assert_false(read_one(parser, "HTTP/1.1 200 OK\r\n\r\n")->keeps_alive);
    assert_true(read_one(parser, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")->keeps_alive);
    dr_http1_parser_free(parser);
}

static void test_whole_heads_are_read_where_they_lie(void **state) {
    (void)state;
    static const char text[] = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    struct dr_http1_parser *parser = open_parser(false, &limits);
    uint64_t allocations = 0;
    for (int round = 0; round < 3; ++round) {
        if (round == 1) allocations = dr_alloc_count(); /* the first one made room for headers */
        dr_slice bytes = {text, sizeof text - 1};
        assert_int_equal(dr_http1_parse(parser, &bytes), DR_HTTP1_HEAD);
        assert_ptr_equal(dr_http1_head(parser)->target.data, text + 4);
        assert_ptr_equal(dr_http1_head(parser)->headers[0].name.data, text + 17);
        assert_true(dr_http1_parser_is_busy(parser));
        assert_int_equal(dr_http1_parse(parser, &bytes), DR_HTTP1_MESSAGE_DONE);
    }
    assert_int_equal(dr_alloc_count(), allocations);
    dr_http1_parser_free(parser);
}

static void test_answers_to_head_have_no_body_after_interim_ones(void **state) {
    (void)state;
    dr_slice bytes =
        DR_LIT("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"
               "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    struct dr_http1_parser *parser = open_parser(true, &limits);
    dr_http1_parser_expect_no_body(parser);
    static const enum dr_http1_progress expected[] = {
        DR_HTTP1_HEAD, DR_HTTP1_MESSAGE_DONE, DR_HTTP1_HEAD,         DR_HTTP1_MESSAGE_DONE,
        DR_HTTP1_HEAD, DR_HTTP1_BODY,         DR_HTTP1_MESSAGE_DONE, DR_HTTP1_NEED_MORE,
    };
    for (size_t i = 0; i < COUNT(expected); ++i) {
        assert_int_equal(dr_http1_parse(parser, &bytes), expected[i]);
    }
    dr_http1_parser_free(parser);
}

static void test_a_lowered_body_limit_holds_for_one_message(void **state) {
    (void)state;
    static const char text[] = "POST / HTTP/1.0\r\nContent-Length: 4\r\n\r\nabcd";
    struct dr_http1_parser *parser = open_parser(false, &limits);
    dr_slice bytes = dr_slice_text(text);
    assert_int_equal(dr_http1_parse(parser, &bytes), DR_HTTP1_HEAD);
    dr_http1_parser_set_body_max(parser, 4);
    assert_int_equal(dr_http1_parse(parser, &bytes), DR_HTTP1_BODY);
    assert_int_equal(dr_http1_parse(parser, &bytes), DR_HTTP1_MESSAGE_DONE);
    bytes = dr_slice_text(text);
    assert_int_equal(dr_http1_parse(parser, &bytes), DR_HTTP1_HEAD);
    dr_http1_parser_set_body_max(parser, 3);
    assert_int_equal(dr_http1_parse(parser, &bytes), DR_HTTP1_FAILED);
    assert_int_equal(dr_http1_failure(parser), DR_HTTP1_BODY_TOO_LARGE);
    assert_int_equal(dr_http1_parse(parser, &bytes), DR_HTTP1_FAILED);
    dr_http1_parser_reset(parser);
    assert_false(dr_http1_parser_is_busy(parser));
    bytes = dr_slice_text(text);
    assert_int_equal(dr_http1_parse(parser, &bytes), DR_HTTP1_HEAD);
    assert_int_equal(dr_http1_parse(parser, &bytes), DR_HTTP1_BODY);
    dr_http1_parser_free(parser);
}

#define TOKEN_BYTES "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define SIZED "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKS "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

/* At each seam of the framing each of the 256 bytes: the message with the body abc must come out
 * for those alone that the grammar allows there. */
static void test_no_byte_but_the_right_one_stands_at_a_seam(void **state) {
    (void)state;
    static const struct {
        const char *before;
        const char *behind;
        const char *allowed;
    } seams[] = {
        {"", SIZED "Content-Length: 3\r\n\r\nabc", ""},
        {"POST", "/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", " "},
        {"POST /", "HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", " "},
        {"POST / HTTP/1", "1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "."},
        {"POST / HTTP/1.1", "\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", ""},
        {"POST / HTTP/1.1", "\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "\r"},
        {"POST / HTTP/1.1\r", "Host: a\r\nContent-Length: 3\r\n\r\nabc", "\n"},
        {SIZED, "Content-Length: 3\r\n\r\nabc", ""},
        {SIZED "Content", "Length: 3\r\n\r\nabc", "-"},
        {SIZED "Content-Length", ": 3\r\n\r\nabc", ""},
        {SIZED "Content-Length:", "3\r\n\r\nabc", " \t0"},
        {SIZED "Content-Length: 3", "\r\n\r\nabc", " \t"},
        {SIZED "Content-Length: 3", "\n\r\nabc", "\r"},
        {SIZED "Content-Length: 3\r", "\r\nabc", "\n"},
        {SIZED "Content-Length: 3\r\n", "\nabc", "\r"},
        {SIZED "Content-Length: 3\r\n\r", "abc", "\n"},
        {SIZED "X: y", "Content-Length: 3\r\n\r\nabc", ""},
        {SIZED "X: y\r", "Content-Length: 3\r\n\r\nabc", "\n"},
        {SIZED "X: y", "\nContent-Length: 3\r\n\r\nabc", "\r"},
        {SIZED, "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", ""},
        {SIZED "Transfer", "Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "-"},
        {SIZED "Transfer-Encoding", ": chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", ""},
        {SIZED "Transfer-Encoding:", "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", " \t"},
        {SIZED "Transfer-Encoding: chunked", "\r\n\r\n3\r\nabc\r\n0\r\n\r\n", " \t"},
        {SIZED "Transfer-Encoding: chunked", "X: y\r\n\r\n3\r\nabc\r\n0\r\n\r\n", ""},
        {SIZED "Transfer-Encoding: chunked\r", "X: y\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "\n"},
        {SIZED "X: y\r", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "\n"},
        {CHUNKS, "3\r\nabc\r\n0\r\n\r\n", "0"},
        {CHUNKS "3", "\r\nabc\r\n0\r\n\r\n", ""},
        {CHUNKS "3", "\nabc\r\n0\r\n\r\n", "\r"},
        {CHUNKS "3\r", "abc\r\n0\r\n\r\n", "\n"},
        {CHUNKS "3;a", "b\r\nabc\r\n0\r\n\r\n", TOKEN_BYTES ";="},
        {CHUNKS "3;a", "\nabc\r\n0\r\n\r\n", "\r"},
        {CHUNKS "3;a=\"", "\nabc\r\n0\r\n\r\n", ""},
        {CHUNKS "3\r\nabc", "\r\n0\r\n\r\n", ""},
        {CHUNKS "3\r\nabc", "\n0\r\n\r\n", "\r"},
        {CHUNKS "3\r\nabc\r", "0\r\n\r\n", "\n"},
        {CHUNKS "3\r\nabc\r\n", "0\r\n\r\n", "0"},
        {CHUNKS "3\r\nabc\r\n0", "\n\r\n", "\r"},
        {CHUNKS "3\r\nabc\r\n0\r", "\r\n", "\n"},
        {CHUNKS "3\r\nabc\r\n0\r\n", "\n", "\r"},
        {CHUNKS "3\r\nabc\r\n0\r\n\r", "", "\n"},
        {CHUNKS "3\r\nabc\r\n0\r\nX", ": y\r\n\r\n", TOKEN_BYTES ":"},
        {CHUNKS "3\r\nabc\r\n0\r\nX: y", "\n\r\n", "\r"},
        {CHUNKS "3\r\nabc\r\n0\r\nX: y\r", "\r\n", "\n"},
    };
    for (size_t i = 0; i < COUNT(seams); ++i) {
        for (unsigned byte = 0; byte < 256; ++byte) {
            if (byte != 0 && strchr(seams[i].allowed, (int)byte)) continue;
            struct dr_buf text;
            dr_buf_init(&text, 1024);
            dr_buf_put(&text, dr_slice_text(seams[i].before));
            dr_buf_put_char(&text, (char)byte);
            dr_buf_put(&text, dr_slice_text(seams[i].behind));
            struct transcript read = read_cut(false, &limits, dr_buf_slice(&text), text.len, 1);
            const dr_slice line = dr_buf_slice(&read.line);
            if (dr_slice_find(line, DR_LIT("(abc).")) < line.len) {
                fail_msg("byte 0x%02x behind '%s' is taken: %.*s", byte, seams[i].before,
                         DR_FMT(line));
            }
            dr_buf_clear(&read.line);
            dr_buf_clear(&text);
        }
    }
}

static void test_busy_and_in_head_follow_the_first_bytes(void **state) {
    (void)state;
    struct dr_http1_parser *parser = open_parser(false, &limits);
    dr_slice bytes = DR_LIT("\r\n");
    assert_int_equal(dr_http1_parse(parser, &bytes), DR_HTTP1_NEED_MORE);
    assert_true(dr_http1_parser_is_busy(parser));
    assert_false(dr_http1_parser_in_head(parser));
    bytes = DR_LIT("G");
    assert_int_equal(dr_http1_parse(parser, &bytes), DR_HTTP1_NEED_MORE);
    assert_true(dr_http1_parser_is_busy(parser));
    assert_true(dr_http1_parser_in_head(parser));
    assert_false(dr_http1_parse_end(parser));
    dr_http1_parser_free(parser);
}

static void test_exhausted_memory_is_a_failure_of_its_own(void **state) {
    (void)state;
    dr_alloc_fail_at(1);
    assert_null(dr_http1_parser_new_request(&limits));
    struct dr_http1_parser *parser = open_parser(false, &limits);
    dr_slice bytes = DR_LIT("GET / HT");
    dr_alloc_fail_at(1);
    assert_int_equal(dr_http1_parse(parser, &bytes), DR_HTTP1_FAILED);
    dr_alloc_fail_at(0);
    assert_int_equal(dr_http1_failure(parser), DR_HTTP1_OUT_OF_MEMORY);
    dr_http1_parser_free(parser);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_lines_follow_rfc_9112_section_3),
        cmocka_unit_test(test_header_lines_follow_rfc_9112_section_5),
        cmocka_unit_test(test_body_length_can_be_read_in_one_way_only),
        cmocka_unit_test(test_chunks_follow_rfc_9112_section_7),
        cmocka_unit_test(test_responses_end_as_rfc_9112_section_6_3_says),
        cmocka_unit_test(test_limits_hold_at_n_and_fail_at_n_plus_one),
        cmocka_unit_test(test_extensions_are_bounded_together_too),
        cmocka_unit_test(test_many_headers_take_an_array_of_their_own),
        cmocka_unit_test(test_heads_tell_what_the_fields_say),
        cmocka_unit_test(test_whole_heads_are_read_where_they_lie),
        cmocka_unit_test(test_answers_to_head_have_no_body_after_interim_ones),
        cmocka_unit_test(test_a_lowered_body_limit_holds_for_one_message),
        cmocka_unit_test(test_no_byte_but_the_right_one_stands_at_a_seam),
        cmocka_unit_test(test_busy_and_in_head_follow_the_first_bytes),
        cmocka_unit_test(test_exhausted_memory_is_a_failure_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
