/* HTTP as a source of exchanges, and the routes that only look. The one place that knows which
 * address means what. */
#ifndef DR_GATEWAY_HTTP_FRONT_H
#define DR_GATEWAY_HTTP_FRONT_H

#include "gateway/downstream.h"
#include "gateway/refusal.h"
#include "net/http_server.h"

struct worker;

/* The service of each worker's dr_http_server; its owner is the worker. */
extern const struct dr_http_service http_front_service;

/* What a route's function is handed; slices are borrowed. */
struct http_visit {
    struct worker *worker;
    struct dr_http_call *call;
    const struct dr_http1_head *head;
    dr_slice rest;        /* of the path, behind the route's prefix */
    dr_slice query;       /* without '?' */
    dr_slice cors_origin; /* allowed, to be named in the answer */
};

/* Answers a visit with a refusal, or with a JSON body. */
void http_visit_refuse(const struct http_visit *visit, const struct refusal *refusal);
void http_visit_answer(const struct http_visit *visit, uint16_t status, dr_slice body);

#endif
