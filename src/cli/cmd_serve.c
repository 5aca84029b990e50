/* `drover serve`: a gateway on this thread's loop, from the configuration to the last exchange.
 * What a gateway does is in src/gateway; here are only its options and signals. */
#include "cli/command.h"

#include "admin/admin.h"
#include "base/alloc.h"
#include "base/log.h"
#include "cli/demo.h"
#include "gateway/server.h"
#include "net/loop.h"
#include "net/signals.h"

#include <signal.h>

struct serve {
    struct dr_loop *loop;
    struct server *server;
    struct admin *admin;
    struct dr_signals *signals;
    struct demo *demo;
};

static void server_ended(void *owner) {
    struct serve *serve = owner;
    dr_loop_stop(serve->loop);
}

static void signal_received(void *owner, int signal_number) {
    struct serve *serve = owner;
    struct dr_error error = {0};

    if (!serve->server) return; /* a failed start is being undone */
    if (signal_number == SIGHUP) {
        /* The server has logged why when it failed; the old configuration goes on. */
        if (server_reload(serve->server, &error) != DR_OK) return;
        dr_log_set_level(server_config(serve->server)->log_level);
        return;
    }
    server_drain(serve->server);
}

static int read_config(const struct options *options, struct serve *serve, const char **ret_path,
                       struct config **ret_config) {
    const char *listen = options_value(options, "listen");
    const char *admin_listen = options_value(options, "admin-listen");
    const char *data = options_value(options, "data");
    const char *path = options_value(options, "config");
    struct dr_error error = {0};

    *ret_path = NULL;
    if (options_has(options, "demo")) {
        if (!listen) listen = "127.0.0.1:8080";
        if (!admin_listen) admin_listen = "127.0.0.1:8081";
        if (!data) data = "drover-data";
        if (!demo_is_loopback(dr_slice_text(listen)) ||
            !demo_is_loopback(dr_slice_text(admin_listen))) {
            return command_fail("the demo's keys are public, so it listens on loopback addresses "
                                "only (127.0.0.1:PORT), not on %s",
                                demo_is_loopback(dr_slice_text(listen)) ? admin_listen : listen);
        }
        if (demo_open(&serve->demo, &error) != DR_OK ||
            demo_config(serve->demo, listen, admin_listen, data, ret_config, &error) != DR_OK) {
            return command_fail("the demo could not start: %s", error.text);
        }
        return EXIT_DONE;
    }
    if (!path) path = "drover.yaml";
    if (config_read_file(path, ret_config, &error) != DR_OK) {
        return command_fail("%s", error.text);
    }
    *ret_path = path;
    return EXIT_DONE;
}

/* Of HOST:PORT; the port may be 0 there. */
static dr_slice host_of(dr_slice listen) {
    while (listen.len > 0 && listen.data[listen.len - 1] != ':') listen.len--;
    if (listen.len > 0) listen.len--;
    return listen;
}

static void log_listening(const struct serve *serve) {
    const struct config *config = server_config(serve->server);
    dr_log(DR_LOG_INFO, "gateway.listening", "address=%.*s:%u workers=%u admin=%.*s:%u",
           DR_FMT(host_of(config->listen)), (unsigned)server_port(serve->server), config->workers,
           DR_FMT(host_of(config->admin_listen)), (unsigned)admin_port(serve->admin));
}

static void print_greeting(const struct serve *serve) {
    const struct server *server = serve->server;
    const struct config *config = server_config(server);
    const char *scheme = config->tls_cert ? "https" : "http";
    const dr_slice host = host_of(config->listen);
    const unsigned port = server_port(server);

    printf("drover listens on %s://%.*s:%u/v1\n", scheme, DR_FMT(host), port);
    if (config->is_demo) {
        printf("key: " DEMO_KEY "\n\n"
               "curl -N http://%.*s:%u/v1/chat/completions -H 'Authorization: Bearer " DEMO_KEY
               "' -H 'Content-Type: application/json' -d '{\"model\":\"gpt-4.1\",\"stream\":true,"
               "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'\n\n",
               DR_FMT(host), port);
        printf("npx -y wscat -c ws://%.*s:%u/v1/ws/chat -H 'Authorization: Bearer " DEMO_KEY
               "' -w 5 -x '{\"model\":\"gpt-4.1\","
               "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'\n\n",
               DR_FMT(host), port);
    }
    if (config->is_demo) {
        printf("admin: http://%.*s:%u/metrics, admin key " DEMO_ADMIN_KEY "\n\n",
               DR_FMT(host_of(config->admin_listen)), admin_port(serve->admin));
    }
    fflush(stdout);
}

/* `config` is taken. */
static int run_server(const struct options *options, struct serve *serve, const char *path,
                      struct config *config) {
    struct dr_error error = {0};
    const struct server_options server_options = {
        .config = config,
        .given = {.listen = options_value(options, "listen"),
                  .admin_listen = options_value(options, "admin-listen"),
                  .data = options_value(options, "data")},
        .config_path = path,
        .ended = server_ended,
        .owner = serve,
    };

    /* Before anybody can see that it listens: until then SIGHUP would kill it. What comes meanwhile
     * is told when the loop runs. */
    if (dr_signals_open(serve->loop, signal_received, serve, &serve->signals, &error) != DR_OK) {
        config_free(config);
        return command_fail("signals can't be received: %s", error.text);
    }
    int code = EXIT_DONE;
    if (server_open(serve->loop, &server_options, &serve->server, &error) != DR_OK) {
        code = command_fail("the gateway could not start: %s", error.text);
    } else {
        if (admin_open(serve->loop, serve->server, &serve->admin, &error) != DR_OK) {
            code = command_fail("the gateway could not start its admin listener: %s", error.text);
            server_drain(serve->server);
            server_drain(serve->server);
        } else {
            log_listening(serve);
            print_greeting(serve);
        }
        dr_loop_run(serve->loop);
        admin_close(serve->admin);
        server_close(serve->server);
        dr_log(DR_LOG_INFO, "gateway.ended", "code=%d", code);
    }
    dr_signals_close(serve->signals);
    return code;
}

static int run(const struct options *options) {
    struct serve serve = {0};
    struct config *config = NULL;
    const char *path;
    struct dr_error error = {0};

    if (options->argument_count > 0) {
        return command_misused(options, "unexpected argument %s", options->arguments[0]);
    }
    if (options_has(options, "demo") && options_has(options, "config")) {
        return command_misused(options, "--demo brings its own configuration: leave out -c");
    }
    dr_alloc_start();
    int code = read_config(options, &serve, &path, &config);
    if (code == EXIT_DONE) {
        config->has_ws_echo = options_has(options, "debug-ws-echo");
        dr_log_set_level(config->log_level);
        for (size_t i = 0; i < config->warning_count; i++) {
            fprintf(stderr, "warning: %.*s\n", DR_FMT(config->warnings[i]));
        }
        if (config->is_demo && demo_put_keys(config->data, &error) != DR_OK) {
            code = command_fail("the gateway could not start: %s", error.text);
            config_free(config);
        } else if (dr_loop_new(&serve.loop, &error) != DR_OK) {
            code = command_fail("no event loop: %s", error.text);
            config_free(config);
        } else {
            code = run_server(options, &serve, path, config);
            dr_loop_run(serve.loop);
            dr_loop_free(serve.loop);
        }
    }
    demo_close(serve.demo);
    return code;
}

static const struct option serve_options[] = {
    {"config", 'c', "FILE", "the configuration (default drover.yaml)"},
    {"demo", 0, NULL, "four models answered by a simulated provider, on loopback only"},
    {"listen", 0, "ADDRESS", "instead of the configured one (demo: 127.0.0.1:8080)"},
    {"admin-listen", 0, "ADDRESS", "instead of the configured one (demo: 127.0.0.1:8081)"},
    {"data", 0, "DIR", "instead of the configured one (demo: ./drover-data)"},
    {"debug-ws-echo", 0, NULL, "also serves /debug/ws/echo, for WebSocket test suites"},
    {0},
};

const struct command command_serve = {
    "serve",
    "runs the gateway",
    "  drover serve [-c FILE] [--listen A] [--admin-listen A] [--data DIR]\n"
    "  drover serve --demo [--listen A] [--admin-listen A] [--data DIR]\n"
    "\nSIGHUP reads the file again; SIGTERM ends it when running exchanges are done, a second\n"
    "one at once.\n",
    serve_options,
    run,
};
