/* A YAML document as a small tree. The only door to libyaml. One document, maps, lists and scalars;
 * aliases, anchors, tags, repeated keys and depths beyond 16 are refused. A byte order mark at the
 * beginning is skipped and counts in no place. */
#ifndef DR_GATEWAY_CONFIG_YAML_H
#define DR_GATEWAY_CONFIG_YAML_H

#include "base/arena.h"
#include "base/slice.h"
#include "base/status.h"

enum yaml_kind { YAML_TEXT, YAML_LIST, YAML_MAP };

enum { YAML_DEPTH_MAX = 16, YAML_CHILDREN_MAX = 4096, YAML_BYTES_MAX = 1024 * 1024 };

struct yaml_node {
    enum yaml_kind kind;
    dr_slice text; /* scalars: NUL-terminated behind its length, without a NUL inside */
    dr_slice key;  /* of a map's child, as text is */
    unsigned line; /* of the value, from 1 */
    unsigned column;
    unsigned key_line;
    unsigned key_column;
    struct yaml_node *children; /* the first */
    struct yaml_node *next;     /* the sibling */
    size_t child_count;
};

/* The tree lives in `arena`. In values (not in keys) `${NAME}` becomes the variable of the
 * environment and `$$` a dollar. An empty document is an empty map. After a failure the texts read
 * so far are wiped. */
enum dr_status config_yaml_parse(const char *name, dr_slice text, struct dr_arena *arena,
                                 struct yaml_node **ret_root, struct dr_error *error) DR_MUST_USE;
/* NULL when absent or when `map` is no map. */
const struct yaml_node *config_yaml_find(const struct yaml_node *map, dr_slice key);
/* Overwrites every value's text (a file may hold secrets anywhere). Accepts NULL. */
void config_yaml_wipe(struct yaml_node *root);

#endif
