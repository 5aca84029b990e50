/* Intrusive doubly linked list with a sentinel. A node that is in no list points to itself. */
#ifndef DR_BASE_LIST_H
#define DR_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct dr_list {
    struct dr_list *next;
    struct dr_list *prev;
};

#define dr_list_item(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void dr_list_init(struct dr_list *node) {
    node->next = node;
    node->prev = node;
}
static inline bool dr_list_is_empty(const struct dr_list *list) {
    return list->next == list;
}
static inline void dr_list_put_last(struct dr_list *list, struct dr_list *node) {
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}
static inline void dr_list_put_first(struct dr_list *list, struct dr_list *node) {
    dr_list_put_last(list->next, node);
}
/* Leaves `node` pointing to itself; harmless on a node that is in no list. */
static inline void dr_list_remove(struct dr_list *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    dr_list_init(node);
}

#endif
