/* Tests of net/url. */
#include "net/url.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void test_good_urls_are_split(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool is_https;
        const char *host;
        bool is_ipv6;
        uint16_t port;
        const char *authority;
        const char *path;
    } cases[] = {
        {"http://a", false, "a", false, 80, "a", ""},
        {"https://api.openai.com/v1", true, "api.openai.com", false, 443, "api.openai.com", "/v1"},
        {"https://api.openai.com/v1/", true, "api.openai.com", false, 443, "api.openai.com", "/v1"},
        {"HTTPS://A.b:443/", true, "A.b", false, 443, "A.b", ""},
        {"http://a:443/x/y", false, "a", false, 443, "a:443", "/x/y"},
        {"https://a:80", true, "a", false, 80, "a:80", ""},
        {"http://a:80/x", false, "a", false, 80, "a", "/x"},
        {"http://127.0.0.1:9000/v1", false, "127.0.0.1", false, 9000, "127.0.0.1:9000", "/v1"},
        {"http://[::1]:8080/v1", false, "::1", true, 8080, "[::1]:8080", "/v1"},
        {"https://[fe80::1]", true, "fe80::1", true, 443, "[fe80::1]", ""},
        {"https://[::1]:443/", true, "::1", true, 443, "[::1]", ""},
        {"http://my_host-1.x:65535/a%2Fb;c=d", false, "my_host-1.x", false, 65535,
         "my_host-1.x:65535", "/a%2Fb;c=d"},
        {"https://h/openai/deployments/x~y/@", false, NULL, false, 0, NULL, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        struct dr_url url;
        struct dr_error error;
        const enum dr_status status = dr_url_parse(dr_slice_text(cases[i].text), &url, &error);
        if (!cases[i].host) {
            assert_int_equal(status, DR_INVALID);
            continue;
        }
        if (status) fail_msg("%s: %s", cases[i].text, error.text);
        if (url.is_https != cases[i].is_https || url.is_ipv6 != cases[i].is_ipv6 ||
            url.port != cases[i].port || !dr_slice_is(url.host, dr_slice_text(cases[i].host)) ||
            !dr_slice_is(url.authority, dr_slice_text(cases[i].authority)) ||
            !dr_slice_is(url.path, dr_slice_text(cases[i].path))) {
            fail_msg("%s is split as host %.*s, port %u, authority %.*s, path %.*s", cases[i].text,
                     DR_FMT(url.host), url.port, DR_FMT(url.authority), DR_FMT(url.path));
        }
    }
}

#define TEXT(text) \
    { "" text, sizeof(text) - 1 }

static void test_other_urls_are_refused_with_a_sentence(void **state) {
    (void)state;
    static const struct {
        dr_slice text;
        const char *words;
    } cases[] = {
        {TEXT(""), "begin with http"},
        {TEXT("a"), "begin with http"},
        {TEXT("http:/a"), "begin with http"},
        {TEXT("http:a"), "begin with http"},
        {TEXT("//a"), "begin with http"},
        {TEXT("ftp://a"), "begin with http"},
        {TEXT("httpss://a"), "begin with http"},
        {TEXT("http://"), "no host"},
        {TEXT("http:///x"), "no host"},
        {TEXT("http://:80"), "no host"},
        {TEXT("http://u@a"), "user name"},
        {TEXT("http://u:p@a/"), "user name"},
        {TEXT("http://a?b"), "query"},
        {TEXT("http://a/b?"), "query"},
        {TEXT("http://a/#b"), "fragment"},
        {TEXT(" http://a"), "blank"},
        {TEXT("http://a "), "blank"},
        {TEXT("http://a/b c"), "blank"},
        {TEXT("http://a\t"), "blank"},
        {TEXT("http://a\r\n"), "blank"},
        {TEXT("http://a\0b"), "blank"},
        {TEXT("http://a\x7f"), "control"},
        {TEXT("http://\xc3\xa4"), "ASCII"},
        {TEXT("http://a\\b"), "instead of"},
        {TEXT("http://a:"), "port"},
        {TEXT("http://a:/x"), "port"},
        {TEXT("http://a:0"), "port"},
        {TEXT("http://a:080"), "port"},
        {TEXT("http://a:65536"), "port"},
        {TEXT("http://a:99999999999"), "port"},
        {TEXT("http://a:-1"), "port"},
        {TEXT("http://a:+1"), "port"},
        {TEXT("http://a:8x"), "port"},
        {TEXT("http://a:1:2"), "port"},
        {TEXT("http://a..b"), "empty label"},
        {TEXT("http://.a"), "empty label"},
        {TEXT("http://a."), "empty label"},
        {TEXT("http://-a"), "hyphen"},
        {TEXT("http://a-.b"), "hyphen"},
        {TEXT("http://a%62"), "may hold"},
        {TEXT("http://a,b"), "may hold"},
        {TEXT("http://a*"), "may hold"},
        {TEXT("http://1.2.3"), "IPv4"},
        {TEXT("http://1.2.3.256"), "IPv4"},
        {TEXT("http://2130706433"), "IPv4"},
        {TEXT("http://01.2.3.4"), "IPv4"},
        {TEXT("http://[::1"), "closing bracket"},
        {TEXT("http://[]"), "IPv6"},
        {TEXT("http://[1.2.3.4]"), "IPv6"},
        {TEXT("http://[fe80::1%25eth0]"), "IPv6"},
        {TEXT("http://[::1]x"), "port or path"},
        {TEXT("http://a]"), "may hold"},
        {TEXT("http://a/%"), "percent"},
        {TEXT("http://a/%2"), "percent"},
        {TEXT("http://a/%2g"), "percent"},
        {TEXT("http://a/[x]"), "percent-encoded"},
        {TEXT("http://a/<x>"), "percent-encoded"},
        {TEXT("http://a//"), "empty segment"},
        {TEXT("http://a//b"), "empty segment"},
        {TEXT("http://a/b//"), "empty segment"},
        {TEXT("http://a/./b"), "segment"},
        {TEXT("http://a/b/.."), "segment"},
        {TEXT("http://a/../"), "segment"},
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        struct dr_url url = {.port = 7};
        struct dr_error error = {0};
        const enum dr_status status = dr_url_parse(cases[i].text, &url, &error);
        if (status != DR_INVALID || !strstr(error.text, cases[i].words) || url.port != 7) {
            fail_msg("%.*s: expected \"%s\", got status %d, \"%s\"", DR_FMT(cases[i].text),
                     cases[i].words, (int)status, error.text);
        }
        assert_int_equal(dr_url_parse(cases[i].text, &url, NULL), DR_INVALID);
    }
}

static void test_hosts_have_a_largest_length(void **state) {
    (void)state;
    char text[512];
    for (size_t len = 250; len < 258; ++len) {
        memcpy(text, "http://", 7);
        for (size_t i = 0; i < len; ++i) text[7 + i] = i % 50 == 49 && i + 1 < len ? '.' : 'a';
        struct dr_url url;
        const enum dr_status status = dr_url_parse(dr_slice_of(text, len + 7), &url, NULL);
        assert_int_equal(status, len <= 253 ? DR_OK : DR_INVALID);
    }
    for (size_t len = 62; len < 66; ++len) {
        memcpy(text, "http://", 7);
        memset(text + 7, 'a', len);
        struct dr_url url;
        const enum dr_status status = dr_url_parse(dr_slice_of(text, len + 7), &url, NULL);
        assert_int_equal(status, len <= 63 ? DR_OK : DR_INVALID);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_urls_are_split),
        cmocka_unit_test(test_other_urls_are_refused_with_a_sentence),
        cmocka_unit_test(test_hosts_have_a_largest_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
