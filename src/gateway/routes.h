/* The routes that only look: models, account, receipts, health. Each answers the visit now, or
 * starts a lookup that answers later. */
#ifndef DR_GATEWAY_ROUTES_H
#define DR_GATEWAY_ROUTES_H

struct http_visit;

void route_models(const struct http_visit *visit);
void route_model(const struct http_visit *visit);
void route_account(const struct http_visit *visit);
void route_account_usage(const struct http_visit *visit);
void route_receipt(const struct http_visit *visit);
void route_health(const struct http_visit *visit);
void route_ready(const struct http_visit *visit);
/* The client of a waiting lookup has left. */
void lookup_note_gone(void *lookup);

#endif
