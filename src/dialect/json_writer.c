/* Small steps of writing JSON. Must not know any dialect's field. */
#include "dialect/json_writer.h"

static void separate(struct json_writer *writer) {
    if (writer->has_item) dr_buf_put_char(writer->out, ',');
    writer->has_item = true;
}

void json_open(struct json_writer *writer, char bracket) {
    separate(writer);
    dr_buf_put_char(writer->out, bracket);
    writer->has_item = false;
}

void json_close(struct json_writer *writer, char bracket) {
    dr_buf_put_char(writer->out, bracket);
    writer->has_item = true;
}

void json_name(struct json_writer *writer, dr_slice name) {
    separate(writer);
    dr_json_put_string(writer->out, name);
    dr_buf_put_char(writer->out, ':');
    writer->has_item = false;
}

void json_text(struct json_writer *writer, dr_slice text) {
    separate(writer);
    dr_json_put_string(writer->out, text);
}

void json_raw(struct json_writer *writer, dr_slice json) {
    separate(writer);
    dr_buf_put(writer->out, json);
}

void json_value(struct json_writer *writer, dr_json value) {
    separate(writer);
    dr_json_put_value(writer->out, value);
}

void json_number(struct json_writer *writer, uint64_t number) {
    separate(writer);
    dr_buf_put_u64(writer->out, number);
}

void json_put_plain_base64(struct dr_buf *out, dr_slice data) {
    char *room = dr_buf_reserve(out, data.len);
    size_t len = 0;

    if (!room) return;
    for (size_t i = 0; i < data.len; i++) {
        const char byte = data.data[i];
        const bool is_kept = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                             (byte >= '0' && byte <= '9') || byte == '+' || byte == '/' ||
                             byte == '=';
        if (is_kept) room[len++] = byte;
        if (byte == '-') room[len++] = '+';
        if (byte == '_') room[len++] = '/';
    }
    dr_buf_commit(out, len);
}

void json_base64(struct json_writer *writer, dr_slice data) {
    separate(writer);
    dr_buf_put_char(writer->out, '"');
    json_put_plain_base64(writer->out, data);
    dr_buf_put_char(writer->out, '"');
}

void json_member(struct json_writer *writer, dr_slice name, dr_slice text) {
    json_name(writer, name);
    json_text(writer, text);
}
