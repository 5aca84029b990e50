/* The operator's listener in this process: a gateway with one worker and real sockets, pumped by
 * the test itself. What the program does as a whole is tested from outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/admin.h"
#include "base/alloc.h"
#include "base/instant.h"
#include "gateway/inspect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_BYTES = 1 << 20, PATIENCE_US = 10000000 };

#define KEY_LINE "Authorization: Bearer secret\r\n"

struct house {
    char folder[64];
    struct dr_loop *loop;
    struct server *server;
    struct admin *admin;
    bool has_ended;
    char answer[ANSWER_BYTES];
};

static void house_ended(void *owner) {
    struct house *house = owner;
    house->has_ended = true;
}

static int open_house(void **state) {
    struct house *house = dr_alloc_zero(1, sizeof *house);
    struct dr_error error;
    struct config *config = NULL;
    char text[1024];
    assert_non_null(house);
    (void)snprintf(house->folder, sizeof house->folder, "/tmp/drover-admin-XXXXXX");
    assert_non_null(mkdtemp(house->folder));
    (void)snprintf(text, sizeof text,
                   "listen: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0, key: secret}\nworkers: 1\n"
                   "data: %s/data\ndrain_seconds: 0\nlogs: {level: error}\nproviders:\n"
                   "  p: {dialect: openai, base_url: \"http://127.0.0.1:9/v1\"}\nmodels:\n"
                   "  m: {price: {input: 1, output: 1}, targets: [{name: t, provider: p, "
                   "model: m}]}\n",
                   house->folder);
    if (config_read_text("test", dr_slice_text(text), &config, &error) != DR_OK) {
        fail_msg("%s", error.text);
    }
    dr_log_set_level(config->log_level);
    assert_int_equal(dr_loop_new(&house->loop, &error), DR_OK);
    const struct server_options options = {.config = config, .ended = house_ended, .owner = house};
    if (server_open(house->loop, &options, &house->server, &error) != DR_OK ||
        admin_open(house->loop, house->server, &house->admin, &error) != DR_OK) {
        fail_msg("%s", error.text);
    }
    *state = house;
    return 0;
}

static int close_house(void **state) {
    struct house *house = *state;
    char command[128];
    server_drain(house->server);
    server_drain(house->server);
    while (!house->has_ended) dr_loop_run_once(house->loop, 100);
    admin_close(house->admin);
    server_close(house->server);
    dr_loop_run(house->loop);
    dr_loop_free(house->loop);
    (void)snprintf(command, sizeof command, "rm -rf %s", house->folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a fixed name */
    dr_free(house);
    return 0;
}

static int dial(const struct house *house) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(admin_port(house->admin)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)(void *)&address, sizeof address), 0);
    return fd;
}

/* Sends, then turns the loop until the other end has closed or `wanted` has come. */
static dr_slice ask(struct house *house, int fd, const char *text, const char *wanted) {
    const dr_instant start = dr_instant_now();
    size_t len = 0;
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    for (;;) {
        dr_loop_run_once(house->loop, 10);
        const ssize_t count = recv(fd, house->answer + len, ANSWER_BYTES - len, MSG_DONTWAIT);
        if (count > 0) len += (size_t)count;
        const dr_slice answer = dr_slice_of(house->answer, len);
        if (count == 0 || dr_slice_find(answer, dr_slice_text(wanted)) < len) return answer;
        if (dr_instant_us_since(dr_instant_now(), start) > PATIENCE_US) {
            fail_msg("no '%s' after %s in: %.*s", wanted, text, DR_FMT(answer));
        }
    }
}

static bool has(dr_slice text, const char *part) {
    return dr_slice_find(text, dr_slice_text(part)) < text.len;
}

static void test_each_request_is_answered_and_the_connection_lives_on(void **state) {
    static const struct {
        const char *request;
        const char *status;
        const char *part;
    } cases[] = {
        {"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "{\"status\":\"ok\"}"},
        {"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "{\"status\":\"ready\"}"},
        {"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "process_cpu_seconds_total "},
        {"GET /admin/v1/status HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 401 ", "invalid_api_key"},
        {"GET /admin/v1/none HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 401 ", "invalid_api_key"},
        {"GET /admin/v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Basic secret\r\n\r\n",
         "HTTP/1.1 401 ", "invalid_api_key"},
        {"GET /admin/v1/none HTTP/1.1\r\nHost: x\r\n" KEY_LINE "\r\n", "HTTP/1.1 404 ",
         "not_found"},
        {"PUT /admin/v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n" KEY_LINE "\r\n",
         "HTTP/1.1 405 ", "method_not_allowed"},
        {"GET /admin/v1/status HTTP/1.1\r\nHost: x\r\n" KEY_LINE "\r\n", "HTTP/1.1 200 ",
         "\"models\":[{\"name\":\"m\""},
        {"POST /admin/v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n" KEY_LINE
         "\r\n{\"name\":\"acme\"}",
         "HTTP/1.1 200 ", "\"credits\":0"},
        {"POST /admin/v1/accounts HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" KEY_LINE
         "\r\n5\r\n{\"nam\r\na\r\ne\":\"acme\"}\r\n0\r\n\r\n",
         "HTTP/1.1 200 ", "\"credits\":0"},
        {"GET /admin/v1/accounts?limit=1 HTTP/1.1\r\nHost: x\r\n" KEY_LINE "\r\n", "HTTP/1.1 200 ",
         "\"has_more\":true"},
        {"POST /admin/v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n" KEY_LINE "\r\n",
         "HTTP/1.1 400 ", "no configuration file"},
    };
    struct house *house = *state;
    const int fd = dial(house);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const dr_slice answer = ask(house, fd, cases[i].request, cases[i].part);
        if (!dr_slice_starts(answer, dr_slice_text(cases[i].status)) ||
            !has(answer, cases[i].part) || !has(answer, "x-request-id: req_")) {
            fail_msg("%s got %.*s", cases[i].request, DR_FMT(answer));
        }
        /* What belongs to this answer must not be taken for the next one's. */
        while (recv(fd, house->answer, ANSWER_BYTES, MSG_DONTWAIT) > 0) continue;
    }
    close(fd);
}

/* The work goes on without its client and is let go of when it comes back: the sanitizer counts. */
static void test_a_client_may_leave_at_any_point(void **state) {
    static const char *const requests[] = {
        "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /admin/v1/status HTTP/1.1\r\nHost: x\r\n" KEY_LINE "\r\n",
        "GET /admin/v1/usage HTTP/1.1\r\nHost: x\r\n" KEY_LINE "\r\n",
        "POST /admin/v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n" KEY_LINE
        "\r\n{\"name\":\"acme\"}",
    };
    struct house *house = *state;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        const size_t whole = strlen(requests[i]);
        const size_t lengths[] = {1, whole / 2, whole - 1, whole};
        for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++) {
            const struct linger at_once = {.l_onoff = 1};
            const int fd = dial(house);
            assert_int_equal(send(fd, requests[i], lengths[j], MSG_NOSIGNAL), lengths[j]);
            dr_loop_run_once(house->loop, 10);
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
            close(fd);
            dr_loop_run_once(house->loop, 0);
        }
    }
    const int fd = dial(house);
    (void)ask(house, fd, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", "\"ready\"");
    close(fd);
}

/* `close_house` follows while a connection is kept and another is in the midst of its body. */
static void test_it_closes_while_clients_are_there(void **state) {
    struct house *house = *state;
    const int kept = dial(house);
    const int half = dial(house);
    (void)ask(house, kept, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "\"ok\"");
    (void)ask(house, half,
              "POST /admin/v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n"
              "Expect: 100-continue\r\n" KEY_LINE "\r\n",
              "100 Continue");
    close(dial(house));
    assert_int_equal(close(kept), 0);
    (void)half; /* left open */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_request_is_answered_and_the_connection_lives_on,
                                        open_house, close_house),
        cmocka_unit_test_setup_teardown(test_a_client_may_leave_at_any_point, open_house,
                                        close_house),
        cmocka_unit_test_setup_teardown(test_it_closes_while_clients_are_there, open_house,
                                        close_house),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
