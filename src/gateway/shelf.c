/* The shelf. Must not know what records say.
 *
 * A sheet is its head, with a hash and a place for each of its records, and the records. Names are
 * looked for among the hashes, sheet by sheet: that is asked a thousand times less often than
 * something is put here, and a table of all names would have to be changed for each record twice,
 * at places that are in no cache. */
#include "gateway/shelf.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "gateway/leaf_pool_shared.h"

#include <stdint.h>
#include <string.h>

enum {
    PLACES_MAX = 8192,
    ALIGNMENT = 64,                      /* a line of the cache */
    EXPECTED_BYTES = DR_SHEET_BYTES / 4, /* used of a sheet: another one will follow */
};

struct sheet {
    struct dr_list node;
    dr_instant due_last; /* nothing on it is kept longer */
    uint32_t count;
    uint32_t used; /* bytes, from the sheet's beginning */
    uint32_t hashes[PLACES_MAX];
    uint32_t places[PLACES_MAX]; /* from the sheet's beginning */
};

struct record {
    dr_instant due;
    size_t name_len;
    size_t owner_len;
    size_t len;
    char texts[]; /* name, owner; the bytes begin at a line of their own */
};

_Static_assert(sizeof(struct sheet) + SHELF_RECORD_BYTES_MAX + 4096 < DR_SHEET_BYTES,
               "an empty sheet has room for any record");

void shelf_init(struct shelf *shelf, struct leaf_pool *pool, size_t bytes_max, uint64_t seed) {
    *shelf = (struct shelf){
        .pool = pool,
        .seed = seed,
        .sheet_count_max = bytes_max / DR_SHEET_BYTES,
    };
    dr_list_init(&shelf->sheets);
    dr_list_init(&shelf->spares);
}

static struct sheet *sheet_at(struct dr_list *node) {
    return dr_list_item(node, struct sheet, node);
}

static void sheet_spare(struct shelf *shelf, struct sheet *sheet) {
    dr_list_remove(&sheet->node);
    dr_list_put_first(&shelf->spares, &sheet->node);
}

static void sheet_give_back(struct shelf *shelf, struct sheet *sheet) {
    dr_list_remove(&sheet->node);
    shelf->sheet_count--;
    leaf_pool_give_sheet(shelf->pool, sheet);
}

void shelf_trim(struct shelf *shelf) {
    while (!dr_list_is_empty(&shelf->spares)) {
        sheet_give_back(shelf, sheet_at(shelf->spares.next));
    }
}

void shelf_clear(struct shelf *shelf) {
    while (shelf_give_way(shelf)) continue;
}

bool shelf_give_way(struct shelf *shelf) {
    struct dr_list *from = dr_list_is_empty(&shelf->spares) ? &shelf->sheets : &shelf->spares;
    if (dr_list_is_empty(from)) return false;
    sheet_give_back(shelf, sheet_at(from->next));
    return true;
}

void shelf_tidy(struct shelf *shelf, dr_instant now) {
    while (!dr_list_is_empty(&shelf->sheets)) {
        struct sheet *oldest = sheet_at(shelf->sheets.next);
        if (oldest->due_last.us > now.us) return;
        sheet_spare(shelf, oldest);
    }
}

static bool needs_sheet(const struct shelf *shelf) {
    return dr_list_is_empty(&shelf->spares) && shelf->sheet_count < shelf->sheet_count_max;
}

/* NULL when there is neither memory nor an older one. */
static struct sheet *sheet_take(struct shelf *shelf) {
    struct sheet *sheet = NULL;
    if (needs_sheet(shelf)) {
        sheet = leaf_pool_take_sheet(shelf->pool);
        if (sheet) {
            dr_list_init(&sheet->node);
            shelf->sheet_count++;
        }
    }
    if (!sheet) {
        struct dr_list *from = dr_list_is_empty(&shelf->spares) ? &shelf->sheets : &shelf->spares;
        if (dr_list_is_empty(from)) return NULL;
        sheet = sheet_at(from->next);
        dr_list_remove(&sheet->node);
    }
    sheet->due_last = (dr_instant){INT64_MIN};
    sheet->count = 0;
    sheet->used = sizeof *sheet;
    dr_list_put_last(&shelf->sheets, &sheet->node);
    return sheet;
}

static size_t aligned(size_t len) {
    return (len + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static bool has_room(const struct sheet *sheet, size_t len) {
    return sheet->count < PLACES_MAX && DR_SHEET_BYTES - aligned(sheet->used) >= len;
}

static size_t head_bytes(dr_slice name, dr_slice owner) {
    return aligned(sizeof(struct record) + name.len + owner.len);
}

char *shelf_put(struct shelf *shelf, dr_slice name, dr_slice owner, size_t len, dr_instant due) {
    const size_t head = head_bytes(name, owner);
    if (len > SHELF_RECORD_BYTES_MAX || head > 4096 - ALIGNMENT) return NULL;
    struct sheet *sheet = dr_list_is_empty(&shelf->sheets) ? NULL : sheet_at(shelf->sheets.prev);
    if (!sheet || !has_room(sheet, head + len)) sheet = sheet_take(shelf);
    if (!sheet) return NULL;
    const uint32_t place = (uint32_t)aligned(sheet->used);
    struct record *record = (struct record *)(void *)((char *)sheet + place);
    *record = (struct record){
        .due = due,
        .name_len = name.len,
        .owner_len = owner.len,
        .len = len,
    };
    memcpy(record->texts, name.data, name.len);
    memcpy(record->texts + name.len, owner.data, owner.len);
    sheet->hashes[sheet->count] = (uint32_t)dr_slice_hash(name, shelf->seed);
    sheet->places[sheet->count++] = place;
    const bool was_new = sheet->used < EXPECTED_BYTES;
    sheet->used = place + (uint32_t)(head + len);
    if (was_new && sheet->used >= EXPECTED_BYTES && needs_sheet(shelf)) {
        leaf_pool_expect_sheet(shelf->pool);
    }
    if (due.us > sheet->due_last.us) sheet->due_last = due;
    return (char *)record + head;
}

static const struct record *sheet_find(const struct sheet *sheet, dr_slice name, uint32_t hash) {
    for (uint32_t i = sheet->count; i-- > 0;) {
        if (sheet->hashes[i] != hash) continue;
        const struct record *record =
            (const struct record *)(const void *)((const char *)sheet + sheet->places[i]);
        if (dr_slice_is(dr_slice_of(record->texts, record->name_len), name)) return record;
    }
    return NULL;
}

bool shelf_find(struct shelf *shelf, dr_slice name, dr_instant now, struct shelved *ret) {
    const uint32_t hash = (uint32_t)dr_slice_hash(name, shelf->seed);
    const struct record *record = NULL;
    for (struct dr_list *node = shelf->sheets.prev; node != &shelf->sheets && !record;
         node = node->prev) {
        record = sheet_find(sheet_at(node), name, hash);
    }
    if (!record || record->due.us <= now.us) return false;
    const dr_slice owner = dr_slice_of(record->texts + record->name_len, record->owner_len);
    *ret = (struct shelved){
        .owner = owner,
        .bytes = dr_slice_of((const char *)record + head_bytes(name, owner), record->len),
        .due = record->due,
    };
    return true;
}
