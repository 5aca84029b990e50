/* The program's door: finds the command, reads its options, gives back its exit code. No work is
 * done here. */
#include "cli/command.h"

#include <errno.h>

const struct command *const commands[] = {
    &command_serve, &command_sim,   &command_check, &command_account,
    &command_key,   &command_usage, &command_docs,  NULL,
};

static void print_commands(FILE *file) {
    fputs("drover: a relay for AI inference\n\nusage: drover COMMAND [--help]\n\n", file);
    for (size_t i = 0; commands[i]; i++) {
        fprintf(file, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    }
    fputs("\n  --version  prints the version\n"
          "\nExit codes: 0 done, 1 the thing asked for failed, 2 wrong usage.\n",
          file);
}

static int run_command(const struct command *command, int argc, char **argv) {
    struct options options;

    switch (options_read(command, argc, argv, &options)) {
    case OPTIONS_HELP: options_print_help(command); return EXIT_DONE;
    case OPTIONS_WRONG: return EXIT_WRONG_USAGE;
    case OPTIONS_READ: break;
    }
    return command->run(&options);
}

static int run(int argc, char **argv) {
    const dr_slice name = dr_slice_text(argc > 1 ? argv[1] : NULL);

    if (name.len == 0) {
        print_commands(stderr);
        return EXIT_WRONG_USAGE;
    }
    if (dr_slice_is(name, DR_LIT("--help")) || dr_slice_is(name, DR_LIT("-h")) ||
        dr_slice_is(name, DR_LIT("help"))) {
        print_commands(stdout);
        return EXIT_DONE;
    }
    if (dr_slice_is(name, DR_LIT("--version"))) {
        puts("drover " DROVER_VERSION);
        return EXIT_DONE;
    }
    for (size_t i = 0; commands[i]; i++) {
        if (dr_slice_is(name, dr_slice_text(commands[i]->name))) {
            return run_command(commands[i], argc - 2, argv + 2);
        }
    }
    fprintf(stderr, "drover: there is no command %s\nTry: drover --help\n", argv[1]);
    return EXIT_WRONG_USAGE;
}

int main(int argc, char **argv) {
    const int code = run(argc, argv);

    /* A full disk behind standard output must not look like success. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_DONE) {
        return command_fail("standard output could not be written: %s", strerror(errno));
    }
    return code;
}
