/* The operator's listener: /admin/v1 with the admin key, /metrics, /healthz and /readyz without.
 * Runs on the server's loop; what needs the books is done by the store's thread, so that neither
 * this loop nor a worker waits for a disk. */
#ifndef DR_ADMIN_ADMIN_H
#define DR_ADMIN_ADMIN_H

#include "base/status.h"
#include "net/loop.h"

struct admin;
struct server;

/* Listens on the configuration's `admin.listen`, not shared with any other program; the error says
 * why that failed. Writes the address into the data folder (admin.url), where a command that finds
 * the folder in use looks for it. `loop` is the server's; the server is kept until admin_close. */
enum dr_status admin_open(struct dr_loop *loop, struct server *server, struct admin **ret_admin,
                          struct dr_error *error) DR_MUST_USE;
/* The port in use. */
uint16_t admin_port(const struct admin *admin);
/* When the server has ended, before server_close. Frees itself in the loop's next turns. Accepts
 * NULL. */
void admin_close(struct admin *admin);

/* For the manual's test: "GET status", …, beside those of the desk; NULL behind the last. */
const char *admin_route_text(size_t index);

#endif
