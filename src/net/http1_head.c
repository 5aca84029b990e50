/* Judges one head by RFC 9112: the first line, the target's form, Host, and what frames the body.
 * This room must not look for a head's end, keep bytes or know llhttp. What could be read in two
 * ways is refused, since the second reader is the one that a smuggler has in mind. */
#include "net/http1_head.h"

/* --- bytes ------------------------------------------------------------------------------------ */

/* One bit a byte for ASCII; nothing beyond it is in any of these sets. */
struct byte_set {
    uint32_t bits[4];
};

/* RFC 9110 section 5.6.2. */
static const struct byte_set token_bytes = {{0x00000000u, 0x03ff6cfau, 0xc7fffffeu, 0x57ffffffu}};
/* RFC 3986 path and query, and the square brackets that clients leave as they are in
 * `include[]=`. */
static const struct byte_set target_bytes = {{0x00000000u, 0xaffffff2u, 0xafffffffu, 0x47fffffeu}};
/* Names and IPv4 addresses. RFC 3986 would also allow sub-delimiters and percent signs; none of
 * them stands in the name of a host, and each has been used to smuggle. */
static const struct byte_set host_bytes = {{0x00000000u, 0x03ff6000u, 0x87fffffeu, 0x47fffffeu}};

static inline bool set_has(const struct byte_set *set, char byte) {
    const unsigned char code = (unsigned char)byte;
    return code < 128 && (set->bits[code >> 5] >> (code & 31) & 1u) != 0;
}

static bool set_has_all(const struct byte_set *set, dr_slice text) {
    for (size_t i = 0; i < text.len; ++i) {
        if (!set_has(set, text.data[i])) return false;
    }
    return true;
}

static inline bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

static bool is_hex(char byte) {
    const char lower = (char)(byte | 0x20);
    return is_digit(byte) || (lower >= 'a' && lower <= 'f');
}

bool dr_http1_is_token_byte(char byte) {
    return set_has(&token_bytes, byte);
}

static bool fail(struct dr_http1_head_reader *reader, enum dr_http1_failure failure,
                 const char *text) {
    reader->failure = failure;
    reader->failure_text = text;
    return false;
}

static bool refuse(struct dr_http1_head_reader *reader, const char *text) {
    return fail(reader, DR_HTTP1_BAD_REQUEST, text);
}

/* --- first lines ------------------------------------------------------------------------------ */

/* host [":" port], the host a name, an IPv4 address or a bracketed IPv6 address. */
static bool is_authority(dr_slice text, bool needs_port) {
    size_t at = 0;
    if (text.len > 0 && text.data[0] == '[') {
        for (at = 1; at < text.len && text.data[at] != ']'; ++at) {
            if (!is_hex(text.data[at]) && text.data[at] != ':' && text.data[at] != '.')
                return false;
        }
        if (at < 3 || at == text.len) return false;
        ++at;
    } else {
        while (at < text.len && set_has(&host_bytes, text.data[at])) ++at;
        if (at == 0) return false;
    }
    if (at == text.len) return !needs_port;
    if (text.data[at] != ':') return false;
    const dr_slice digits = dr_slice_from(text, at + 1);
    uint64_t port = 0;
    if (digits.len == 0) return !needs_port;
    return digits.len <= 5 && dr_slice_to_u64(digits, &port) && port <= 65535;
}

static dr_slice without_port(dr_slice authority, dr_slice port) {
    if (!dr_slice_ends(authority, port)) return authority;
    return dr_slice_first(authority, authority.len - port.len);
}

static bool is_target_text(dr_slice target) {
    for (size_t i = 0; i < target.len; ++i) {
        if (!set_has(&target_bytes, target.data[i])) return false;
        if (target.data[i] != '%') continue;
        if (target.len - i < 3) return false;
        if (!is_hex(target.data[i + 1]) || !is_hex(target.data[i + 2])) return false;
    }
    return target.len > 0;
}

/* "scheme://authority/path": leaves the origin form in the head, the authority in `host`, to be
 * compared with the Host field. */
static bool read_absolute_target(struct dr_http1_head_reader *reader, dr_slice target,
                                 size_t scheme_len) {
    struct dr_http1_head *head = reader->head;
    const dr_slice rest = dr_slice_from(target, scheme_len);
    size_t len = 0;
    while (len < rest.len && rest.data[len] != '/' && rest.data[len] != '?') ++len;
    head->host = dr_slice_first(rest, len);
    head->target = dr_slice_from(rest, len);
    if (!is_authority(head->host, false)) {
        return refuse(reader, "The target's authority is malformed (RFC 9112 section 3.2.2)");
    }
    if (head->target.len == 0) {
        head->target = head->method == DR_HTTP1_OPTIONS ? DR_LIT("*") : DR_LIT("/");
    }
    /* Legal, never seen, and it would have to be rewritten to get its path. */
    if (head->target.data[0] == '?') {
        return refuse(reader, "The target has a query but no path (RFC 9112 section 3.2.2)");
    }
    return true;
}

/* RFC 9112 section 3.2: four forms, two of them bound to one method. */
static bool read_target(struct dr_http1_head_reader *reader, dr_slice target) {
    struct dr_http1_head *head = reader->head;
    if (!is_target_text(target)) {
        return refuse(reader, "The request's target holds bytes that a target can't hold "
                              "(RFC 9112 section 3.2)");
    }
    head->target = target;
    if (dr_slice_is(head->method_text, DR_LIT("CONNECT"))) {
        if (!is_authority(target, true)) {
            return refuse(reader, "CONNECT asks for host:port (RFC 9112 section 3.2.3)");
        }
        /* What follows would be another protocol's bytes: the connection must not go on. */
        return fail(reader, DR_HTTP1_NOT_IMPLEMENTED,
                    "CONNECT is not spoken here: this is no tunnel (RFC 9110 section 9.3.6)");
    }
    if (target.data[0] == '/') return true;
    if (dr_slice_is(target, DR_LIT("*"))) {
        if (head->method == DR_HTTP1_OPTIONS) return true;
        return refuse(reader, "The target * is for OPTIONS alone (RFC 9112 section 3.2.4)");
    }
    if (dr_slice_is_nocase(dr_slice_first(target, 7), DR_LIT("http://"))) {
        return read_absolute_target(reader, target, 7);
    }
    if (dr_slice_is_nocase(dr_slice_first(target, 8), DR_LIT("https://"))) {
        return read_absolute_target(reader, target, 8);
    }
    return refuse(reader, "The request's target must begin with / (RFC 9112 section 3.2)");
}

static bool read_version(struct dr_http1_head_reader *reader, dr_slice text) {
    if (text.len != 8 || memcmp(text.data, "HTTP/", 5) != 0 || !is_digit(text.data[5]) ||
        text.data[6] != '.' || !is_digit(text.data[7])) {
        return refuse(reader, "The first line does not name HTTP/1.1 (RFC 9112 section 2.3)");
    }
    if (text.data[5] != '1' || text.data[7] > '1') {
        return fail(reader, DR_HTTP1_VERSION_UNSUPPORTED,
                    "Only HTTP/1.0 and HTTP/1.1 are spoken here");
    }
    reader->head->minor_version = (uint8_t)(text.data[7] - '0');
    return true;
}

static enum dr_http1_method find_method(dr_slice text) {
    static const struct {
        dr_slice text;
        enum dr_http1_method method;
    } methods[] = {
        {{"POST", 4}, DR_HTTP1_POST},       {{"GET", 3}, DR_HTTP1_GET},
        {{"PUT", 3}, DR_HTTP1_PUT},         {{"HEAD", 4}, DR_HTTP1_METHOD_HEAD},
        {{"DELETE", 6}, DR_HTTP1_DELETE},   {{"PATCH", 5}, DR_HTTP1_PATCH},
        {{"OPTIONS", 7}, DR_HTTP1_OPTIONS},
    };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; ++i) {
        if (dr_slice_is(text, methods[i].text)) return methods[i].method;
    }
    return DR_HTTP1_OTHER;
}

/* method SP target SP version; the target can't hold a blank, so the last one separates. */
static bool read_request_line(struct dr_http1_head_reader *reader, dr_slice line) {
    const char *first = memchr(line.data, ' ', line.len);
    const char *last = memrchr(line.data, ' ', line.len);
    if (!first || first == last) {
        return refuse(reader, "The request line must be: method, target, version "
                              "(RFC 9112 section 3)");
    }
    const dr_slice method = dr_slice_of(line.data, (size_t)(first - line.data));
    if (method.len == 0 || !set_has_all(&token_bytes, method)) {
        return refuse(reader, "The request's method is no token (RFC 9112 section 3.1)");
    }
    reader->head->method_text = method;
    reader->head->method = find_method(method);
    if (!read_version(reader, dr_slice_from(line, (size_t)(last + 1 - line.data)))) return false;
    return read_target(reader, dr_slice_of(first + 1, (size_t)(last - first - 1)));
}

/* version SP three digits [SP [reason]]; real servers leave the last blank out. */
static bool read_status_line(struct dr_http1_head_reader *reader, dr_slice line) {
    if (!read_version(reader, dr_slice_first(line, 8))) return false;
    if (line.len < 12 || line.data[8] != ' ' || line.data[9] < '1' || !is_digit(line.data[9]) ||
        !is_digit(line.data[10]) || !is_digit(line.data[11]) ||
        (line.len > 12 && line.data[12] != ' ')) {
        return refuse(reader, "The status line is malformed (RFC 9112 section 4)");
    }
    for (size_t i = 13; i < line.len; ++i) {
        const unsigned char code = (unsigned char)line.data[i];
        if ((code < 0x20 && code != '\t') || code == 0x7f) {
            return refuse(reader, "The reason phrase holds control bytes (RFC 9112 section 4)");
        }
    }
    reader->head->status =
        (uint16_t)((line.data[9] - '0') * 100 + (line.data[10] - '0') * 10 + (line.data[11] - '0'));
    return true;
}

bool dr_http1_read_first_line(struct dr_http1_head_reader *reader, dr_slice line) {
    return reader->is_response ? read_status_line(reader, line) : read_request_line(reader, line);
}

/* --- headers ---------------------------------------------------------------------------------- */

/* What the framing and routing fields say, counted so that a second one is noticed. */
struct findings {
    uint32_t host_count;
    uint32_t length_count;
    uint32_t coding_count;
    dr_slice host;
    dr_slice length;
    dr_slice coding;
    dr_slice upgrade;
    size_t authorization_count;
    size_t media_type_count;
    bool says_close;
    bool says_keep_alive;
    bool says_upgrade;
    bool expects_continue;
    bool expects_more; /* than 100-continue */
};

static void read_connection(struct findings *found, dr_slice list) {
    while (list.data) {
        const dr_slice token = dr_slice_trim(dr_slice_split(&list, ','));
        if (dr_slice_is_nocase(token, DR_LIT("close"))) found->says_close = true;
        if (dr_slice_is_nocase(token, DR_LIT("keep-alive"))) found->says_keep_alive = true;
        if (dr_slice_is_nocase(token, DR_LIT("upgrade"))) found->says_upgrade = true;
    }
}

/* The length tells most names apart, so that few are compared. */
static void read_header(struct findings *found, const struct dr_http1_header *header) {
    const dr_slice name = header->name;
    switch (name.len) {
    case 4:
        if (!dr_slice_is_nocase(name, DR_LIT("host"))) return;
        found->host = header->value;
        ++found->host_count;
        return;
    case 6:
        if (!dr_slice_is_nocase(name, DR_LIT("expect"))) return;
        if (dr_slice_is_nocase(header->value, DR_LIT("100-continue"))) {
            found->expects_continue = true;
        } else {
            found->expects_more = true;
        }
        return;
    case 7:
        if (!dr_slice_is_nocase(name, DR_LIT("upgrade"))) return;
        if (found->upgrade.len == 0) found->upgrade = header->value;
        return;
    case 10:
        if (dr_slice_is_nocase(name, DR_LIT("connection"))) read_connection(found, header->value);
        return;
    case 12:
        if (dr_slice_is_nocase(name, DR_LIT("content-type"))) ++found->media_type_count;
        return;
    case 13:
        if (dr_slice_is_nocase(name, DR_LIT("authorization"))) ++found->authorization_count;
        return;
    case 14:
        if (!dr_slice_is_nocase(name, DR_LIT("content-length"))) return;
        found->length = header->value;
        ++found->length_count;
        return;
    case 17:
        if (!dr_slice_is_nocase(name, DR_LIT("transfer-encoding"))) return;
        found->coding = header->value;
        ++found->coding_count;
        return;
    default: return;
    }
}

/* RFC 9112 section 6.1: `chunked` once and alone is understood. Other codings before it are legal
 * but not spoken here; all else is malformed, since the body's end could be read in two ways. */
static bool refuse_coding(struct dr_http1_head_reader *reader, dr_slice list) {
    bool is_last_chunked = false;
    while (list.data) {
        const dr_slice coding = dr_slice_trim(dr_slice_split(&list, ','));
        if (coding.len == 0 || !set_has_all(&token_bytes, coding) || is_last_chunked) {
            return refuse(reader, "Transfer-Encoding is malformed (RFC 9112 section 6.1)");
        }
        is_last_chunked = dr_slice_is_nocase(coding, DR_LIT("chunked"));
    }
    if (!is_last_chunked) {
        return refuse(reader, "Transfer-Encoding does not end with chunked (RFC 9112 section 6.3)");
    }
    return fail(reader, DR_HTTP1_NOT_IMPLEMENTED,
                "Of the transfer codings only chunked is spoken here (RFC 9112 section 6.1)");
}

static bool read_framing(struct dr_http1_head_reader *reader, const struct findings *found) {
    struct dr_http1_head *head = reader->head;
    if (found->coding_count > 0 && found->length_count > 0) {
        return refuse(reader, "Transfer-Encoding and Content-Length stand together "
                              "(RFC 9112 section 6.3)");
    }
    if (found->coding_count > 1) {
        return refuse(reader, "Transfer-Encoding stands there twice (RFC 9112 section 6.1)");
    }
    if (found->length_count > 1) {
        return refuse(reader, "Content-Length stands there twice (RFC 9112 section 6.3)");
    }
    if (found->coding_count == 1) {
        if (head->minor_version == 0) {
            return refuse(reader, "HTTP/1.0 has no Transfer-Encoding (RFC 9112 section 6.1)");
        }
        if (!dr_slice_is_nocase(found->coding, DR_LIT("chunked"))) {
            return refuse_coding(reader, found->coding);
        }
        head->is_chunked = true;
    }
    if (found->length_count == 1) {
        if (!dr_slice_to_u64(found->length, &head->content_length)) {
            return refuse(reader, "Content-Length is no number (RFC 9112 section 6.3)");
        }
        head->has_length = true;
    }
    return true;
}

/* Whoever stands in front may have looked at the other one. */
static bool read_singles(struct dr_http1_head_reader *reader, const struct findings *found) {
    if (found->authorization_count > 1) {
        return refuse(reader, "Authorization stands there twice (RFC 9110 section 5.3)");
    }
    if (found->media_type_count > 1) {
        return refuse(reader, "Content-Type stands there twice (RFC 9110 section 5.3)");
    }
    return true;
}

/* RFC 9112 section 3.2: exactly one Host with HTTP/1.1, never two, and well-formed. In the
 * absolute form the target's authority counts; a Host that differs is an attempt to be routed
 * twice. */
static bool read_host(struct dr_http1_head_reader *reader, const struct findings *found) {
    struct dr_http1_head *head = reader->head;
    if (found->host_count > 1) {
        return refuse(reader, "Host stands there twice (RFC 9112 section 3.2)");
    }
    if (found->host_count == 0) {
        if (head->minor_version == 0) return true;
        return refuse(reader, "Host is missing (RFC 9112 section 3.2)");
    }
    if (!is_authority(found->host, false)) {
        return refuse(reader, "Host is malformed (RFC 9112 section 3.2)");
    }
    if (head->host.len > 0) {
        /* The authority stands behind "http://" or "https://" in the same bytes. */
        const char *scheme_end = head->host.data - 4;
        const dr_slice port =
            *scheme_end == 's' || *scheme_end == 'S' ? DR_LIT(":443") : DR_LIT(":80");
        if (!dr_slice_is_nocase(without_port(head->host, port), without_port(found->host, port))) {
            return refuse(reader, "Host differs from the target's authority "
                                  "(RFC 9112 section 3.2.2)");
        }
        return true;
    }
    head->host = found->host;
    return true;
}

static void read_persistence(struct dr_http1_head_reader *reader, const struct findings *found) {
    struct dr_http1_head *head = reader->head;
    head->keeps_alive = !found->says_close && (head->minor_version == 1 || found->says_keep_alive);
    if (found->says_upgrade) head->upgrade = found->upgrade;
    if (!reader->is_response) {
        head->has_body = head->is_chunked || head->content_length > 0;
        head->expects_continue = found->expects_continue && head->minor_version == 1;
        return;
    }
    if (reader->expects_no_body || head->status < 200 || head->status == 204 ||
        head->status == 304) {
        return;
    }
    const bool ends_with_connection = !head->is_chunked && !head->has_length;
    head->has_body = head->is_chunked || head->content_length > 0 || ends_with_connection;
    if (ends_with_connection) head->keeps_alive = false;
}

bool dr_http1_read_headers(struct dr_http1_head_reader *reader) {
    const struct dr_http1_head *head = reader->head;
    struct findings found = {0};
    for (size_t i = 0; i < head->header_count; ++i) read_header(&found, &head->headers[i]);
    if (!reader->is_response && !read_host(reader, &found)) return false;
    if (!reader->is_response && !read_singles(reader, &found)) return false;
    if (!read_framing(reader, &found)) return false;
    /* HTTP/1.0 knows no expectations (RFC 9110 section 10.1.1). */
    if (!reader->is_response && found.expects_more && head->minor_version == 1) {
        return fail(reader, DR_HTTP1_EXPECTATION_FAILED,
                    "Of expectations only 100-continue is met here (RFC 9110 section 10.1.1)");
    }
    read_persistence(reader, &found);
    return true;
}
