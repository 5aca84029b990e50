/* Private to the dialects: JSON into a buffer, with the commas seen to. */
#ifndef DR_DIALECT_JSON_WRITER_H
#define DR_DIALECT_JSON_WRITER_H

#include "base/json.h"

struct json_writer {
    struct dr_buf *out;
    bool has_item; /* a comma is due before the next one */
};

void json_open(struct json_writer *writer, char bracket);
void json_close(struct json_writer *writer, char bracket);
void json_name(struct json_writer *writer, dr_slice name);
void json_text(struct json_writer *writer, dr_slice text);
/* JSON as it is. */
void json_raw(struct json_writer *writer, dr_slice json);
void json_value(struct json_writer *writer, dr_json value);
void json_number(struct json_writer *writer, uint64_t number);
/* Base64 in either alphabet, perhaps with blanks: in the standard one and without them. */
void json_put_plain_base64(struct dr_buf *out, dr_slice data);
/* The same as a string. */
void json_base64(struct json_writer *writer, dr_slice data);
/* A member whose value is a string. */
void json_member(struct json_writer *writer, dr_slice name, dr_slice text);

#endif
