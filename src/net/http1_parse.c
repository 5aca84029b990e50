/* Reads HTTP/1.1 messages. Heads and trailers are handed to llhttp only when they are complete,
 * so that its spans are contiguous and lie where the bytes came in; what does not come whole is
 * gathered first. Around llhttp stand checks of our own for all that it lets pass.
 *
 * This room must not read sockets, write answers, know routes or guess what a sloppy peer meant.
 *
 * Invariant: whatever way the same bytes are cut, the same things come out, failures included. So
 * each check is bound to the byte at which it can first fail, never to the end of the bytes at
 * hand.
 *
 *   START ─► HEAD ─► HEAD_TAKEN ─┬─► LENGTH ──────────────────────────────► START
 *     ▲                          ├─► UNTIL_END
 *     └──── (no body) ◄──────────┴─► CHUNK_HEAD ─► CHUNK_DATA ─► CHUNK_END
 *                                        │  ▲                       │
 *                                        │  └───────────────────────┘
 *                                        └─► TRAILERS ──────────────────────► START */
#include "net/http1_parse.h"

#include "net/http1_head.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"

#include <llhttp.h>

enum stage {
    STAGE_START,
    STAGE_START_CR, /* the CR of an empty line before a request was taken */
    STAGE_HEAD,
    STAGE_HEAD_TAKEN, /* the head was handed out; framing is entered with the next call */
    STAGE_LENGTH,
    STAGE_UNTIL_END,
    STAGE_CHUNK_HEAD,
    STAGE_CHUNK_DATA,
    STAGE_CHUNK_END,
    STAGE_TRAILERS,
    STAGE_FAILED,
};

enum section_result { SECTION_MORE, SECTION_WHOLE, SECTION_FAILED };

enum {
    HEADERS_MIN = 24,      /* more than browsers and SDKs send */
    CHUNK_DIGITS_MAX = 16, /* a 64-bit number; more could only be zeros */
};

/* Lines up to an empty one: a head or trailers, seen so far. */
struct section {
    size_t scanned; /* equals the gathered bytes between calls */
    size_t line_start;
    size_t first_line_len; /* with its CRLF */
    uint32_t line_count;
};

struct dr_http1_parser {
    llhttp_t llhttp;
    const struct dr_http1_limits *limits;
    enum stage stage;
    enum dr_http1_failure failure;
    const char *failure_text;
    bool is_response;
    bool expects_no_body;
    bool has_empty_line;   /* the one empty line that may precede a request has passed */
    bool head_is_complete; /* set by llhttp */
    bool chunk_head_is_complete;
    bool chunk_is_complete;
    bool message_is_complete;
    bool has_extension; /* inside a chunk's extension */
    bool has_forbidden_trailer;
    uint32_t chunk_digits;
    size_t extension_bytes;  /* of the chunk */
    size_t extensions_bytes; /* of the message */
    uint64_t body_bytes_max;
    uint64_t body_left; /* of the length, or of the chunk */
    uint64_t body_taken;
    struct section section;
    struct dr_buf gathered;
    struct dr_http1_head head;
    dr_slice body;
    struct dr_http1_header *headers; /* NULL while waiting for the bytes of a body */
    uint32_t header_capacity;
    uint32_t header_count;
};

_Static_assert(sizeof(struct dr_http1_parser) <= 448, "a stream's parser stays small");

static inline bool is_blank(char byte) {
    return byte == ' ' || byte == '\t';
}

/* --- life ------------------------------------------------------------------------------------- */

/* The gathered bytes are a head or trailers, each with its own limit. */
static void init_gathered(struct dr_http1_parser *parser) {
    const struct dr_http1_limits *limits = parser->limits;
    size_t cap = limits->head_bytes_max;
    if (cap < limits->trailer_bytes_max + 2) cap = limits->trailer_bytes_max + 2;
    if (parser->gathered.cap == cap) {
        dr_buf_reset(&parser->gathered);
        return;
    }
    dr_buf_clear(&parser->gathered);
    dr_buf_init(&parser->gathered, cap);
}

static void begin_message(struct dr_http1_parser *parser) {
    parser->stage = STAGE_START;
    parser->has_empty_line = false;
    parser->section = (struct section){0};
    parser->body_bytes_max = parser->limits->body_bytes_max;
}

static struct dr_http1_parser *parser_new(const struct dr_http1_limits *limits, bool is_response) {
    dr_assert(limits);
    struct dr_http1_parser *parser = dr_alloc_zero(1, sizeof *parser);
    if (!parser) return NULL;
    parser->is_response = is_response;
    parser->limits = limits;
    dr_http1_parser_reset(parser);
    return parser;
}

struct dr_http1_parser *dr_http1_parser_new_request(const struct dr_http1_limits *limits) {
    return parser_new(limits, false);
}

struct dr_http1_parser *dr_http1_parser_new_response(const struct dr_http1_limits *limits) {
    return parser_new(limits, true);
}

static void drop_headers(struct dr_http1_parser *parser) {
    dr_free(parser->headers);
    parser->headers = NULL;
    parser->header_capacity = 0;
    parser->head.headers = NULL;
    parser->head.header_count = 0;
}

void dr_http1_parser_free(struct dr_http1_parser *parser) {
    if (!parser) return;
    drop_headers(parser);
    dr_buf_clear(&parser->gathered);
    dr_free(parser);
}

void dr_http1_parser_reset(struct dr_http1_parser *parser) {
    init_gathered(parser);
    parser->expects_no_body = false;
    parser->failure = DR_HTTP1_BAD_REQUEST;
    parser->failure_text = "";
    parser->body = DR_NONE;
    parser->head = (struct dr_http1_head){0};
    begin_message(parser);
}

void dr_http1_parser_expect_no_body(struct dr_http1_parser *parser) {
    dr_assert(parser->is_response);
    parser->expects_no_body = true;
}

void dr_http1_parser_set_body_max(struct dr_http1_parser *parser, uint64_t bytes) {
    if (bytes < parser->body_bytes_max) parser->body_bytes_max = bytes;
}

static enum dr_http1_progress fail(struct dr_http1_parser *parser, enum dr_http1_failure failure,
                                   const char *text) {
    parser->stage = STAGE_FAILED;
    parser->failure = failure;
    parser->failure_text = text;
    return DR_HTTP1_FAILED;
}

static bool refuse(struct dr_http1_parser *parser, const char *text) {
    (void)fail(parser, DR_HTTP1_BAD_REQUEST, text);
    return false;
}

static void take_bytes(dr_slice *bytes, size_t len) {
    *bytes = dr_slice_from(*bytes, len);
}

/* --- llhttp ----------------------------------------------------------------------------------- */

/* A name longer than any in the list can't be in it. RFC 9110 section 6.5.1: fields that frame,
 * route, authenticate or describe content must not come late. */
static bool is_forbidden_in_trailers(dr_slice name) {
    static const dr_slice forbidden[] = {
        {"authorization", 13},
        {"connection", 10},
        {"content-encoding", 16},
        {"content-length", 14},
        {"content-range", 13},
        {"content-type", 12},
        {"cookie", 6},
        {"expect", 6},
        {"host", 4},
        {"te", 2},
        {"trailer", 7},
        {"transfer-encoding", 17},
        {"upgrade", 7},
    };
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; ++i) {
        if (dr_slice_is_nocase(name, forbidden[i])) return true;
    }
    return false;
}

static int header_field_read(llhttp_t *llhttp, const char *at, size_t len) {
    struct dr_http1_parser *parser = llhttp->data;
    if (parser->stage == STAGE_TRAILERS) {
        if (is_forbidden_in_trailers(dr_slice_of(at, len))) parser->has_forbidden_trailer = true;
        return HPE_OK;
    }
    if (parser->header_count == parser->header_capacity) return HPE_USER;
    struct dr_http1_header *header = &parser->headers[parser->header_count++];
    header->name = dr_slice_of(at, len);
    header->value = dr_slice_of(at + len, 0);
    return HPE_OK;
}

static int header_value_read(llhttp_t *llhttp, const char *at, size_t len) {
    struct dr_http1_parser *parser = llhttp->data;
    if (parser->stage == STAGE_TRAILERS) return HPE_OK;
    if (parser->header_count == 0) return HPE_USER;
    struct dr_http1_header *header = &parser->headers[parser->header_count - 1];
    if (header->value.len == 0) {
        header->value = dr_slice_of(at, len);
        return HPE_OK;
    }
    /* The head lies in one piece, so a value in several spans can only go on where it stopped. */
    if (header->value.data + header->value.len != at) return HPE_USER;
    header->value.len += len;
    return HPE_OK;
}

static int headers_complete_read(llhttp_t *llhttp) {
    struct dr_http1_parser *parser = llhttp->data;
    parser->head_is_complete = true;
    /* Otherwise llhttp would stop behind the message for a protocol change that we never take
     * here. */
    llhttp->upgrade = 0;
    return HPE_PAUSED;
}

static int chunk_header_read(llhttp_t *llhttp) {
    ((struct dr_http1_parser *)llhttp->data)->chunk_head_is_complete = true;
    return HPE_OK;
}

static int chunk_complete_read(llhttp_t *llhttp) {
    ((struct dr_http1_parser *)llhttp->data)->chunk_is_complete = true;
    return HPE_OK;
}

static int message_complete_read(llhttp_t *llhttp) {
    ((struct dr_http1_parser *)llhttp->data)->message_is_complete = true;
    return HPE_OK;
}

static const llhttp_settings_t llhttp_verbs = {
    .on_header_field = header_field_read,
    .on_header_value = header_value_read,
    .on_headers_complete = headers_complete_read,
    .on_chunk_header = chunk_header_read,
    .on_chunk_complete = chunk_complete_read,
    .on_message_complete = message_complete_read,
};

/* What to tell a client about an error of llhttp's. */
static const char *llhttp_text(const struct dr_http1_parser *parser) {
    switch ((int)llhttp_get_errno(&parser->llhttp)) {
    case HPE_INVALID_METHOD: return "The request's method is not known (RFC 9110 section 9)";
    case HPE_INVALID_URL: return "The request's target is malformed (RFC 9112 section 3.2)";
    case HPE_INVALID_CONSTANT:
    case HPE_INVALID_VERSION: return "The first line does not name HTTP/1.1 (RFC 9112 section 2.3)";
    case HPE_INVALID_HEADER_TOKEN:
    case HPE_UNEXPECTED_SPACE:
    case HPE_CR_EXPECTED:
    case HPE_LF_EXPECTED: return "A header line is malformed (RFC 9112 section 5)";
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return "Content-Length is malformed, repeated, or stands beside Transfer-Encoding "
               "(RFC 9112 section 6.3)";
    case HPE_INVALID_TRANSFER_ENCODING:
        return "Transfer-Encoding is malformed, or stands beside Content-Length "
               "(RFC 9112 section 6.3)";
    case HPE_INVALID_CHUNK_SIZE: return "A chunk's size line is malformed (RFC 9112 section 7.1)";
    default: return "The message is malformed (RFC 9112)";
    }
}

/* --- sections --------------------------------------------------------------------------------- */

static char section_byte(const struct dr_http1_parser *parser, dr_slice bytes, size_t index) {
    const size_t gathered = parser->section.scanned;
    return index < gathered ? parser->gathered.data[index] : bytes.data[index - gathered];
}

/* Looks for the empty line in the new bytes only. `*ret_len` is then how many of them belong. */
static enum section_result scan_section(struct dr_http1_parser *parser, dr_slice bytes,
                                        size_t bytes_max, uint32_t lines_max, size_t *ret_len) {
    struct section *section = &parser->section;
    const size_t before = section->scanned;
    dr_assert(before <= bytes_max);
    const dr_slice window = dr_slice_first(bytes, bytes_max - before);
    size_t at = 0;
    while (at < window.len) {
        const char *lf = memchr(window.data + at, '\n', window.len - at);
        if (!lf) break;
        const size_t index = before + (size_t)(lf - window.data);
        if (index == section->line_start || section_byte(parser, bytes, index - 1) != '\r') {
            refuse(parser, "A line ends with LF alone, not CRLF (RFC 9112 section 2.2)");
            return SECTION_FAILED;
        }
        at = index + 1 - before;
        if (index - section->line_start == 1) {
            *ret_len = at;
            return SECTION_WHOLE;
        }
        if (is_blank(section_byte(parser, bytes, section->line_start))) {
            refuse(parser, "A line begins with a blank; folded headers are obsolete "
                           "(RFC 9112 section 5.2)");
            return SECTION_FAILED;
        }
        if (++section->line_count > lines_max) {
            (void)fail(parser, DR_HTTP1_HEAD_TOO_LARGE, "The message has too many headers");
            return SECTION_FAILED;
        }
        section->line_start = index + 1;
        if (section->line_count == 1) section->first_line_len = index + 1;
    }
    if (before + window.len == bytes_max) {
        (void)fail(parser, DR_HTTP1_HEAD_TOO_LARGE, "The message's headers are too large");
        return SECTION_FAILED;
    }
    return SECTION_MORE;
}

/* Takes bytes until the section is whole: where they lie if they came at once, else gathered. */
static enum section_result take_section(struct dr_http1_parser *parser, dr_slice *bytes,
                                        size_t bytes_max, uint32_t lines_max, dr_slice *ret_whole) {
    struct section *section = &parser->section;
    size_t len = bytes->len;
    const enum section_result result = scan_section(parser, *bytes, bytes_max, lines_max, &len);
    if (result == SECTION_FAILED) return result;
    const dr_slice piece = dr_slice_first(*bytes, len);
    take_bytes(bytes, len);
    if (result == SECTION_WHOLE && section->scanned == 0) {
        *ret_whole = piece;
        return result;
    }
    if (section->scanned == 0) dr_buf_reset(&parser->gathered);
    dr_buf_put(&parser->gathered, piece);
    if (dr_buf_status(&parser->gathered)) {
        (void)fail(parser, DR_HTTP1_OUT_OF_MEMORY, "Out of memory");
        return SECTION_FAILED;
    }
    section->scanned += len;
    if (result == SECTION_WHOLE) *ret_whole = dr_buf_slice(&parser->gathered);
    return result;
}

static uint32_t headers_max(const struct dr_http1_parser *parser) {
    const uint32_t max = parser->limits->headers_max;
    return max < DR_HTTP1_HEADERS_MAX ? max : DR_HTTP1_HEADERS_MAX;
}

/* --- heads ------------------------------------------------------------------------------------ */

/* Room for as many headers as the section has lines. */
static bool reserve_headers(struct dr_http1_parser *parser) {
    const uint32_t lines = parser->section.line_count;
    if (lines <= parser->header_capacity) return true;
    const uint32_t needed = lines < HEADERS_MIN ? HEADERS_MIN : lines;
    struct dr_http1_header *headers = dr_alloc(needed * sizeof *headers);
    if (!headers) {
        (void)fail(parser, DR_HTTP1_OUT_OF_MEMORY, "Out of memory");
        return false;
    }
    dr_free(parser->headers);
    parser->headers = headers;
    parser->header_capacity = needed;
    return true;
}

/* llhttp takes the blanks before a value, not those behind it. */
static void trim_headers(struct dr_http1_parser *parser) {
    for (uint32_t i = 0; i < parser->header_count; ++i) {
        dr_slice *value = &parser->headers[i].value;
        while (value->len > 0 && is_blank(value->data[value->len - 1])) --value->len;
    }
    parser->head.headers = parser->headers;
    parser->head.header_count = parser->header_count;
}

static bool read_head(struct dr_http1_parser *parser, dr_slice whole) {
    parser->head = (struct dr_http1_head){.method = DR_HTTP1_OTHER};
    parser->header_count = 0;
    parser->head_is_complete = false;
    struct dr_http1_head_reader reader = {
        .head = &parser->head,
        .is_response = parser->is_response,
        .expects_no_body = parser->expects_no_body,
    };
    if (!dr_http1_read_first_line(&reader,
                                  dr_slice_first(whole, parser->section.first_line_len - 2))) {
        (void)fail(parser, reader.failure, reader.failure_text);
        return false;
    }
    if (!reserve_headers(parser)) return false;
    llhttp_init(&parser->llhttp, parser->is_response ? HTTP_RESPONSE : HTTP_REQUEST, &llhttp_verbs);
    parser->llhttp.data = parser;
    const llhttp_errno_t code = llhttp_execute(&parser->llhttp, whole.data, whole.len);
    if (code != HPE_PAUSED || !parser->head_is_complete) {
        return refuse(parser, llhttp_text(parser));
    }
    trim_headers(parser);
    if (!dr_http1_read_headers(&reader)) {
        (void)fail(parser, reader.failure, reader.failure_text);
        return false;
    }
    /* Two readers that disagree about framing are how smuggling works: ours must agree. */
    if (parser->head.is_chunked != ((parser->llhttp.flags & F_CHUNKED) != 0)) {
        return refuse(parser, "Transfer-Encoding is malformed (RFC 9112 section 6.1)");
    }
    /* A request's is told first: who asks decides what is said. */
    if (parser->is_response && parser->head.has_body &&
        parser->head.content_length > parser->body_bytes_max) {
        (void)fail(parser, DR_HTTP1_BODY_TOO_LARGE, "The body is too large");
        return false;
    }
    return true;
}

/* --- stages ----------------------------------------------------------------------------------- */

/* Each stage returns true when a progress stands in `*ret`, false when the next stage goes on. */

static bool answer(enum dr_http1_progress progress, enum dr_http1_progress *ret) {
    *ret = progress;
    return true;
}

static bool end_message(struct dr_http1_parser *parser, enum dr_http1_progress *ret) {
    /* An interim response does not answer the request (RFC 9110 section 15.2). */
    if (!parser->is_response || parser->head.status >= 200) parser->expects_no_body = false;
    begin_message(parser);
    return answer(DR_HTTP1_MESSAGE_DONE, ret);
}

static bool pass_start(struct dr_http1_parser *parser, dr_slice *bytes,
                       enum dr_http1_progress *ret) {
    if (bytes->len == 0) return answer(DR_HTTP1_NEED_MORE, ret);
    if (parser->is_response || parser->has_empty_line || bytes->data[0] != '\r') {
        parser->stage = STAGE_HEAD;
        return false;
    }
    take_bytes(bytes, 1);
    parser->stage = STAGE_START_CR;
    return false;
}

/* RFC 9112 section 2.2: one empty line before a request is forgiven. */
static bool pass_start_cr(struct dr_http1_parser *parser, dr_slice *bytes,
                          enum dr_http1_progress *ret) {
    if (bytes->len == 0) return answer(DR_HTTP1_NEED_MORE, ret);
    if (bytes->data[0] != '\n') {
        return answer(fail(parser, DR_HTTP1_BAD_REQUEST,
                           "A CR without LF stands before the request (RFC 9112 section 2.2)"),
                      ret);
    }
    take_bytes(bytes, 1);
    parser->has_empty_line = true;
    parser->stage = STAGE_START;
    return false;
}

/* Tells what is no HTTP by its first bytes, rather than to wait for an empty line that never
 * comes. */
static bool first_bytes_fit(struct dr_http1_parser *parser, dr_slice bytes) {
    static const char prefix[] = "HTTP/";
    const size_t before = parser->section.scanned;
    bytes = dr_slice_first(bytes, parser->limits->head_bytes_max - before);
    if (!parser->is_response) {
        if (before > 0 || bytes.len == 0 || dr_http1_is_token_byte(bytes.data[0])) return true;
        return refuse(parser, "The request line does not begin with a method (RFC 9112 section 3)");
    }
    for (size_t i = 0; i < bytes.len && before + i < sizeof prefix - 1; ++i) {
        if (bytes.data[i] == prefix[before + i]) continue;
        return refuse(parser, "The response does not begin with HTTP/ (RFC 9112 section 4)");
    }
    return true;
}

static bool pass_head(struct dr_http1_parser *parser, dr_slice *bytes,
                      enum dr_http1_progress *ret) {
    if (!first_bytes_fit(parser, *bytes)) return answer(DR_HTTP1_FAILED, ret);
    dr_slice whole;
    switch (take_section(parser, bytes, parser->limits->head_bytes_max, headers_max(parser) + 1,
                         &whole)) {
    case SECTION_MORE: return answer(DR_HTTP1_NEED_MORE, ret);
    case SECTION_FAILED: return answer(DR_HTTP1_FAILED, ret);
    case SECTION_WHOLE: break;
    }
    if (!read_head(parser, whole)) return answer(DR_HTTP1_FAILED, ret);
    parser->stage = STAGE_HEAD_TAKEN;
    return answer(DR_HTTP1_HEAD, ret);
}

static bool pass_head_taken(struct dr_http1_parser *parser, enum dr_http1_progress *ret) {
    const struct dr_http1_head *head = &parser->head;
    if (!head->has_body) return end_message(parser, ret);
    parser->body_taken = 0;
    if (head->is_chunked) {
        llhttp_resume(&parser->llhttp);
        parser->chunk_digits = 0;
        parser->extension_bytes = 0;
        parser->extensions_bytes = 0;
        parser->has_extension = false;
        parser->chunk_head_is_complete = false;
        parser->has_forbidden_trailer = false;
        parser->message_is_complete = false;
        parser->stage = STAGE_CHUNK_HEAD;
        return false;
    }
    if (!head->has_length) {
        parser->stage = STAGE_UNTIL_END;
        return false;
    }
    /* Again, because the limit may have been lowered since. */
    if (head->content_length > parser->body_bytes_max) {
        return answer(fail(parser, DR_HTTP1_BODY_TOO_LARGE, "The body is too large"), ret);
    }
    parser->body_left = head->content_length;
    parser->stage = STAGE_LENGTH;
    return false;
}

static void take_body(struct dr_http1_parser *parser, dr_slice *bytes, uint64_t len_max) {
    const size_t len = bytes->len < len_max ? bytes->len : (size_t)len_max;
    parser->body = dr_slice_first(*bytes, len);
    take_bytes(bytes, len);
}

static bool pass_length(struct dr_http1_parser *parser, dr_slice *bytes,
                        enum dr_http1_progress *ret) {
    if (parser->body_left == 0) return end_message(parser, ret);
    if (bytes->len == 0) return answer(DR_HTTP1_NEED_MORE, ret);
    take_body(parser, bytes, parser->body_left);
    parser->body_left -= parser->body.len;
    return answer(DR_HTTP1_BODY, ret);
}

static bool pass_until_end(struct dr_http1_parser *parser, dr_slice *bytes,
                           enum dr_http1_progress *ret) {
    if (bytes->len == 0) return answer(DR_HTTP1_NEED_MORE, ret);
    const uint64_t left = parser->body_bytes_max > parser->body_taken
                              ? parser->body_bytes_max - parser->body_taken
                              : 0;
    if (left == 0) {
        return answer(fail(parser, DR_HTTP1_BODY_TOO_LARGE, "The body is too large"), ret);
    }
    take_body(parser, bytes, left);
    parser->body_taken += parser->body.len;
    return answer(DR_HTTP1_BODY, ret);
}

/* Feeds llhttp bytes that end no later than what it is to tell. */
static bool feed_llhttp(struct dr_http1_parser *parser, dr_slice bytes) {
    if (bytes.len == 0) return true;
    if (llhttp_execute(&parser->llhttp, bytes.data, bytes.len) == HPE_OK) return true;
    return refuse(parser, llhttp_text(parser));
}

/* llhttp bounds neither zeros before a size nor the bytes of extensions. NULL while all is well. */
static const char *count_chunk_byte(struct dr_http1_parser *parser, char byte) {
    if (byte == '\r' || byte == '\n') return NULL;
    if (byte == ';') parser->has_extension = true;
    if (!parser->has_extension) {
        if (++parser->chunk_digits <= CHUNK_DIGITS_MAX) return NULL;
        return "A chunk's size has more than 16 digits (RFC 9112 section 7.1)";
    }
    const size_t max = parser->limits->chunk_extension_bytes_max;
    if (++parser->extension_bytes > max) {
        return "A chunk's extensions are too large (RFC 9112 section 7.1.1)";
    }
    ++parser->extensions_bytes;
    if (parser->is_response || parser->extensions_bytes <= max * DR_HTTP1_EXTENSIONS_MAX) {
        return NULL;
    }
    return "The chunks' extensions together are too large (RFC 9112 section 7.1.1)";
}

static int hex_value(char byte) {
    if (byte >= '0' && byte <= '9') return byte - '0';
    const char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Most chunks lie whole in the bytes at hand, with a plain size before them. Such a one leaves
 * llhttp where it was, in wait for a size, so it need not see it. False, with nothing taken, for
 * all others. */
static bool take_whole_chunk(struct dr_http1_parser *parser, dr_slice *bytes) {
    if (parser->chunk_digits > 0 || parser->has_extension) return false; /* amid a size line */
    const char *data = bytes->data;
    size_t size = 0;
    size_t at = 0;
    int digit = bytes->len > 0 ? hex_value(data[0]) : -1;
    while (digit >= 0 && at < 7) {
        size = size << 4 | (size_t)digit;
        if (++at == bytes->len) return false;
        digit = hex_value(data[at]);
    }
    if (size == 0 || bytes->len - at < size + 4 || data[at] != '\r' || data[at + 1] != '\n') {
        return false;
    }
    const size_t end = at + 2 + size;
    if (data[end] != '\r' || data[end + 1] != '\n') return false;
    if (parser->body_taken > parser->body_bytes_max ||
        size > parser->body_bytes_max - parser->body_taken) {
        return false;
    }
    parser->body = dr_slice_of(data + at + 2, size);
    parser->body_taken += size;
    take_bytes(bytes, end + 2);
    return true;
}

static bool pass_chunk_head(struct dr_http1_parser *parser, dr_slice *bytes,
                            enum dr_http1_progress *ret) {
    if (bytes->len == 0) return answer(DR_HTTP1_NEED_MORE, ret);
    if (take_whole_chunk(parser, bytes)) return answer(DR_HTTP1_BODY, ret);
    const char *excess = NULL;
    bool is_whole = false;
    size_t len = 0;
    while (len < bytes->len && !is_whole) {
        excess = count_chunk_byte(parser, bytes->data[len]);
        if (excess) break;
        is_whole = bytes->data[len++] == '\n';
    }
    if (!feed_llhttp(parser, dr_slice_first(*bytes, len))) return answer(DR_HTTP1_FAILED, ret);
    if (is_whole && !parser->chunk_head_is_complete) {
        excess = "A chunk's size line is malformed (RFC 9112 section 7.1)";
    }
    if (excess) return answer(fail(parser, DR_HTTP1_BAD_REQUEST, excess), ret);
    take_bytes(bytes, len);
    if (!parser->chunk_head_is_complete) return answer(DR_HTTP1_NEED_MORE, ret);
    parser->chunk_head_is_complete = false;
    parser->body_left = parser->llhttp.content_length;
    if (parser->body_left == 0) {
        parser->section = (struct section){0};
        parser->stage = STAGE_TRAILERS;
        return false;
    }
    if (parser->body_taken > parser->body_bytes_max ||
        parser->body_left > parser->body_bytes_max - parser->body_taken) {
        return answer(fail(parser, DR_HTTP1_BODY_TOO_LARGE, "The body is too large"), ret);
    }
    parser->stage = STAGE_CHUNK_DATA;
    return false;
}

static bool pass_chunk_data(struct dr_http1_parser *parser, dr_slice *bytes,
                            enum dr_http1_progress *ret) {
    if (bytes->len == 0) return answer(DR_HTTP1_NEED_MORE, ret);
    take_body(parser, bytes, parser->body_left);
    if (!feed_llhttp(parser, parser->body)) return answer(DR_HTTP1_FAILED, ret);
    parser->body_left -= parser->body.len;
    parser->body_taken += parser->body.len;
    if (parser->body_left == 0) {
        parser->chunk_is_complete = false;
        parser->stage = STAGE_CHUNK_END;
    }
    return answer(DR_HTTP1_BODY, ret);
}

static bool pass_chunk_end(struct dr_http1_parser *parser, dr_slice *bytes,
                           enum dr_http1_progress *ret) {
    while (!parser->chunk_is_complete) {
        if (bytes->len == 0) return answer(DR_HTTP1_NEED_MORE, ret);
        const dr_slice byte = dr_slice_first(*bytes, 1);
        if (*byte.data != '\r' && *byte.data != '\n') {
            return answer(fail(parser, DR_HTTP1_BAD_REQUEST,
                               "A chunk's data is not followed by CRLF (RFC 9112 section 7.1)"),
                          ret);
        }
        if (!feed_llhttp(parser, byte)) return answer(DR_HTTP1_FAILED, ret);
        take_bytes(bytes, 1);
    }
    parser->chunk_digits = 0;
    parser->extension_bytes = 0;
    parser->has_extension = false;
    parser->stage = STAGE_CHUNK_HEAD;
    return false;
}

/* Trailers are checked and dropped: nothing above asks for one. */
static bool pass_trailers(struct dr_http1_parser *parser, dr_slice *bytes,
                          enum dr_http1_progress *ret) {
    dr_slice whole;
    switch (take_section(parser, bytes, parser->limits->trailer_bytes_max + 2, headers_max(parser),
                         &whole)) {
    case SECTION_MORE: return answer(DR_HTTP1_NEED_MORE, ret);
    case SECTION_FAILED: return answer(DR_HTTP1_FAILED, ret);
    case SECTION_WHOLE: break;
    }
    if (!feed_llhttp(parser, whole)) return answer(DR_HTTP1_FAILED, ret);
    if (parser->has_forbidden_trailer || !parser->message_is_complete) {
        refuse(parser, "A trailer names a field that can't come late (RFC 9110 section 6.5.1)");
        return answer(DR_HTTP1_FAILED, ret);
    }
    return end_message(parser, ret);
}

enum dr_http1_progress dr_http1_parse(struct dr_http1_parser *parser, dr_slice *bytes) {
    enum dr_http1_progress progress = DR_HTTP1_NEED_MORE;
    bool is_answered = false;
    parser->body = DR_NONE;
    while (!is_answered) {
        switch (parser->stage) {
        case STAGE_START: is_answered = pass_start(parser, bytes, &progress); break;
        case STAGE_START_CR: is_answered = pass_start_cr(parser, bytes, &progress); break;
        case STAGE_HEAD: is_answered = pass_head(parser, bytes, &progress); break;
        case STAGE_HEAD_TAKEN: is_answered = pass_head_taken(parser, &progress); break;
        case STAGE_LENGTH: is_answered = pass_length(parser, bytes, &progress); break;
        case STAGE_UNTIL_END: is_answered = pass_until_end(parser, bytes, &progress); break;
        case STAGE_CHUNK_HEAD: is_answered = pass_chunk_head(parser, bytes, &progress); break;
        case STAGE_CHUNK_DATA: is_answered = pass_chunk_data(parser, bytes, &progress); break;
        case STAGE_CHUNK_END: is_answered = pass_chunk_end(parser, bytes, &progress); break;
        case STAGE_TRAILERS: is_answered = pass_trailers(parser, bytes, &progress); break;
        case STAGE_FAILED: return DR_HTTP1_FAILED;
        }
    }
    /* The head was lent until this call, and a body's next bytes may be minutes away. */
    if (progress == DR_HTTP1_NEED_MORE && parser->stage > STAGE_HEAD_TAKEN) drop_headers(parser);
    return progress;
}

bool dr_http1_parse_end(struct dr_http1_parser *parser) {
    if (parser->stage != STAGE_UNTIL_END) return false;
    enum dr_http1_progress progress;
    return end_message(parser, &progress);
}

/* --- what was read ---------------------------------------------------------------------------- */

const struct dr_http1_head *dr_http1_head(const struct dr_http1_parser *parser) {
    return &parser->head;
}

dr_slice dr_http1_body(const struct dr_http1_parser *parser) {
    return parser->body;
}

enum dr_http1_failure dr_http1_failure(const struct dr_http1_parser *parser) {
    return parser->failure;
}

const char *dr_http1_failure_text(const struct dr_http1_parser *parser) {
    return parser->failure_text;
}

bool dr_http1_parser_is_busy(const struct dr_http1_parser *parser) {
    return parser->stage != STAGE_START || parser->has_empty_line;
}

bool dr_http1_parser_in_head(const struct dr_http1_parser *parser) {
    return parser->stage == STAGE_HEAD || parser->stage == STAGE_START_CR;
}

dr_slice dr_http1_header(const struct dr_http1_head *head, dr_slice name) {
    for (size_t i = 0; i < head->header_count; ++i) {
        if (dr_slice_is_nocase(head->headers[i].name, name)) return head->headers[i].value;
    }
    return DR_NONE;
}

bool dr_http1_header_has_token(const struct dr_http1_head *head, dr_slice name, dr_slice token) {
    for (size_t i = 0; i < head->header_count; ++i) {
        if (!dr_slice_is_nocase(head->headers[i].name, name)) continue;
        dr_slice list = head->headers[i].value;
        while (list.data) {
            if (dr_slice_is_nocase(dr_slice_trim(dr_slice_split(&list, ',')), token)) return true;
        }
    }
    return false;
}
