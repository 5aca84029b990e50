/* net/url: an accepted URL, put together again from its parts, is accepted and has the same
 * parts. */
#include "net/url.h"

#include "base/assert.h"
#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static bool lies_in(dr_slice part, dr_slice text) {
    if (part.len == 0) return true;
    return part.data >= text.data && part.data + part.len <= text.data + text.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    const dr_slice text = {(const char *)bytes, len};
    struct dr_url url;
    struct dr_error error = {0};
    if (dr_url_parse(text, &url, &error)) {
        dr_assert(error.status == DR_INVALID && error.text[0] != '\0');
        return 0;
    }
    dr_assert(url.port > 0 && url.host.len > 0);
    dr_assert(lies_in(url.host, text) && lies_in(url.authority, text) && lies_in(url.path, text));
    dr_assert(url.path.len == 0 || url.path.data[0] == '/');
    dr_assert(url.path.len == 0 || url.path.data[url.path.len - 1] != '/');
    struct dr_buf again;
    struct dr_url other;
    dr_buf_init(&again, len + 16);
    dr_buf_put(&again, url.is_https ? DR_LIT("https://") : DR_LIT("http://"));
    dr_buf_put(&again, url.authority);
    dr_buf_put(&again, url.path);
    dr_assert(!dr_buf_status(&again));
    dr_assert(dr_url_parse(dr_buf_slice(&again), &other, NULL) == DR_OK);
    dr_assert(other.port == url.port && other.is_ipv6 == url.is_ipv6);
    dr_assert(other.is_https == url.is_https && dr_slice_is(other.host, url.host));
    dr_assert(dr_slice_is(other.authority, url.authority) && dr_slice_is(other.path, url.path));
    dr_buf_clear(&again);
    return 0;
}
