/* JSON (RFC 8259) on yyjson: a reader whose memory is reused from text to text, typed getters, and
 * writers into a `dr_buf`. No recursion on outside depth anywhere. */
#ifndef DR_BASE_JSON_H
#define DR_BASE_JSON_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

/* One value, lent by its reader until the next read or clear. */
typedef const struct dr_json_value *dr_json;

enum dr_json_kind {
    DR_JSON_NULL,
    DR_JSON_BOOL,
    DR_JSON_NUMBER,
    DR_JSON_STRING,
    DR_JSON_ARRAY,
    DR_JSON_OBJECT,
};

/* One document at a time. One thread. Keeps a scratch block (up to 256 KiB) between reads; larger
 * documents take memory of their own, given back by the next read. */
struct dr_json_reader;

struct dr_json_reader *dr_json_reader_new(void); /* given; NULL when out of memory */
/* For texts of strangers: one of more values (names of members count too) is DR_TOO_LARGE before
 * it is parsed, which takes time and memory by the value. A megabyte of text is one value. */
void dr_json_reader_limit(struct dr_json_reader *reader, size_t values_max);
bool dr_json_is_within_limit(const struct dr_json_reader *reader, dr_slice text);
void dr_json_reader_free(struct dr_json_reader *reader);
/* Gives a large document's memory back now; what was read is gone. */
void dr_json_reader_trim(struct dr_json_reader *reader);
/* What the present document takes: the copy of its text, and its values. */
size_t dr_json_document_bytes(const struct dr_json_reader *reader);

/* Parses `text` whole (blanks around it allowed; invalid UTF-8, lone surrogates, trailing commas,
 * comments refused; numbers are kept as their text, so 1e400 is legal here). The text is copied.
 * `depth_max` bounds nesting (a scalar is depth 0, `[]` is 1); beyond 512 it counts as 512.
 * DR_INVALID (with byte position in the error), DR_TOO_LARGE for depth or count, DR_NO_MEMORY. */
enum dr_status dr_json_read(struct dr_json_reader *reader, dr_slice text, uint32_t depth_max,
                            dr_json *ret_root, struct dr_error *error) DR_MUST_USE;

/* All getters accept NULL as an absent value. */
enum dr_json_kind dr_json_kind(dr_json value);          /* DR_JSON_NULL for NULL */
bool dr_json_is(dr_json value, enum dr_json_kind kind); /* false for NULL (absent) */
/* The first of that name; NULL when absent or no object. */
dr_json dr_json_member(dr_json object, dr_slice name);
size_t dr_json_count(dr_json container); /* elements or members, 0 for others */
/* Unescaped; DR_NONE (data NULL) unless a string. */
dr_slice dr_json_text(dr_json string);
bool dr_json_bool(dr_json value);             /* false unless `true` */
dr_slice dr_json_number_text(dr_json number); /* as written; DR_NONE unless a number */
/* A number without fraction or exponent that fits; false otherwise. */
bool dr_json_to_i64(dr_json number, int64_t *ret);
bool dr_json_to_u64(dr_json number, uint64_t *ret);
/* Any finite number (1e400 gives false). */
bool dr_json_to_double(dr_json number, double *ret);

/* Iteration over an array or an object, in order, in constant time a step. */
struct dr_json_iter {
    dr_json name; /* of the current member; NULL in arrays */
    dr_json value;
    /* Private part. */
    dr_json at;
    size_t left;
    bool is_object;
};
/* An empty iteration for anything but a container. */
void dr_json_iter_init(struct dr_json_iter *iter, dr_json container);
bool dr_json_iter_next(struct dr_json_iter *iter);

/* True when two members of `object` have the same name (after unescaping); `*ret_name` is lent. */
bool dr_json_has_duplicate(dr_json object, dr_slice *ret_name);

/* Where in the text given to `dr_json_read` the content of a string, the digits of a number begin:
 * the offset of the first byte behind the opening quote (of the first digit or sign). Only for
 * strings and numbers of the current document. */
size_t dr_json_offset(const struct dr_json_reader *reader, dr_json string_or_number);

/* The same for the unescaped text of a string: false when it does not lie in the current document.
 * (It stands there as it is unless it was escaped: compare.) */
bool dr_json_place(const struct dr_json_reader *reader, dr_slice text, size_t *ret_offset);

/* How many bytes at the front stand in a string as they are: ASCII that needs no escape. */
size_t dr_json_plain_len(dr_slice text);
/* The same of any characters: up to a quote, a backslash or a control character. That it is UTF-8
 * is not looked at. */
size_t dr_json_unescaped_len(dr_slice text);

/* Writers. Strings are escaped as RFC 8259 asks and stay valid JSON for any bytes (invalid UTF-8
 * becomes U+FFFD). */
void dr_json_put_string(struct dr_buf *buf, dr_slice text);         /* with quotes */
void dr_json_put_string_or_null(struct dr_buf *buf, dr_slice text); /* null when data is NULL */
/* Writes a parsed value back. */
void dr_json_put_value(struct dr_buf *buf, dr_json value);

#endif
