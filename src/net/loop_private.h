/* What the loop lends to the streams beside its public buffer. For the files of this folder
 * only. */
#ifndef DR_NET_LOOP_PRIVATE_H
#define DR_NET_LOOP_PRIVATE_H

#include "net/loop.h"

struct dr_buf;

/* DR_LOOP_READ_BYTES for deciphered bytes, apart from the read buffer that holds the ciphertext.
 * NULL when out of memory. */
char *dr_loop_plain_buffer(struct dr_loop *loop);

/* For the length of one call: DR_LOOP_WRITE_BYTES to put small parts together in. */
enum { DR_LOOP_WRITE_BYTES = 4096 };
char *dr_loop_write_buffer(struct dr_loop *loop);

/* An empty buffer for one use within one call; its memory is kept by the loop. Each use ends with
 * dr_loop_scratch_done before anything else may ask for it. */
struct dr_buf *dr_loop_scratch(struct dr_loop *loop);
void dr_loop_scratch_done(struct dr_loop *loop);

#endif
