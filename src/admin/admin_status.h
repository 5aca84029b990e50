/* What GET /admin/v1/status says: who runs here, since when, with what. */
#ifndef DR_ADMIN_ADMIN_STATUS_H
#define DR_ADMIN_ADMIN_STATUS_H

#include "base/buf.h"

struct inspection;
struct server;

/* On the server's thread. */
void admin_status_put(struct dr_buf *buf, const struct inspection *inspection,
                      const struct server *server);
/* {"status":"ready"} and 200, or the reason why requests are refused and 503. */
uint16_t admin_status_put_ready(struct dr_buf *buf, const struct inspection *inspection);

#endif
