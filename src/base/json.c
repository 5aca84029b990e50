/* JSON in and out, the only room that knows yyjson. Must not recurse on outside depth, interpret
 * numbers nobody asked for, or give names any meaning.
 *
 * A read copies the text and parses the copy in place: strings are unescaped where they stand, so
 * that the distance of a string or number from the copy's begin is its distance in the source. A
 * small text and its values lie in the scratch block; a large one has memory of its own, and so has
 * one for which the scratch's pool did not do:
 *
 *   scratch: | copy of the text, padded | yyjson's pool: document head, values ... |
 *
 * yyjson lays all values of a document out in a row, in the order of the text; a container knows
 * where its last descendant ends. So a walk over the row sees every value without a stack of
 * iterators, and needs to remember only the ends of the containers it is inside of. */
#include "base/json.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/check.h"
#include "base/random.h"
#include "base/utf8.h"

#include <yyjson.h>

#include <string.h>

enum {
    DEPTH_LIMIT = 512,
    SCRATCH_BYTES_MIN = 4096,
    SCRATCH_BYTES_MAX = 256 * 1024,
    QUADRATIC_COUNT_MAX = 32,
};

struct dr_json_reader {
    char *scratch;
    size_t scratch_bytes;
    char *large_text;           /* the copy of a large text, NULL for a small one */
    yyjson_doc *large_document; /* the values of a large text */
    const char *text;           /* the copy, wherever it lies */
    size_t text_len;
    size_t values_max;
    size_t value_count;                  /* of the present document */
    const yyjson_val *ends[DEPTH_LIMIT]; /* of the containers around the value being walked */
};

static const yyjson_read_flag read_flags = YYJSON_READ_INSITU | YYJSON_READ_NUMBER_AS_RAW;

/* The handle is yyjson's value under another name. Its accessors take it without `const` though
 * they only read, hence the detour. */
static yyjson_val *value_of(dr_json value) {
    return (yyjson_val *)(uintptr_t)value;
}

static dr_json json_of(const yyjson_val *value) {
    return (dr_json)(const void *)value;
}

/* --- reading --- */

struct dr_json_reader *dr_json_reader_new(void) {
    struct dr_json_reader *reader = dr_alloc_zero(1, sizeof(struct dr_json_reader));
    if (reader) reader->values_max = SIZE_MAX;
    return reader;
}

void dr_json_reader_limit(struct dr_json_reader *reader, size_t values_max) {
    reader->values_max = values_max;
}

static void drop_large(struct dr_json_reader *reader) {
    yyjson_doc_free(reader->large_document);
    reader->large_document = NULL;
    dr_free(reader->large_text);
    reader->large_text = NULL;
    reader->text = NULL;
    reader->text_len = 0;
    reader->value_count = 0;
}

void dr_json_reader_trim(struct dr_json_reader *reader) {
    drop_large(reader);
}

void dr_json_reader_free(struct dr_json_reader *reader) {
    if (!reader) return;
    drop_large(reader);
    dr_free(reader->scratch);
    dr_free(reader);
}

static void *large_malloc(void *owner, size_t size) {
    (void)owner;
    return dr_alloc(size);
}

static void *large_realloc(void *owner, void *block, size_t old_size, size_t size) {
    (void)owner;
    (void)old_size;
    return dr_realloc(block, size);
}

static void large_free(void *owner, void *block) {
    (void)owner;
    dr_free(block);
}

/* Nothing in the scratch is worth copying into its successor. */
static bool scratch_reserve(struct dr_json_reader *reader, size_t bytes) {
    if (bytes <= reader->scratch_bytes) return true;
    size_t wanted = SCRATCH_BYTES_MIN;
    while (wanted < bytes) wanted *= 2;
    char *scratch = dr_alloc(wanted);
    if (!scratch) return false;
    dr_free(reader->scratch);
    reader->scratch = scratch;
    reader->scratch_bytes = wanted;
    return true;
}

/* The copy ends in zeros, so that the parser may look ahead. */
static void copy_text(char *copy, size_t copy_bytes, dr_slice text) {
    memcpy(copy, text.data, text.len);
    memset(copy + text.len, 0, copy_bytes - text.len);
}

/* The copy and the values in the scratch, which has room for them. */
static yyjson_doc *parse_small(struct dr_json_reader *reader, dr_slice text, size_t copy_bytes,
                               size_t pool_bytes, yyjson_read_err *failure) {
    yyjson_alc allocator;
    copy_text(reader->scratch, copy_bytes, text);
    reader->text = reader->scratch;
    reader->text_len = text.len;
    const bool is_ready =
        yyjson_alc_pool_init(&allocator, reader->scratch + copy_bytes, pool_bytes);
    dr_assert(is_ready);
    return yyjson_read_opts(reader->scratch, text.len, read_flags, &allocator, failure);
}

/* The same in memory of its own. */
static yyjson_doc *parse_large(struct dr_json_reader *reader, dr_slice text, size_t copy_bytes,
                               yyjson_read_err *failure) {
    const yyjson_alc allocator = {large_malloc, large_realloc, large_free, NULL};
    reader->large_text = dr_alloc(copy_bytes);
    if (!reader->large_text) return NULL;
    copy_text(reader->large_text, copy_bytes, text);
    reader->text = reader->large_text;
    reader->text_len = text.len;
    reader->large_document =
        yyjson_read_opts(reader->large_text, text.len, read_flags, &allocator, failure);
    return reader->large_document;
}

/* NULL with `failure` filled in when there is no document. */
static yyjson_doc *parse(struct dr_json_reader *reader, dr_slice text, yyjson_read_err *failure) {
    size_t copy_bytes;
    failure->code = YYJSON_READ_ERROR_MEMORY_ALLOCATION;
    if (!dr_add_size(text.len, YYJSON_PADDING_SIZE + 15, &copy_bytes)) return NULL;
    copy_bytes &= ~(size_t)15;

    const size_t pool_bytes = yyjson_read_max_memory_usage(text.len, read_flags);
    if (pool_bytes > 0 && pool_bytes <= SCRATCH_BYTES_MAX &&
        copy_bytes <= SCRATCH_BYTES_MAX - pool_bytes) {
        if (!scratch_reserve(reader, copy_bytes + pool_bytes)) return NULL;
        yyjson_doc *document = parse_small(reader, text, copy_bytes, pool_bytes, failure);
        if (document || failure->code != YYJSON_READ_ERROR_MEMORY_ALLOCATION) return document;
        /* yyjson's bound holds for JSON alone: brackets that are never closed are more values than
         * any JSON of that length has. */
        *failure = (yyjson_read_err){.code = YYJSON_READ_ERROR_MEMORY_ALLOCATION};
    }
    return parse_large(reader, text, copy_bytes, failure);
}

/* Behind the closing quote of the string whose content begins at `at`. */
static size_t skip_string(dr_slice text, size_t at) {
    while (at < text.len) {
        const char *quote = memchr(text.data + at, '"', text.len - at);
        if (!quote) break;
        const size_t end = (size_t)(quote - text.data);
        size_t escapes = 0;
        while (end - escapes > at && text.data[end - escapes - 1] == '\\') escapes++;
        at = end + 1;
        if (escapes % 2 == 0) return at;
    }
    return text.len;
}

/* Each value but the first stands behind a bracket, a comma or a colon. Of an empty container the
 * bracket is counted for nothing. */
static bool has_more_values(dr_slice text, size_t count_max) {
    if (text.len <= count_max) return false;
    size_t count = 1;
    for (size_t at = 0; at < text.len && count <= count_max;) {
        const char byte = text.data[at++];
        if (byte == '"') at = skip_string(text, at);
        count += byte == '[' || byte == '{' || byte == ',' || byte == ':';
    }
    return count > count_max;
}

bool dr_json_is_within_limit(const struct dr_json_reader *reader, dr_slice text) {
    return !has_more_values(text, reader->values_max);
}

/* yyjson itself knows no limit to nesting. One pass over the row of values. */
static bool is_deeper(struct dr_json_reader *reader, const yyjson_doc *document,
                      uint32_t depth_max) {
    if (depth_max > DEPTH_LIMIT) depth_max = DEPTH_LIMIT;
    const yyjson_val *value = document->root;
    const yyjson_val *end = value + document->val_read;
    const yyjson_val *innermost_end = NULL;
    uint32_t depth = 0;
    for (; value < end; value++) {
        while (value == innermost_end) {
            depth--;
            innermost_end = depth > 0 ? reader->ends[depth - 1] : NULL;
        }
        if (!unsafe_yyjson_is_ctn(value_of(json_of(value)))) continue;
        if (depth == depth_max) return true;
        innermost_end = unsafe_yyjson_get_next(value_of(json_of(value)));
        reader->ends[depth++] = innermost_end;
    }
    return false;
}

enum dr_status dr_json_read(struct dr_json_reader *reader, dr_slice text, uint32_t depth_max,
                            dr_json *ret_root, struct dr_error *error) {
    drop_large(reader);
    if (text.len == 0) return dr_fail(error, DR_INVALID, 0, "not JSON: the text is empty");
    if (has_more_values(text, reader->values_max)) {
        return dr_fail(error, DR_TOO_LARGE, 0, "JSON of more than %zu values", reader->values_max);
    }
    yyjson_read_err failure = {0};
    const yyjson_doc *document = parse(reader, text, &failure);
    if (!document) {
        drop_large(reader);
        if (failure.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
            return dr_fail(error, DR_NO_MEMORY, 0, "no memory for %zu bytes of JSON", text.len);
        }
        return dr_fail(error, DR_INVALID, 0, "not JSON at byte %zu: %s", failure.pos, failure.msg);
    }
    if (is_deeper(reader, document, depth_max)) {
        drop_large(reader);
        return dr_fail(error, DR_TOO_LARGE, 0, "JSON nested deeper than %u",
                       depth_max < DEPTH_LIMIT ? depth_max : (uint32_t)DEPTH_LIMIT);
    }
    reader->value_count = document->val_read;
    *ret_root = json_of(document->root);
    return DR_OK;
}

size_t dr_json_document_bytes(const struct dr_json_reader *reader) {
    return reader->text_len + reader->value_count * sizeof(yyjson_val);
}

size_t dr_json_offset(const struct dr_json_reader *reader, dr_json string_or_number) {
    const char *at = value_of(string_or_number)->uni.str;
    dr_assert(dr_json_is(string_or_number, DR_JSON_STRING) ||
              dr_json_is(string_or_number, DR_JSON_NUMBER));
    dr_assert(at >= reader->text && at <= reader->text + reader->text_len);
    return (size_t)(at - reader->text);
}

bool dr_json_place(const struct dr_json_reader *reader, dr_slice text, size_t *ret_offset) {
    const uintptr_t base = (uintptr_t)reader->text;
    const uintptr_t at = (uintptr_t)text.data;
    if (!reader->text || at < base || at > base + reader->text_len) return false;
    *ret_offset = at - base;
    return true;
}

/* --- looking --- */

static bool is_type(dr_json value, yyjson_type type) {
    return value && unsafe_yyjson_get_type(value_of(value)) == type;
}

enum dr_json_kind dr_json_kind(dr_json value) {
    if (!value) return DR_JSON_NULL;
    switch (unsafe_yyjson_get_type(value_of(value))) {
    case YYJSON_TYPE_BOOL: return DR_JSON_BOOL;
    case YYJSON_TYPE_RAW: return DR_JSON_NUMBER;
    case YYJSON_TYPE_STR: return DR_JSON_STRING;
    case YYJSON_TYPE_ARR: return DR_JSON_ARRAY;
    case YYJSON_TYPE_OBJ: return DR_JSON_OBJECT;
    default: return DR_JSON_NULL;
    }
}

bool dr_json_is(dr_json value, enum dr_json_kind kind) {
    return value && dr_json_kind(value) == kind;
}

static dr_slice text_of(const yyjson_val *value) {
    return (dr_slice){value->uni.str, (size_t)(value->tag >> YYJSON_TAG_BIT)};
}

size_t dr_json_count(dr_json container) {
    if (!container || !unsafe_yyjson_is_ctn(value_of(container))) return 0;
    return unsafe_yyjson_get_len(value_of(container));
}

dr_slice dr_json_text(dr_json string) {
    return is_type(string, YYJSON_TYPE_STR) ? text_of(value_of(string)) : DR_NONE;
}

bool dr_json_bool(dr_json value) {
    return value && unsafe_yyjson_is_true(value_of(value));
}

dr_slice dr_json_number_text(dr_json number) {
    return is_type(number, YYJSON_TYPE_RAW) ? text_of(value_of(number)) : DR_NONE;
}

bool dr_json_to_i64(dr_json number, int64_t *ret) {
    return dr_slice_to_i64(dr_json_number_text(number), ret);
}

bool dr_json_to_u64(dr_json number, uint64_t *ret) {
    const dr_slice text = dr_json_number_text(number);
    /* The grammar allows a minus before zero, and that is still zero. */
    return dr_slice_to_u64(dr_slice_is(text, DR_LIT("-0")) ? DR_LIT("0") : text, ret);
}

bool dr_json_to_double(dr_json number, double *ret) {
    const dr_slice text = dr_json_number_text(number);
    if (text.len == 0) return false;
    /* yyjson puts a NUL behind each raw number, and its conversion heeds no locale. */
    dr_assert(text.data[text.len] == '\0');
    yyjson_val converted;
    if (!yyjson_read_number(text.data, &converted, YYJSON_READ_NOFLAG, NULL, NULL)) return false;
    *ret = yyjson_get_num(&converted);
    return true;
}

void dr_json_iter_init(struct dr_json_iter *iter, dr_json container) {
    *iter = (struct dr_json_iter){.left = dr_json_count(container)};
    if (iter->left == 0) return;
    iter->is_object = is_type(container, YYJSON_TYPE_OBJ);
    iter->at = json_of(value_of(container) + 1);
}

bool dr_json_iter_next(struct dr_json_iter *iter) {
    if (iter->left == 0) return false;
    iter->left--;
    const yyjson_val *at = value_of(iter->at);
    if (iter->is_object) {
        iter->name = iter->at;
        at++;
    }
    iter->value = json_of(at);
    iter->at = json_of(unsafe_yyjson_get_next(value_of(iter->value)));
    return true;
}

dr_json dr_json_member(dr_json object, dr_slice name) {
    if (!is_type(object, YYJSON_TYPE_OBJ)) return NULL;
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, object);
    while (dr_json_iter_next(&iter)) {
        if (dr_slice_is(text_of(value_of(iter.name)), name)) return iter.value;
    }
    return NULL;
}

/* --- duplicate names --- */

static bool has_duplicate_of_few(dr_json object, dr_slice *ret_name) {
    dr_slice names[QUADRATIC_COUNT_MAX];
    size_t count = 0;
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, object);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = text_of(value_of(iter.name));
        for (size_t i = 0; i < count; i++) {
            if (!dr_slice_is(names[i], name)) continue;
            *ret_name = name;
            return true;
        }
        names[count++] = name;
    }
    return false;
}

enum share_result { SHARE_UNIQUE, SHARE_DUPLICATE, SHARE_OVERFULL };

/* Looks at the names whose hash falls into share `share` of `share_count`, with a table of
 * `capacity` (a power of two) places. */
static enum share_result search_share(dr_json object, const yyjson_val **table, size_t capacity,
                                      uint64_t seed, uint32_t share, uint32_t share_count,
                                      dr_slice *ret_name) {
    const size_t mask = capacity - 1;
    size_t count = 0;
    memset(table, 0, capacity * sizeof(*table));
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, object);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = text_of(value_of(iter.name));
        const uint64_t hash = dr_slice_hash(name, seed);
        if ((hash >> 32) % share_count != share) continue;
        size_t at = (size_t)hash & mask;
        for (; table[at]; at = (at + 1) & mask) {
            if (!dr_slice_is(text_of(table[at]), name)) continue;
            *ret_name = name;
            return SHARE_DUPLICATE;
        }
        if (count == capacity / 4 * 3) return SHARE_OVERFULL;
        table[at] = value_of(iter.name);
        count++;
    }
    return SHARE_UNIQUE;
}

bool dr_json_has_duplicate(dr_json object, dr_slice *ret_name) {
    if (!is_type(object, YYJSON_TYPE_OBJ)) return false;
    const size_t count = dr_json_count(object);
    if (count <= QUADRATIC_COUNT_MAX) return has_duplicate_of_few(object, ret_name);

    /* Outsiders choose the names: without a seed they could choose names that all collide. */
    struct dr_entropy entropy = {.left = 0};
    uint64_t seed;
    dr_entropy_take(&entropy, &seed, sizeof(seed));
    size_t capacity = 64;
    while (capacity / 2 < count) capacity *= 2;
    size_t bytes;
    const yyjson_val **table = NULL;
    if (dr_mul_size(capacity, sizeof(*table), &bytes)) table = dr_alloc(bytes);
    if (table) {
        const enum share_result result =
            search_share(object, table, capacity, seed, 0, 1, ret_name);
        dr_free(table);
        return result == SHARE_DUPLICATE;
    }

    /* Out of memory must not pass for "no duplicate": with a small table, share after share. */
    const yyjson_val *small_table[1024];
    uint32_t share_count = (uint32_t)(count / 512 + 1);
    for (uint32_t share = 0; share < share_count; share++) {
        const enum share_result result =
            search_share(object, small_table, 1024, seed, share, share_count, ret_name);
        if (result == SHARE_DUPLICATE) return true;
        if (result == SHARE_OVERFULL) {
            share_count *= 2;
            share = UINT32_MAX; /* from the first share again */
        }
    }
    return false;
}

/* --- writing --- */

/* Bytes of the character at `at`, or 0 when none begins there; then `*ret_skip` counts the bytes
 * that one U+FFFD stands for. */
static size_t character_len(const char *at, size_t left, size_t *ret_skip) {
    struct dr_utf8 utf8 = {0};
    for (size_t len = 1; len <= left; len++) {
        if (!dr_utf8_check(&utf8, (dr_slice){at + len - 1, 1})) {
            *ret_skip = len > 1 ? len - 1 : 1;
            return 0;
        }
        if (dr_utf8_is_complete(&utf8)) return len;
    }
    *ret_skip = left;
    return 0;
}

static void put_escape(struct dr_buf *buf, char byte) {
    switch (byte) {
    case '"': dr_buf_put(buf, DR_LIT("\\\"")); return;
    case '\\': dr_buf_put(buf, DR_LIT("\\\\")); return;
    case '\b': dr_buf_put(buf, DR_LIT("\\b")); return;
    case '\f': dr_buf_put(buf, DR_LIT("\\f")); return;
    case '\n': dr_buf_put(buf, DR_LIT("\\n")); return;
    case '\r': dr_buf_put(buf, DR_LIT("\\r")); return;
    case '\t': dr_buf_put(buf, DR_LIT("\\t")); return;
    default: break;
    }
    dr_buf_put(buf, DR_LIT("\\u00"));
    dr_buf_put_char(buf, "01"[(uint8_t)byte >> 4]);
    dr_buf_put_char(buf, "0123456789abcdef"[byte & 15]);
}

/* Sixteen bytes at a step, by instructions that most processors have for it. */
typedef uint8_t lanes __attribute__((vector_size(16)));

/* All bits of the lanes whose byte ends a string, escapes or controls. */
static inline lanes marks_of(lanes bytes) {
    return (lanes)(bytes < 0x20) | (lanes)(bytes == '"') | (lanes)(bytes == '\\');
}

/* The same, and of those whose byte is beyond ASCII. */
static inline lanes marks_beyond_ascii_of(lanes bytes) {
    return marks_of(bytes) | (lanes)(bytes >= 0x80);
}

static inline size_t first_byte(uint64_t marks) {
    if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) marks = __builtin_bswap64(marks);
    return (size_t)__builtin_ctzll(marks) / 8;
}

/* How many lanes there are before the first that is marked. */
static inline size_t lanes_before(lanes marks) {
    uint64_t halves[2];
    memcpy(halves, &marks, sizeof halves);
    if (halves[0] != 0) return first_byte(halves[0]);
    return halves[1] != 0 ? 8 + first_byte(halves[1]) : sizeof marks;
}

static inline size_t unmarked_len(dr_slice text, lanes (*marks)(lanes bytes))
    __attribute__((always_inline)); /* and `marks` with it: no call for each step */
static inline size_t unmarked_len(dr_slice text, lanes (*marks)(lanes bytes)) {
    lanes bytes;
    size_t at = 0;
    for (; text.len - at >= sizeof bytes; at += sizeof bytes) {
        memcpy(&bytes, text.data + at, sizeof bytes);
        const size_t unmarked = lanes_before(marks(bytes));
        if (unmarked < sizeof bytes) return at + unmarked;
    }
    if (at == text.len) return at;
    bytes = (lanes){0}; /* which is marked, and ends what is left */
    memcpy(&bytes, text.data + at, text.len - at);
    return at + lanes_before(marks(bytes));
}

size_t dr_json_plain_len(dr_slice text) {
    return unmarked_len(text, marks_beyond_ascii_of);
}

size_t dr_json_unescaped_len(dr_slice text) {
    return unmarked_len(text, marks_of);
}

void dr_json_put_string(struct dr_buf *buf, dr_slice text) {
    dr_buf_put(buf, DR_LIT("\""));
    size_t at = 0;
    size_t copied = 0; /* what lies before it is in the buffer */
    for (;;) {
        at += dr_json_plain_len(dr_slice_from(text, at));
        if (at == text.len) break;
        const char byte = text.data[at];
        size_t skip = 1;
        if ((uint8_t)byte >= 0x80) {
            const size_t len = character_len(text.data + at, text.len - at, &skip);
            if (len > 0) {
                at += len;
                continue;
            }
        }
        dr_buf_put(buf, (dr_slice){text.data + copied, at - copied});
        if ((uint8_t)byte >= 0x80) {
            dr_buf_put(buf, DR_LIT("\xEF\xBF\xBD"));
        } else {
            put_escape(buf, byte);
        }
        at += skip;
        copied = at;
    }
    dr_buf_put(buf, dr_slice_from(text, copied));
    dr_buf_put(buf, DR_LIT("\""));
}

void dr_json_put_string_or_null(struct dr_buf *buf, dr_slice text) {
    if (text.data) {
        dr_json_put_string(buf, text);
    } else {
        dr_buf_put(buf, DR_LIT("null"));
    }
}

static void put_scalar(struct dr_buf *buf, dr_json value) {
    switch (dr_json_kind(value)) {
    case DR_JSON_BOOL:
        dr_buf_put(buf, dr_json_bool(value) ? DR_LIT("true") : DR_LIT("false"));
        return;
    case DR_JSON_NUMBER: dr_buf_put(buf, dr_json_number_text(value)); return;
    case DR_JSON_STRING: dr_json_put_string(buf, dr_json_text(value)); return;
    case DR_JSON_NULL:
    case DR_JSON_ARRAY:
    case DR_JSON_OBJECT: break;
    }
    dr_buf_put(buf, DR_LIT("null"));
}

static void put_container(struct dr_buf *buf, dr_json value) {
    /* No document is deeper: the reader saw to that. The compiler is told not to clear 20 KiB, of
     * which hardly any is ever used. */
    __attribute__((uninitialized)) struct dr_json_iter open[DEPTH_LIMIT];
    size_t depth = 0;
    bool is_first = true;
    for (;;) {
        if (value && unsafe_yyjson_is_ctn(value_of(value))) {
            dr_assert(depth < DEPTH_LIMIT);
            dr_json_iter_init(&open[depth], value);
            open[depth].is_object = is_type(value, YYJSON_TYPE_OBJ);
            dr_buf_put_char(buf, open[depth].is_object ? '{' : '[');
            depth++;
            is_first = true;
        } else {
            put_scalar(buf, value);
            is_first = false;
        }
        while (depth > 0 && !dr_json_iter_next(&open[depth - 1])) {
            depth--;
            dr_buf_put_char(buf, open[depth].is_object ? '}' : ']');
            is_first = false;
        }
        if (depth == 0) return;
        const struct dr_json_iter *iter = &open[depth - 1];
        if (!is_first) dr_buf_put_char(buf, ',');
        if (iter->is_object) {
            dr_json_put_string(buf, dr_json_text(iter->name));
            dr_buf_put_char(buf, ':');
        }
        value = iter->value;
    }
}

void dr_json_put_value(struct dr_buf *buf, dr_json value) {
    if (value && unsafe_yyjson_is_ctn(value_of(value))) {
        put_container(buf, value);
    } else {
        put_scalar(buf, value);
    }
}
