/* The option table as pages for people: Markdown, a manual page, a sample file. Must not know what
 * an option does; its sentence says it. */
#include "gateway/config.h"

#include "base/buf.h"
#include "gateway/config_option.h"

/* A number in the largest of its units that leaves no rest, as it would be written in a file. */
static void put_scaled(struct dr_buf *buf, int64_t number, const char *const units[],
                       const int64_t factors[]) {
    size_t i = 0;
    while (units[i + 1] && (number == 0 || number % factors[i] != 0)) i++;
    dr_buf_format(buf, "%lld%s", (long long)(number / factors[i]), units[i]);
}

static void put_number(struct dr_buf *buf, enum option_type type, int64_t number) {
    static const char *const times[] = {"h", "m", "s", "ms", NULL};
    static const int64_t time_factors[] = {HOUR_MS, 60000, 1000, 1};
    static const char *const sizes[] = {"GiB", "MiB", "KiB", "B", NULL};
    static const int64_t size_factors[] = {GIB, MIB, KIB, 1};
    if (type == OPTION_DURATION)
        put_scaled(buf, number, times, time_factors);
    else if (type == OPTION_BYTES)
        put_scaled(buf, number, sizes, size_factors);
    else
        dr_buf_format(buf, "%lld", (long long)number);
}

static const char *kind_of(enum option_type type) {
    switch (type) {
    case OPTION_TEXT: return "text of so many bytes";
    case OPTION_PATH: return "path";
    case OPTION_ADDRESS: return "HOST:PORT";
    case OPTION_DURATION: return "duration";
    case OPTION_SECONDS: return "seconds";
    case OPTION_BYTES: return "size";
    case OPTION_COUNT: return "number";
    case OPTION_WORKERS: return "number or `auto`";
    case OPTION_BOOL: return "`true` or `false`";
    case OPTION_LEVEL:
    case OPTION_STORE:
    case OPTION_DIALECT: return "word";
    case OPTION_LIST: return "list";
    case OPTION_MAP: return "map";
    case OPTION_OWN_TEXT: return "text";
    }
    return "";
}

/* What is written for it, and between which bounds. */
static void put_values(struct dr_buf *buf, const struct option *option) {
    dr_buf_format(buf, "%s", kind_of(option->type));
    if (option->max == 0) return;
    dr_buf_put(buf, DR_LIT(", "));
    put_number(buf, option->type, option->min);
    dr_buf_put(buf, DR_LIT(" to "));
    put_number(buf, option->type, option->max);
}

/* As a reader finds it in a file: a target is an entry of its model's list. */
static void put_path(struct dr_buf *buf, const struct option *option) {
    const dr_slice path = dr_slice_text(option->path);
    const dr_slice target = DR_LIT("targets.NAME.");
    if (dr_slice_starts(path, target)) {
        dr_buf_put(buf, DR_LIT("models.NAME.targets[]."));
        dr_buf_put(buf, dr_slice_from(path, target.len));
    } else {
        dr_buf_put(buf, path);
    }
}

static const char *effect_of(const struct option *option) {
    if (option->flags & OPTION_IDLE) return "not yet";
    return option->flags & OPTION_AT_START ? "start" : "reload";
}

static void put_markdown_row(struct dr_buf *buf, const struct option *option) {
    dr_buf_put(buf, DR_LIT("| `"));
    put_path(buf, option);
    dr_buf_put(buf, DR_LIT("` | "));
    put_values(buf, option);
    if (option->fallback)
        dr_buf_format(buf, " | `%s`", option->fallback);
    else
        dr_buf_format(buf, " | %s", option->flags & OPTION_REQUIRED ? "required" : "none");
    dr_buf_format(buf, " | %s | %s |\n", effect_of(option), option->sentence);
}

void config_put_markdown(struct dr_buf *buf) {
    dr_buf_put(buf, DR_LIT("| option | value | default | effect | meaning |\n"
                           "| --- | --- | --- | --- | --- |\n"));
    for (size_t i = 0; i < config_option_count; i++) put_markdown_row(buf, &config_options[i]);
}

/* Markdown's code spans become bold; a backslash would begin an escape of roff. */
static void put_roff(struct dr_buf *buf, dr_slice text) {
    bool is_code = false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '`') {
            is_code = !is_code;
            dr_buf_put(buf, is_code ? DR_LIT("\\fB") : DR_LIT("\\fR"));
        } else if (text.data[i] == '\\') {
            dr_buf_put(buf, DR_LIT("\\e"));
        } else if (text.data[i] == '-') {
            dr_buf_put(buf, DR_LIT("\\-"));
        } else {
            dr_buf_put_char(buf, text.data[i]);
        }
    }
}

void config_put_manual(struct dr_buf *buf) {
    struct dr_buf values;
    dr_buf_init(&values, 256);
    for (size_t i = 0; i < config_option_count; i++) {
        const struct option *option = &config_options[i];
        dr_buf_put(buf, DR_LIT(".It Cm "));
        put_path(buf, option);
        dr_buf_put(buf, DR_LIT("\n"));
        put_roff(buf, dr_slice_text(option->sentence));
        dr_buf_put(buf, DR_LIT("\n.br\nValue: "));
        dr_buf_reset(&values);
        put_values(&values, option);
        put_roff(buf, dr_buf_slice(&values));
        if (option->fallback) {
            dr_buf_put(buf, DR_LIT(". Default: \\fB"));
            put_roff(buf, dr_slice_text(option->fallback));
            dr_buf_put(buf, DR_LIT("\\fR"));
        } else if (option->flags & OPTION_REQUIRED) {
            dr_buf_put(buf, DR_LIT(". Required"));
        }
        dr_buf_format(buf, ". Effect: %s.\n", effect_of(option));
    }
    dr_buf_clear(&values);
}

static void put_sample_scope(struct dr_buf *buf, const char *scope) {
    bool is_begun = scope[0] == '\0';
    for (size_t i = 0; i < config_option_count; i++) {
        const struct option *option = &config_options[i];
        const dr_slice key = config_option_key(option, scope);
        if (key.len == 0 || !option->fallback || (option->flags & OPTION_IDLE)) continue;
        if (!is_begun) dr_buf_format(buf, "%s:\n", scope);
        is_begun = true;
        dr_buf_format(buf, "%s%.*s: %s    # %s\n", scope[0] ? "  " : "", DR_FMT(key),
                      option->fallback, option->sentence);
    }
}

void config_put_sample(struct dr_buf *buf) {
    put_sample_scope(buf, "");
    for (size_t i = 0; i < config_section_count; i++) put_sample_scope(buf, config_sections[i]);
    dr_buf_put(buf, DR_LIT("\nproviders:\n"
                           "  openai:\n"
                           "    base_url: \"https://api.openai.com/v1\"\n"
                           "    api_keys: [\"${OPENAI_API_KEY}\"]\n"
                           "\nmodels:\n"
                           "  gpt-4.1:\n"
                           "    price: {input: 8.00, output: 8.00}    # USD per million tokens\n"
                           "    targets:\n"
                           "      - {provider: openai, model: gpt-4.1, "
                           "list_price: {input: 60.00, output: 60.00}}\n"));
}
