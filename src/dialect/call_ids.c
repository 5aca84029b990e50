/* Ids of calls, each once. Must not depend on what follows the calls that are there: a conversation
 * that grows keeps its ids, and what the provider cached of it stays valid. */
#include "dialect/call_ids.h"

#include "base/alloc.h"
#include "base/assert.h"

static const dr_slice own = {"drover_call_", 12};

struct entry {
    dr_slice id;
    size_t number;
};

/* By id, then in the order of the calls. */
static int compare(const void *left, const void *right) {
    const struct entry *a = left;
    const struct entry *b = right;
    const size_t len = a->id.len < b->id.len ? a->id.len : b->id.len;
    const int order = len > 0 ? memcmp(a->id.data, b->id.data, len) : 0;

    if (order != 0) return order;
    if (a->id.len != b->id.len) return a->id.len < b->id.len ? -1 : 1;
    return a->number < b->number ? -1 : 1;
}

static bool may_stay(dr_slice id) {
    if (id.len == 0 || dr_slice_starts(id, own)) return false;
    for (size_t i = 0; i < id.len; i++) {
        const char byte = id.data[i];
        const bool is_plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                              (byte >= '0' && byte <= '9') || byte == '_' || byte == '-';
        if (!is_plain) return false;
    }
    return true;
}

enum dr_status call_ids_init(struct call_ids *ids, const struct conversation *conversation) {
    size_t count = 0;
    size_t number = 0;

    for (size_t i = 0; i < conversation->message_count; i++) {
        count += conversation->messages[i].call_count;
    }
    *ids = (struct call_ids){dr_alloc_zero(count, sizeof *ids->kept), count};
    struct entry *entries = dr_alloc_zero(count, sizeof *entries);
    if (!ids->kept || !entries) {
        dr_free(entries);
        return DR_NO_MEMORY;
    }
    for (size_t i = 0; i < conversation->message_count; i++) {
        const struct message *message = &conversation->messages[i];
        for (size_t k = 0; k < message->call_count; k++, number++) {
            entries[number] = (struct entry){message->calls[k].id, number};
        }
    }
    qsort(entries, count, sizeof *entries, compare);
    for (size_t i = 0; i < count; i++) {
        const bool is_first = i == 0 || !dr_slice_is(entries[i].id, entries[i - 1].id);
        if (is_first && may_stay(entries[i].id)) ids->kept[entries[i].number] = entries[i].id;
    }
    dr_free(entries);
    return DR_OK;
}

void call_ids_clear(struct call_ids *ids) {
    dr_free(ids->kept);
    *ids = (struct call_ids){NULL, 0};
}

void call_ids_put(const struct call_ids *ids, struct json_writer *json, dr_slice name,
                  size_t number) {
    dr_assert(number < ids->count);
    if (ids->kept[number].len > 0) {
        json_member(json, name, ids->kept[number]);
        return;
    }
    json_name(json, name);
    json_raw(json, DR_LIT("\""));
    dr_buf_put(json->out, own);
    dr_buf_put_u64(json->out, number);
    dr_buf_put_char(json->out, '"');
}
