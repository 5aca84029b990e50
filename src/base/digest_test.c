/* Published vectors, and the spelling of bytes there and back. */
#include "base/digest.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_sha256_gives_the_published_digests(void **state) {
    (void)state;
    static const struct {
        dr_slice text;
        const char *expected;
    } cases[] = {
        {{NULL, 0}, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {{"abc", 3}, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56},
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct dr_sha256 digest = dr_sha256(cases[i].text);
        char text[64];
        dr_hex_write((dr_slice){(const char *)digest.bytes, 32}, text);
        assert_memory_equal(text, cases[i].expected, 64);
    }
}

static void test_checksums_give_the_published_values(void **state) {
    (void)state;
    const dr_slice nine = DR_LIT("123456789");
    char zeros[32] = {0};
    assert_int_equal(dr_crc32(nine), 0xCBF43926);
    assert_int_equal(dr_crc32(DR_NONE), 0);
    assert_int_equal(dr_crc32c(0, nine), 0xE3069283);
    assert_int_equal(dr_crc32c(0, DR_NONE), 0);
    assert_int_equal(dr_crc32c(0, (dr_slice){zeros, 32}), 0x8A9136AA);
}

/* The definition, bit by bit. */
static uint32_t crc_slowly(uint32_t polynomial, dr_slice bytes) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (uint8_t)bytes.data[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ ((crc & 1) ? polynomial : 0);
    }
    return ~crc;
}

static void test_checksums_agree_with_the_definition_in_pieces_too(void **state) {
    (void)state;
    char bytes[257];
    for (size_t i = 0; i < sizeof(bytes); i++) bytes[i] = (char)(i * 37 + i / 16);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        const dr_slice all = {bytes, len};
        assert_int_equal(dr_crc32(all), crc_slowly(0xEDB88320, all));
        const uint32_t expected = crc_slowly(0x82F63B78, all);
        assert_int_equal(dr_crc32c(0, all), expected);
        const uint32_t half = dr_crc32c(0, dr_slice_first(all, len / 3));
        assert_int_equal(dr_crc32c(half, dr_slice_from(all, len / 3)), expected);
    }
}

static void test_base62_writes_known_numbers(void **state) {
    (void)state;
    static const struct {
        uint8_t bytes[8];
        size_t bytes_len;
        const char *expected; /* NULL: does not fit into `text_len` */
        size_t text_len;
    } cases[] = {
        {{0}, 1, "000", 3},
        {{61}, 1, "z", 1},
        {{62}, 1, "10", 2},
        {{62}, 1, NULL, 1},
        {{255}, 1, "47", 2},
        {{0, 35}, 2, "0Z", 2},
        {{255, 255, 255, 255, 255, 255, 255, 255}, 8, "LygHa16AHYF", 11},
        {{255, 255, 255, 255, 255, 255, 255, 255}, 8, NULL, 10},
        {{1, 0, 0, 0, 0}, 5, "004gfFC4", 8},
        {{0}, 0, "0", 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[16] = {0};
        const bool is_written =
            dr_base62_write(cases[i].bytes, cases[i].bytes_len, text, cases[i].text_len);
        assert_int_equal(is_written, cases[i].expected != NULL);
        if (!is_written) continue;
        assert_string_equal(text, cases[i].expected);
        uint8_t bytes[8] = {0};
        assert_true(dr_base62_read(dr_slice_text(text), bytes, cases[i].bytes_len));
        assert_memory_equal(bytes, cases[i].bytes, cases[i].bytes_len);
    }
}

static void test_base62_returns_any_key_as_it_was(void **state) {
    (void)state;
    struct dr_random random;
    dr_random_seed(&random, 3);
    for (int round = 0; round < 2000; round++) {
        uint8_t bytes[36];
        uint8_t back[36];
        char text[49];
        for (size_t i = 0; i < 36; i++) bytes[i] = (uint8_t)dr_random_u64(&random);
        if (round % 3 == 0) bytes[0] = 0;
        if (round % 5 == 0) memset(bytes, 0xFF, 36);
        assert_true(dr_base62_write(bytes, 36, text, 49));
        assert_true(dr_base62_read((dr_slice){text, 49}, back, 36));
        assert_memory_equal(bytes, back, 36);
    }
}

static void test_base62_refuses_what_is_no_number_or_too_large(void **state) {
    (void)state;
    uint8_t bytes[36] = {9};
    char text[50];
    memset(text, 'z', sizeof(text));
    assert_false(dr_base62_read(DR_NONE, bytes, 1));
    assert_false(dr_base62_read(DR_LIT("1-"), bytes, 1));
    assert_false(dr_base62_read(DR_LIT("1\0"), bytes, 1));
    assert_false(dr_base62_read(DR_LIT("48"), bytes, 1));
    assert_false(dr_base62_read((dr_slice){text, 49}, bytes, 36));
    assert_false(dr_base62_read((dr_slice){text, 50}, bytes, 36));
    assert_false(dr_base62_read(DR_LIT("1"), bytes, 0));
    assert_int_equal(bytes[0], 9);
}

static void test_hexadecimal_goes_there_and_back(void **state) {
    (void)state;
    char text[8];
    uint8_t bytes[4];
    dr_hex_write(DR_LIT("\x00\x9a\xff\x10"), text);
    assert_memory_equal(text, "009aff10", 8);
    assert_true(dr_hex_read(DR_LIT("009AfF10"), bytes, 4));
    assert_memory_equal(bytes, "\x00\x9a\xff\x10", 4);
    assert_false(dr_hex_read(DR_LIT("009aff1"), bytes, 4));
    assert_false(dr_hex_read(DR_LIT("009aff1g"), bytes, 4));
    assert_false(dr_hex_read(DR_LIT("009aff1000"), bytes, 4));
    assert_false(dr_hex_read(DR_LIT("009aff100"), bytes, 4));
}

static void test_sha1_gives_the_published_digests(void **state) {
    (void)state;
    const struct {
        dr_slice text;
        const char *hex;
    } cases[] = {
        {DR_LIT(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {DR_LIT("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct dr_sha1 digest = dr_sha1(cases[i].text);
        char hex[40];
        dr_hex_write(dr_slice_of((const char *)digest.bytes, sizeof digest.bytes), hex);
        assert_memory_equal(hex, cases[i].hex, sizeof hex);
    }
}

/* RFC 4648 section 10. */
static void test_base64_goes_there_and_back(void **state) {
    (void)state;
    const struct {
        dr_slice bytes;
        dr_slice text;
    } cases[] = {
        {DR_LIT(""), DR_LIT("")},
        {DR_LIT("f"), DR_LIT("Zg==")},
        {DR_LIT("fo"), DR_LIT("Zm8=")},
        {DR_LIT("foo"), DR_LIT("Zm9v")},
        {DR_LIT("foob"), DR_LIT("Zm9vYg==")},
        {DR_LIT("fooba"), DR_LIT("Zm9vYmE=")},
        {DR_LIT("foobar"), DR_LIT("Zm9vYmFy")},
        {DR_LIT("\xfb\xff\xfe"), DR_LIT("+//+")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[16];
        uint8_t bytes[16];
        const size_t len = dr_base64_len(cases[i].bytes.len);
        dr_base64_write(cases[i].bytes, text);
        assert_int_equal(len, cases[i].text.len);
        assert_memory_equal(text, cases[i].text.data, len);
        assert_true(dr_base64_read(cases[i].text, bytes, cases[i].bytes.len));
        assert_memory_equal(bytes, cases[i].bytes.data, cases[i].bytes.len);
        assert_false(dr_base64_read(cases[i].text, bytes, cases[i].bytes.len + 3));
    }
}

static void test_base64_refuses_other_spellings(void **state) {
    (void)state;
    const struct {
        dr_slice text;
        size_t bytes_len;
    } cases[] = {
        {DR_LIT("Zh=="), 1}, {DR_LIT("Zm9="), 2},  {DR_LIT("Zg="), 1},    {DR_LIT("Zg"), 1},
        {DR_LIT("Z==="), 1}, {DR_LIT("Zm9v"), 2},  {DR_LIT("Zm8="), 3},   {DR_LIT("Zm-v"), 3},
        {DR_LIT("===="), 1}, {DR_LIT("Zm\0v"), 3}, {DR_LIT("Zg==\n"), 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[16];
        assert_false(dr_base64_read(cases[i].text, bytes, cases[i].bytes_len));
    }
}

static void test_constant_time_comparison_is_right(void **state) {
    (void)state;
    assert_true(dr_equal_constant_time(DR_LIT("abc"), DR_LIT("abc")));
    assert_false(dr_equal_constant_time(DR_LIT("abc"), DR_LIT("abd")));
    assert_false(dr_equal_constant_time(DR_LIT("abc"), DR_LIT("ab")));
    assert_true(dr_equal_constant_time(DR_NONE, DR_LIT("")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256_gives_the_published_digests),
        cmocka_unit_test(test_checksums_give_the_published_values),
        cmocka_unit_test(test_checksums_agree_with_the_definition_in_pieces_too),
        cmocka_unit_test(test_base62_writes_known_numbers),
        cmocka_unit_test(test_base62_returns_any_key_as_it_was),
        cmocka_unit_test(test_base62_refuses_what_is_no_number_or_too_large),
        cmocka_unit_test(test_hexadecimal_goes_there_and_back),
        cmocka_unit_test(test_sha1_gives_the_published_digests),
        cmocka_unit_test(test_base64_goes_there_and_back),
        cmocka_unit_test(test_base64_refuses_other_spellings),
        cmocka_unit_test(test_constant_time_comparison_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
