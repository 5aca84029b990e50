/* YAML text → a tree with places. Must not know what the configuration means, and must not put a
 * value into an error: it may be a secret. */
#include "gateway/config_yaml.h"

#include "base/buf.h"
#include "base/secret.h"

#include <yaml.h>

#include <stdarg.h>
#include <stdio.h>

struct reading {
    const char *name;
    struct dr_arena *arena;
    struct dr_error *error;
    yaml_parser_t parser;
};

static enum dr_status fail_at(struct reading *reading, unsigned line, unsigned column,
                              const char *format, ...) DR_PRINTF(4, 5);

static enum dr_status fail_at(struct reading *reading, unsigned line, unsigned column,
                              const char *format, ...) {
    char sentence[200];
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(sentence, sizeof sentence, format, arguments) < 0) sentence[0] = '\0';
    va_end(arguments);
    return dr_fail(reading->error, DR_INVALID, 0, "%s:%u:%u: %s", reading->name, line, column,
                   sentence);
}

static enum dr_status out_of_memory(struct reading *reading) {
    return dr_fail(reading->error, DR_NO_MEMORY, 0,
                   "%s:1:1: no memory left; expected a file that "
                   "fits 16 MiB when read",
                   reading->name);
}

static unsigned line_of(const yaml_event_t *event) {
    return (unsigned)event->start_mark.line + 1;
}
static unsigned column_of(const yaml_event_t *event) {
    return (unsigned)event->start_mark.column + 1;
}

static enum dr_status next_event(struct reading *reading, yaml_event_t *event) {
    yaml_parser_t *parser = &reading->parser;
    if (yaml_parser_parse(parser, event)) return DR_OK;
    if (parser->error == YAML_MEMORY_ERROR) return out_of_memory(reading);
    return fail_at(reading, (unsigned)parser->problem_mark.line + 1,
                   (unsigned)parser->problem_mark.column + 1, "%s; expected valid YAML in UTF-8",
                   parser->problem ? parser->problem : "this is no YAML");
}

static enum dr_status refuse_extras(struct reading *reading, const yaml_event_t *event) {
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    if (anchor || event->type == YAML_ALIAS_EVENT) {
        return fail_at(reading, line_of(event), column_of(event),
                       "anchors and aliases are not taken; expected the value itself");
    }
    if (tag) {
        return fail_at(reading, line_of(event), column_of(event),
                       "tags are not taken; expected the value itself");
    }
    return DR_OK;
}

static enum dr_status copy_scalar(struct reading *reading, const yaml_event_t *event,
                                  dr_slice *ret) {
    const dr_slice text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    if (dr_slice_find_char(text, '\0') < text.len) {
        return fail_at(reading, line_of(event), column_of(event),
                       "the text holds a NUL; expected text without one");
    }
    char *copy = dr_arena_text(reading->arena, text);
    if (!copy) return out_of_memory(reading);
    *ret = dr_slice_of(copy, text.len);
    return DR_OK;
}

static enum dr_status read_node(struct reading *reading, const yaml_event_t *event, unsigned depth,
                                struct yaml_node *node);

/* The key, which is the event, and then the event of its value goes into `*event`. */
static enum dr_status read_key(struct reading *reading, const struct yaml_node *map,
                               yaml_event_t *event, struct yaml_node *child) {
    child->key_line = line_of(event);
    child->key_column = column_of(event);
    enum dr_status status = refuse_extras(reading, event);
    if (status) return status;
    if (event->type != YAML_SCALAR_EVENT) {
        return fail_at(reading, child->key_line, child->key_column,
                       "a key is no plain text; expected a name");
    }
    status = copy_scalar(reading, event, &child->key);
    if (status) return status;
    if (config_yaml_find(map, child->key)) {
        return fail_at(reading, child->key_line, child->key_column,
                       "the key '%.*s' is there twice; expected each key once",
                       DR_FMT(dr_slice_first(child->key, 80)));
    }
    yaml_event_delete(event);
    /* A failed parse leaves the event zeroed, so that the caller may delete it. */
    return next_event(reading, event);
}

static enum dr_status read_children(struct reading *reading, unsigned depth,
                                    struct yaml_node *parent) {
    struct yaml_node **end = &parent->children;
    for (;;) {
        yaml_event_t event = {0};
        enum dr_status status = next_event(reading, &event);
        if (status) return status;
        if (event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            return DR_OK;
        }
        struct yaml_node *child = dr_arena_alloc_zero(reading->arena, sizeof *child);
        if (!child) status = out_of_memory(reading);
        if (!status && parent->child_count >= YAML_CHILDREN_MAX) {
            status = fail_at(reading, line_of(&event), column_of(&event),
                             "too many entries; expected at most %d", YAML_CHILDREN_MAX);
        }
        if (!status && parent->kind == YAML_MAP) status = read_key(reading, parent, &event, child);
        if (!status) {
            *end = child;
            end = &child->next;
            parent->child_count++;
            status = read_node(reading, &event, depth + 1, child);
        }
        yaml_event_delete(&event);
        if (status) return status;
    }
}

static enum dr_status read_node(struct reading *reading, const yaml_event_t *event, unsigned depth,
                                struct yaml_node *node) {
    node->line = line_of(event);
    node->column = column_of(event);
    const enum dr_status status = refuse_extras(reading, event);
    if (status) return status;
    if (depth > YAML_DEPTH_MAX) {
        return fail_at(reading, node->line, node->column,
                       "nested too deep; expected at most %d levels", YAML_DEPTH_MAX);
    }
    if (event->type == YAML_SCALAR_EVENT) return copy_scalar(reading, event, &node->text);
    node->kind = event->type == YAML_MAPPING_START_EVENT ? YAML_MAP : YAML_LIST;
    return read_children(reading, depth, node);
}

static enum dr_status read_document(struct reading *reading, struct yaml_node *root) {
    bool has_root = false;
    for (;;) {
        yaml_event_t event = {0};
        enum dr_status status = next_event(reading, &event);
        if (status) return status;
        const yaml_event_type_t type = event.type;
        if (type == YAML_DOCUMENT_START_EVENT && has_root) {
            status = fail_at(reading, line_of(&event), column_of(&event),
                             "a second document begins; expected one");
        } else if (type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT ||
                   type == YAML_MAPPING_START_EVENT || type == YAML_ALIAS_EVENT) {
            has_root = true;
            status = read_node(reading, &event, 1, root);
        }
        yaml_event_delete(&event);
        if (status || type == YAML_STREAM_END_EVENT) return status;
    }
}

static bool is_name_byte(char byte, bool is_first) {
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || byte == '_' ||
           (!is_first && byte >= '0' && byte <= '9');
}

/* `*rest` begins behind the dollar. */
static enum dr_status put_variable(struct reading *reading, const struct yaml_node *node,
                                   dr_slice *rest, struct dr_buf *buf) {
    size_t len = 1;
    if (rest->len > 0 && rest->data[0] == '$') {
        dr_buf_put_char(buf, '$');
        *rest = dr_slice_from(*rest, 1);
        return DR_OK;
    }
    if (rest->len > 0 && rest->data[0] == '{') {
        while (len < rest->len && is_name_byte(rest->data[len], len == 1)) len++;
    }
    char name[128];
    if (len == 1 || len >= rest->len || rest->data[len] != '}' ||
        !dr_slice_to_text(dr_slice_of(rest->data + 1, len - 1), name, sizeof name)) {
        return fail_at(reading, node->line, node->column,
                       "a '$' stands alone; expected ${NAME}, or $$ for a dollar");
    }
    const char *value = getenv(name);
    if (!value) {
        return fail_at(reading, node->line, node->column,
                       "the variable %s is not set; expected it in the environment", name);
    }
    dr_buf_put(buf, dr_slice_text(value));
    *rest = dr_slice_from(*rest, len + 1);
    return DR_OK;
}

static enum dr_status substitute(struct reading *reading, struct yaml_node *node) {
    enum dr_status status = DR_OK;
    for (struct yaml_node *child = node->children; child && !status; child = child->next) {
        status = substitute(reading, child);
    }
    if (status || node->kind != YAML_TEXT ||
        dr_slice_find_char(node->text, '$') == node->text.len) {
        return status;
    }
    /* Room for the longest result at once: growth would leave pieces of secrets behind. */
    struct dr_buf buf;
    dr_buf_init(&buf, YAML_BYTES_MAX);
    (void)dr_buf_reserve(&buf, 64 * 1024);
    dr_slice rest = node->text;
    while (!status && rest.len > 0) {
        const size_t at = dr_slice_find_char(rest, '$');
        dr_buf_put(&buf, dr_slice_first(rest, at));
        const bool has_dollar = at < rest.len;
        rest = dr_slice_from(rest, at + 1);
        if (has_dollar) status = put_variable(reading, node, &rest, &buf);
    }
    if (!status) {
        char *copy = dr_buf_status(&buf) ? NULL : dr_arena_text(reading->arena, dr_buf_slice(&buf));
        if (copy)
            node->text = dr_slice_of(copy, buf.len);
        else
            status = out_of_memory(reading);
    }
    if (buf.data) dr_wipe(buf.data, buf.len);
    dr_buf_clear(&buf);
    return status;
}

enum dr_status config_yaml_parse(const char *name, dr_slice text, struct dr_arena *arena,
                                 struct yaml_node **ret_root, struct dr_error *error) {
    struct reading reading = {.name = name, .arena = arena, .error = error};
    if (text.len > YAML_BYTES_MAX) {
        return fail_at(&reading, 1, 1, "the file is too large; expected at most 1 MiB");
    }
    struct yaml_node *root = dr_arena_alloc_zero(arena, sizeof *root);
    if (!root) return out_of_memory(&reading);
    *root = (struct yaml_node){.kind = YAML_MAP, .line = 1, .column = 1};
    if (!yaml_parser_initialize(&reading.parser)) return out_of_memory(&reading);
    /* YAML 1.2, section 5.2. libyaml skips it only where it is to find the encoding itself. */
    if (dr_slice_starts(text, DR_LIT("\xef\xbb\xbf"))) text = dr_slice_from(text, 3);
    static const unsigned char nothing[1] = "";
    yaml_parser_set_encoding(&reading.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reading.parser,
                                 text.data ? (const unsigned char *)text.data : nothing, text.len);
    enum dr_status status = read_document(&reading, root);
    yaml_parser_delete(&reading.parser);
    if (!status && root->text.data) root->kind = YAML_TEXT;
    if (!status) status = substitute(&reading, root);
    if (status) {
        config_yaml_wipe(root);
        return status;
    }
    *ret_root = root;
    return DR_OK;
}

const struct yaml_node *config_yaml_find(const struct yaml_node *map, dr_slice key) {
    if (!map || map->kind != YAML_MAP) return NULL;
    for (const struct yaml_node *child = map->children; child; child = child->next) {
        if (dr_slice_is(child->key, key)) return child;
    }
    return NULL;
}

void config_yaml_wipe(struct yaml_node *root) {
    if (!root) return;
    for (struct yaml_node *child = root->children; child; child = child->next) {
        config_yaml_wipe(child);
    }
    if (root->text.data) dr_wipe((void *)(uintptr_t)root->text.data, root->text.len);
    root->text.len = 0;
}
