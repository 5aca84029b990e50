/* Finding out who asks, for exchanges and for the routes that only look. */
#ifndef DR_GATEWAY_AUTHENTICATE_H
#define DR_GATEWAY_AUTHENTICATE_H

#include "gateway/refusal.h"
#include "store/key_table.h"

/* The token of "Bearer TOKEN"; DR_NONE for anything else. Borrowed from the header. */
dr_slice bearer_token(dr_slice authorization);
/* The row of a key that is good now; otherwise why not. By its token, by the digest of one that was
 * found before, by the header that carries it. */
bool identify_token(const struct key_table *keys, dr_slice token, dr_wall now,
                    const struct key_table_row **ret_row, enum refusal_reason *ret_reason);
bool identify_digest(const struct key_table *keys, const struct dr_sha256 *digest, dr_wall now,
                     const struct key_table_row **ret_row, enum refusal_reason *ret_reason);
bool identify(const struct key_table *keys, dr_slice authorization, dr_wall now,
              const struct key_table_row **ret_row, enum refusal_reason *ret_reason);

#endif
