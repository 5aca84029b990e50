/* What `serve --demo` needs beside a gateway: a simulated provider in a thread of its own, the
 * configuration that uses it, and the keys that the documentation names. */
#ifndef DR_CLI_DEMO_H
#define DR_CLI_DEMO_H

#include "base/slice.h"
#include "base/status.h"
#include "gateway/config.h"

#define DEMO_KEY "sk-drover-demo"
#define DEMO_LIMITED_KEY "sk-drover-demo-limited"
#define DEMO_ADMIN_KEY "sk-drover-admin-demo"

struct demo;

/* Returns when the provider listens. */
enum dr_status demo_open(struct demo **ret_demo, struct dr_error *error) DR_MUST_USE;
/* Ends the thread and waits for it. Accepts NULL. */
void demo_close(struct demo *demo);

/* Whether the address can be reached from this machine only. */
bool demo_is_loopback(dr_slice address);
enum dr_status demo_config(const struct demo *demo, const char *listen, const char *admin_listen,
                           const char *data, struct config **ret_config,
                           struct dr_error *error) DR_MUST_USE;
/* Makes the demo's account and keys where they are absent. Before the gateway opens the data. */
enum dr_status demo_put_keys(const char *data, struct dr_error *error) DR_MUST_USE;

#endif
