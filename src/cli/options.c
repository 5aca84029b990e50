/* Reads a command's options by its table. It knows no command and decides nothing for one. */
#include "cli/options.h"

#include "cli/command.h"

#include <inttypes.h>
#include <stdarg.h>

static const char given[] = "";

int command_fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("drover: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return EXIT_FAILED;
}

int command_misused(const struct options *options, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "drover %s: ", options->command->name);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\nTry: drover %s --help\n", options->command->name);
    va_end(arguments);
    return EXIT_WRONG_USAGE;
}

void options_print_help(const struct command *command) {
    printf("%s\n\nusage:\n%s", command->summary, command->usage);
    printf("\noptions:\n");
    for (const struct option *option = command->options; option->name; option++) {
        char left[64];
        char letter[8] = "    ";
        if (option->letter) snprintf(letter, sizeof(letter), "-%c, ", option->letter);
        snprintf(left, sizeof(left), "%s--%s%s%s", letter, option->name, option->value ? " " : "",
                 option->value ? option->value : "");
        printf("  %-34s %s\n", left, option->help);
    }
    printf("  %-34s %s\n", "-h, --help", "this text");
}

/* The place in the table, or OPTION_COUNT_MAX. */
static size_t find_option(const struct command *command, dr_slice name, char letter) {
    for (size_t i = 0; command->options[i].name && i < OPTION_COUNT_MAX; i++) {
        const struct option *option = &command->options[i];
        if (letter ? option->letter == letter : dr_slice_is(name, dr_slice_text(option->name))) {
            return i;
        }
    }
    return OPTION_COUNT_MAX;
}

static bool hide_value(struct options *options, size_t place, char *value) {
    const size_t len = strlen(value);
    if (len >= sizeof options->secret) {
        command_misused(options, "--%s is too long", options->command->options[place].name);
        return false;
    }
    memcpy(options->secret, value, len + 1);
    memset(value, '*', len);
    options->values[place] = options->secret;
    return true;
}

/* Reads argv[*at], which begins with a dash, and moves on over a value that follows. */
static bool read_option(struct options *options, int argc, char **argv, int *at) {
    const dr_slice text = dr_slice_text(argv[*at]);
    const bool is_long = dr_slice_starts(text, DR_LIT("--"));
    const size_t equals = is_long ? dr_slice_find_char(text, '=') : text.len;
    const dr_slice name = dr_slice_from(dr_slice_first(text, equals), 2);
    const bool is_short = !is_long && text.len == 2;
    const size_t place = is_long || is_short
                             ? find_option(options->command, name, is_long ? '\0' : text.data[1])
                             : OPTION_COUNT_MAX;

    if (place == OPTION_COUNT_MAX) {
        command_misused(options, "there is no option %s", argv[*at]);
        return false;
    }
    const struct option *option = &options->command->options[place];
    if (options->values[place]) {
        command_misused(options, "--%s was given twice", option->name);
        return false;
    }
    if (!option->value) {
        if (equals < text.len) {
            command_misused(options, "--%s takes no value", option->name);
            return false;
        }
        options->values[place] = given;
        return true;
    }
    char *value = equals < text.len ? argv[*at] + equals + 1 : NULL;
    if (!value && *at + 1 < argc) value = argv[++*at];
    if (!value) {
        command_misused(options, "--%s needs a value: %s", option->name, option->value);
        return false;
    }
    options->values[place] = value;
    return strcmp(option->name, "admin-key") != 0 || hide_value(options, place, value);
}

enum options_outcome options_read(const struct command *command, int argc, char **argv,
                                  struct options *ret_options) {
    bool are_over = false;

    *ret_options = (struct options){.command = command};
    for (int i = 0; i < argc; i++) {
        const dr_slice text = dr_slice_text(argv[i]);
        if (!are_over && dr_slice_is(text, DR_LIT("--"))) {
            are_over = true;
        } else if (!are_over &&
                   (dr_slice_is(text, DR_LIT("--help")) || dr_slice_is(text, DR_LIT("-h")))) {
            return OPTIONS_HELP;
        } else if (!are_over && text.len > 1 && text.data[0] == '-') {
            if (!read_option(ret_options, argc, argv, &i)) return OPTIONS_WRONG;
        } else if (ret_options->argument_count == ARGUMENT_COUNT_MAX) {
            command_misused(ret_options, "too many arguments");
            return OPTIONS_WRONG;
        } else {
            ret_options->arguments[ret_options->argument_count++] = argv[i];
        }
    }
    return OPTIONS_READ;
}

const char *options_value(const struct options *options, const char *name) {
    const size_t place = find_option(options->command, dr_slice_text(name), '\0');
    return place < OPTION_COUNT_MAX ? options->values[place] : NULL;
}

bool options_has(const struct options *options, const char *name) {
    return options_value(options, name) != NULL;
}

bool options_number(const struct options *options, const char *name, uint64_t max, uint64_t *ret) {
    const char *text = options_value(options, name);
    uint64_t value;

    if (!text) return true;
    if (!dr_slice_to_u64(dr_slice_text(text), &value) || value > max) {
        command_misused(options, "--%s is a whole number from 0 to %" PRIu64 ", not \"%s\"", name,
                        max, text);
        return false;
    }
    *ret = value;
    return true;
}
