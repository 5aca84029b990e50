/* Command-line options: `--name VALUE`, `--name=VALUE`, `-c VALUE`, flags, plain arguments. */
#ifndef DR_CLI_OPTIONS_H
#define DR_CLI_OPTIONS_H

#include "base/slice.h"
#include "base/status.h"

struct command;

struct option {
    const char *name;  /* without the dashes */
    char letter;       /* a short form, 0 for none */
    const char *value; /* what --help calls the value; NULL: a flag */
    const char *help;
};

enum { OPTION_COUNT_MAX = 20, ARGUMENT_COUNT_MAX = 8 };
struct options {
    const struct command *command;
    const char *values[OPTION_COUNT_MAX]; /* beside the command's table; NULL: not given */
    const char *arguments[ARGUMENT_COUNT_MAX];
    size_t argument_count;
    char secret[256]; /* the value of --admin-key, whose place in argv is overwritten */
};

enum options_outcome { OPTIONS_READ, OPTIONS_HELP, OPTIONS_WRONG };
/* `argv` begins behind the command's name. Values are lent by `argv`, but that of --admin-key: it
 * is moved away, since everybody on the machine can read a process's arguments. On OPTIONS_WRONG
 * the sentence has been printed. */
enum options_outcome options_read(const struct command *command, int argc, char **argv,
                                  struct options *ret_options);
void options_print_help(const struct command *command);

/* NULL when not given. The name must be in the command's table. */
const char *options_value(const struct options *options, const char *name);
bool options_has(const struct options *options, const char *name);
/* `*ret` stays as it is when the option was not given; false, with the sentence printed, unless
 * the value is a whole number up to `max`. */
bool options_number(const struct options *options, const char *name, uint64_t max, uint64_t *ret);

#endif
