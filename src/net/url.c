/* Splits the http and https URLs of a configuration. This room must not resolve, connect, decode or
 * repair: what is not plainly right is refused with a sentence. */
#include "net/url.h"

#include <arpa/inet.h>

enum {
    HOST_BYTES_MAX = 253,
    LABEL_BYTES_MAX = 63,
};

/* One bit a byte for ASCII. */
struct byte_set {
    uint32_t bits[4];
};

/* RFC 3986 pchar and the slash, without brackets. */
static const struct byte_set path_bytes = {{0x00000000u, 0x2ffffff2u, 0x87ffffffu, 0x47fffffeu}};

static bool set_has(const struct byte_set *set, char byte) {
    const unsigned char code = (unsigned char)byte;
    return code < 128 && (set->bits[code >> 5] >> (code & 31) & 1u) != 0;
}

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

static bool is_hex(char byte) {
    const char lower = (char)(byte | 0x20);
    return is_digit(byte) || (lower >= 'a' && lower <= 'f');
}

static bool is_host_byte(char byte) {
    const char lower = (char)(byte | 0x20);
    return is_digit(byte) || (lower >= 'a' && lower <= 'z') || byte == '-' || byte == '_';
}

static enum dr_status refuse(struct dr_error *error, const char *text) {
    return dr_fail(error, DR_INVALID, 0, "%s", text);
}

/* What no part of such a URL may hold, told before the parts so that the sentence fits. */
static enum dr_status check_bytes(dr_slice text, struct dr_error *error) {
    for (size_t i = 0; i < text.len; ++i) {
        const unsigned char code = (unsigned char)text.data[i];
        if (code <= 0x20 || code == 0x7f)
            return refuse(error, "a URL holds no blank or control byte");
        if (code > 0x7f) return refuse(error, "a URL is ASCII; write a foreign host name as xn--");
        if (code == '?') return refuse(error, "the URL must have no query");
        if (code == '#') return refuse(error, "the URL must have no fragment");
        if (code == '@')
            return refuse(error, "the URL must have no user name or password, nor any @");
        if (code == '\\') return refuse(error, "the URL must use / instead of \\");
    }
    return DR_OK;
}

static enum dr_status check_ipv6(dr_slice host, struct dr_error *error) {
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (!dr_slice_to_text(host, text, sizeof text) || inet_pton(AF_INET6, text, &address) != 1) {
        return refuse(error, "the URL's host in brackets is no IPv6 address");
    }
    return DR_OK;
}

/* Labels of letters, digits, hyphens and underscores. A last label of digits alone could be read
 * as an IPv4 address by some and as a name by others, so that it must be a plain IPv4 address. */
static enum dr_status check_host(dr_slice host, struct dr_error *error) {
    if (host.len == 0) return refuse(error, "the URL has no host");
    if (host.len > HOST_BYTES_MAX) return refuse(error, "the URL's host is longer than 253 bytes");
    dr_slice rest = host;
    bool is_number = false;
    while (rest.data) {
        const dr_slice label = dr_slice_split(&rest, '.');
        if (label.len == 0) return refuse(error, "the URL's host has an empty label");
        if (label.len > LABEL_BYTES_MAX) return refuse(error, "a label of the host is too long");
        if (label.data[0] == '-' || label.data[label.len - 1] == '-') {
            return refuse(error, "a label of the host begins or ends with a hyphen");
        }
        is_number = true;
        for (size_t i = 0; i < label.len; ++i) {
            if (!is_host_byte(label.data[i])) {
                return refuse(error, "the URL's host may hold letters, digits, '-', '_' and '.'");
            }
            if (!is_digit(label.data[i])) is_number = false;
        }
    }
    if (!is_number) return DR_OK;
    char text[INET_ADDRSTRLEN];
    struct in_addr address;
    if (!dr_slice_to_text(host, text, sizeof text) || inet_pton(AF_INET, text, &address) != 1) {
        return refuse(error, "the URL's host is no IPv4 address");
    }
    return DR_OK;
}

static enum dr_status parse_port(dr_slice digits, uint16_t *ret_port, struct dr_error *error) {
    uint64_t port = 0;
    if (digits.len == 0 || digits.len > 5 || digits.data[0] == '0' ||
        !dr_slice_to_u64(digits, &port) || port > UINT16_MAX) {
        return refuse(error, "the URL's port must be a number from 1 to 65535");
    }
    *ret_port = (uint16_t)port;
    return DR_OK;
}

/* Keeps the path as written but for one last slash. Empty and dot segments would make the final
 * target depend on who normalises it. */
static enum dr_status parse_path(dr_slice path, dr_slice *ret_path, struct dr_error *error) {
    for (size_t i = 0; i < path.len; ++i) {
        if (path.data[i] == '%') {
            if (path.len - i < 3 || !is_hex(path.data[i + 1]) || !is_hex(path.data[i + 2])) {
                return refuse(error, "a percent sign in the URL's path needs two hex digits");
            }
        } else if (!set_has(&path_bytes, path.data[i])) {
            return refuse(error, "the URL's path holds a byte that must be percent-encoded");
        }
    }
    if (path.len > 0 && path.data[path.len - 1] == '/') --path.len;
    dr_slice rest = dr_slice_from(path, 1);
    while (path.len > 0 && rest.data) {
        const dr_slice segment = dr_slice_split(&rest, '/');
        if (segment.len == 0) return refuse(error, "the URL's path has an empty segment");
        if (dr_slice_is(segment, DR_LIT(".")) || dr_slice_is(segment, DR_LIT(".."))) {
            return refuse(error, "the URL's path must have no '.' or '..' segment");
        }
    }
    *ret_path = path;
    return DR_OK;
}

/* "host", "host:port", "[address]", "[address]:port". */
static enum dr_status parse_authority(dr_slice authority, struct dr_url *url,
                                      struct dr_error *error) {
    const uint16_t port_default = url->is_https ? 443 : 80;
    dr_slice after;
    url->port = port_default;
    url->is_ipv6 = authority.len > 0 && authority.data[0] == '[';
    if (url->is_ipv6) {
        const size_t end = dr_slice_find_char(authority, ']');
        if (end == authority.len) return refuse(error, "the URL's host lacks its closing bracket");
        url->host = dr_slice_of(authority.data + 1, end - 1);
        after = dr_slice_from(authority, end + 1);
    } else {
        const size_t end = dr_slice_find_char(authority, ':');
        url->host = dr_slice_first(authority, end);
        after = dr_slice_from(authority, end);
    }
    enum dr_status status =
        url->is_ipv6 ? check_ipv6(url->host, error) : check_host(url->host, error);
    if (status) return status;
    if (after.len > 0) {
        if (after.data[0] != ':')
            return refuse(error, "behind the URL's host a port or path must come");
        status = parse_port(dr_slice_from(after, 1), &url->port, error);
        if (status) return status;
    }
    url->authority = authority;
    if (url->port == port_default) url->authority.len -= after.len;
    return DR_OK;
}

enum dr_status dr_url_parse(dr_slice text, struct dr_url *ret_url, struct dr_error *error) {
    struct dr_url url = {0};
    enum dr_status status = check_bytes(text, error);
    if (status) return status;
    dr_slice rest;
    if (dr_slice_is_nocase(dr_slice_first(text, 7), DR_LIT("http://"))) {
        rest = dr_slice_from(text, 7);
    } else if (dr_slice_is_nocase(dr_slice_first(text, 8), DR_LIT("https://"))) {
        url.is_https = true;
        rest = dr_slice_from(text, 8);
    } else {
        return refuse(error, "the URL must begin with http:// or https://");
    }
    const size_t slash = dr_slice_find_char(rest, '/');
    status = parse_authority(dr_slice_first(rest, slash), &url, error);
    if (status) return status;
    status = parse_path(dr_slice_from(rest, slash), &url.path, error);
    if (status) return status;
    *ret_url = url;
    return DR_OK;
}
