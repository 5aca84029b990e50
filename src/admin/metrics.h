/* The numbers of a running gateway as Prometheus' text format 0.0.4, and the page that explains
 * them. docs/metrics.md is that page; a test compares. */
#ifndef DR_ADMIN_METRICS_H
#define DR_ADMIN_METRICS_H

#include "base/buf.h"

struct inspection;

/* Labels come from the configuration and from closed sets, never from a client's words. */
void metrics_put(struct dr_buf *buf, const struct inspection *inspection);
/* docs/metrics.md */
void metrics_put_markdown(struct dr_buf *buf);

#endif
