/* Asks a running gateway's admin listener and waits for the answer. One thread, one question at a
 * time, over one kept connection. */
#ifndef DR_CLI_ADMIN_CLIENT_H
#define DR_CLI_ADMIN_CLIENT_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

struct admin_client;

/* `url` is "http://127.0.0.1:8081", or https behind a proxy. Connects with the first question. The
 * key is copied, and wiped at the end. */
enum dr_status admin_client_open(const char *url, dr_slice key, struct admin_client **ret_client,
                                 struct dr_error *error) DR_MUST_USE;
/* `target` is what follows "/admin/v1/". The answer's body goes into `answer`, which is emptied
 * before. The error's text tells of connections; what the gateway refuses is an answer. */
enum dr_status admin_client_ask(struct admin_client *client, bool is_post, dr_slice target,
                                dr_slice body, struct dr_buf *answer, uint16_t *ret_status,
                                struct dr_error *error) DR_MUST_USE;
void admin_client_close(struct admin_client *client); /* accepts NULL */

#endif
