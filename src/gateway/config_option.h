/* One row of the option table, for the files that read by it and print it. Private to config*.c. */
#ifndef DR_GATEWAY_CONFIG_OPTION_H
#define DR_GATEWAY_CONFIG_OPTION_H

#include "base/slice.h"

#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)
#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

enum option_type {
    OPTION_TEXT,     /* dr_slice; min is its least length */
    OPTION_PATH,     /* const char * */
    OPTION_ADDRESS,  /* dr_slice, HOST:PORT */
    OPTION_DURATION, /* int64_t in ms; so are min and max */
    OPTION_SECONDS,  /* written as a number of seconds, kept as ms */
    OPTION_BYTES,    /* 64 bits */
    OPTION_COUNT,    /* uint32_t */
    OPTION_WORKERS,  /* uint32_t, or `auto` */
    OPTION_BOOL,
    OPTION_LEVEL,
    OPTION_STORE,
    OPTION_DIALECT,
    /* Read by functions of their own. */
    OPTION_LIST,
    OPTION_MAP,
    OPTION_OWN_TEXT,
};

enum {
    OPTION_REQUIRED = 1,
    OPTION_IDLE = 2,     /* understood, without effect in this version */
    OPTION_AT_START = 4, /* a reload leaves it as it was */
};

struct option {
    const char *path; /* NAME stands for any */
    enum option_type type;
    unsigned flags;
    const char *fallback; /* as it would be written; NULL: none */
    int64_t min;
    int64_t max;
    size_t offset;
    const char *sentence;
};

extern const struct option config_options[];
extern const size_t config_option_count;
/* Maps at the top of the file that group options. */
extern const char *const config_sections[];
extern const size_t config_section_count;

/* The part of the option's path behind `scope` and a point; empty when it lies elsewhere. */
dr_slice config_option_key(const struct option *option, const char *scope);

#endif
