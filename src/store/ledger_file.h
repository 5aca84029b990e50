/* Where the records of settled exchanges lie for good: DATA/ledger/NNNNNN.records, which only grow,
 * up to 1 GiB each, or what the limit on files' size allows. The database beside them knows which
 * page of records is where; what a file has behind the last page that was committed there was never
 * settled and is written over. One thread; calls block. */
#ifndef DR_STORE_LEDGER_FILE_H
#define DR_STORE_LEDGER_FILE_H

#include "base/slice.h"
#include "base/status.h"

struct ledger_file;

enum { LEDGER_PAGE_BYTES_MAX = 64 * 1024 };

struct ledger_place {
    uint32_t file; /* from 1; 0: nowhere */
    uint64_t offset;
};

/* `end` is behind the last committed page, nowhere when there is none. `file_bytes_max` 0 means the
 * default; smaller ones are for tests. */
enum dr_status ledger_file_new(const char *data_folder, struct ledger_place end,
                               uint64_t file_bytes_max, struct ledger_file **ret_ledger,
                               struct dr_error *error) DR_MUST_USE;
void ledger_file_free(struct ledger_file *ledger); /* accepts NULL */

/* Looks whether a file is there and reaches to `end`, without reading it; if not, it is logged as
 * `ledger.missing`. */
void ledger_file_check(const struct ledger_file *ledger, struct ledger_place end);

/* Behind what was appended last, in one piece of one file. At most LEDGER_PAGE_BYTES_MAX. */
enum dr_status ledger_file_append(struct ledger_file *ledger, dr_slice page,
                                  struct ledger_place *ret_place,
                                  struct dr_error *error) DR_MUST_USE;
/* Makes what was appended durable. Not before can it be read. After a failure of this or an append
 * it has to be rewound. */
enum dr_status ledger_file_sync(struct ledger_file *ledger, struct dr_error *error) DR_MUST_USE;
struct ledger_place ledger_file_end(const struct ledger_file *ledger);
/* Takes back what was appended since that was the end. */
void ledger_file_rewind(struct ledger_file *ledger, struct ledger_place end);

/* DR_CORRUPT: the file is missing or too short. What is in it is not looked at. */
enum dr_status ledger_file_read(struct ledger_file *ledger, struct ledger_place place, char *bytes,
                                size_t len, struct dr_error *error) DR_MUST_USE;

#endif
