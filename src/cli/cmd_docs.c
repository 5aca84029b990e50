/* `drover docs`: the pages that follow from the program itself, so that none of them goes stale.
 * docs/configuration.md and the manual pages are its output, and a test compares them. Reads no
 * file. */
#include "cli/command.h"

#include "base/buf.h"
#include "gateway/config.h"

enum { DOCS_BYTES_MAX = 1 << 20 };

static const char preface[] =
    "# Configuration\n"
    "\n"
    "<!-- Printed by `drover docs`; `./dev docs` writes this file anew. -->\n"
    "\n"
    "`drover serve` reads one YAML file, `drover.yaml` in the current folder unless `-c\n"
    "FILE` names another. `drover check -c FILE` reads it the same way and starts\n"
    "nothing. What is wrong is told with file, line and column:\n"
    "\n"
    "```\n"
    "drover.yaml:2:1: unknown key 'time-outs'; expected one of listen, workers, data,\n"
    "store, resume_seconds, drain_seconds, providers, models or another option of the\n"
    "manual\n"
    "```\n"
    "\n"
    "- Unknown keys, keys given twice, wrong types and values out of bounds are errors;\n"
    "  nothing is guessed. An option marked *not yet* is understood, and a\n"
    "  warning says that it does nothing in this version.\n"
    "- `${NAME}` within a value is replaced by that variable of the environment, after\n"
    "  the YAML was read, so that its text can't become YAML. A variable that is not set\n"
    "  is an error. `$$` stands for a dollar sign.\n"
    "- A *duration* is a whole number with its unit: `300ms`, `5s`, `2m`, `1h`. A *size*\n"
    "  is a number of bytes, or one with its unit: `4096`, `32KiB`, `1MiB`, `1GiB`. Both\n"
    "  bounds belong to the range. A *path* that does not begin with `/` is taken from\n"
    "  the folder the gateway was started in.\n"
    "- The file is at most 1 MiB.\n"
    "\n"
    "*Effect* says when a change is followed: *reload* at the next `SIGHUP`, for requests\n"
    "that begin from then on; *start* only when the gateway starts (a reload leaves it as\n"
    "it was and logs `server.reload_ignored`); *not yet* never in this version. `drover\n"
    "account` and its sisters read `data` and `billing.rates` from the file whenever they\n"
    "are called with `-c FILE`.\n"
    "\n"
    "## Options\n"
    "\n";

static const char sample_heading[] =
    "\n"
    "## A file with every default\n"
    "\n"
    "`drover docs sample` prints it; only `providers` and `models` must be there.\n"
    "\n"
    "```yaml\n";

static const char manual_head[] =
    ".\\\" Printed by `drover docs manual`; `./dev docs` writes this file anew.\n"
    ".Dd November 24, 2026\n"
    ".Dt DROVER.YAML 5\n"
    ".Os Drover\n"
    ".Sh NAME\n"
    ".Nm drover.yaml\n"
    ".Nd configuration of the Drover gateway\n"
    ".Sh DESCRIPTION\n"
    "One YAML file, at most 1 MiB, read by\n"
    ".Ic drover serve\n"
    "and checked by\n"
    ".Ic drover check .\n"
    "Unknown keys, keys given twice, wrong types and values out of bounds are errors that\n"
    "name the file, line and column.\n"
    ".Pp\n"
    ".Ql ${NAME}\n"
    "within a value is replaced by that variable of the environment, after the YAML was\n"
    "read; a variable that is not set is an error.\n"
    ".Ql $$\n"
    "stands for a dollar sign.\n"
    ".Pp\n"
    "A duration is a whole number with its unit, as 300ms, 5s, 2m or 1h; a size a number\n"
    "of bytes, or one with its unit, as 4096, 32KiB, 1MiB or 1GiB. A path that does not\n"
    "begin with a slash is taken from the folder the gateway was started in.\n"
    ".Pp\n"
    "Effect says when a change is followed:\n"
    ".Em reload\n"
    "at the next SIGHUP, for requests that begin from then on;\n"
    ".Em start\n"
    "only when the gateway starts;\n"
    ".Em not yet\n"
    "means that the option is understood, but does nothing in this version.\n"
    ".Sh OPTIONS\n"
    ".Bl -tag -width Ds\n";

static const char manual_middle[] = ".El\n"
                                    ".Sh EXAMPLES\n"
                                    "Every default, with one provider and one model:\n"
                                    ".Bd -literal\n";

static const char manual_end[] = ".Ed\n"
                                 ".Sh SEE ALSO\n"
                                 ".Xr drover 1\n";

static const char commands_head[] =
    ".\\\" Printed by `drover docs commands`; `./dev docs` writes this file anew.\n"
    ".Dd November 24, 2026\n"
    ".Dt DROVER 1\n"
    ".Os Drover\n"
    ".Sh NAME\n"
    ".Nm drover\n"
    ".Nd relay for AI inference\n"
    ".Sh SYNOPSIS\n"
    ".Nm\n"
    ".Ar COMMAND\n"
    ".Op Ar OPTIONS\n"
    ".Nm\n"
    ".Fl -version\n"
    ".Sh DESCRIPTION\n"
    ".Nm\n"
    "stands between applications and the providers of AI models. It answers in OpenAI's\n"
    "API over HTTP and server-sent events, knows who asks by an API key, tries the\n"
    "targets of a model in order until one answers, and writes the charge of each answer\n"
    "down before the answer's end leaves.\n"
    ".Pp\n"
    "Accounts, keys and settled requests lie in a data folder that one gateway at a time\n"
    "holds.\n"
    ".Sh COMMANDS\n"
    ".Fl -help\n"
    "prints the text of a command;\n"
    "options are written as \\-\\-name VALUE or \\-\\-name=VALUE, and each at most once. A\n"
    "lone \\-\\- ends them.\n";

static const char commands_end[] =
    ".Sh SIGNALS\n"
    ".Bl -tag -width Ds\n"
    ".It SIGHUP\n"
    "The gateway reads its configuration and certificates again without dropping a\n"
    "request, and reopens the usage log. A file that is wrong leaves the old\n"
    "configuration running; the log says why.\n"
    ".It SIGTERM , SIGINT\n"
    "The gateway refuses new requests, lets running ones end within\n"
    "drain_seconds, and ends. A second signal ends it at once.\n"
    ".El\n"
    ".Sh ENVIRONMENT\n"
    ".Bl -tag -width Ds\n"
    ".It Ev DROVER_ADMIN_URL\n"
    "The running gateway that\n"
    ".Ic account , key\n"
    "and\n"
    ".Ic usage\n"
    "ask, where neither\n"
    ".Fl -admin\n"
    "nor a data folder is named.\n"
    ".It Ev DROVER_ADMIN_KEY\n"
    "Its admin key, where\n"
    ".Fl -admin-key\n"
    "is not given.\n"
    ".El\n"
    ".Pp\n"
    "The configuration names further variables; see\n"
    ".Xr drover.yaml 5 .\n"
    ".Sh FILES\n"
    ".Bl -tag -width Ds\n"
    ".It Pa drover.yaml\n"
    "The configuration, unless another is named.\n"
    ".It Pa drover-data\n"
    "The data folder, unless another is configured, with\n"
    ".Pa lock ,\n"
    ".Pa admin.url ,\n"
    ".Pa drover.db ,\n"
    ".Pa ledger\n"
    "and\n"
    ".Pa journal .\n"
    ".El\n"
    ".Sh EXIT STATUS\n"
    "0 when done, 1 when the thing asked for failed, 2 when the usage was wrong.\n"
    ".Sh EXAMPLES\n"
    "Try it, with a simulated provider and public keys, on loopback:\n"
    ".Bd -literal -offset indent\n"
    "drover serve \\-\\-demo\n"
    ".Ed\n"
    ".Pp\n"
    "An account with 50 dollars and a key that lives for thirty days:\n"
    ".Bd -literal -offset indent\n"
    "drover account create team \\-c drover.yaml\n"
    "drover account topup ACCOUNT_ID 50 \\-c drover.yaml\n"
    "drover key create \\-\\-account ACCOUNT_ID \\-\\-expires 30d \\-c drover.yaml\n"
    ".Ed\n"
    ".Sh SEE ALSO\n"
    ".Xr drover.yaml 5\n";

static void put_roff(struct dr_buf *buf, const char *text) {
    for (; *text; text++) {
        if (*text == '-')
            dr_buf_put(buf, DR_LIT("\\-"));
        else if (*text == '\\')
            dr_buf_put(buf, DR_LIT("\\e"));
        else
            dr_buf_put_char(buf, *text);
    }
}

static void put_option(struct dr_buf *buf, const struct option *option) {
    dr_buf_put(buf, DR_LIT(".It "));
    if (option->letter) dr_buf_format(buf, "Fl %c , ", option->letter);
    dr_buf_format(buf, "Fl -%s", option->name);
    if (option->value) dr_buf_format(buf, " Ar %s", option->value);
    dr_buf_put_char(buf, '\n');
    put_roff(buf, option->help);
    dr_buf_put_char(buf, '\n');
}

static void put_command(struct dr_buf *buf, const struct command *command) {
    dr_buf_format(buf, ".Ss drover %s\n", command->name);
    put_roff(buf, command->summary);
    dr_buf_put(buf, DR_LIT("\n.Bd -literal\n"));
    put_roff(buf, command->usage);
    dr_buf_put(buf, DR_LIT(".Ed\n"));
    if (!command->options[0].name) return;
    dr_buf_put(buf, DR_LIT(".Bl -tag -width Ds\n"));
    for (size_t i = 0; command->options[i].name; i++) put_option(buf, &command->options[i]);
    dr_buf_put(buf, DR_LIT(".El\n"));
}

static void put_commands(struct dr_buf *buf) {
    dr_buf_put(buf, dr_slice_text(commands_head));
    for (size_t i = 0; commands[i]; i++) put_command(buf, commands[i]);
    dr_buf_put(buf, dr_slice_text(commands_end));
}

static void put_page(struct dr_buf *buf) {
    dr_buf_put(buf, dr_slice_text(preface));
    config_put_markdown(buf);
    dr_buf_put(buf, dr_slice_text(sample_heading));
    config_put_sample(buf);
    dr_buf_put(buf, DR_LIT("```\n"));
}

static void put_manual(struct dr_buf *buf) {
    dr_buf_put(buf, dr_slice_text(manual_head));
    config_put_manual(buf);
    dr_buf_put(buf, dr_slice_text(manual_middle));
    config_put_sample(buf);
    dr_buf_put(buf, dr_slice_text(manual_end));
}

static int run(const struct options *options) {
    static const struct {
        const char *name;
        void (*put)(struct dr_buf *buf);
    } parts[] = {
        {"configuration", put_page},
        {"manual", put_manual},
        {"commands", put_commands},
        {"sample", config_put_sample},
    };
    enum { PART_COUNT = sizeof(parts) / sizeof(parts[0]) };
    const char *name = options->argument_count ? options->arguments[0] : parts[0].name;
    struct dr_buf buf;
    size_t part = 0;

    while (part < PART_COUNT && strcmp(parts[part].name, name) != 0) part++;
    if (part == PART_COUNT || options->argument_count > 1) {
        return command_misused(options, "say configuration, manual, commands or sample");
    }
    dr_buf_init(&buf, DOCS_BYTES_MAX);
    parts[part].put(&buf);
    const bool is_whole = dr_buf_status(&buf) == DR_OK;
    if (is_whole) fwrite(buf.data, 1, buf.len, stdout);
    dr_buf_clear(&buf);
    return is_whole ? EXIT_DONE : command_fail("the page is too large to print");
}

static const struct option docs_options[] = {{0}};

const struct command command_docs = {
    "docs",
    "prints the reference that the program holds",
    "  drover docs [configuration]   all options of the configuration, as Markdown\n"
    "  drover docs manual            the same as drover.yaml(5)\n"
    "  drover docs commands          all commands and options, as drover(1)\n"
    "  drover docs sample            a file with every default, to begin with\n",
    docs_options,
    run,
};
