/* What every command of the program has: a name, words for --help, options, and a function. */
#ifndef DR_CLI_COMMAND_H
#define DR_CLI_COMMAND_H

#include "cli/options.h"

/* The three ways a command ends. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_WRONG_USAGE = 2 };

struct command {
    const char *name;
    const char *summary;
    const char *usage;            /* lines behind "usage:", each with a line end */
    const struct option *options; /* ended by one without a name */
    int (*run)(const struct options *options);
};

extern const struct command command_serve;
extern const struct command command_sim;
extern const struct command command_check;
extern const struct command command_account;
extern const struct command command_key;
extern const struct command command_usage;
extern const struct command command_docs;
/* All of them, as --help lists them; ended by NULL. */
extern const struct command *const commands[];

/* "drover: SENTENCE" on standard error; returns the exit code for a failure, a wrong usage. */
int command_fail(const char *format, ...) DR_PRINTF(1, 2);
int command_misused(const struct options *options, const char *format, ...) DR_PRINTF(2, 3);

#endif
