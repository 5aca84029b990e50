/* `drover check`: reads a configuration and the certificates that it names as the gateway would,
 * and says what is wrong. Starts nothing. */
#include "cli/command.h"

#include "gateway/snapshot.h"

static int run(const struct options *options) {
    const char *path = options_value(options, "config");
    struct config *config;
    struct snapshot *snapshot;
    struct dr_error error = {0};

    if (options->argument_count > 1 || (path && options->argument_count > 0)) {
        return command_misused(options, "one file, please");
    }
    if (!path) path = options->argument_count ? options->arguments[0] : "drover.yaml";
    if (config_read_file(path, &config, &error) != DR_OK ||
        snapshot_new(config, &snapshot, &error) != DR_OK) {
        fprintf(stderr, "%s\n", error.text);
        return EXIT_FAILED;
    }
    printf("%s: ok\n", path);
    for (size_t i = 0; i < config->warning_count; i++) {
        printf("warning: %.*s\n", DR_FMT(config->warnings[i]));
    }
    snapshot_release(snapshot);
    return EXIT_DONE;
}

static const struct option check_options[] = {
    {"config", 'c', "FILE", "the configuration (default drover.yaml)"},
    {0},
};

const struct command command_check = {
    "check", "validates a configuration", "  drover check -c FILE\n", check_options, run,
};
