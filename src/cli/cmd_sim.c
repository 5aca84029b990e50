/* `drover sim`: the simulated provider as a program, until SIGTERM or SIGINT. */
#include "cli/command.h"

#include "base/buf.h"
#include "net/loop.h"
#include "net/signals.h"
#include "sim/provider.h"

#include <errno.h>
#include <signal.h>

enum { REPLAY_BYTES_MAX = 256 << 20, REPLAY_PIECE_BYTES = 65536 };

static void signal_received(void *owner, int signal_number) {
    /* SIGHUP: there is no file to read again. */
    if (signal_number != SIGHUP) dr_loop_stop(owner);
}

static bool read_replay(const char *path, struct dr_buf *buf) {
    FILE *file = fopen(path, "rb");

    if (!file) {
        command_fail("%s: %s", path, strerror(errno));
        return false;
    }
    for (;;) {
        char *room = dr_buf_reserve(buf, REPLAY_PIECE_BYTES);
        const size_t count = room ? fread(room, 1, REPLAY_PIECE_BYTES, file) : 0;
        if (count == 0) break;
        dr_buf_commit(buf, count);
    }
    const bool is_whole = !ferror(file) && dr_buf_status(buf) == DR_OK;
    fclose(file);
    if (!is_whole)
        command_fail("%s could not be read whole", path);
    else if (buf->len == 0)
        command_fail("%s is empty", path);
    return is_whole && buf->len > 0;
}

static int serve(const struct sim_options *sim_options) {
    struct dr_loop *loop;
    struct sim_provider *provider;
    struct dr_signals *signals;
    struct dr_error error = {0};
    int code = EXIT_DONE;

    if (dr_loop_new(&loop, &error) != DR_OK) {
        return command_fail("no event loop: %s", error.text);
    }
    if (sim_open(loop, sim_options, &provider, &error) != DR_OK) {
        code = command_fail("%s", error.text);
    } else if (dr_signals_open(loop, signal_received, loop, &signals, &error) != DR_OK) {
        code = command_fail("signals can't be received: %s", error.text);
        sim_close(provider);
    } else {
        printf("drover sim listens on port %u\n", (unsigned)sim_port(provider));
        fflush(stdout);
        dr_loop_run(loop);
        sim_close(provider);
        dr_signals_close(signals);
    }
    dr_loop_run(loop);
    dr_loop_free(loop);
    return code;
}

static int run(const struct options *options) {
    const char *listen = options_value(options, "listen");
    const char *path = options_value(options, "replay");
    uint64_t first_token_ms = 0;
    uint64_t token_ms = 0;
    uint64_t events = 0;
    uint64_t status = 200;
    struct dr_buf replay;

    if (options->argument_count > 0) {
        return command_misused(options, "unexpected argument %s", options->arguments[0]);
    }
    if (!options_number(options, "first-token-ms", 3600000, &first_token_ms) ||
        !options_number(options, "token-ms", 3600000, &token_ms) ||
        !options_number(options, "events", UINT32_MAX, &events) ||
        !options_number(options, "replay-status", 599, &status)) {
        return EXIT_WRONG_USAGE;
    }
    if (status < 200) return command_misused(options, "--replay-status is from 200 to 599");
    dr_buf_init(&replay, REPLAY_BYTES_MAX);
    if (path && !read_replay(path, &replay)) {
        dr_buf_clear(&replay);
        return EXIT_FAILED;
    }
    const bool is_sse = dr_slice_ends(dr_slice_text(path), DR_LIT(".sse"));
    const int code = serve(&(struct sim_options){
        .listen = dr_slice_text(listen ? listen : "127.0.0.1:8090"),
        .first_token_ms = (int64_t)first_token_ms,
        .token_ms = (int64_t)token_ms,
        .fault = dr_slice_text(options_value(options, "fault")),
        .replay = dr_buf_slice(&replay),
        .replay_type = is_sse ? DR_LIT("text/event-stream") : DR_LIT("application/json"),
        .replay_status = (uint16_t)status,
        .burst_events = (uint32_t)events,
    });
    dr_buf_clear(&replay);
    return code;
}

static const struct option sim_options[] = {
    {"listen", 0, "ADDRESS", "default 127.0.0.1:8090; port 0 picks one"},
    {"first-token-ms", 0, "N", "before the first event, or a whole unary answer"},
    {"token-ms", 0, "N", "between events"},
    {"fault", 0, "WORDS", "fault words for every request, joined with commas"},
    {"replay", 0, "FILE", "a recorded answer, played byte for byte (.sse: a stream)"},
    {"replay-status", 0, "STATUS", "its HTTP status (default 200)"},
    {"events", 0, "N", "text events in each stream; 0: natural length"},
    {0},
};

const struct command command_sim = {
    "sim",
    "simulated provider, for trying and testing",
    "  drover sim [--listen A] [--first-token-ms N] [--token-ms N] [--fault WORDS]\n"
    "             [--replay FILE] [--events N]\n"
    "\nServes POST /v1/chat/completions (OpenAI), POST /v1/messages (Anthropic) and\n"
    "POST /v1beta/models/MODEL:generateContent, :streamGenerateContent (Gemini). Any key will\n"
    "do. The same messages give the same text and token counts in all three; mistakes are\n"
    "refused in the provider's own words. \"simulate a block\" in the user's newest message is\n"
    "answered like a prompt that the provider does not allow.\n"
    "\nFault words: status=N retry_after=S slow=BYTES times=N stall stall_mid cut cut_mid\n"
    "close_idle garbage bad_json error_event dribble no_usage split_utf8 huge refuse\n",
    sim_options,
    run,
};
