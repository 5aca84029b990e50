/* base/json: any bytes are read or refused, never more; what is read lies in the source where the
 * reader says, and written again it reads as the same. The first byte chooses the depth. */
#include "base/json.h"

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { TEXT_BYTES_MAX = 1 << 20 };

static void check_place(const struct dr_json_reader *reader, dr_slice source, dr_json value) {
    const size_t at = dr_json_offset(reader, value);
    if (dr_json_is(value, DR_JSON_NUMBER)) {
        const dr_slice text = dr_json_number_text(value);
        double real = 0;
        int64_t i64 = 0;
        uint64_t u64 = 0;
        dr_assert(dr_slice_is(dr_slice_first(dr_slice_from(source, at), text.len), text));
        (void)dr_json_to_double(value, &real);
        if (dr_json_to_i64(value, &i64) && i64 >= 0) {
            dr_assert(dr_json_to_u64(value, &u64) && u64 == (uint64_t)i64);
        }
    } else if (dr_json_is(value, DR_JSON_STRING)) {
        dr_assert(at > 0 && source.data[at - 1] == '"');
        dr_assert(dr_json_text(value).len <= source.len - at);
    }
}

/* Members and elements of the root: deeper ones are read by the same steps. */
static void walk(const struct dr_json_reader *reader, dr_slice source, dr_json root) {
    struct dr_json_iter iter;
    dr_slice name = DR_NONE;
    size_t count = 0;
    dr_json_iter_init(&iter, root);
    while (dr_json_iter_next(&iter)) {
        count++;
        if (iter.name) check_place(reader, source, iter.name);
        if (iter.name) dr_assert(dr_json_member(root, dr_json_text(iter.name)));
        const bool has_place =
            dr_json_is(iter.value, DR_JSON_STRING) || dr_json_is(iter.value, DR_JSON_NUMBER);
        if (has_place) check_place(reader, source, iter.value);
    }
    dr_assert(count == dr_json_count(root));
    if (dr_json_has_duplicate(root, &name)) dr_assert(dr_json_member(root, name));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    if (len < 1 || len > 65536) return 0;
    const dr_slice input = dr_slice_of((const char *)bytes + 1, len - 1);
    struct dr_json_reader *reader = dr_json_reader_new();
    struct dr_buf first;
    struct dr_buf second;
    struct dr_error error = {0};
    dr_json root = NULL;
    dr_assert(reader);
    dr_buf_init(&first, TEXT_BYTES_MAX);
    dr_buf_init(&second, TEXT_BYTES_MAX);
    const enum dr_status status = dr_json_read(reader, input, bytes[0], &root, &error);
    dr_assert(status == DR_OK || status == DR_INVALID || status == DR_TOO_LARGE);
    dr_assert(status == DR_OK || error.status == status);
    if (status == DR_OK) {
        walk(reader, input, root);
        dr_json_put_value(&first, root);
        dr_assert(dr_json_read(reader, dr_buf_slice(&first), bytes[0], &root, &error) == DR_OK);
        dr_json_put_value(&second, root);
        dr_assert(!dr_buf_status(&first) && !dr_buf_status(&second));
        dr_assert(dr_slice_is(dr_buf_slice(&first), dr_buf_slice(&second)));
    }
    dr_buf_clear(&first);
    dr_buf_clear(&second);
    dr_json_reader_free(reader);
    return 0;
}
