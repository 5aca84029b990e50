/* The bytes of one journal record, for the rooms of the store that write and read them in bulk.
 *
 * Payload, version 2:
 *   0 version · 1 transport · 2 flags (1: cancelled, 2: model unknown) · 3 usage source
 *   4 attempts kept
 *   5 u16 lengths (little-endian) of account id, key id, model, then these three texts, so that
 *     what totals are grouped by lies in one piece
 *     numbers (LEB128, z: zigzag): status, attempt count, first token ms, duration ms, z created
 *     ms, five token counts, z three prices, z cost
 *     request id, client id, key name, user, target, each with its length before it
 *     each attempt: status, duration ms, 0 where its target is the entry's, or the target's
 *     length + 1 and the target.
 *
 * Version 1, integers little-endian, is read and no longer written:
 *   0 to 3 as above · 4 u16 status · 6 attempts kept · 7 zero · 8 u32 attempt count
 *  12 u32 first token ms · 16 u32 duration ms
 *  20 u16 lengths of request id, client id, key name, user, target · 30 zero
 *  32 i64 created ms · 40 five u64 token counts · 80 three i64 prices · 104 i64 cost
 * 112 the group as above; then the five texts; then each attempt: u16 length of its target, u16
 *     status, u32 duration, the target. */
#ifndef DR_STORE_JOURNAL_RECORD_H
#define DR_STORE_JOURNAL_RECORD_H

#include "base/slice.h"
#include "model/ledger_entry.h"
#include "store/journal.h"

enum { JOURNAL_RECORD_HEAD_BYTES = 16 };

/* Writes the whole record, head and padding included, and returns its length, a multiple of 8.
 * Texts beyond LEDGER_TEXT_BYTES_MAX are cut at a character's border. */
size_t journal_record_write(char record[JOURNAL_RECORD_BYTES_MAX],
                            const struct ledger_entry *entry);

/* The length of the record at the front of `bytes`, read from its head without checking the rest;
 * 0 when that can't be. For walking over records that were checked before. */
size_t journal_record_length(dr_slice bytes);

/* Account, key and model of a decoded entry with their lengths, in one piece: equal exactly where
 * all three are. A model that is unknown counts as none, or anybody could make groups without end.
 * A slice of the record, or in `scratch`. */
enum { JOURNAL_RECORD_GROUP_BYTES_MAX = 6 + 3 * LEDGER_TEXT_BYTES_MAX };
dr_slice journal_record_group(const struct ledger_entry *decoded,
                              char scratch[JOURNAL_RECORD_GROUP_BYTES_MAX]);

#endif
