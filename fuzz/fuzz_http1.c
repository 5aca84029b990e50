/* net/http1_parse: the same bytes whole, cut in two and byte by byte must give the same messages,
 * pieces of a body joined, and the same failure. The first byte chooses requests or responses,
 * and whether the answer is one to HEAD; the second the cut. */
#include "net/http1_parse.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { IS_RESPONSE = 1, EXPECTS_NO_BODY = 2, LINE_BYTES_MAX = 1 << 24 };

/* Small, so that inputs of the engine's size reach them. */
static const struct dr_http1_limits limits = {
    .head_bytes_max = 1024,
    .headers_max = 30,
    .chunk_extension_bytes_max = 16,
    .trailer_bytes_max = 64,
    .body_bytes_max = 2048,
};

static void put_text(struct dr_buf *line, dr_slice text) {
    dr_buf_put_u64(line, text.len);
    dr_buf_put_char(line, ':');
    dr_buf_put(line, text);
}

static void put_head(struct dr_buf *line, const struct dr_http1_head *head) {
    dr_assert(head->header_count <= limits.headers_max);
    dr_assert(!(head->is_chunked && head->has_length));
    dr_buf_format(line, "HEAD %d %u %u %d%d%d%d%d ", (int)head->method, head->status,
                  head->minor_version, head->keeps_alive, head->is_chunked, head->has_length,
                  head->has_body, head->expects_continue);
    dr_buf_put_u64(line, head->content_length);
    put_text(line, head->method_text);
    put_text(line, head->target);
    put_text(line, head->host);
    put_text(line, head->upgrade);
    for (size_t i = 0; i < head->header_count; ++i) {
        const dr_slice value = head->headers[i].value;
        put_text(line, head->headers[i].name);
        put_text(line, value);
        dr_assert(!memchr(value.data, '\r', value.len));
        dr_assert(!memchr(value.data, '\n', value.len));
        dr_assert(!memchr(value.data, '\0', value.len));
    }
}

/* Body bytes are written one by one with a mark, so that it does not show how they came. */
static void put_body(struct dr_buf *line, dr_slice body) {
    dr_assert(body.len > 0);
    for (size_t i = 0; i < body.len; ++i) {
        dr_buf_put_char(line, '=');
        dr_buf_put_char(line, body.data[i]);
    }
}

static bool feed(struct dr_http1_parser *parser, dr_slice piece, struct dr_buf *line) {
    char *block = dr_alloc(piece.len);
    dr_assert(block);
    if (piece.len > 0) memcpy(block, piece.data, piece.len);
    dr_slice bytes = {block, piece.len};
    enum dr_http1_progress progress = DR_HTTP1_NEED_MORE;
    do {
        progress = dr_http1_parse(parser, &bytes);
        switch (progress) {
        case DR_HTTP1_NEED_MORE: dr_assert(bytes.len == 0); break;
        case DR_HTTP1_HEAD: put_head(line, dr_http1_head(parser)); break;
        case DR_HTTP1_BODY: put_body(line, dr_http1_body(parser)); break;
        case DR_HTTP1_MESSAGE_DONE: dr_buf_put(line, DR_LIT("DONE")); break;
        case DR_HTTP1_FAILED:
            dr_buf_put(line, DR_LIT("FAILED"));
            dr_buf_put(line, dr_slice_text(dr_http1_failure_text(parser)));
            dr_buf_put_u64(line, (uint64_t)dr_http1_failure(parser));
            break;
        }
    } while (progress != DR_HTTP1_NEED_MORE && progress != DR_HTTP1_FAILED);
    dr_free(block);
    return progress != DR_HTTP1_FAILED;
}

static void read_cut(uint8_t kind, dr_slice input, size_t cut, size_t step, struct dr_buf *line) {
    struct dr_http1_parser *parser = (kind & IS_RESPONSE) ? dr_http1_parser_new_response(&limits)
                                                          : dr_http1_parser_new_request(&limits);
    dr_assert(parser);
    dr_buf_init(line, LINE_BYTES_MAX);
    if ((kind & IS_RESPONSE) && (kind & EXPECTS_NO_BODY)) dr_http1_parser_expect_no_body(parser);
    bool goes_on = feed(parser, dr_slice_first(input, cut), line);
    for (size_t at = cut; goes_on && at < input.len; at += step) {
        goes_on = feed(parser, dr_slice_first(dr_slice_from(input, at), step), line);
    }
    if (goes_on && dr_http1_parse_end(parser)) dr_buf_put(line, DR_LIT("END"));
    dr_http1_parser_free(parser);
    dr_assert(!dr_buf_status(line));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    if (len < 2 || len > 8192) return 0;
    const dr_slice input = {(const char *)bytes + 2, len - 2};
    struct dr_buf whole;
    struct dr_buf parts;
    read_cut(bytes[0], input, input.len, 1, &whole);
    read_cut(bytes[0], input, bytes[1] * input.len / 255, input.len + 1, &parts);
    dr_assert(dr_slice_is(dr_buf_slice(&whole), dr_buf_slice(&parts)));
    dr_buf_clear(&parts);
    read_cut(bytes[0], input, 0, 1, &parts);
    dr_assert(dr_slice_is(dr_buf_slice(&whole), dr_buf_slice(&parts)));
    dr_buf_clear(&parts);
    dr_buf_clear(&whole);
    return 0;
}
