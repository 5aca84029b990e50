/* Journal bytes from anywhere: reading them never leaves their bounds, and what is taken for a
 * record, of any version, is read back the same when it is written again. */
#include "base/assert.h"
#include "base/digest.h"
#include "store/journal.h"
#include "store/journal_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void read_records(dr_slice rest) {
    struct ledger_entry entry;
    for (;;) {
        const dr_slice before = rest;
        if (journal_decode(&rest, &entry) != JOURNAL_RECORD) break;
        const size_t record_len = before.len - rest.len;
        dr_assert(record_len == journal_record_length(before));
        char scratch[JOURNAL_RECORD_GROUP_BYTES_MAX];
        const dr_slice group = journal_record_group(&entry, scratch);
        const size_t model_len = entry.is_model_unknown ? 0 : entry.model.len;
        dr_assert(group.len == 6 + entry.account_id.len + entry.key_id.len + model_len);
        char again[JOURNAL_RECORD_BYTES_MAX];
        char once_more[JOURNAL_RECORD_BYTES_MAX];
        struct ledger_entry twin;
        const size_t len = journal_record_write(again, &entry);
        dr_slice written = dr_slice_of(again, len);
        dr_assert(journal_decode(&written, &twin) == JOURNAL_RECORD);
        dr_assert(written.len == 0);
        dr_assert(dr_slice_is(twin.request_id, entry.request_id));
        dr_assert(twin.cost.nanousd == entry.cost.nanousd);
        dr_assert(dr_slice_is(dr_slice_of(once_more, journal_record_write(once_more, &twin)),
                              dr_slice_of(again, len)));
    }
}

static void put_u32(char *at, uint32_t value) {
    for (size_t index = 0; index < 4; index++) at[index] = (char)(value >> 8 * index);
}

/* The bytes as a payload under a head with the right checksums, which no search would find. */
static void read_as_payload(dr_slice payload) {
    char record[JOURNAL_RECORD_BYTES_MAX] = {0};
    if (payload.len > sizeof(record) - JOURNAL_RECORD_HEAD_BYTES) return;
    memcpy(record, "DRJ1", 4);
    put_u32(record + 4, (uint32_t)payload.len);
    put_u32(record + 8, dr_crc32c(0, payload));
    put_u32(record + 12, dr_crc32c(0, dr_slice_of(record, 12)));
    if (payload.len > 0) memcpy(record + JOURNAL_RECORD_HEAD_BYTES, payload.data, payload.len);
    const size_t len = (JOURNAL_RECORD_HEAD_BYTES + payload.len + 7) & ~(size_t)7;
    read_records(dr_slice_of(record, len));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    const dr_slice input = dr_slice_of((const char *)bytes, len);
    read_records(input);
    read_as_payload(input);
    read_as_payload(dr_slice_from(input, JOURNAL_RECORD_HEAD_BYTES));
    return 0;
}
