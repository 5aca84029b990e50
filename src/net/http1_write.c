/* Writes heads and chunk framing of HTTP/1.1. This room must not choose headers, know bodies or
 * send anything. What could end a line early makes the buffer fail: nothing is ever cleaned
 * silently. */
#include "net/http1_write.h"

static void refuse(struct dr_buf *buf) {
    if (!buf->status) buf->status = DR_INVALID;
}

/* RFC 9110 section 5.5: these three could end the line, or the text in another reader. */
static bool is_value(dr_slice text) {
    unsigned bad = 0;
    for (size_t i = 0; i < text.len; ++i) {
        const char byte = text.data[i];
        bad |= (unsigned)(byte == '\r') | (unsigned)(byte == '\n') | (unsigned)(byte == '\0');
    }
    return bad == 0;
}

/* No control byte, no blank, and nothing else that separates. */
static bool is_word(dr_slice text, char separator) {
    for (size_t i = 0; i < text.len; ++i) {
        const unsigned char code = (unsigned char)text.data[i];
        if (code <= 0x20 || code >= 0x7f || text.data[i] == separator) return false;
    }
    return text.len > 0;
}

void dr_http1_put_status(struct dr_buf *buf, uint16_t status) {
    if (status < 100 || status > 999) {
        refuse(buf);
        return;
    }
    dr_buf_put(buf, DR_LIT("HTTP/1.1 "));
    dr_buf_put_u64(buf, status);
    dr_buf_put_char(buf, ' ');
    dr_buf_put(buf, dr_http1_reason(status));
    dr_buf_put(buf, DR_LIT("\r\n"));
}

void dr_http1_put_request(struct dr_buf *buf, dr_slice method, dr_slice target) {
    if (!is_word(method, ':') || !is_word(target, '#')) {
        refuse(buf);
        return;
    }
    dr_buf_put(buf, method);
    dr_buf_put_char(buf, ' ');
    dr_buf_put(buf, target);
    dr_buf_put(buf, DR_LIT(" HTTP/1.1\r\n"));
}

void dr_http1_put_header(struct dr_buf *buf, dr_slice name, dr_slice value) {
    if (!is_word(name, ':') || !is_value(value)) {
        refuse(buf);
        return;
    }
    dr_buf_put(buf, name);
    dr_buf_put(buf, DR_LIT(": "));
    dr_buf_put(buf, value);
    dr_buf_put(buf, DR_LIT("\r\n"));
}

void dr_http1_put_header_u64(struct dr_buf *buf, dr_slice name, uint64_t value) {
    if (!is_word(name, ':')) {
        refuse(buf);
        return;
    }
    dr_buf_put(buf, name);
    dr_buf_put(buf, DR_LIT(": "));
    dr_buf_put_u64(buf, value);
    dr_buf_put(buf, DR_LIT("\r\n"));
}

void dr_http1_put_head_end(struct dr_buf *buf) {
    dr_buf_put(buf, DR_LIT("\r\n"));
}

static void write_digits(char *text, int count, int value) {
    for (int i = count - 1; i >= 0; --i) {
        text[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* Fixed English names: strftime would follow the locale. */
void dr_http1_date(int64_t seconds, char text[29]) {
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    static const int64_t seconds_max = 253402300799; /* the last second of the year 9999 */
    if (seconds < 0) seconds = 0;
    if (seconds > seconds_max) seconds = seconds_max;
    const time_t at = (time_t)seconds;
    struct tm tm;
    (void)gmtime_r(&at, &tm); /* can't fail within four-digit years */
    memcpy(text, "Thu, 01 Jan 1970 00:00:00 GMT", 29);
    memcpy(text, days + 3 * tm.tm_wday, 3);
    write_digits(text + 5, 2, tm.tm_mday);
    memcpy(text + 8, months + 3 * tm.tm_mon, 3);
    write_digits(text + 12, 4, tm.tm_year + 1900);
    write_digits(text + 17, 2, tm.tm_hour);
    write_digits(text + 20, 2, tm.tm_min);
    write_digits(text + 23, 2, tm.tm_sec);
}

size_t dr_http1_chunk_head(char text[18], uint64_t len) {
    size_t digits = 1;
    for (uint64_t rest = len >> 4; rest > 0; rest >>= 4) ++digits;
    for (size_t i = digits; i > 0; --i) {
        text[i - 1] = "0123456789abcdef"[len & 15];
        len >>= 4;
    }
    text[digits] = '\r';
    text[digits + 1] = '\n';
    return digits + 2;
}

dr_slice dr_http1_reason(uint16_t status) {
    switch (status) {
    case 100: return DR_LIT("Continue");
    case 101: return DR_LIT("Switching Protocols");
    case 102: return DR_LIT("Processing");
    case 103: return DR_LIT("Early Hints");
    case 200: return DR_LIT("OK");
    case 201: return DR_LIT("Created");
    case 202: return DR_LIT("Accepted");
    case 203: return DR_LIT("Non-Authoritative Information");
    case 204: return DR_LIT("No Content");
    case 205: return DR_LIT("Reset Content");
    case 206: return DR_LIT("Partial Content");
    case 300: return DR_LIT("Multiple Choices");
    case 301: return DR_LIT("Moved Permanently");
    case 302: return DR_LIT("Found");
    case 303: return DR_LIT("See Other");
    case 304: return DR_LIT("Not Modified");
    case 307: return DR_LIT("Temporary Redirect");
    case 308: return DR_LIT("Permanent Redirect");
    case 400: return DR_LIT("Bad Request");
    case 401: return DR_LIT("Unauthorized");
    case 402: return DR_LIT("Payment Required");
    case 403: return DR_LIT("Forbidden");
    case 404: return DR_LIT("Not Found");
    case 405: return DR_LIT("Method Not Allowed");
    case 406: return DR_LIT("Not Acceptable");
    case 408: return DR_LIT("Request Timeout");
    case 409: return DR_LIT("Conflict");
    case 410: return DR_LIT("Gone");
    case 411: return DR_LIT("Length Required");
    case 412: return DR_LIT("Precondition Failed");
    case 413: return DR_LIT("Content Too Large");
    case 414: return DR_LIT("URI Too Long");
    case 415: return DR_LIT("Unsupported Media Type");
    case 417: return DR_LIT("Expectation Failed");
    case 421: return DR_LIT("Misdirected Request");
    case 422: return DR_LIT("Unprocessable Content");
    case 424: return DR_LIT("Failed Dependency");
    case 425: return DR_LIT("Too Early");
    case 426: return DR_LIT("Upgrade Required");
    case 428: return DR_LIT("Precondition Required");
    case 429: return DR_LIT("Too Many Requests");
    case 431: return DR_LIT("Request Header Fields Too Large");
    case 499: return DR_LIT("Client Closed Request");
    case 500: return DR_LIT("Internal Server Error");
    case 501: return DR_LIT("Not Implemented");
    case 502: return DR_LIT("Bad Gateway");
    case 503: return DR_LIT("Service Unavailable");
    case 504: return DR_LIT("Gateway Timeout");
    case 505: return DR_LIT("HTTP Version Not Supported");
    case 507: return DR_LIT("Insufficient Storage");
    case 529: return DR_LIT("Overloaded");
    default: return DR_LIT("Unknown");
    }
}
