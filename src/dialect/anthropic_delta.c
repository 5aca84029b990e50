/* Deltas by their bytes. Must not accept what a parser would refuse, nor read it otherwise: a shape
 * that is not the usual one is left to the parser. */
#include "dialect/anthropic_delta.h"

#include "base/assert.h"
#include "base/json.h"
#include "base/utf8.h"

#define HIGH_SURROGATE_FIRST 0xD800u
#define LOW_SURROGATE_FIRST 0xDC00u
#define SURROGATE_LAST 0xDFFFu

static bool take(dr_slice *rest, dr_slice literal) {
    if (!dr_slice_starts(*rest, literal)) return false;
    *rest = dr_slice_from(*rest, literal.len);
    return true;
}

static bool take_number(dr_slice *rest, uint32_t *ret) {
    size_t len = 0;
    uint64_t number;

    while (len < rest->len && len < 9 && rest->data[len] >= '0' && rest->data[len] <= '9') len++;
    if (len > 1 && rest->data[0] == '0') return false; /* no number of JSON */
    if (!dr_slice_to_u64(dr_slice_first(*rest, len), &number)) return false;
    *ret = (uint32_t)number;
    *rest = dr_slice_from(*rest, len);
    return true;
}

/* The raw inside of a string; false at what only the parser should judge. */
static bool take_string(dr_slice *rest, dr_slice *ret_raw, bool *ret_has_escapes) {
    const size_t plain = dr_json_plain_len(*rest);
    size_t at = plain;

    *ret_has_escapes = false;
    for (;; at++) {
        if (at >= rest->len || (unsigned char)rest->data[at] < 0x20) return false;
        if (rest->data[at] == '"') break;
        if (rest->data[at] == '\\') {
            *ret_has_escapes = true;
            at++;
        }
    }
    *ret_raw = dr_slice_first(*rest, at);
    *rest = dr_slice_from(*rest, at + 1);
    return at == plain || dr_utf8_is_valid(*ret_raw);
}

/* Closing braces with the blanks that Anthropic pads its events with. */
static bool is_closed(dr_slice rest) {
    size_t braces = 0;

    for (size_t i = 0; i < rest.len; i++) {
        if (rest.data[i] == '}')
            braces++;
        else if (rest.data[i] != ' ')
            return false;
    }
    return braces == 2;
}

static bool hex_of(dr_slice text, size_t at, uint32_t *ret) {
    uint32_t value = 0;

    if (at + 4 > text.len) return false;
    for (size_t i = at; i < at + 4; i++) {
        const char byte = text.data[i];
        uint32_t digit;
        if (byte >= '0' && byte <= '9')
            digit = (uint32_t)(byte - '0');
        else if (byte >= 'a' && byte <= 'f')
            digit = (uint32_t)(byte - 'a') + 10;
        else if (byte >= 'A' && byte <= 'F')
            digit = (uint32_t)(byte - 'A') + 10;
        else
            return false;
        value = value * 16 + digit;
    }
    *ret = value;
    return true;
}

static void put_character(struct dr_buf *out, uint32_t point) {
    if (point < 0x80) {
        dr_buf_put_char(out, (char)point);
        return;
    }
    if (point < 0x800) {
        dr_buf_put_char(out, (char)(0xC0 | (point >> 6)));
    } else {
        if (point < 0x10000) {
            dr_buf_put_char(out, (char)(0xE0 | (point >> 12)));
        } else {
            dr_buf_put_char(out, (char)(0xF0 | (point >> 18)));
            dr_buf_put_char(out, (char)(0x80 | ((point >> 12) & 0x3F)));
        }
        dr_buf_put_char(out, (char)(0x80 | ((point >> 6) & 0x3F)));
    }
    dr_buf_put_char(out, (char)(0x80 | (point & 0x3F)));
}

/* One unit of UTF-16. A first half waits for its second, which may come with the next delta. */
static void put_unit(struct dr_buf *out, uint32_t *high, uint32_t unit) {
    if (*high != 0 && unit >= LOW_SURROGATE_FIRST && unit <= SURROGATE_LAST) {
        put_character(out, 0x10000 + ((*high - HIGH_SURROGATE_FIRST) << 10) +
                               (unit - LOW_SURROGATE_FIRST));
        *high = 0;
        return;
    }
    if (*high != 0) dr_buf_put(out, DR_LIT("\xEF\xBF\xBD"));
    *high = 0;
    if (unit >= HIGH_SURROGATE_FIRST && unit < LOW_SURROGATE_FIRST)
        *high = unit;
    else if (unit >= LOW_SURROGATE_FIRST && unit <= SURROGATE_LAST)
        dr_buf_put(out, DR_LIT("\xEF\xBF\xBD"));
    else
        put_character(out, unit);
}

/* False for an escape that JSON does not know. */
static bool unescape(struct dr_buf *out, uint32_t *high, dr_slice raw) {
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    size_t at = 0;

    while (at < raw.len) {
        const dr_slice rest = dr_slice_from(raw, at);
        const size_t plain = dr_slice_find_char(rest, '\\');
        if (plain > 0) {
            if (*high != 0) dr_buf_put(out, DR_LIT("\xEF\xBF\xBD"));
            *high = 0;
            dr_buf_put(out, dr_slice_first(rest, plain));
            at += plain;
            continue;
        }
        const char *name = rest.len > 1 ? memchr(names, rest.data[1], sizeof names - 1) : NULL;
        uint32_t unit;
        if (name) {
            put_unit(out, high, (uint32_t)(unsigned char)values[name - names]);
            at += 2;
        } else if (rest.len > 1 && rest.data[1] == 'u' && hex_of(rest, 2, &unit)) {
            put_unit(out, high, unit);
            at += 6;
        } else {
            return false;
        }
    }
    return true;
}

/* --- the whole delta --- */

static const struct {
    dr_slice words;
    enum anthropic_delta_kind kind;
} kinds[] = {
    {{"text_delta\",\"text\":\"", 20}, ANTHROPIC_DELTA_TEXT},
    {{"input_json_delta\",\"partial_json\":\"", 34}, ANTHROPIC_DELTA_JSON},
    {{"thinking_delta\",\"thinking\":\"", 28}, ANTHROPIC_DELTA_THINKING},
};

/* All that stands before the text. It is kept: the next delta most likely begins the same way. */
static bool take_head(dr_slice *rest, struct anthropic_usual *usual) {
    const dr_slice whole = *rest;
    uint32_t sent_index;

    if (!take(rest, DR_LIT("{\"type\":\"content_block_delta\",\"index\":")) ||
        !take_number(rest, &sent_index) || !take(rest, DR_LIT(",\"delta\":{\"type\":\""))) {
        return false;
    }
    size_t i = 0;
    while (i < sizeof kinds / sizeof kinds[0] && !take(rest, kinds[i].words)) i++;
    if (i == sizeof kinds / sizeof kinds[0]) return false;
    const size_t len = whole.len - rest->len;
    dr_assert(len <= sizeof usual->head);
    memcpy(usual->head, whole.data, len);
    usual->head_len = (uint8_t)len;
    usual->kind = (uint8_t)kinds[i].kind;
    usual->sent_index = sent_index;
    return true;
}

bool anthropic_delta_read(struct anthropic_usual *usual, dr_slice payload, struct dr_buf *scratch,
                          struct anthropic_delta *ret_delta) {
    const dr_slice head = dr_slice_of(usual->head, usual->head_len);
    dr_slice text;
    bool has_escapes;

    dr_buf_reset(scratch);
    if ((head.len == 0 || !take(&payload, head)) && !take_head(&payload, usual)) return false;
    if (!take_string(&payload, &text, &has_escapes) || !is_closed(payload)) return false;

    const bool is_plain = !has_escapes && usual->high_surrogate == 0;
    if (!is_plain) {
        uint32_t high = usual->high_surrogate;
        if (!unescape(scratch, &high, text)) return false;
        usual->high_surrogate = high;
        text = dr_buf_slice(scratch);
    }
    *ret_delta = (struct anthropic_delta){
        .kind = (enum anthropic_delta_kind)usual->kind,
        .sent_index = usual->sent_index,
        .text = text,
        .is_plain = is_plain,
    };
    return true;
}
