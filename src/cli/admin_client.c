/* The commands' way to a running gateway. Must not know what is asked, nor print. */
#include "cli/admin_client.h"

#include "base/alloc.h"
#include "base/secret.h"
#include "net/address.h"
#include "net/http1_write.h"
#include "net/http_client.h"
#include "net/loop.h"
#include "net/tls.h"
#include "net/url.h"

enum { REQUEST_BYTES_MAX = 1 << 20, URL_BYTES_MAX = 1024, TURN_MS = 1000 };

struct admin_client {
    char url_text[URL_BYTES_MAX];
    struct dr_url url; /* its slices lie in the text */
    struct dr_secret key;
    struct dr_loop *loop;
    struct dr_resolver *resolver;
    struct dr_tls_client *tls;
    struct dr_http_pool *pool;
    struct dr_http_origin *origin;

    /* The question under way. */
    struct dr_buf *answer;
    uint16_t status;
    enum dr_status outcome;
    struct dr_error error;
    bool is_over;
};

static enum dr_status open_net(struct admin_client *client, struct dr_error *error) {
    const struct dr_http_pool_options options = {0};
    enum dr_status status = dr_loop_new(&client->loop, error);
    if (!status) status = dr_resolver_open(client->loop, NULL, &client->resolver, error);
    if (!status && client->url.is_https) status = dr_tls_client_new(NULL, &client->tls, error);
    if (status) return status;
    client->pool = dr_http_pool_new(client->loop, client->resolver, &options);
    if (client->pool) {
        client->origin =
            dr_http_origin_hold(client->pool, client->url.host, client->url.port, client->tls);
    }
    return client->origin ? DR_OK : dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
}

enum dr_status admin_client_open(const char *url, dr_slice key, struct admin_client **ret_client,
                                 struct dr_error *error) {
    struct admin_client *client = dr_alloc_zero(1, sizeof *client);
    if (!client) return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    enum dr_status status = DR_OK;
    if (!dr_slice_to_text(dr_slice_text(url), client->url_text, sizeof client->url_text)) {
        status = dr_fail(error, DR_INVALID, 0, "the URL is too long");
    }
    if (!status) status = dr_url_parse(dr_slice_text(client->url_text), &client->url, error);
    if (!status) status = dr_secret_set(&client->key, key);
    if (!status) status = open_net(client, error);
    if (status) {
        admin_client_close(client);
        return status;
    }
    *ret_client = client;
    return DR_OK;
}

void admin_client_close(struct admin_client *client) {
    if (!client) return;
    if (client->origin) dr_http_origin_release(client->origin);
    if (client->pool) dr_http_pool_close(client->pool);
    if (client->resolver) dr_resolver_close(client->resolver);
    if (client->loop) dr_loop_run(client->loop); /* until everything has closed */
    dr_loop_free(client->loop);
    dr_tls_client_release(client->tls);
    dr_secret_clear(&client->key);
    dr_free(client);
}

/* --- a question ---------------------------------------------------------------------------- */

static void head_came(void *owner, const struct dr_http1_head *head) {
    struct admin_client *client = owner;
    client->status = head->status;
}

static void body_came(void *owner, dr_slice piece, bool is_last) {
    struct admin_client *client = owner;
    (void)is_last;
    dr_buf_put(client->answer, piece);
}

static void answer_done(void *owner) {
    struct admin_client *client = owner;
    client->is_over = true;
}

static void ask_failed(void *owner, enum dr_http_ask_failure failure,
                       const struct dr_error *error) {
    struct admin_client *client = owner;
    (void)failure;
    client->outcome = error->status ? error->status : DR_IO;
    client->error = *error;
    client->is_over = true;
}

static const struct dr_http_ask_events ask_events = {
    .head = head_came,
    .body = body_came,
    .done = answer_done,
    .failed = ask_failed,
};

/* A key with a line end would be a header of its own: the buffer fails then. */
static void put_head(const struct admin_client *client, struct dr_buf *head, bool is_post,
                     dr_slice target, size_t body_len) {
    dr_buf_format(head, "%s %.*s/admin/v1/%.*s HTTP/1.1\r\n", is_post ? "POST" : "GET",
                  DR_FMT(client->url.path), DR_FMT(target));
    dr_http1_put_header(head, DR_LIT("Host"), client->url.authority);
    dr_buf_put(head, DR_LIT("Authorization: Bearer "));
    const dr_slice key = dr_secret_reveal(&client->key);
    if (dr_slice_find_char(key, '\r') < key.len || dr_slice_find_char(key, '\n') < key.len) {
        dr_buf_put(head, DR_LIT("\r\n"));
    } else {
        dr_buf_put(head, key);
        dr_buf_put(head, DR_LIT("\r\n"));
    }
    dr_buf_put(head, DR_LIT("User-Agent: drover/" DROVER_VERSION "\r\n"));
    if (is_post) {
        dr_http1_put_header(head, DR_LIT("Content-Type"), DR_LIT("application/json"));
        dr_http1_put_header_u64(head, DR_LIT("Content-Length"), body_len);
    }
    dr_http1_put_head_end(head);
}

enum dr_status admin_client_ask(struct admin_client *client, bool is_post, dr_slice target,
                                dr_slice body, struct dr_buf *answer, uint16_t *ret_status,
                                struct dr_error *error) {
    struct dr_buf head;
    dr_buf_init(&head, REQUEST_BYTES_MAX);
    put_head(client, &head, is_post, target, body.len);
    dr_buf_reset(answer);
    client->answer = answer;
    client->status = 0;
    client->outcome = DR_OK;
    client->is_over = false;
    const dr_slice parts[2] = {dr_buf_slice(&head), body};
    const struct dr_http_ask_request request = {
        .parts = parts,
        .part_count = body.len > 0 ? 2 : 1,
        .is_repeatable = !is_post,
        .timeouts = {.connect_ms = 10000,
                     .first_byte_ms = 60000,
                     .between_bytes_ms = 30000,
                     .whole_ms = 120000},
    };
    struct dr_http_ask *ask = NULL;
    if (dr_buf_status(&head) == DR_OK) {
        ask = dr_http_ask_open(client->origin, &request, &ask_events, client);
    }
    if (!ask) client->outcome = dr_fail(&client->error, DR_NO_MEMORY, 0, "out of memory");
    while (ask && !client->is_over) dr_loop_run_once(client->loop, TURN_MS);
    if (head.data) dr_wipe(head.data, head.len);
    dr_buf_clear(&head);
    if (!client->outcome && dr_buf_status(answer) != DR_OK) {
        client->outcome = dr_fail(&client->error, DR_TOO_LARGE, 0, "the answer is too large");
    }
    if (client->outcome) {
        *error = client->error;
        return client->outcome;
    }
    *ret_status = client->status;
    return DR_OK;
}
